//! Bodies pass as they come, of any size.

use std::time::Duration;

use axum::body::Bytes;
use grantkeep_tests::api::KEY;
use grantkeep_tests::http::{client, send};
use http_body_util::channel::Channel;

use crate::upstream::{call, with_upstream};

#[tokio::test]
async fn an_answer_passes_piece_by_piece() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    let request = client()
        .get(format!("{}/api/proxy/gmail/drip", api.origin))
        .bearer_auth(KEY);
    let mut answer = request.send().await.expect("an answer");

    let first = answer.chunk().await.expect("a piece");
    assert_eq!(first.as_deref(), Some(&b"first"[..]));
    // The next piece does not exist yet.
    let waiting = tokio::time::timeout(Duration::from_millis(200), answer.chunk()).await;
    assert!(waiting.is_err());
    upstream.go_on();
    let second = answer.chunk().await.expect("a piece");
    assert_eq!(second.as_deref(), Some(&b"second"[..]));
    upstream.go_on();
    assert_eq!(answer.chunk().await.expect("the end"), None);
}

#[tokio::test]
async fn a_request_passes_piece_by_piece() {
    let (api, upstream) = with_upstream().await;
    api.connect("gmail").await;
    let (mut sender, body) = Channel::<Bytes>::new(1);
    let request = http::Request::post(format!("{}/api/proxy/gmail/upload", api.origin))
        .header("authorization", format!("Bearer {KEY}"))
        .body(reqwest::Body::wrap(body))
        .expect("a request");
    let request = reqwest::Request::try_from(request).expect("a request");
    let answer = tokio::spawn(client().execute(request));

    sender.send_data(Bytes::from("half")).await.expect("sent");
    upstream.upload_began().await;
    sender
        .send_data(Bytes::from(" and half"))
        .await
        .expect("sent");
    drop(sender);

    let answer = answer.await.expect("joined").expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "13");
}

#[tokio::test]
async fn bodies_larger_than_anything_that_is_held_pass_both_ways() {
    let (api, _) = with_upstream().await;
    api.connect("gmail").await;
    let size = 20 << 20;

    let down = call(&api, "GET", &format!("large/{size}"), "").await;
    let up = api
        .request("POST", "/api/proxy/gmail/upload")
        .bearer_auth(KEY)
        .body(vec![b'x'; size]);
    let up = send(up).await;

    assert_eq!((down.status, down.text.len()), (200, size));
    assert_eq!(down.header("content-length"), size.to_string());
    assert_eq!((up.status, up.text), (200, size.to_string()));
}

/// Two silences at once, because one takes its time.
#[tokio::test]
async fn silence_ends_a_call_before_its_answer_and_within_it() {
    let (api, _) = with_upstream().await;
    api.connect("gmail").await;
    let began = std::time::Instant::now();
    let stalled = async {
        let request = client()
            .get(format!("{}/api/proxy/gmail/drip", api.origin))
            .bearer_auth(KEY);
        let mut answer = request.send().await.expect("an answer");
        let first = answer.chunk().await.expect("a piece");
        (first, answer.chunk().await)
    };

    let (silent, (first, second)) = tokio::join!(call(&api, "GET", "silent", ""), stalled);

    assert_eq!(
        (silent.status, silent.code()),
        (503, "provider_unavailable".to_owned())
    );
    assert_eq!(first.as_deref(), Some(&b"first"[..]));
    assert!(second.is_err(), "what is cut off is not taken for whole");
    assert!(began.elapsed() < Duration::from_secs(29));
}
