//! A Redis that is down, slow, garbage or lying costs its time limit at the most, and no
//! request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use grantkeep_tests::TestApi;
use grantkeep_tests::instance::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::server::{Between, GMAIL, Redis, builder, connected, instance, unblocked};

/// Reads, all of which succeed; the longest.
async fn reads(api: &TestApi, count: usize) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..count {
        let began = Instant::now();
        let reply = api.token("gmail").await;
        longest = longest.max(began.elapsed());
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    longest
}

/// A server that answers every connection with these bytes, or with nothing, and counts.
async fn server(bytes: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("address"));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                while let Ok(1..) = client.read(&mut asked).await {
                    if client.write_all(bytes).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, count)
}

#[tokio::test]
async fn ca03_redis_killed_and_revived_fails_no_read() {
    let mut redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    reads(&api, 5).await;

    redis.kill();
    reads(&api, 20).await;
    redis.revive().await;
    reads(&api, 5).await;
    // Reads leave it alone for five seconds after a failure.
    tokio::time::sleep(Duration::from_millis(5100)).await;
    reads(&api, 3).await;

    assert_eq!(redis.keys().await.len(), 1, "it is used again");
}

#[tokio::test]
async fn a_black_hole_costs_one_read_its_time_limit_and_is_then_left_alone() {
    let (url, connections) = server(b"").await;
    let api = builder(&url).start().await;
    api.connect("gmail").await;
    tokio::time::sleep(Duration::from_millis(5100)).await;
    let before = connections.load(Ordering::SeqCst);

    let began = Instant::now();
    reads(&api, 1).await;
    let first = began.elapsed();
    let began = Instant::now();
    reads(&api, 50).await;
    let rest = began.elapsed();

    assert_eq!(connections.load(Ordering::SeqCst) - before, 1);
    assert!(
        first >= Duration::from_millis(50) && first < Duration::from_millis(250),
        "{first:?}"
    );
    assert!(rest < Duration::from_millis(1500), "{rest:?}");
}

#[tokio::test]
async fn a_redis_that_falls_silent_costs_no_more() {
    let redis = Redis::start().await;
    let between = Between::before(&redis).await;
    let api = connected(&redis.url()).await;
    let (served, _) = instance(&api, Some(&between.url)).await;
    for _ in 0..3 {
        assert_eq!(get(&served.origin, GMAIL).await.status, 200);
    }
    let connections = between.connections();

    between.silence(true);
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(get(&served.origin, GMAIL).await.status, 200);
    }

    assert!(
        began.elapsed() < Duration::from_millis(1000),
        "{:?}",
        began.elapsed()
    );
    assert!(between.connections() <= connections + 1);
}

#[tokio::test]
async fn servers_that_are_no_redis_are_left_alone() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"-NOAUTH Authentication required.\r\n",
        b"\x00\xff\x00\xff garbage without an end",
        b"$99999999999\r\n",
        b"+OK\r\n+OK\r\n",
        b"$3\r\nabc\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
    ] {
        let (url, _) = server(bytes).await;
        let api = builder(&url).start().await;
        api.connect("gmail").await;

        let longest = reads(&api, 10).await;

        assert!(longest < Duration::from_millis(400), "{longest:?}");
    }
}

#[tokio::test]
async fn ca01_a_value_of_another_key_or_an_altered_one_is_not_believed() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let session = grantkeep_tests::api::session("default", "bob");
    let path = format!("/api/oauth/gmail/authorize?session={session}");
    api.visitor().connect(&path, &Default::default()).await;
    unblocked(&api).await;
    let alice = api.token("gmail").await.json()["access_token"].clone();
    let key = redis.keys().await.remove(0);
    let value = redis.value(&key).await;
    let bobs = format!("{GMAIL}&actor=bob");
    let bob = api.get(&bobs).await.json()["access_token"].clone();
    let bobs_key = redis
        .keys()
        .await
        .into_iter()
        .find(|one| *one != key)
        .expect("bob's");
    assert_ne!(alice, bob);

    redis.command(&[b"SET", bobs_key.as_bytes(), &value]).await;
    assert_eq!(api.get(&bobs).await.json()["access_token"], bob);

    for altered in [&value[..value.len() - 1], &[0; 300], b"", b"-"] {
        redis.command(&[b"SET", key.as_bytes(), altered]).await;
        assert_eq!(api.token("gmail").await.json()["access_token"], alice);
    }
}

/// A Redis that forgets that a value had an end.
#[tokio::test]
async fn ca03_a_value_that_is_kept_too_long_is_not_believed() {
    let redis = Redis::start().await;
    let api = connected(&redis.url()).await;
    let before = api.token("gmail").await.json()["access_token"].clone();
    let key = redis.keys().await.remove(0);
    let value = redis.value(&key).await;
    api.connect("gmail").await;
    tokio::time::sleep(Duration::from_millis(5100)).await;

    redis.command(&[b"SET", key.as_bytes(), &value]).await;

    assert_ne!(api.token("gmail").await.json()["access_token"], before);
}

#[tokio::test]
async fn a_password_and_a_database_number_are_used() {
    let redis = Redis::with(&["--requirepass", "s3cret/with@signs"]).await;
    let url = format!("redis://:s3cret%2Fwith%40signs@127.0.0.1:{}/3", redis.port);
    let api = builder(&url).start().await;
    api.connect("gmail").await;

    let health = api.get("/api/health").await.json();
    let wrong = instance(&api, Some(&redis.url())).await.0;
    let refused = get(&wrong.origin, "/api/health").await.json();

    assert_eq!(health["cache"]["reachable"], true, "{health}");
    assert_eq!(refused["cache"]["error"], "it refused with NOAUTH");
    assert_eq!(get(&wrong.origin, GMAIL).await.status, 200);
}
