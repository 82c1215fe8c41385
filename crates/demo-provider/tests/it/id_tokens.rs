//! id_tokens, verified with the published key.

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use grantkeep_demo_provider::{ACCOUNTS, IdTokenFault};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

use crate::harness::{CALENDAR, Demo, request_with};

/// The id_token of a whole flow.
async fn issued(demo: &Demo) -> String {
    demo.exchanged().await.json()["id_token"]
        .as_str()
        .expect("an id_token")
        .to_owned()
}

async fn verified(demo: &Demo, token: &str) -> jsonwebtoken::errors::Result<Value> {
    let jwks: JwkSet = serde_json::from_str(&demo.get("/jwks").await.text).expect("a key set");
    let header = decode_header(token)?;
    let key = jwks
        .find(&header.kid.expect("a key id"))
        .expect("a published key");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[DEMO_CLIENT_ID]);
    validation.set_issuer(&[demo.provider.origin()]);
    Ok(decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

async fn faulty(fault: IdTokenFault) -> (Demo, String) {
    let demo = Demo::with(|knobs| knobs.id_token_fault = Some(fault)).await;
    let token = issued(&demo).await;
    (demo, token)
}

#[tokio::test]
async fn an_id_token_says_who_the_user_is_and_verifies() {
    let demo = Demo::start().await;

    let claims = verified(&demo, &issued(&demo).await)
        .await
        .expect("a good id_token");

    assert_eq!(claims["sub"], ACCOUNTS[0].sub);
    assert_eq!(
        (&claims["email"], &claims["email_verified"]),
        (&ACCOUNTS[0].email.into(), &true.into())
    );
    assert_eq!(claims["nonce"], "n-1");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        3600
    );
    assert!(
        claims.get("name").is_none(),
        "the profile was not asked for"
    );
}

#[tokio::test]
async fn a_refresh_has_an_id_token_without_nonce() {
    let demo = Demo::start().await;

    let body = demo.refresh(&demo.issued().refresh_token).await.json();

    let claims = verified(&demo, body["id_token"].as_str().unwrap())
        .await
        .unwrap();
    assert!(claims.get("nonce").is_none());
}

#[tokio::test]
async fn without_openid_there_is_none() {
    let demo = Demo::start().await;
    let code = demo
        .code(&request_with("scope", CALENDAR), &[CALENDAR])
        .await;

    assert!(demo.exchange(&code).await.json().get("id_token").is_none());
}

#[tokio::test]
async fn faults_that_a_verifier_notices() {
    use jsonwebtoken::errors::ErrorKind;

    let faults = [
        (IdTokenFault::WrongAud, ErrorKind::InvalidAudience),
        (IdTokenFault::WrongIss, ErrorKind::InvalidIssuer),
        (IdTokenFault::Expired, ErrorKind::ExpiredSignature),
        (IdTokenFault::BadSignature, ErrorKind::InvalidSignature),
    ];
    for (fault, kind) in faults {
        let (demo, token) = faulty(fault).await;
        let error = verified(&demo, &token)
            .await
            .expect_err("a faulty id_token");
        assert_eq!(*error.kind(), kind, "{fault:?}");
    }
}

#[tokio::test]
async fn faults_in_the_claims_are_signed_properly() {
    let (demo, token) = faulty(IdTokenFault::WrongNonce).await;
    assert_eq!(
        verified(&demo, &token).await.unwrap()["nonce"],
        "another-nonce"
    );

    let (demo, token) = faulty(IdTokenFault::EmailUnverified).await;
    assert_eq!(
        verified(&demo, &token).await.unwrap()["email_verified"],
        false
    );
}

#[tokio::test]
async fn alg_none_has_no_signature() {
    use base64::Engine as _;

    let (_demo, token) = faulty(IdTokenFault::AlgNone).await;

    let (header, _) = token.split_once('.').unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(header)
        .unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "none");
    assert!(token.ends_with('.') && token.matches('.').count() == 2);
}
