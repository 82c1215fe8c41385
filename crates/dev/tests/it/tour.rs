//! The tour as somebody sees it.

use crate::support::{Ended, program, run};

fn tour(variables: &[(&str, &str)]) -> Ended {
    run(program().arg("--tour").envs(variables.iter().copied()))
}

#[test]
fn the_tour_shows_every_step_and_exits_0() {
    let tour = tour(&[]);

    assert_eq!(tour.code, Some(0), "{}{}", tour.stdout, tour.stderr);
    for line in [
        " 1. Health",
        "    GET /connect -> 200, offers Gmail, Google Calendar, Outlook",
        " 3. Redirect to the provider",
        "      code_challenge_method  S256",
        "      state                  (64 characters)",
        " 4. Consent at the provider",
        " 5. Callback",
        "      connection             connected",
        " 6. The sealed row in Postgres",
        "      status                 active",
        " 7. A token read",
        " 8. The same token again",
        "its hour is over: the provider's API answers 401 to it",
        "20 x GET /api/token at once -> 20 x 200",
        "1 refresh, row version 2",
        "      missing_scope          https://www.googleapis.com/auth/gmail.send",
        "-> 403 insufficient_scope",
        "/api/oauth/gmail/authorize?scope=",
        "-> 403 forbidden",
        "13. A mail, sent once",
        "alice@example.test has one mail: Grüße aus der Tour",
        "14. A sender watched",
        "one message: \"Your offer\" from \"specific@sender.com\"",
        r#"{"revoked":true,"reason":null,"deleted":true}"#,
        "-> 404 not_connected",
        "All 16 steps did what they should.",
    ] {
        assert!(
            tour.stdout.contains(line),
            "no {line:?} in\n{}",
            tour.stdout
        );
    }
}

#[test]
fn the_tour_shows_no_secret_and_no_colour_codes() {
    let tour = tour(&[]);
    let screen = tour.stdout + &tour.stderr;

    // Access tokens of the demo provider, session tokens, service keys; colours.
    let tokens: Vec<usize> = screen.match_indices("ya29.").map(|(at, _)| at).collect();
    assert!(!tokens.is_empty());
    for at in tokens {
        assert_eq!(screen[at..].chars().nth(6), Some('…'), "a whole token");
    }
    for secret in ["eyJ", "gk_", "\x1b["] {
        assert!(!screen.contains(secret), "{secret:?} in {screen}");
    }
}

#[test]
fn the_tour_leaves_a_configured_database_and_clients_alone() {
    let tour = tour(&[
        ("DATABASE_URL", "postgres://nobody@db.invalid/production"),
        ("GOOGLE_CLIENT_ID", "real"),
        ("GOOGLE_CLIENT_SECRET", "real"),
        ("SERVICE_KEYS", "malformed"),
    ]);

    assert_eq!(tour.code, Some(0), "{}{}", tour.stdout, tour.stderr);
}

#[test]
fn a_tour_that_cannot_start_says_why_and_exits_1() {
    let tour = tour(&[("GRANTKEEP_DEVPG", "abacus")]);

    assert_eq!(tour.code, Some(1));
    assert!(tour.stderr.contains("GRANTKEEP_DEVPG"), "{}", tour.stderr);
}
