//! Who may start a job.

use grantkeep_tests::TestApi;
use grantkeep_tests::api::{CRON_SECRET, KEY};
use grantkeep_tests::http::send;

use crate::support::{REFRESH, run};

#[tokio::test]
async fn only_the_secret_starts_a_job() {
    let api = TestApi::start().await;

    let without = send(api.request("GET", REFRESH)).await;
    let with_a_key = api.get_as(KEY, REFRESH).await;
    let nearly = api
        .get_as(&CRON_SECRET[..CRON_SECRET.len() - 1], REFRESH)
        .await;
    for reply in [&without, &with_a_key, &nearly] {
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"));
        assert_eq!(reply.text, without.text);
    }
    run(&api).await;
}

#[tokio::test]
async fn without_a_secret_nobody_starts_a_job() {
    let api = TestApi::builder().variable("CRON_SECRET", "").start().await;

    let refused = api.get_as("", REFRESH).await;
    assert_eq!(refused.status, 401);
    let refused = api.get_as(CRON_SECRET, REFRESH).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test]
async fn a_job_is_got_and_other_jobs_are_not_there() {
    let api = TestApi::start().await;
    let bearer = format!("Bearer {CRON_SECRET}");

    let post = api
        .request("POST", REFRESH)
        .header("authorization", &bearer);
    assert_eq!(send(post).await.status, 405);
    let other = api.get_as(CRON_SECRET, "/api/cron/nothing").await;
    assert_eq!(other.status, 404);
}

#[tokio::test]
async fn guesses_of_the_secret_are_slowed_down() {
    let api = TestApi::start().await;
    for _ in 0..100 {
        assert_eq!(api.get_as("wrong", REFRESH).await.status, 401);
    }

    let late = api.get_as("wrong", REFRESH).await;
    assert_eq!(late.status, 429);
    assert!(!late.header("retry-after").is_empty());
    run(&api).await;
}
