//! JW-01, JW-02: sessions of the host application's own identity provider.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantkeep_core::App;
use grantkeep_core::settings::Settings;
use grantkeep_functions::{routes, service};
use grantkeep_tests::api::{SESSION_SECRET, session};
use grantkeep_tests::http::{client, send};
use grantkeep_tests::instance::Served;
use grantkeep_tests::{Consent, Reply, TestApi};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::identity::{Signer, builder, claims, in_seconds, with_identity};
use crate::page::problem;

async fn list(api: &TestApi, token: &str) -> Reply {
    api.get_as(token, "/api/connections").await
}

fn unauthorized() -> (u16, String) {
    (401, "unauthorized".to_owned())
}

#[tokio::test]
async fn sessions_of_every_kind_of_key_are_believed_beside_our_own() {
    let signers = [
        Signer::rs256("rsa"),
        Signer::es256("ec"),
        Signer::ed25519("ed"),
    ];
    let (api, identity) = with_identity(&[&signers[0], &signers[1], &signers[2]]).await;
    assert_eq!(list(&api, &session("default", "ada")).await.status, 200);
    assert_eq!(
        identity.fetched(),
        0,
        "nothing is fetched for a session of ours"
    );

    for signer in &signers {
        let listed = list(&api, &signer.sign(&claims())).await;

        assert_eq!(
            listed.status, 200,
            "{:?}: {}",
            signer.algorithm, listed.text
        );
    }
    assert_eq!(identity.fetched(), 1);
}

#[tokio::test]
async fn a_user_of_the_issuer_connects_and_sees_only_their_own() {
    let signer = Signer::es256("ec");
    let (api, _) = with_identity(&[&signer]).await;
    let token = signer.sign(&claims());
    let mut other = claims();
    other["org"] = json!("elsewhere");

    let path = format!("/api/oauth/gmail/authorize?session={token}&return_to=/done");
    let back = api.visitor().connect(&path, &Consent::default()).await;
    assert_eq!(
        back.location_parameter("connection").as_deref(),
        Some("connected")
    );

    let listed = list(&api, &token).await.json();
    let connection = &listed["connections"][0];
    assert_eq!(
        (&connection["workspace"], &connection["actor"]),
        (&json!("acme"), &json!("user_1"))
    );
    let others = list(&api, &signer.sign(&other)).await.json();
    assert_eq!(others["connections"], json!([]));
}

#[tokio::test]
async fn the_connect_page_keeps_such_a_session_in_its_cookie() {
    let signer = Signer::es256("ec");
    let (builder, _) = builder(&[&signer]).await;
    // The page needs somebody who signs sessions, not us.
    let api = builder.variable("SESSION_SECRET", "").start().await;
    let mut browser = api.visitor();

    let entered = browser
        .get(&format!("/connect?session={}", signer.sign(&claims())))
        .await;
    assert_eq!(entered.status, 303, "{}", entered.text);
    let page = browser.get("/connect").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("user_1"), "{}", page.text);
    let left = browser.post_form("/connect", &[("sign_out", "1")]).await;
    assert_eq!(left.status, 303);
    assert_eq!(browser.get("/connect").await.status, 401);

    let mut long = claims();
    long["roles"] = json!("r".repeat(4000));
    let refused = browser
        .get(&format!("/connect?session={}", signer.sign(&long)))
        .await;
    assert_eq!(problem(&refused), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn jw01_wrong_claims_are_refused_and_nothing_is_fetched_for_them() {
    let signer = Signer::es256("ec");
    let (api, identity) = with_identity(&[&signer]).await;
    for (name, value) in [
        ("iss", json!("https://id.app.test")),
        ("iss", Value::Null),
        ("aud", json!("another")),
        ("aud", json!([])),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("org", json!("")),
        ("org", json!(["acme"])),
        ("exp", Value::Null),
        ("exp", json!("9999999999")),
        ("exp", json!(in_seconds(-120))),
        ("exp", json!(in_seconds(400 * 86_400))),
        ("nbf", json!(in_seconds(300))),
        ("iat", json!(in_seconds(300))),
        ("iat", json!(in_seconds(-40 * 86_400))),
    ] {
        let mut claims = claims();
        claims[name] = value.clone();
        let refused = list(&api, &signer.sign(&claims)).await;

        assert_eq!(problem(&refused), unauthorized(), "{name} {value}");
    }
    assert_eq!(identity.fetched(), 0);
}

#[tokio::test]
async fn jw01_jw02_only_published_keys_and_their_own_algorithm_count() {
    let (rsa, ec) = (Signer::rs256("rsa"), Signer::es256("ec"));
    let (api, _) = with_identity(&[&rsa, &ec, &Signer::es256("one more")]).await;
    let stranger = Signer::es256("ec");
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let unsigned = |header: Value, signature: &str| {
        format!("{}.{}.{signature}", encode(&header), encode(&claims()))
    };
    let with = |signer: &Signer, change: fn(&mut Header, &Signer)| {
        let mut header = signer.header();
        change(&mut header, signer);
        jsonwebtoken::encode(&header, &claims(), &signer.key).expect("signs")
    };
    let hmac = |algorithm: Algorithm, key: &[u8]| {
        let header = Header {
            kid: Some("rsa".to_owned()),
            ..Header::new(algorithm)
        };
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(key)).expect("signs")
    };
    let modulus = rsa.jwk["n"].as_str().expect("text").to_owned();
    let good = ec.sign(&claims());
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let forged = [
        unsigned(json!({"alg": "none", "kid": "rsa"}), ""),
        unsigned(json!({"alg": "NONE"}), ""),
        unsigned(json!({"alg": "RS256", "kid": "rsa"}), ""),
        unsigned(
            json!({"alg": "RS256", "kid": "ec"}),
            &URL_SAFE_NO_PAD.encode([7; 64]),
        ),
        unsigned(
            json!({"alg": "ES256", "kid": "rsa"}),
            &URL_SAFE_NO_PAD.encode([0; 64]),
        ),
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        hmac(Algorithm::HS256, modulus.as_bytes()),
        hmac(Algorithm::HS256, rsa.jwk.to_string().as_bytes()),
        hmac(Algorithm::HS384, SESSION_SECRET.as_bytes()),
        // Ours by its algorithm, and not meant for us by its audience.
        hmac(Algorithm::HS256, SESSION_SECRET.as_bytes()),
        stranger.sign(&claims()),
        with(&stranger, |header, signer| {
            header.jwk = Some(serde_json::from_value(signer.jwk.clone()).expect("a key"));
        }),
        with(&ec, |header, _| {
            header.jku = Some("https://evil.test/jwks".to_owned())
        }),
        with(&ec, |header, _| {
            header.x5u = Some("https://evil.test/cert".to_owned())
        }),
        with(&ec, |header, _| header.crit = Some(vec!["b64".to_owned()])),
        with(&ec, |header, _| {
            header.kid = Some("../../dev/null' or 1=1".to_owned())
        }),
        with(&ec, |header, _| header.kid = None),
        "not.a.jwt".to_owned(),
    ];
    for token in &forged {
        let refused = list(&api, token).await;

        assert_eq!(problem(&refused), unauthorized(), "{token}");
    }
    assert_eq!(list(&api, &good).await.status, 200);
}

#[tokio::test]
async fn jw02_a_key_for_something_else_signs_no_session() {
    let mut signers = [
        Signer::es256("enc"),
        Signer::es256("alg"),
        Signer::es256("ops"),
        Signer::es256("ok"),
    ];
    signers[0].jwk["use"] = json!("enc");
    signers[1].jwk["alg"] = json!("ES384");
    signers[2].jwk["key_ops"] = json!(["encrypt"]);
    let [enc, alg, ops, ok] = &signers;
    let (api, identity) = with_identity(&[]).await;
    let unknown = json!({"kty": "PQC", "kid": "new", "alg": "ML-DSA-65", "pub": "AA"});
    identity.publish_document(json!({"keys": [unknown, enc.jwk, alg.jwk, ops.jwk, ok.jwk]}));

    let statuses = [
        list(&api, &enc.sign(&claims())).await.status,
        list(&api, &alg.sign(&claims())).await.status,
        list(&api, &ops.sign(&claims())).await.status,
        list(&api, &ok.sign(&claims())).await.status,
    ];

    assert_eq!(statuses, [401, 401, 401, 200]);
}

static LATER: AtomicI64 = AtomicI64::new(0);

#[allow(clippy::disallowed_methods, reason = "a clock of the test's own")]
fn shifted() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now() + chrono::TimeDelta::seconds(LATER.load(Ordering::Relaxed))
}

#[tokio::test]
async fn jw02_keys_are_kept_rotate_and_are_not_fetched_all_the_time() {
    let (old, new) = (Signer::es256("old"), Signer::es256("new"));
    let (api, identity) = with_identity(&[&old]).await;
    let settings = Settings::read(&[], &|name| api.variables.get(name).cloned());
    let app = App::with_clock(settings.expect("settings"), shifted).expect("an app");
    let instance = Served::start(service::all(&routes::FUNCTIONS, app)).await;
    let status = async |signer: &Signer| {
        let mut claims = claims();
        claims["exp"] = json!(in_seconds(2 * 86_400));
        let request = client()
            .get(format!("{}/api/connections", instance.origin))
            .bearer_auth(signer.sign(&claims));
        send(request).await.status
    };

    assert_eq!((status(&old).await, status(&old).await), (200, 200));
    assert_eq!(identity.fetched(), 1);
    for _ in 0..5 {
        assert_eq!(status(&new).await, 401);
    }
    assert_eq!(identity.fetched(), 1, "fetched a moment ago");

    identity.publish(&[&old, &new]);
    LATER.store(90, Ordering::Relaxed);
    assert_eq!((status(&new).await, status(&old).await), (200, 200));
    assert_eq!(identity.fetched(), 2);

    // A key that was taken back is believed for an hour at the most.
    identity.publish(&[&new]);
    LATER.store(2 * 3600, Ordering::Relaxed);
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    assert_eq!(identity.fetched(), 3);

    // While the address is down, what is known counts, and it is not asked at every request.
    identity.fail(Some(500));
    LATER.store(4 * 3600, Ordering::Relaxed);
    assert_eq!((status(&new).await, status(&new).await), (200, 200));
    assert_eq!(identity.fetched(), 4);
}

#[tokio::test]
async fn many_sessions_at_once_fetch_the_keys_once() {
    let signer = Signer::es256("ec");
    let (api, identity) = with_identity(&[&signer]).await;
    identity.delay(Duration::from_millis(200));
    let mut lists = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let request = api
            .request("GET", "/api/connections")
            .bearer_auth(signer.sign(&claims()));
        lists.spawn(send(request));
    }

    let listed = lists.join_all().await;

    assert!(listed.iter().all(|reply| reply.status == 200));
    assert_eq!(identity.fetched(), 1);
}

#[tokio::test]
async fn nobody_is_refused_while_the_keys_cannot_be_had() {
    let signer = Signer::es256("ec");
    let (api, identity) = with_identity(&[&signer]).await;
    for status in [500, 302, 404] {
        identity.fail(Some(status));
        let unknown = list(&api, &signer.sign(&claims())).await;

        assert_eq!(
            problem(&unknown),
            (503, "provider_unavailable".to_owned()),
            "{status}"
        );
        assert!(
            unknown.text.contains("SESSION_JWKS_URL"),
            "{}",
            unknown.text
        );
        assert_ne!(unknown.header("retry-after"), "");
    }
    assert_eq!(
        identity.fetched(),
        1,
        "a broken address is not asked all the time"
    );
    assert_eq!(list(&api, &session("default", "ada")).await.status, 200);
}
