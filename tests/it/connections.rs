//! `/api/connections`: listing, showing, confirming, disconnecting, and whose they are.

use grantkeep_tests::api::{ACME_KEY, KEY, session};
use grantkeep_tests::http::send;
use grantkeep_tests::{Consent, Reply, TestApi, database};
use serde_json::{Value, json};

use crate::support::{
    READONLY, SEND, authorize, authorize_as, connected, connection_id, consented, consented_with,
    count, outcome, problem, text,
};

fn not_connected() -> (u16, String) {
    (404, "not_connected".to_owned())
}

fn ids(page: &Reply) -> Vec<String> {
    page.json()["connections"]
        .as_array()
        .map(|list| {
            list.iter()
                .map(|connection| text(&connection["id"]))
                .collect()
        })
        .unwrap_or_default()
}

/// Connects an actor of a workspace.
async fn connect_as(api: &TestApi, workspace: &str, actor: &str) -> String {
    let done = consented(api, &authorize_as("gmail", workspace, actor))
        .await
        .finish()
        .await;
    assert_eq!(outcome(&done), connected());
    let path = format!("/api/token?provider=gmail&workspace={workspace}&actor={actor}");
    text(&api.get(&path).await.json()["connection_id"])
}

/// Disconnects; the answer's JSON.
async fn disconnected(api: &TestApi, id: &str) -> Value {
    let gone = api.delete(&format!("/api/connections/{id}")).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    gone.json()
}

#[tokio::test]
async fn a_connection_is_shown_with_these_members_and_no_token() {
    let api = TestApi::start().await;
    let start = format!("{}&scope={SEND}", authorize("gmail"));
    consented_with(&api, &start, &Consent::without(SEND))
        .await
        .finish()
        .await;
    let token = api.token("gmail").await.json();

    let list = api.get("/api/connections").await;
    let shown = api
        .get(&format!(
            "/api/connections/{}",
            text(&token["connection_id"])
        ))
        .await;

    let one = shown.json();
    assert_eq!(list.json(), json!({"connections": [one], "next": null}));
    let members: Vec<&String> = one
        .as_object()
        .map(|o| o.keys().collect())
        .unwrap_or_default();
    let mut expected = [
        "id",
        "provider",
        "workspace",
        "actor",
        "account",
        "scopes",
        "missing_scopes",
        "status",
        "status_reason",
        "expires_at",
        "created_at",
        "updated_at",
        "last_refreshed_at",
    ];
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!(one["missing_scopes"], json!([SEND]));
    assert!(
        one["scopes"]
            .as_array()
            .is_some_and(|scopes| scopes.contains(&json!(READONLY)))
    );
    assert_eq!(
        (&one["status"], &one["status_reason"]),
        (&json!("active"), &Value::Null)
    );
    assert_eq!(one["last_refreshed_at"], Value::Null);
    for time in ["expires_at", "created_at", "updated_at"] {
        let parsed = chrono::DateTime::parse_from_rfc3339(&text(&one[time]));
        assert!(parsed.is_ok(), "{time}: {}", one[time]);
    }
    for reply in [&list, &shown] {
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(!reply.text.contains(&text(&token["access_token"])));
    }
}

#[tokio::test]
async fn a_refresh_is_seen_in_the_connection() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let path = format!("/api/connections/{}", connection_id(&api, "gmail").await);
    api.set_expiry("gmail", -1).await;
    api.token("gmail").await;

    let refreshed = api.get(&path).await.json();
    api.set_expiry("gmail", -1).await;
    api.provider.kill_grants();
    api.token("gmail").await;
    let dead = api.get(&path).await.json();

    assert!(refreshed["last_refreshed_at"].is_string(), "{refreshed}");
    assert_eq!(dead["status"], "reauthorization_required");
    assert_eq!(dead["status_reason"], "invalid_grant");
}

#[tokio::test]
async fn pages_hold_every_connection_once() {
    let api = TestApi::start().await;
    let mut made = Vec::new();
    for actor in ["a", "b", "c", "d", "e"] {
        made.push(connect_as(&api, "default", actor).await);
    }

    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = api
            .get(&format!("/api/connections?limit=2&cursor={cursor}"))
            .await;
        assert_eq!(page.status, 200, "{}", page.text);
        assert!(ids(&page).len() <= 2);
        seen.extend(ids(&page));
        pages += 1;
        match page.json()["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    let exact = api.get("/api/connections?limit=5").await;

    seen.sort();
    made.sort();
    assert_eq!((seen, pages), (made, 3));
    assert_eq!(exact.json()["next"], Value::Null);
    for bad in ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=AAAA"] {
        let refused = api.get(&format!("/api/connections?{bad}")).await;
        assert_eq!(
            problem(&refused),
            (400, "invalid_request".to_owned()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn a_list_can_be_narrowed_to_an_actor_and_a_provider() {
    let api = TestApi::start().await;
    let ada = connect_as(&api, "acme", "ada").await;
    let bea = connect_as(&api, "acme", "bea").await;
    connect_as(&api, "default", "default").await;

    let all = api
        .get_as(ACME_KEY, "/api/connections?workspace=acme")
        .await;
    let one = api
        .get_as(ACME_KEY, "/api/connections?workspace=acme&actor=bea")
        .await;
    let none = api
        .get_as(ACME_KEY, "/api/connections?workspace=acme&provider=outlook")
        .await;

    let mut everybody = ids(&all);
    everybody.sort();
    let mut expected = vec![ada, bea.clone()];
    expected.sort();
    assert_eq!(everybody, expected);
    assert_eq!(ids(&one), [bea]);
    assert_eq!(ids(&none), [""; 0]);
}

#[tokio::test]
async fn a_session_sees_and_ends_only_its_own() {
    let api = TestApi::start().await;
    let own = connect_as(&api, "default", "ada").await;
    let other = connect_as(&api, "default", "bea").await;
    let session = session("default", "ada");
    let cookie = format!("grantkeep_session={session}");
    let as_cookie = async |method: &str, path: &str| {
        let request = api
            .request(method, path)
            .header("cookie", &cookie)
            .header("origin", &api.origin);
        send(request).await
    };

    let listed = as_cookie("GET", "/api/connections?workspace=default&actor=bea").await;
    let by_bearer = api.get_as(&session, "/api/connections").await;
    let shown = as_cookie("GET", &format!("/api/connections/{other}")).await;
    let ended = as_cookie("DELETE", &format!("/api/connections/{other}")).await;
    let mine = as_cookie("DELETE", &format!("/api/connections/{own}")).await;

    assert_eq!(ids(&listed), ids(&by_bearer));
    assert_eq!(ids(&by_bearer), [own]);
    assert_eq!(
        (problem(&shown), problem(&ended)),
        (not_connected(), not_connected())
    );
    assert_eq!(mine.json()["deleted"], true);
    assert_eq!(
        count(&api, "oauth_tokens where actor_id = 'bea'").await,
        "1"
    );
    assert_eq!(count(&api, "oauth_tokens").await, "1");
}

#[tokio::test]
async fn a_key_of_another_workspace_finds_nothing() {
    let api = TestApi::start().await;
    let id = connect_as(&api, "default", "default").await;

    let shown = api
        .get_as(ACME_KEY, &format!("/api/connections/{id}"))
        .await;

    assert_eq!(problem(&shown), not_connected());
}

#[tokio::test]
async fn disconnecting_ends_the_grant_at_the_provider_and_the_row() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    let token = text(&api.token("gmail").await.json()["access_token"]);

    let gone = disconnected(&api, &id).await;
    let again = api.delete(&format!("/api/connections/{id}")).await;

    assert_eq!(
        gone,
        json!({"revoked": true, "reason": null, "deleted": true})
    );
    assert_eq!(problem(&again), not_connected());
    let whoami = grantkeep_tests::http::client()
        .get(format!("{}/api/whoami", api.provider.origin()))
        .bearer_auth(token);
    assert_eq!(send(whoami).await.status, 401);
    let event = "connection_events where type = 'connection.disconnected'";
    assert_eq!(count(&api, event).await, "1");
}

#[tokio::test]
async fn rv01_what_is_deleted_stays_deleted_when_the_provider_cannot_be_asked() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.provider.update(|knobs| knobs.revoke_status = Some(503));

    let id = connection_id(&api, "gmail").await;
    let gone = disconnected(&api, &id).await;

    assert_eq!(
        gone,
        json!({"revoked": false, "reason": "queued", "deleted": true})
    );
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn rv02_a_token_that_the_provider_does_not_know_counts_as_revoked() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    api.provider.kill_grants();

    let gone = disconnected(&api, &id).await;

    assert_eq!(
        gone,
        json!({"revoked": true, "reason": null, "deleted": true})
    );
}

#[tokio::test]
async fn rv03_mail_survives_the_disconnecting_of_the_calendar() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.connect("google_calendar").await;
    let calendar = connection_id(&api, "google_calendar").await;

    let first = disconnected(&api, &calendar).await;
    api.set_expiry("gmail", -1).await;
    let mail = api.token("gmail").await;
    let gmail = connection_id(&api, "gmail").await;
    let last = disconnected(&api, &gmail).await;

    assert_eq!(first["revoked"], false);
    assert_eq!(first["reason"], "shared_with_another_connection");
    assert_eq!(mail.status, 200, "{}", mail.text);
    assert_eq!(last["revoked"], true);
}

#[tokio::test]
async fn a_provider_without_revocation_is_told_apart() {
    let api = TestApi::builder()
        .provider("outlook", json!({"revocation_endpoint": null}))
        .start()
        .await;
    api.connect("outlook").await;
    let id = connection_id(&api, "outlook").await;

    let gone = disconnected(&api, &id).await;

    assert_eq!(
        gone,
        json!({"revoked": false, "reason": "not_supported_by_provider", "deleted": true})
    );
}

#[tokio::test]
async fn a_list_on_an_empty_database_is_empty() {
    let api = TestApi::start().await;

    let list = api.get_as(KEY, "/api/connections").await;

    assert_eq!(list.json(), json!({"connections": [], "next": null}));
    let tables = "select count(*)::text from pg_tables where schemaname = 'public'";
    assert_eq!(api.text(tables).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_database_that_is_gone_is_503_everywhere() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    let admin = database::server().url();
    let name = api
        .database_url
        .rsplit('/')
        .next()
        .and_then(|rest| rest.split('?').next());
    let name = name.expect("a name").to_owned();
    database::execute(
        &admin,
        &format!("alter database {name} allow_connections false"),
    )
    .await;
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
    database::query(&admin, ended, &[&name]).await;

    for path in [
        "/api/token?provider=gmail".to_owned(),
        "/api/connections".to_owned(),
        format!("/api/connections/{id}"),
        authorize("gmail"),
    ] {
        let reply = match path.contains("session=") {
            true => api.visitor().get(&path).await,
            false => api.get(&path).await,
        };
        assert_eq!(
            problem(&reply),
            (503, "storage_unavailable".to_owned()),
            "{path}"
        );
        assert!(!reply.header("retry-after").is_empty(), "{path}");
        assert!(!reply.text.contains(&name), "{}", reply.text);
    }
    let health = send(api.request("GET", "/api/health")).await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (503, &json!("unavailable"))
    );
}
