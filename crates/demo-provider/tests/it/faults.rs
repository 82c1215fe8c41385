//! Faults of the token endpoint: what the client sees and whether the request was performed.

use std::time::{Duration, Instant};

use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_demo_provider::{Knobs, RefreshTokens};

use crate::harness::Demo;

/// A single-use refresh token survives only what was not performed.
async fn with_single_use(turn: impl FnOnce(&mut Knobs)) -> (Demo, String) {
    let demo = Demo::with(|knobs| knobs.refresh_tokens = RefreshTokens::SingleUse).await;
    demo.provider.update(turn);
    let refresh_token = demo.issued().refresh_token;
    (demo, refresh_token)
}

async fn was_performed(demo: &Demo, refresh_token: &str) -> bool {
    demo.provider.set(Knobs {
        refresh_tokens: RefreshTokens::SingleUse,
        ..Knobs::default()
    });
    demo.refresh(refresh_token).await.status == 400
}

#[tokio::test]
async fn a_delay_holds_the_answer_back_and_others_are_served_meanwhile() {
    let (demo, refresh_token) = with_single_use(|knobs| knobs.delay_ms = 300).await;
    let start = Instant::now();

    let (slow, quick) = tokio::join!(
        async {
            let answer = demo.refresh(&refresh_token).await;
            (answer.status, start.elapsed())
        },
        async {
            demo.get("/jwks").await;
            start.elapsed()
        }
    );

    assert_eq!(slow.0, 200);
    assert!(slow.1 >= Duration::from_millis(300));
    assert!(quick < slow.1);
}

#[tokio::test]
async fn a_status_is_answered_as_html_with_retry_after_and_nothing_is_performed() {
    let (demo, refresh_token) = with_single_use(|knobs| {
        knobs.token_status = Some(429);
        knobs.retry_after = Some("7".to_owned());
    })
    .await;

    let answer = demo.refresh(&refresh_token).await;

    assert_eq!(
        (answer.status, answer.headers["retry-after"].as_str()),
        (429, "7")
    );
    assert!(answer.headers["content-type"].starts_with("text/html"));
    assert!(!was_performed(&demo, &refresh_token).await);
}

#[tokio::test]
async fn an_error_code_comes_with_its_status_or_with_the_one_chosen() {
    for (error, status) in [
        ("invalid_grant", 400),
        ("invalid_client", 401),
        ("temporarily_unavailable", 503),
        ("server_error", 500),
        ("bad_refresh_token", 400),
    ] {
        let (demo, refresh_token) =
            with_single_use(|knobs| knobs.token_error = Some(error.to_owned())).await;
        assert_eq!(
            demo.refresh(&refresh_token).await.refusal(),
            (status, error.to_owned())
        );
        assert!(!was_performed(&demo, &refresh_token).await);
    }

    let (demo, refresh_token) = with_single_use(|knobs| {
        knobs.token_error = Some("invalid_grant".to_owned());
        knobs.token_status = Some(403);
        knobs.retry_after = Some("1".to_owned());
    })
    .await;
    let answer = demo.refresh(&refresh_token).await;
    assert_eq!(answer.refusal(), (403, "invalid_grant".to_owned()));
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn only_the_next_n_requests_fail() {
    let (demo, refresh_token) = with_single_use(|knobs| {
        knobs.token_error = Some("temporarily_unavailable".to_owned());
        knobs.fail_next_n = Some(2);
    })
    .await;

    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(demo.refresh(&refresh_token).await.status);
    }

    assert_eq!(seen, [503, 503, 200]);
    assert_eq!(demo.provider.knobs().fail_next_n, Some(0));
}

#[tokio::test]
async fn failing_without_a_chosen_fault_is_503() {
    let (demo, refresh_token) = with_single_use(|knobs| knobs.fail_next_n = Some(1)).await;

    assert_eq!(demo.refresh(&refresh_token).await.status, 503);
    assert_eq!(demo.refresh(&refresh_token).await.status, 200);
}

#[tokio::test]
async fn a_lost_answer_means_performed_and_no_response() {
    let (demo, refresh_token) =
        with_single_use(|knobs| knobs.drop_connection_after_processing = true).await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh_token),
        ("client_id", DEMO_CLIENT_ID),
        ("client_secret", DEMO_CLIENT_SECRET),
    ];

    let lost = demo.http.post(demo.url("/token")).form(&form).send().await;

    assert!(lost.is_err_and(|error| error.is_request()));
    assert_eq!(demo.provider.refresh_requests(), 1);
    assert!(was_performed(&demo, &refresh_token).await);
}

#[tokio::test]
async fn garbage_is_a_200_that_is_no_json() {
    let (demo, refresh_token) = with_single_use(|knobs| knobs.garbage_body = true).await;

    let answer = demo.refresh(&refresh_token).await;

    assert_eq!(answer.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&answer.text).is_err());
    assert!(was_performed(&demo, &refresh_token).await);
}

#[tokio::test]
async fn a_huge_answer_is_json_of_16_mebibytes() {
    let (demo, refresh_token) = with_single_use(|knobs| knobs.huge_body = true).await;

    let answer = demo.refresh(&refresh_token).await;

    assert_eq!(answer.text.len(), 16 << 20);
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert!(was_performed(&demo, &refresh_token).await);
}

#[tokio::test]
async fn a_redirect_points_where_a_follower_would_be_seen() {
    let (demo, refresh_token) = with_single_use(|knobs| knobs.redirect_token = Some(307)).await;

    let answer = demo.refresh(&refresh_token).await;
    let (target, _) = answer.redirect();

    assert_eq!((answer.status, target), (307, demo.url("/moved")));
    assert_eq!(
        demo.get("/moved").await.json()["access_token"],
        "ya29.moved"
    );
    assert_eq!(demo.provider.requests().last().unwrap().endpoint, "/moved");
    assert!(!was_performed(&demo, &refresh_token).await);
}

#[tokio::test]
async fn faults_after_processing_are_counted_down_too() {
    let faults: [fn(&mut Knobs); 2] = [
        |knobs| knobs.garbage_body = true,
        |knobs| knobs.huge_body = true,
    ];
    for fault in faults {
        let demo = Demo::with(fault).await;
        demo.provider.update(|knobs| knobs.fail_next_n = Some(1));
        let refresh_token = demo.issued().refresh_token;

        let faulty = demo.refresh(&refresh_token).await;
        let next = demo.refresh(&refresh_token).await;

        assert!(!faulty.text.contains("refresh") && !faulty.text.contains("scope"));
        assert_eq!(next.json()["expires_in"], 3599);
        assert!(next.text.contains("scope"));
    }
}
