//! The environment and the command line.

use crate::support::{Dev, program, run};

#[test]
fn en08_a_remote_database_without_a_lasting_key_is_refused() {
    let url = "postgres://app:canary@db.invalid/app";

    let refused = run(program().env("DATABASE_URL", url));

    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("OAUTH_ENCRYPTION_KEY is not set"));
    assert!(!refused.stderr.contains("canary"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
}

#[test]
fn a_remote_database_with_a_key_is_tried_and_named_when_it_is_not_there() {
    let key = "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE";

    let tried = run(program()
        .env("DATABASE_URL", "postgres://app:canary@db.invalid/app")
        .env("OAUTH_ENCRYPTION_KEY", key));

    assert_eq!(tried.code, Some(1));
    assert!(tried.stderr.contains("database"), "{}", tried.stderr);
    for secret in ["canary", key, "OAUTH_ENCRYPTION_KEY"] {
        assert!(!tried.stderr.contains(secret), "{}", tried.stderr);
    }
}

#[test]
fn a_local_database_is_used_and_the_fresh_key_is_warned_about() {
    let first = Dev::start(&[]);
    let url = first.line("postgres://").to_owned();

    let mut second = Dev::start(&[("DATABASE_URL", &url)]);

    assert!(!second.said.contains("postgres://"), "{}", second.said);
    second.end_by("INT");
    let errors = second.errors();
    assert!(errors.contains("older ones cannot be read"), "{errors}");
    assert!(!errors.contains("starting PostgreSQL"), "{errors}");
}

#[test]
fn a_provider_with_a_client_of_its_own_is_the_real_one() {
    let dev = Dev::start(&[
        ("GOOGLE_CLIENT_ID", "1-real.apps.googleusercontent.com"),
        ("GOOGLE_CLIENT_SECRET", "canary"),
    ]);

    let standing_in = dev.line("stands in");
    assert!(
        standing_in.contains("stands in for outlook,"),
        "{standing_in}"
    );
    assert!(!dev.said.contains("canary"));
}

#[test]
fn every_malformed_setting_is_named_at_once() {
    let refused = run(program()
        .env("SESSION_SECRET", "short")
        .env("OAUTH_PROVIDERS", "{")
        .env("RETURN_TO_ORIGINS", "ftp://x"));

    assert_eq!(refused.code, Some(1));
    for variable in ["SESSION_SECRET", "OAUTH_PROVIDERS", "RETURN_TO_ORIGINS"] {
        assert!(refused.stderr.contains(variable), "{}", refused.stderr);
    }
}

#[test]
fn an_unknown_argument_or_port_is_a_mistake_in_usage() {
    let argument = run(program().arg("--turn"));
    let port = run(program().env("PORT", "http"));

    assert_eq!((argument.code, port.code), (Some(2), Some(2)));
    assert!(argument.stderr.contains(r#""--turn""#) && argument.stderr.contains("--help"));
    assert!(port.stderr.contains("PORT must be a number"));
}

#[test]
fn help_says_what_can_be_set() {
    let help = run(program().arg("--help"));

    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for word in [
        "--tour",
        "PORT",
        "DATABASE_URL",
        "GOOGLE_CLIENT_ID",
        "Ctrl-C",
    ] {
        assert!(help.stdout.contains(word), "{word}");
    }
}
