//! A sender that is killed in the middle.

use std::time::Duration;

use grantkeep_demo_provider::Knobs;
use grantkeep_tests::api::KEY;
use grantkeep_tests::http::{client, send};
use grantkeep_tests::instance::Process;

use crate::receiver::{Answer, Receiver, SECRET, deliver, wait_is_over, with_webhook};

/// The endpoint has the event, its answer never arrives.
#[tokio::test(flavor = "multi_thread")]
async fn wh03_a_kill_between_sending_and_marking_sends_again_with_the_same_id() {
    let receiver = Receiver::start().await;
    let api = with_webhook(&receiver.url, SECRET).start().await;
    api.connect("gmail").await;
    api.set_expiry("gmail", -1).await;
    api.provider
        .update(|knobs: &mut Knobs| knobs.token_error = Some("invalid_grant".into()));
    let process = Process::start("token", &api.variables).await;
    receiver.answer([Answer::After(Duration::from_secs(20))]);

    let url = format!("{}/api/token?provider=gmail", process.origin);
    let read = tokio::spawn(send_ignoring(url));
    while receiver.received().len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.kill();
    drop(read.await);
    let during_the_lease = deliver(&api).await;
    wait_is_over(&api).await;
    let afterwards = deliver(&api).await;

    assert_eq!((during_the_lease.delivered, afterwards.delivered), (0, 1));
    let received = receiver.received();
    assert_eq!(received.len(), 3);
    assert_eq!(received[1].kind(), "connection.reauthorization_required");
    assert_eq!(
        received[1].header("webhook-id"),
        received[2].header("webhook-id")
    );
    assert_ne!(
        received[0].header("webhook-id"),
        received[1].header("webhook-id")
    );
    assert_eq!(
        send(api.request("GET", "/api/health").bearer_auth(KEY))
            .await
            .json()["webhook"]["waiting"],
        0
    );
}

async fn send_ignoring(url: String) {
    drop(client().get(url).bearer_auth(KEY).send().await);
}
