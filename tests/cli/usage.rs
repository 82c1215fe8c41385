//! Exit codes, errors for people and for programs, and settings.

use std::collections::BTreeMap;

use grantkeep_tests::TestApi;
use grantkeep_tests::command::grantkeep;

fn nothing() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[tokio::test]
async fn a_wrong_command_line_exits_2_and_is_json_where_that_was_asked_for() {
    let plain = grantkeep(&nothing(), &["list", "--fly"]).await;
    let json = grantkeep(&nothing(), &["list", "--fly", "--json"]).await;

    assert_eq!((plain.code, plain.stdout.as_str()), (2, ""));
    assert!(plain.stderr.contains("--fly"), "{plain:?}");
    assert_eq!(json.code, 2);
    assert_eq!(json.json()["error"]["code"], "usage");
}

#[tokio::test]
async fn help_and_version_exit_0_without_any_setting() {
    for arguments in [["--help"], ["--version"], ["help"]] {
        let ran = grantkeep(&nothing(), &arguments).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn every_missing_setting_is_named_and_exits_3() {
    let ran = grantkeep(&nothing(), &["--json", "refresh", "all"]).await;

    assert_eq!(ran.code, 3);
    let error = ran.json()["error"].clone();
    assert_eq!(error["code"], "misconfigured");
    let detail = error["detail"].as_str().expect("a detail");
    for name in ["DATABASE_URL", "OAUTH_ENCRYPTION_KEY", "PUBLIC_URL"] {
        assert!(detail.contains(name), "{detail}");
    }
}

#[tokio::test]
async fn a_command_asks_only_for_its_own_settings() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let database_alone = [("DATABASE_URL".to_owned(), api.database_url.clone())].into();

    for arguments in [
        vec!["list"],
        vec!["migrate", "--plan"],
        vec!["show", "gmail"],
    ] {
        let ran = grantkeep(&database_alone, &arguments).await;
        assert_eq!(ran.code, 0, "{arguments:?} {ran:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_away_exits_1_and_says_so_without_the_url() {
    let url = "postgres://somebody:hidden-password@127.0.0.1:1/nowhere";
    let variables = [("DATABASE_URL".to_owned(), url.to_owned())].into();

    let ran = grantkeep(&variables, &["list"]).await;

    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("DATABASE_URL"), "{ran:?}");
    assert!(!ran.stderr.contains("hidden-password"), "{ran:?}");
}

#[tokio::test]
async fn completions_of_every_shell_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = grantkeep(&nothing(), &["completions", shell]).await;
        assert_eq!(ran.code, 0);
        for word in ["keygen", "service-key", "migrate", "--reveal"] {
            let word = if shell == "fish" {
                word.trim_start_matches("--")
            } else {
                word
            };
            assert!(ran.stdout.contains(word), "{shell} {word}");
        }
    }
}

#[tokio::test]
async fn every_command_is_in_the_operations_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let help = grantkeep(&nothing(), &["--help"]).await.stdout;
    let commands = help.split("Commands:").nth(1).expect("commands");
    let commands = commands.split("Options:").next().expect("options");

    let mut count = 0;
    for line in commands.lines() {
        let Some(name) = line
            .strip_prefix("  ")
            .filter(|line| !line.starts_with(' '))
        else {
            continue;
        };
        let name = name.split_whitespace().next().expect("a name");
        if name != "help" {
            count += 1;
            assert!(page.contains(&format!("| `{name}")), "{name}");
        }
    }
    assert!(count > 12, "{help}");
}
