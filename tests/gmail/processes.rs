//! Once, with the real binary: several processes, and one that is killed in the middle.

use std::time::Duration;

use bytes::Bytes;
use grantkeep_runtime::test_hosts::{Kind, TestHost, binary};
use grantkeep_tests::api::KEY;
use grantkeep_tests::instance::{Process, post};
use grantkeep_tests::{TestApi, database};
use http::Request;
use serde_json::json;

use crate::support::*;

const PATH: &str = "/api/gmail/send";

#[tokio::test]
async fn processes_at_once_send_one_message() {
    let api = connected().await;
    api.provider.update(|knobs| knobs.api_delay_ms = 200);
    let processes = Process::start_many(3, "gmail", &api.variables).await;
    let body = message(json!({"idempotency_key": "once"}));

    let calls: Vec<_> = (0..9)
        .map(|n| {
            let (origin, body) = (processes[n % 3].origin.clone(), body.clone());
            tokio::spawn(async move { post(&origin, PATH, &body).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        let reply = call.await.expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.text);
        answers.push(reply.text);
    }

    answers.dedup();
    assert_eq!((answers.len(), sendings(&api), bobs(&api).len()), (1, 1, 1));
}

/// Waits until the mail API has the message.
async fn performed(api: &TestApi) {
    for _ in 0..200 {
        if !bobs(api).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was sent");
}

#[tokio::test]
async fn a_process_killed_between_sending_and_recording_does_not_send_twice() {
    let api = connected().await;
    let doomed = Process::start("gmail", &api.variables).await;
    let body = message(json!({"idempotency_key": "once"}));
    api.provider
        .update(|knobs| knobs.api_answer_delay_ms = 20_000);
    let (origin, same) = (doomed.origin.clone(), body.clone());
    let lost = tokio::spawn(async move {
        let request = grantkeep_tests::http::client().post(format!("{origin}{PATH}"));
        let request = request
            .header("authorization", format!("Bearer {}", KEY))
            .header("content-type", "application/json")
            .body(same.to_string());
        request.send().await.is_err()
    });
    performed(&api).await;

    doomed.kill();
    assert!(lost.await.expect("it ends"), "no answer came");
    api.provider.update(|knobs| knobs.api_answer_delay_ms = 0);
    let claimed = "select count(*)::text from sent_messages where message_id is null";
    assert_eq!(api.text(claimed).await.as_deref(), Some("1"));
    let ended = "update sent_messages set lease_until = now() - interval '1 second'";
    database::execute(&api.database_url, ended).await;
    let found = send(&api, &body).await;

    assert_eq!(found.status, 200, "{}", found.text);
    assert_eq!(found.json()["id"], api.provider.mailbox(ALICE)[0]["id"]);
    assert_eq!((sendings(&api), bobs(&api).len()), (1, 1));
}

#[tokio::test]
async fn a_large_message_gets_through_every_host_and_one_that_is_too_large_is_refused() {
    let api = connected().await;
    let program = tokio::task::spawn_blocking(|| binary("grantkeep", "gmail"));
    let program = program.await.expect("the binary");
    let variables: Vec<(&str, &str)> = api
        .variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();

    for kind in Kind::ALL {
        let host = TestHost::start(kind, &program, &variables).await;
        let post = async |size: usize| {
            let file = json!({"filename": "a.bin", "content_base64": "A".repeat(size)});
            let body = message(json!({"attachments": [file]})).to_string();
            let request = Request::post(PATH)
                .header("authorization", format!("Bearer {KEY}"))
                .header("content-type", "application/json")
                .body(Bytes::from(body));
            host.send(request.expect("a request")).await
        };

        // Vercel lets 4.5 MB through.
        let taken = post(4_400_000).await;
        let refused = post(6 * 1024 * 1024).await;

        let text = String::from_utf8_lossy(taken.body());
        assert_eq!(taken.status(), 200, "{kind:?}: {text}");
        assert_eq!(refused.status(), 413, "{kind:?}");
    }
    assert_eq!(bobs(&api).len(), Kind::ALL.len());
}
