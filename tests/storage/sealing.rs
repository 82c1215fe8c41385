//! What lies in the database says nothing without the key, and opens nowhere else.

use std::collections::HashSet;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use grantkeep_core::connection::Column;
use grantkeep_core::store::oauth_tokens;
use grantkeep_devpg::Postgres;
use grantkeep_tests::api::{ENCRYPTION_KEY, KEY, SESSION_SECRET, app, session};
use grantkeep_tests::instance::{Process, Served, get};
use grantkeep_tests::{Consent, TestApi, database};

use crate::support::{GMAIL, access_token, connect_as, events, refresh_token, refusal, text};

const OTHER_KEY: &str = "cXVpZXQtbW91bnRhaW4td2FsbnV0LWtpdGUtODghISE";

/// Refused, with nothing of the token set in the answer.
#[track_caller]
fn assert_integrity_error(reply: &grantkeep_tests::Reply) {
    assert_eq!(reply.status, 500, "{}", reply.text);
    assert_eq!(reply.json()["reason"], "integrity_error");
    assert!(!reply.text.contains("ya29."), "{}", reply.text);
}

#[tokio::test]
async fn en01_a_token_set_moved_to_another_row_does_not_open_and_the_others_still_do() {
    let api = TestApi::start().await;
    for actor in ["alice", "mallory", "other"] {
        connect_as(&api, "gmail", "default", actor).await;
    }
    let moved = "update oauth_tokens set token_data = victim.token_data, key_id = victim.key_id
                   from oauth_tokens victim
                  where oauth_tokens.actor_id = 'mallory' and victim.actor_id = 'alice'";
    database::execute(&api.database_url, moved).await;

    let mallory = api.get(&format!("{GMAIL}&actor=mallory")).await;
    let again = api.get(&format!("{GMAIL}&actor=mallory")).await;

    assert_integrity_error(&mallory);
    assert_integrity_error(&again);
    assert_eq!(events(&api, "connection.integrity_error").await, 1);
    for actor in ["alice", "other"] {
        access_token(&api.get(&format!("{GMAIL}&actor={actor}")).await);
    }
    assert_eq!(api.provider.refresh_requests(), 0);
}

#[tokio::test]
async fn en01_a_token_set_is_bound_to_every_part_of_its_rows_key() {
    for change in [
        "id = gen_random_uuid()",
        "provider = 'google_calendar'",
        "workspace_id = 'acme'",
        "actor_id = 'other'",
        "account = 'bob@example.test'",
    ] {
        let api = TestApi::start().await;
        api.connect("gmail").await;
        let sql = format!("update oauth_tokens set {change}");
        database::execute(&api.database_url, &sql).await;
        let at = |column: &str| format!("select {column} from oauth_tokens");
        let provider = api.text(&at("provider")).await.expect("a provider");
        let workspace = api.text(&at("workspace_id")).await.expect("a workspace");
        let actor = api.text(&at("actor_id")).await.expect("an actor");

        let path = format!("/api/token?provider={provider}&workspace={workspace}&actor={actor}");
        let reply = api.get(&path).await;

        assert_eq!(
            reply.json()["reason"],
            "integrity_error",
            "{change}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn en01_the_two_sealed_columns_of_one_row_cannot_be_swapped() {
    let api = TestApi::start().await;
    let link = serde_json::json!({
        "provider": "gmail", "workspace": "default", "actor": "default",
    });
    let link = api.send_json("POST", "/api/connect-links", &link).await;
    let url = text(&link.json()["url"]);
    let done = api.visitor().connect(&url, &Consent::default()).await;
    assert_eq!(done.status, 303, "{}", done.text);
    // Confirming it without the host application.
    let moved = "update oauth_tokens
                    set token_data = pending_token_data, status = 'active', key_id = '00000000'";
    database::execute(&api.database_url, moved).await;

    assert_integrity_error(&api.token("gmail").await);
}

#[tokio::test]
async fn en01_every_changed_byte_is_noticed() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let length: usize = api
        .text("select length(token_data)::text from oauth_tokens")
        .await
        .and_then(|length| length.parse().ok())
        .expect("a length");
    let original = api
        .text("select encode(token_data, 'hex') from oauth_tokens")
        .await
        .expect("a token set");

    for at in [0, 1, 5, 36, 37, length / 2, length - 1] {
        let flip = format!(
            "update oauth_tokens set token_data =
                    set_byte(decode('{original}', 'hex'), {at},
                             get_byte(decode('{original}', 'hex'), {at}) # 1)"
        );
        database::execute(&api.database_url, &flip).await;
        let reply = api.token("gmail").await;
        assert_integrity_error(&reply);
    }
    let cut =
        format!("update oauth_tokens set token_data = substr(decode('{original}', 'hex'), 1, 20)");
    database::execute(&api.database_url, &cut).await;
    assert_integrity_error(&api.token("gmail").await);
}

#[tokio::test]
async fn en02_the_same_tokens_are_never_sealed_to_the_same_bytes() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let rows = oauth_tokens::list(&api.app.store, "default", None, None, None, 1)
        .await
        .expect("rows");
    let place = rows[0].key.place(Column::TokenData);

    let mut salts = HashSet::new();
    let mut bodies = HashSet::new();
    for _ in 0..2000 {
        let sealed = api
            .app
            .settings
            .keys
            .seal(b"the same", &place, api.app.fill);
        salts.insert(sealed[5..37].to_vec());
        bodies.insert(sealed[37..].to_vec());
    }

    assert_eq!((salts.len(), bodies.len()), (2000, 2000));
}

#[tokio::test]
async fn en04_reads_choose_the_key_by_its_id_and_writes_use_the_primary_one() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let first = access_token(&api.token("gmail").await);
    let old_id = api
        .text("select key_id from oauth_tokens")
        .await
        .expect("an id");
    let mut variables = api.variables.clone();
    variables.insert("OAUTH_ENCRYPTION_KEY".to_owned(), OTHER_KEY.to_owned());
    let without = serve(&variables).await;
    variables.insert(
        "OAUTH_ENCRYPTION_KEYS_RETIRED".to_owned(),
        ENCRYPTION_KEY.to_owned(),
    );
    let rotated = serve(&variables).await;

    // Unknown: an error that names the key id, and the row as it was.
    let sealed = "select encode(token_data, 'hex') from oauth_tokens";
    let before = api.text(sealed).await;
    let unknown = get(&without.origin, GMAIL).await;
    assert_eq!(unknown.status, 500);
    assert!(
        text(&unknown.json()["detail"]).contains(&old_id),
        "{}",
        unknown.text
    );
    assert_eq!(api.text(sealed).await, before);

    // Retired: still opens, and a refresh seals under the new key.
    assert_eq!(access_token(&get(&rotated.origin, GMAIL).await), first);
    assert_eq!(api.text(sealed).await, before);
    api.set_expiry("gmail", -1).await;
    let second = access_token(&get(&rotated.origin, GMAIL).await);
    assert_ne!(second, first);
    assert_ne!(
        api.text("select key_id from oauth_tokens").await,
        Some(old_id)
    );
    assert_eq!(access_token(&get(&without.origin, GMAIL).await), second);
    assert_eq!(api.token("gmail").await.status, 500);
}

async fn serve(variables: &std::collections::BTreeMap<String, String>) -> Served {
    let functions = &grantkeep_functions::routes::FUNCTIONS;
    Served::start(grantkeep_functions::service::all(functions, app(variables))).await
}

/// What would give a secret away: itself, its beginning, and the usual encodings.
fn forms(secret: &str) -> Vec<String> {
    let beginning: String = secret.chars().take(20).collect();
    [secret, &beginning]
        .into_iter()
        .flat_map(|text| {
            [
                text.to_owned(),
                STANDARD_NO_PAD.encode(text),
                URL_SAFE_NO_PAD.encode(text),
                text.bytes().map(|byte| format!("{byte:02x}")).collect(),
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect(),
            ]
        })
        .collect()
}

/// Files of the server's directory that hold one of these.
fn files_with(server: &Postgres, needles: &[String]) -> Vec<String> {
    let output = Command::new("grep")
        .args([
            "--recursive",
            "--text",
            "--fixed-strings",
            "--files-with-matches",
        ])
        .args(needles.iter().flat_map(|needle| ["-e", needle]))
        .arg(server.directory())
        .output()
        .expect("grep");
    assert!(output.status.code() < Some(2), "{output:?}");
    let found = String::from_utf8_lossy(&output.stdout);
    found.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn en07_no_file_of_the_database_holds_a_secret_in_any_form() {
    // Everything that is sent to it, parameters included, goes into its log.
    let server = Postgres::builder()
        .setting("log_statement", "all")
        .setting("log_parameter_max_length", "-1")
        .start(&mut |_| {})
        .expect("a Postgres server");
    let api = TestApi::builder()
        .variable("DATABASE_URL", &server.url())
        .start()
        .await;
    let mut visitor = api.visitor();
    let session = session("default", "default");
    let begun = visitor
        .get(&format!("/api/oauth/gmail/authorize?session={session}"))
        .await;
    let state = begun.location_parameter("state").expect("a state");
    let nonce = begun.location_parameter("nonce").expect("a nonce");
    let flow = visitor.cookies.values().cloned().collect::<Vec<_>>();
    let callback = visitor
        .consent(begun.header("location"), &Consent::default())
        .await;
    let done = visitor.get(&callback).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let exchange = api.provider.requests();
    let exchange = exchange
        .iter()
        .rfind(|r| r.endpoint == "/token")
        .expect("an exchange");
    let parameter = |name: &str| exchange.parameter(name).expect("a parameter").to_owned();

    let mut secrets = vec![
        state,
        nonce,
        session,
        parameter("code"),
        parameter("code_verifier"),
    ];
    secrets.extend(flow);
    secrets.extend([ENCRYPTION_KEY, SESSION_SECRET, KEY].map(str::to_owned));
    secrets.push(parameter("client_secret"));
    secrets.push(access_token(&api.token("gmail").await));
    secrets.push(refresh_token(&api, "gmail").await);
    api.set_expiry("gmail", -1).await;
    secrets.push(access_token(&api.token("gmail").await));
    assert_eq!(api.provider.refresh_requests(), 1);
    // A second flow stays open, and one connection waits for its confirmation.
    let open = format!("/api/oauth/gmail/authorize?session={}", secrets[2]);
    let open = api.visitor().get(&open).await;
    secrets.push(open.location_parameter("state").expect("a state"));
    let link = serde_json::json!({"provider": "gmail", "actor": "linked"});
    let link = api.send_json("POST", "/api/connect-links", &link).await;
    let url = text(&link.json()["url"]);
    let pending = api
        .visitor()
        .connect(&url, &Consent::of("bob@example.test"))
        .await;
    assert_eq!(
        pending.location_parameter("connection").as_deref(),
        Some("pending")
    );
    database::execute(&api.database_url, "checkpoint").await;

    let needles: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    assert!(
        needles.iter().all(|needle| needle.len() >= 12),
        "{needles:?}"
    );
    assert_eq!(files_with(&server, &needles), Vec::<String>::new());
    // The demo provider's tokens begin so, whoever got them.
    assert_eq!(
        files_with(&server, &["ya29.".to_owned()]),
        Vec::<String>::new()
    );
    // What is no secret is found: tables, write-ahead log and log are all looked at.
    let account = files_with(&server, &["alice@example.test".to_owned()]);
    for place in ["/data/base/", "/data/pg_wal/", "server.log"] {
        assert!(
            account.iter().any(|file| file.contains(place)),
            "{place}: {account:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn en08_every_function_answers_misconfigured_without_a_good_key() {
    let api = TestApi::start().await;
    let functions = [
        ("authorize", "/api/oauth/gmail/authorize"),
        ("callback", "/api/oauth/gmail/callback?code=c&state=s"),
        ("connect", "/api/connect"),
        ("connect-links", "/api/connect-links"),
        ("connections", "/api/connections"),
        (
            "connections-id",
            "/api/connections/00000000-0000-4000-8000-000000000000",
        ),
        ("health", "/api/health"),
        ("token", GMAIL),
    ];
    let keys = [
        None,
        Some("c2hvcnQ="),
        Some("not base64 at all, but long enough to be"),
        Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
    ];
    for (function, path) in functions {
        for key in keys {
            let mut variables = api.variables.clone();
            match key {
                None => variables.remove("OAUTH_ENCRYPTION_KEY"),
                Some(key) => variables.insert("OAUTH_ENCRYPTION_KEY".to_owned(), key.to_owned()),
            };
            let process = Process::start(function, &variables).await;

            let reply = get(&process.origin, path).await;

            assert_eq!(
                refusal(&reply),
                (500, "misconfigured".to_owned()),
                "{function}"
            );
            for said in [reply.text, process.stdout()] {
                assert!(said.contains("OAUTH_ENCRYPTION_KEY"), "{function}: {said}");
                assert!(
                    key.is_none_or(|key| !said.contains(key)),
                    "{function}: {said}"
                );
            }
        }
    }
}

#[tokio::test]
async fn en09_a_token_set_in_plain_text_is_refused() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    for plain in [
        r#"{"access_token":"ya29.plain","refresh_token":"1//plain"}"#,
        "ya29.plain",
        "",
    ] {
        let sql = format!("update oauth_tokens set token_data = convert_to('{plain}', 'UTF8')");
        database::execute(&api.database_url, &sql).await;
        assert_integrity_error(&api.token("gmail").await);
    }
}
