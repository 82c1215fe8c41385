use super::*;

pub(super) const COMPLETE: &[(&str, &str)] = &[
    ("DATABASE_URL", "postgres://u@127.0.0.1/d"),
    (
        "OAUTH_ENCRYPTION_KEY",
        "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE",
    ),
    ("PUBLIC_URL", "https://app.example"),
];

fn read(needs: &[Need], variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::read(needs, &|name| {
        variables
            .iter()
            .rev()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

pub(super) fn failing(needs: &[Need], variables: &[(&str, &str)]) -> Vec<String> {
    match read(needs, variables) {
        Ok(_) => Vec::new(),
        Err(SettingsError(problems)) => problems.into_iter().map(|p| p.variable).collect(),
    }
}

#[test]
fn every_missing_variable_is_named_at_once() {
    assert_eq!(
        failing(&[Need::Sessions, Need::ServiceKeys, Need::CronSecret], &[]),
        [
            "DATABASE_URL",
            "OAUTH_ENCRYPTION_KEY",
            "PUBLIC_URL",
            "SESSION_SECRET",
            "SERVICE_KEYS",
            "CRON_SECRET"
        ]
    );
}

#[test]
fn a_function_needs_only_its_own_settings() {
    assert_eq!(failing(&[], COMPLETE), [""; 0]);
    assert_eq!(failing(&[Need::ServiceKeys], COMPLETE), ["SERVICE_KEYS"]);
}

#[test]
fn a_cron_secret_that_can_be_guessed_or_breaks_a_header_is_refused() {
    for secret in ["0123456789abcde", "0123456789abcdef\"", "0123456789 abcdef"] {
        let variables = [COMPLETE, &[("CRON_SECRET", secret)]].concat();
        assert_eq!(failing(&[], &variables), ["CRON_SECRET"], "{secret}");
    }
    let variables = [COMPLETE, &[("CRON_SECRET", "0123456789abcdef")]].concat();
    assert_eq!(failing(&[Need::CronSecret], &variables), [""; 0]);
}

#[test]
fn no_value_is_repeated_in_a_message() {
    let variables: Vec<(&str, &str)> = [
        "DATABASE_URL",
        "OAUTH_ENCRYPTION_KEY",
        "PUBLIC_URL",
        "SESSION_SECRET",
        "SESSION_JWKS_URL",
        "SERVICE_KEYS",
        "OAUTH_PROVIDERS",
        "RETURN_TO_ORIGINS",
        "OAUTH_ENCRYPTION_KEYS_RETIRED",
        "CRON_SECRET",
        "WEBHOOK_URL",
        "WEBHOOK_SECRET",
        "AUDIT_READS",
        "REDIS_URL",
    ]
    .map(|name| (name, "canary,canary"))
    .to_vec();

    let error = read(&[], &variables).err().expect("malformed").to_string();

    assert!(!error.contains("canary"), "{error}");
    for name in [
        "DATABASE_URL",
        "OAUTH_ENCRYPTION_KEY",
        "PUBLIC_URL",
        "SERVICE_KEYS",
        "OAUTH_PROVIDERS",
        "WEBHOOK_URL",
        "WEBHOOK_SECRET",
        "AUDIT_READS",
        "REDIS_URL",
    ] {
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[test]
fn an_empty_variable_counts_as_absent_and_postgres_url_stands_in() {
    let variables = [
        COMPLETE,
        &[
            ("DATABASE_URL", " "),
            ("POSTGRES_URL", "postgres://u@127.0.0.1/d"),
        ],
    ]
    .concat();

    assert_eq!(failing(&[], &variables), [""; 0]);
}

#[test]
fn a_webhook_needs_both_an_address_and_a_secret() {
    let url = ("WEBHOOK_URL", "https://hooks.example/in");
    let secret = ("WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let with = |more: &[(&'static str, &'static str)]| [COMPLETE, more].concat();

    assert_eq!(failing(&[], &with(&[url, secret])), [""; 0]);
    assert_eq!(failing(&[], &with(&[url])), ["WEBHOOK_SECRET"]);
    assert_eq!(failing(&[], &with(&[secret])), ["WEBHOOK_URL"]);
}

#[test]
fn a_malformed_certificate_is_told_from_a_malformed_url() {
    let variables = [
        COMPLETE,
        &[
            ("DATABASE_URL", "mysql://x"),
            ("DATABASE_CA_CERT", "not a certificate"),
        ],
    ]
    .concat();

    assert_eq!(failing(&[], &variables), ["DATABASE_URL"]);
}
