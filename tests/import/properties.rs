//! What holds for any input: nothing panics, nothing of it is repeated in a refusal, and what
//! is exported reads back as it was.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use grantkeep_core::cipher::KeyRing;
use grantkeep_core::credentials::{Credentials, Times};
use grantkeep_core::import::{self, Scopes};
use grantkeep_core::provider::{Client, Definition};
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::{AccessToken, ClientSecret, RefreshToken};
use grantkeep_tests::api::ENCRYPTION_KEY;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};

/// Members that some form has, so that random objects get far into the reader.
const MEMBERS: &[&str] = &[
    "token",
    "access_token",
    "refresh_token",
    "client_id",
    "client_secret",
    "scopes",
    "scope",
    "expiry",
    "expires_at",
    "expires_in",
    "expiry_date",
    "expiration_time_millis",
    "IssuedUtc",
    "type",
    "_module",
    "token_response",
    "providerAccountId",
    "accountId",
    "providerId",
    "accessToken",
    "refreshToken",
    "accessTokenExpiresAt",
    "token_data",
    "credentials",
    "refresh_token_encrypted",
    "user_id",
    "token_uri",
    "universe_domain",
    "account",
];

fn keys() -> KeyRing {
    KeyRing::parse(ENCRYPTION_KEY).expect("key")
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[0-9TZ:+. -]{0,30}".prop_map(Value::from),
        "(authorized_user|oauth2client.client|gAAAA[A-Za-z0-9_=-]{0,60}|\\{\"a\":1\\})"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(MEMBERS), value), 0..8).prop_map(|members| {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Value::Object(members.collect::<Map<String, Value>>())
    })
}

fn token() -> impl Strategy<Value = String> {
    "[!-~]{1,200}"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = import::read(&bytes, &keys());
    }

    #[test]
    fn no_json_panics_and_every_refusal_names_a_member(value in object(value())) {
        if let Err(refused) = import::read(value.to_string().as_bytes(), &keys()) {
            prop_assert!(!refused.field.is_empty() && !refused.message.is_empty());
        }
    }

    #[test]
    fn a_secret_is_in_no_refusal(mut value in object(value()), place in prop::sample::select(MEMBERS)) {
        value[place] = json!("CANARY of a secret\n");
        if let Err(refused) = import::read(value.to_string().as_bytes(), &keys()) {
            prop_assert!(!refused.to_string().contains("CANARY"), "{refused}");
        }
    }

    #[test]
    fn what_is_exported_reads_back_as_it_was(
        access in token(),
        refresh in token(),
        seconds in 1_i64..4_000_000_000,
        micros in 0_u32..1_000_000,
        scopes in prop::collection::vec("[a-z:/.]{1,40}", 1..5),
        account in "[a-z]{1,10}@[a-z]{1,10}\\.example",
    ) {
        let expires_at = DateTime::from_timestamp(seconds, micros * 1000).expect("an instant");
        let definition: Definition = serde_json::from_value(json!({
            "display_name": "Test", "token_endpoint": "https://id.test/token"
        })).expect("definition");
        let credentials = Credentials {
            access_token: AccessToken::new(access.clone()),
            refresh_token: Some(RefreshToken::new(refresh.clone())),
            lifetime: None,
            metadata: Map::new(),
        };
        let client = Client { id: "client".to_owned(), secret: Some(ClientSecret::new("s")) };
        let granted = ScopeSet::parse(&scopes.join(" "));
        let times = Times { expires_at: Some(expires_at), issued_at: expires_at, now: expires_at };

        let exported =
            credentials.authorized_user(&definition, &client, &times, &granted, &account, true);
        let back = import::read(exported.to_string().as_bytes(), &keys());

        let back = back.map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        prop_assert_eq!(back.access_token.as_ref().map(AccessToken::expose), Some(access.as_str()));
        prop_assert_eq!(back.refresh_token.as_ref().map(RefreshToken::expose), Some(refresh.as_str()));
        prop_assert_eq!(back.expires_at, Some(expires_at));
        prop_assert_eq!(back.scopes, Scopes::Requested(granted));
        prop_assert_eq!(back.client_id.as_deref(), Some("client"));
        prop_assert_eq!(back.whose.account, Some(account));
    }

    #[test]
    fn an_instant_is_the_same_in_every_form(seconds in 1_i64..90_000_000_000, offset in -14_i32..15) {
        let at = DateTime::<Utc>::from_timestamp(seconds, 0).expect("an instant");
        let local = at + TimeDelta::hours(offset.into());
        let naive = at.naive_utc();
        let sign = if offset < 0 { '-' } else { '+' };
        for form in [
            json!(at.to_rfc3339_opts(SecondsFormat::Secs, true)),
            json!(at.to_rfc3339_opts(SecondsFormat::Nanos, true)),
            json!(naive.format("%Y-%m-%dT%H:%M:%S").to_string()),
            json!(naive.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
            json!(format!("{}{sign}{:02}:00", local.naive_utc().format("%Y-%m-%dT%H:%M:%S"), offset.abs())),
            json!(seconds),
            json!(seconds.to_string()),
        ] {
            let file = json!({"access_token": "a", "refresh_token": "r", "expires_at": form});
            let read = import::read(file.to_string().as_bytes(), &keys()).expect("reads");
            prop_assert_eq!(read.expires_at, Some(at), "{}", file);
        }
    }
}
