//! What the cache answers, what it holds, and which reads are none for it.

use grantkeep_tests::api::{KEY, READ_KEY};
use grantkeep_tests::http::send;
use grantkeep_tests::instance::{Served, get};
use grantkeep_tests::wire::Wire;
use grantkeep_tests::{Consent, Reply, TestApi};
use serde_json::json;

use crate::server::{GMAIL, Redis, builder, connected, instance, unblocked};

/// How many round trips to Postgres some reads take, with a cache that is warm.
async fn round_trips(api: &TestApi, read: impl AsyncFn(&Served) -> Reply) -> usize {
    let wire = Wire::before(&api.database_url).await;
    let mut variables = api.variables.clone();
    // The same database by another way: to the cache it is another, so all is within one.
    variables.insert("DATABASE_URL".to_owned(), wire.url.clone());
    let app = grantkeep_tests::api::app(&variables);
    let router = grantkeep_functions::service::all(&grantkeep_functions::routes::FUNCTIONS, app);
    let served = Served::start(router).await;
    get(&served.origin, GMAIL).await;
    get(&served.origin, GMAIL).await;
    wire.round_trips();
    let reply = read(&served).await;
    assert!(reply.status < 500, "{}", reply.text);
    wire.round_trips()
}

#[tokio::test]
async fn ca01_a_second_read_asks_no_database_and_answers_the_same() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let (other, _) = instance(&api, None).await;

    let first = api.token("gmail").await;
    let second = get(&other.origin, GMAIL).await;
    let asked = round_trips(&api, async |served| get(&served.origin, GMAIL).await).await;

    assert_eq!((first.status, second.status, asked), (200, 200, 0));
    let (mut a, mut b) = (first.json(), second.json());
    let left = |one: &serde_json::Value| one["expires_in"].as_i64().expect("seconds");
    assert!((left(&a) - left(&b)).abs() <= 1);
    for one in [&mut a, &mut b] {
        one["expires_in"] = json!(0);
    }
    assert_eq!(a, b);
}

#[tokio::test]
async fn ca01_it_holds_ciphertext_without_a_refresh_token_for_five_seconds() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let token = api.token("gmail").await.json();
    let token = token["access_token"].as_str().expect("a token");

    let keys = redis.keys().await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let value = redis.value(&keys[0]).await;
    let left = redis.command(&[b"PTTL", keys[0].as_bytes()]).await;
    let left: i64 = String::from_utf8(left).expect("text")[1..]
        .trim()
        .parse()
        .expect("a number");

    assert!((1..=5000).contains(&left), "{left}");
    assert!(value.len() > 100);
    for plain in [token, "alice", "openid"] {
        let found = value
            .windows(plain.len())
            .any(|part| part == plain.as_bytes());
        assert!(!found, "{plain} is readable");
        assert!(!keys[0].contains(plain));
    }
}

#[tokio::test]
async fn reads_that_want_more_than_it_has_ask_the_database() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let token = api.token("gmail").await.json();
    let rejected = token["access_token"].as_str().expect("a token").to_owned();

    // A token that has just come is never too short.
    let sql = "update oauth_tokens set status_since = now() - interval '10 minutes'";
    grantkeep_tests::database::execute(&api.database_url, sql).await;
    let drive = format!("{GMAIL}&scope=https://www.googleapis.com/auth/drive");
    let lasting = format!("{GMAIL}&min_ttl=86400");
    let exported = format!("{GMAIL}&format=authorized_user");
    let named = format!("{GMAIL}&account=nobody@example.test");
    for (path, status) in [
        (&drive, 403),
        (&lasting, 200),
        (&exported, 200),
        (&named, 404),
    ] {
        unblocked(&api).await;
        let asked = round_trips(&api, async |served| {
            let reply = get(&served.origin, path).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.text);
            reply
        });
        assert!(asked.await >= 1, "{path}");
    }
    let exported = get(&api.origin, &exported).await.json();
    assert!(exported["refresh_token"].is_string(), "{exported}");

    let body = json!({"provider": "gmail", "rejected": rejected});
    let refreshed = api.send_json("POST", "/api/token", &body).await.json();
    assert_ne!(refreshed["access_token"], rejected.as_str());
}

#[tokio::test]
async fn authorized_user_without_secrets_comes_from_it_too() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let path = format!("{GMAIL}&format=authorized_user");

    let asked = round_trips(&api, async |served| {
        let url = format!("{}{path}", served.origin);
        send(
            grantkeep_tests::http::client()
                .get(url)
                .bearer_auth(READ_KEY),
        )
        .await
    });

    assert_eq!(asked.await, 0);
}

#[tokio::test]
async fn ca02_names_that_join_to_the_same_text_are_told_apart() {
    let redis = Redis::start().await;
    let api = builder(&redis.url()).start().await;
    for (workspace, actor, email) in [
        ("a", "b:c", "alice@example.test"),
        ("a:b", "c", "bob@example.test"),
    ] {
        let session = grantkeep_tests::api::session(workspace, actor);
        let path = format!("/api/oauth/gmail/authorize?session={session}");
        let consent = Consent {
            account: email.to_owned(),
            ..Consent::default()
        };
        let done = api.visitor().connect(&path, &consent).await;
        assert_eq!(
            done.location_parameter("connection").as_deref(),
            Some("connected")
        );
    }
    unblocked(&api).await;

    let mut tokens = Vec::new();
    for _ in 0..2 {
        for owner in ["workspace=a&actor=b:c", "workspace=a:b&actor=c"] {
            let reply = api.get(&format!("{GMAIL}&{owner}")).await.json();
            tokens.push(reply["access_token"].clone());
        }
    }

    assert_eq!((&tokens[0], &tokens[1]), (&tokens[2], &tokens[3]));
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(redis.keys().await.len(), 2);
}

#[tokio::test]
async fn a_second_account_makes_the_question_without_one_ambiguous_at_once() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    assert_eq!(api.token("gmail").await.status, 200);

    let consent = Consent {
        account: "bob@example.test".to_owned(),
        ..Consent::default()
    };
    api.connect_with("gmail", &consent).await;

    assert_eq!(api.token("gmail").await.code(), "ambiguous_account");
}

#[tokio::test]
async fn health_says_whether_it_is_reached() {
    let mut redis = Redis::start().await;
    let api = connected(&redis.url()).await;

    let up = api.get("/api/health").await.json();
    redis.kill();
    let down = api.get("/api/health").await;

    assert_eq!(up["cache"]["reachable"], true, "{up}");
    assert!(up["cache"]["latency_ms"].is_number());
    assert_eq!(
        (down.status, &down.json()["cache"]["reachable"]),
        (200, &json!(false))
    );
    let plain = send(api.request("GET", "/api/health")).await.json();
    assert!(plain.get("cache").is_none() && KEY != READ_KEY);
}
