//! id_tokens at the callback: which are believed, and which account they name.

use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_core::App;
use grantkeep_core::settings::Settings;
use grantkeep_demo_provider::IdTokenFault;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_functions::{routes, service};
use grantkeep_tests::instance::Served;
use grantkeep_tests::{TestApi, database};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::issuer::{ACCESS_TOKEN, Issuer, Signer, in_seconds};
use crate::scripted::Answer;
use crate::support::{authorize, connected, consented, count, failed, outcome, problem, text};

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

#[tokio::test]
async fn id01_only_the_issuers_keys_and_the_allowed_algorithms_count() {
    let issuer = Issuer::start().await;
    let stranger = Signer::new("key-1");
    let signature = URL_SAFE_NO_PAD.encode([7; 64]);
    let public_key = issuer.signer.jwk.to_string();
    let embedded: Jwk = serde_json::from_value(stranger.jwk.clone()).expect("a key");

    type Make<'a> = Box<dyn Fn(&Value) -> String + 'a>;
    let forged: Vec<(&str, Make<'_>)> = vec![
        (
            "none",
            Box::new(|claims| unsigned(&json!({"alg": "none"}), claims, "")),
        ),
        (
            "None",
            Box::new(|claims| unsigned(&json!({"alg": "None", "kid": "key-1"}), claims, "")),
        ),
        (
            "no signature",
            Box::new(|claims| unsigned(&json!({"alg": "ES256", "kid": "key-1"}), claims, "")),
        ),
        (
            "zero signature",
            Box::new(|claims| {
                let zero = URL_SAFE_NO_PAD.encode([0; 64]);
                unsigned(&json!({"alg": "ES256", "kid": "key-1"}), claims, &zero)
            }),
        ),
        (
            "RS256 for an EC key",
            Box::new(|claims| {
                unsigned(&json!({"alg": "RS256", "kid": "key-1"}), claims, &signature)
            }),
        ),
        (
            "HS256 with the public key",
            Box::new(|claims| {
                let header = Header {
                    kid: Some("key-1".to_owned()),
                    ..Header::new(Algorithm::HS256)
                };
                let key = EncodingKey::from_secret(public_key.as_bytes());
                jsonwebtoken::encode(&header, claims, &key).expect("signs")
            }),
        ),
        ("a stranger's key", Box::new(|claims| stranger.sign(claims))),
        (
            "jwk",
            Box::new(|claims| {
                let header = Header {
                    jwk: Some(embedded.clone()),
                    ..stranger.header()
                };
                jsonwebtoken::encode(&header, claims, &stranger.key).expect("signs")
            }),
        ),
        (
            "jku",
            Box::new(|claims| {
                let header = Header {
                    jku: Some("https://evil.test/jwks".to_owned()),
                    ..issuer.signer.header()
                };
                jsonwebtoken::encode(&header, claims, &issuer.signer.key).expect("signs")
            }),
        ),
        (
            "x5u",
            Box::new(|claims| {
                let header = Header {
                    x5u: Some("https://evil.test/cert".to_owned()),
                    ..issuer.signer.header()
                };
                jsonwebtoken::encode(&header, claims, &issuer.signer.key).expect("signs")
            }),
        ),
        (
            "crit",
            Box::new(|claims| {
                let header = Header {
                    crit: Some(vec!["b64".to_owned()]),
                    ..issuer.signer.header()
                };
                jsonwebtoken::encode(&header, claims, &issuer.signer.key).expect("signs")
            }),
        ),
        ("garbage", Box::new(|_| "not.a.jwt".to_owned())),
    ];
    for (name, make) in forged {
        let done = issuer
            .sign_in(|nonce| {
                let mut claims = issuer.claims();
                claims["nonce"] = nonce.into();
                make(&claims)
            })
            .await;

        assert_eq!(outcome(&done), failed("provider_error"), "{name}");
    }
    assert_eq!(count_tokens(&issuer.api).await, "0");
    assert_eq!(outcome(&issuer.with_claims(|_| ()).await), connected());
}

/// Rows, also where the table was never needed.
async fn count_tokens(api: &TestApi) -> String {
    match api.text("select to_regclass('oauth_tokens')::text").await {
        Some(_) => count(api, "oauth_tokens").await,
        None => "0".to_owned(),
    }
}

#[tokio::test]
async fn id01_the_demo_providers_bad_id_tokens_make_no_connection() {
    let api = TestApi::start().await;
    for fault in [
        IdTokenFault::AlgNone,
        IdTokenFault::BadSignature,
        IdTokenFault::WrongNonce,
        IdTokenFault::WrongAud,
        IdTokenFault::WrongIss,
        IdTokenFault::Expired,
    ] {
        api.provider
            .update(|knobs| knobs.id_token_fault = Some(fault));

        let done = consented(&api, &authorize("gmail")).await.finish().await;

        assert_eq!(outcome(&done), failed("provider_error"), "{fault:?}");
    }
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn id02_wrong_claims_are_refused() {
    let issuer = Issuer::start().await;
    let origin = issuer.server.origin().to_owned();
    let wrong = [
        ("iss", json!("https://other.example")),
        ("iss", json!(format!("{origin}/"))),
        ("iss", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!([])),
        ("aud", json!([DEMO_CLIENT_ID, "another-client"])),
        ("azp", json!("another-client")),
        ("exp", json!(in_seconds(-120))),
        ("exp", Value::Null),
        ("exp", json!("9999999999")),
        ("iat", json!(in_seconds(180))),
        ("nonce", json!("another-nonce")),
        ("nonce", Value::Null),
        ("sub", json!("")),
        ("sub", Value::Null),
        ("at_hash", json!("bm90LXRoZS1oYXNoLW9mIQ")),
        ("at_hash", json!("")),
    ];
    for (name, value) in wrong {
        let done = issuer
            .with_claims(|claims| claims[name] = value.clone())
            .await;

        assert_eq!(outcome(&done), failed("provider_error"), "{name}={value}");
    }
    assert_eq!(count_tokens(&issuer.api).await, "0");
}

#[tokio::test]
async fn id02_right_claims_in_every_way_of_writing_them_are_believed() {
    let issuer = Issuer::start().await;
    let hash = digest(&SHA256, ACCESS_TOKEN.as_bytes());
    let hash = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
    let right = [
        json!({"aud": [DEMO_CLIENT_ID]}),
        json!({"aud": [DEMO_CLIENT_ID, "another"], "azp": DEMO_CLIENT_ID}),
        json!({"exp": in_seconds(-30)}),
        json!({"iat": in_seconds(30)}),
        json!({"at_hash": hash}),
    ];
    for more in right {
        let done = issuer
            .with_claims(|claims| grantkeep_providers::merge(claims, more.clone()))
            .await;

        assert_eq!(outcome(&done), connected(), "{more}");
    }
}

#[tokio::test]
async fn id02_an_issuer_template_stands_for_the_tokens_own_tenant() {
    let template = json!({"issuer": null, "id_token_issuers": ["{server}/{tid}/v2.0"]});
    let issuer = Issuer::start_as("outlook", template).await;
    let origin = issuer.server.origin().to_owned();
    let sign_in = async |iss: String, tid: Value| {
        issuer
            .sign_in_at(&issuer.api.origin, "outlook", |nonce| {
                let mut claims = issuer.claims();
                claims["nonce"] = nonce.into();
                claims["iss"] = iss.into();
                claims["tid"] = tid;
                issuer.signer.sign(&claims)
            })
            .await
    };

    let fitting = sign_in(format!("{origin}/tenant-1/v2.0"), json!("tenant-1")).await;
    let other = sign_in(format!("{origin}/tenant-1/v2.0"), json!("tenant-2")).await;
    let none = sign_in(format!("{origin}/tenant-1/v2.0"), Value::Null).await;

    assert_eq!(outcome(&fitting), connected());
    assert_eq!(outcome(&other), failed("provider_error"));
    assert_eq!(outcome(&none), failed("provider_error"));
}

#[tokio::test]
async fn id03_an_unverified_address_is_no_label() {
    let api = TestApi::start().await;
    let fault = IdTokenFault::EmailUnverified;
    api.provider
        .update(|knobs| knobs.id_token_fault = Some(fault));

    let done = api.connect("gmail").await;
    let account = text(&api.token("gmail").await.json()["account"]);

    assert_eq!(outcome(&done), connected());
    assert_eq!(account, "108360271940385126604");
}

#[tokio::test]
async fn id03_the_subject_makes_the_connection_not_the_address() {
    let issuer = Issuer::start().await;
    let first = issuer.with_claims(|_| ()).await;
    let renamed = issuer
        .with_claims(|claims| claims["email"] = json!("ada.lovelace@example.test"))
        .await;
    let one = count(&issuer.api, "oauth_tokens").await;
    let namesake = issuer
        .with_claims(|claims| claims["sub"] = json!("sub-2"))
        .await;

    assert_eq!(outcome(&first), connected());
    assert_eq!(outcome(&renamed), connected());
    assert_eq!(one, "1");
    assert_eq!(outcome(&namesake), connected());
    assert_eq!(count(&issuer.api, "oauth_tokens").await, "2");
    let labels = "select string_agg(account, ',' order by created_at) from oauth_tokens";
    assert_eq!(
        issuer.api.text(labels).await.as_deref(),
        Some("ada@example.test,sub-2")
    );
}

static LATER: AtomicI64 = AtomicI64::new(0);

fn shifted() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now() + chrono::TimeDelta::seconds(LATER.load(Ordering::Relaxed))
}

#[tokio::test]
async fn id04_an_unknown_key_is_looked_up_again_but_not_all_the_time() {
    let issuer = Issuer::start().await;
    let variables = &issuer.api.variables;
    let settings = Settings::read(&[], &|name| variables.get(name).cloned());
    let app = App::with_clock(settings.expect("settings"), shifted).expect("an app");
    let instance = Served::start(service::all(&routes::FUNCTIONS, app)).await;
    let next = Signer::new("key-2");
    let sign_in = async |signer: &Signer| {
        issuer
            .sign_in_at(&instance.origin, "gmail", |nonce| {
                let mut claims = issuer.claims();
                claims["nonce"] = nonce.into();
                signer.sign(&claims)
            })
            .await
    };

    for _ in 0..3 {
        assert_eq!(outcome(&sign_in(&issuer.signer).await), connected());
    }
    assert_eq!(issuer.server.jwks_fetched(), 1);
    for _ in 0..3 {
        assert_eq!(outcome(&sign_in(&next).await), failed("provider_error"));
    }
    let after_unknown = issuer.server.jwks_fetched();
    issuer
        .server
        .publishes(json!({"keys": [issuer.signer.jwk, next.jwk]}));
    LATER.store(120, Ordering::Relaxed);
    let rotated = sign_in(&next).await;

    assert!(after_unknown <= 2, "{after_unknown}");
    assert_eq!(outcome(&rotated), connected());
    assert_eq!(issuer.server.jwks_fetched(), after_unknown + 1);
}

#[tokio::test]
async fn id05_a_refresh_that_names_another_account_is_not_stored() {
    let issuer = Issuer::start().await;
    let connected_once = issuer.with_claims(|_| ()).await;
    let refresh = async |change: Value| {
        let mut claims = issuer.claims();
        grantkeep_providers::merge(&mut claims, change);
        let set = json!({
            "access_token": "at-refreshed", "token_type": "Bearer", "expires_in": 3600,
            "id_token": issuer.signer.sign(&claims),
        });
        issuer.server.answers(Answer::json(&set));
        let stale = "update oauth_tokens set expires_at = now() + interval '60 seconds',
                                             retry_at = null";
        database::execute(&issuer.api.database_url, stale).await;
        issuer.api.token("gmail").await
    };
    let version = "select version::text from oauth_tokens";

    for other in [
        json!({"sub": "sub-2"}),
        json!({"sub": null}),
        json!({"iss": "https://evil.test"}),
    ] {
        let kept = refresh(other.clone()).await;
        // What still works is handed out; what came is not.
        assert_eq!(kept.json()["access_token"], ACCESS_TOKEN, "{other}");
        assert_eq!(
            issuer.api.text(version).await.as_deref(),
            Some("1"),
            "{other}"
        );
    }
    issuer.api.set_expiry("gmail", -1).await;
    database::execute(
        &issuer.api.database_url,
        "update oauth_tokens set retry_at = null",
    )
    .await;
    let refused = issuer.api.token("gmail").await;
    let same = refresh(json!({})).await;

    assert_eq!(outcome(&connected_once), connected());
    assert_eq!(problem(&refused), (502, "provider_error".to_owned()));
    assert_eq!(refused.json()["provider_error"], "another_account");
    assert_eq!(same.json()["access_token"], "at-refreshed");
}
