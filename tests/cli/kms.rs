//! `OAUTH_ENCRYPTION_KEY` wrapped by AWS KMS: opened by one call before a function's first
//! answer, and asked for again when KMS was away.

use std::collections::BTreeMap;

use grantkeep_tests::TestApi;
use grantkeep_tests::command::{grantkeep, grantkeep_with};
use grantkeep_tests::instance::{Process, get};
use grantkeep_tests::kms::{ARN, Kms};

const READ: &str = "/api/token?provider=gmail";

/// A connection under a plain key, a KMS, and the variables with that key wrapped.
async fn wrapped() -> (TestApi, Kms, BTreeMap<String, String>) {
    let (api, kms) = (TestApi::start().await, Kms::start().await);
    api.connect("gmail").await;
    let mut variables = api.variables.clone();
    variables.extend(kms.variables());
    let plain = variables["OAUTH_ENCRYPTION_KEY"].clone();
    let arguments = ["keygen", "--kms", ARN, "--wrap"];
    let ran = grantkeep_with(&variables, &arguments, &plain).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let key = ran.stdout.trim();
    assert!(key.starts_with("awskms:arn:") && !key.contains(plain.trim_end_matches('=')));
    variables.insert("OAUTH_ENCRYPTION_KEY".to_owned(), key.to_owned());
    (api, kms, variables)
}

fn decryptions(kms: &Kms) -> usize {
    let calls = kms.calls();
    calls
        .iter()
        .filter(|call| call.operation == "Decrypt")
        .count()
}

#[tokio::test]
async fn a_wrapped_key_is_opened_once_however_many_ask_at_first() {
    let (_api, kms, variables) = wrapped().await;
    let process = Process::start("token", &variables).await;

    let (a, b, c) = tokio::join!(
        get(&process.origin, READ),
        get(&process.origin, READ),
        get(&process.origin, READ),
    );

    assert_eq!((a.status, b.status, c.status), (200, 200, 200), "{a:?}");
    assert_eq!(decryptions(&kms), 1);
    assert_eq!(get(&process.origin, READ).await.status, 200);
    assert_eq!(decryptions(&kms), 1);
}

#[tokio::test]
async fn without_the_prefix_kms_is_never_asked() {
    let (api, kms, variables) = wrapped().await;
    let mut plain = api.variables.clone();
    plain.extend(kms.variables());
    drop(variables);

    let process = Process::start("token", &plain).await;

    assert_eq!(get(&process.origin, READ).await.status, 200);
    assert_eq!(decryptions(&kms), 0);
}

#[tokio::test]
async fn a_kms_that_is_away_makes_callers_wait_and_is_asked_again() {
    let (_api, kms, variables) = wrapped().await;
    kms.fail(Some((500, "KMSInternalException")));
    let process = Process::start("token", &variables).await;

    let away = get(&process.origin, READ).await;
    let asked = decryptions(&kms);
    let at_once = get(&process.origin, READ).await;
    let asked_again = decryptions(&kms);
    kms.fail(None);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let back = get(&process.origin, READ).await;

    assert_eq!(
        (away.status, away.code().as_str()),
        (503, "storage_unavailable")
    );
    assert_eq!(away.header("retry-after"), "2");
    assert_eq!((at_once.status, asked_again), (503, asked));
    assert_eq!(back.status, 200, "{back:?}");
}

#[tokio::test]
async fn a_refusal_of_kms_names_the_setting_and_is_not_repeated_by_every_request() {
    let (_api, kms, variables) = wrapped().await;
    kms.fail(Some((400, "AccessDeniedException")));
    let process = Process::start("token", &variables).await;

    let refused = get(&process.origin, READ).await;
    let again = get(&process.origin, READ).await;

    assert_eq!(
        (refused.status, refused.code().as_str()),
        (500, "misconfigured")
    );
    for word in [
        "OAUTH_ENCRYPTION_KEY",
        "AccessDeniedException",
        "kms:Decrypt",
    ] {
        assert!(refused.text.contains(word), "{word}: {}", refused.text);
    }
    assert!(!refused.text.contains("canary-message"));
    assert_eq!((again.status, decryptions(&kms)), (500, 1));
}

#[tokio::test]
async fn a_wrong_secret_a_foreign_value_and_a_malformed_one_open_nothing() {
    let (_api, _kms, variables) = wrapped().await;
    let with = |name: &str, value: &str| {
        let mut changed = variables.clone();
        changed.insert(name.to_owned(), value.to_owned());
        changed
    };
    let foreign = format!("awskms:{ARN}:QUJDRA==");

    for (changed, word) in [
        (
            with("AWS_SECRET_ACCESS_KEY", "another"),
            "InvalidSignatureException",
        ),
        (
            with("OAUTH_ENCRYPTION_KEY", &foreign),
            "InvalidCiphertextException",
        ),
        (
            with("OAUTH_ENCRYPTION_KEY", "awskms:not base64"),
            "keygen --kms",
        ),
        (with("AWS_ACCESS_KEY_ID", ""), "AWS_ACCESS_KEY_ID"),
        (
            with("AWS_ENDPOINT_URL_KMS", "http://kms.example"),
            "AWS_ENDPOINT_URL_KMS",
        ),
    ] {
        let ran = grantkeep(&changed, &["rotate-keys", "--dry-run"]).await;
        assert!(ran.code == 1 || ran.code == 3, "{ran:?}");
        assert!(ran.stderr.contains(word), "{word}: {ran:?}");
        let doctor = grantkeep(&changed, &["doctor", "--offline"]).await;
        assert_eq!(doctor.code, 1);
        assert!(doctor.stdout.contains("fail  aws kms"), "{doctor:?}");
    }
}

#[tokio::test]
async fn a_session_token_is_sent_with_temporary_credentials_alone() {
    let (_api, kms, mut variables) = wrapped().await;
    variables.insert("AWS_SESSION_TOKEN".to_owned(), "the-session".to_owned());
    let session = || {
        kms.calls()
            .last()
            .and_then(|call| call.session_token.clone())
    };

    let long_term = grantkeep(&variables, &["rotate-keys", "--dry-run"]).await;
    assert_eq!((long_term.code, session()), (0, None), "{long_term:?}");

    variables.insert("AWS_ACCESS_KEY_ID".to_owned(), "ASIATESTS".to_owned());
    let temporary = grantkeep(&variables, &["rotate-keys", "--dry-run"]).await;
    assert_eq!(temporary.code, 0, "{temporary:?}");
    assert_eq!(session().as_deref(), Some("the-session"));
}

#[tokio::test]
async fn from_a_plain_key_to_one_that_nobody_has_seen() {
    let (api, kms) = (TestApi::start().await, Kms::start().await);
    api.connect("gmail").await;
    let mut variables = api.variables.clone();
    variables.extend(kms.variables());
    let made = grantkeep(&variables, &["keygen", "--kms", ARN, "--json"])
        .await
        .json();
    let plain = variables["OAUTH_ENCRYPTION_KEY"].clone();
    variables.insert("OAUTH_ENCRYPTION_KEYS_RETIRED".to_owned(), plain);
    let key = made["key"].as_str().expect("a key").to_owned();
    variables.insert("OAUTH_ENCRYPTION_KEY".to_owned(), key);

    let rotated = grantkeep(&variables, &["rotate-keys", "--yes", "--json"]).await;
    variables.remove("OAUTH_ENCRYPTION_KEYS_RETIRED");
    let process = Process::start("token", &variables).await;

    assert_eq!(rotated.json()["resealed"], 1, "{rotated:?}");
    let operations: Vec<String> = kms.calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["GenerateDataKeyWithoutPlaintext", "Decrypt"]);
    assert_eq!(get(&process.origin, READ).await.status, 200);
    assert_eq!(api.token("gmail").await.status, 500);
}
