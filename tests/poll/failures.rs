//! What goes wrong is tried again later, and a dead grant is not.

use grantkeep_demo_provider::ApiFault;
use grantkeep_tests::TestApi;

use crate::support::{
    ANN, calls, connected, consent, deliver, execute, poll, poll_again, state, stored, user, watch,
    watched,
};

#[tokio::test]
async fn wk05_a_busy_provider_is_asked_again_later_and_nothing_is_missed() {
    for fault in [
        ApiFault::TooManyRequests,
        ApiFault::RateLimitExceeded,
        ApiFault::UserRateLimitExceeded,
        ApiFault::InternalError,
        ApiFault::Unavailable,
        ApiFault::LostAnswer,
    ] {
        let api = TestApi::start().await;
        watched(&api, &user(1)).await;
        poll(&api).await;
        deliver(&api, &user(1), ANN, "news");
        api.provider.update(|knobs| knobs.api_fault = Some(fault));

        let done = poll_again(&api).await;
        assert_eq!(
            (&done["failed"], &done["dead"]),
            (&1.into(), &0.into()),
            "{fault:?}"
        );
        let (error, failures, due_in) = state(&api).await;
        assert_eq!(failures, 1);
        assert!((15.0..60.0).contains(&due_in), "{fault:?}: {due_in}");
        assert!(error.is_some(), "{fault:?}");
        poll_again(&api).await;
        assert!(state(&api).await.2 > 35.0, "each pause is longer");

        api.provider.update(|knobs| knobs.api_fault = None);
        assert_eq!(poll_again(&api).await["messages"], 1, "{fault:?}");
        assert_eq!(state(&api).await.0, None);
    }
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    api.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::TooManyRequests);
        knobs.api_retry_after = Some("600".to_owned());
    });

    poll(&api).await;

    assert!(state(&api).await.2 >= 600.0 - 5.0);
}

#[tokio::test]
async fn what_was_fetched_before_a_failure_is_not_fetched_again() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    poll(&api).await;
    for number in 0..30 {
        deliver(&api, &user(1), ANN, &format!("{number}"));
    }
    api.provider.update(|knobs| knobs.api_delay_ms = 30);
    let breaking = async {
        while calls(&api, "messages.get") < 10 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        api.provider
            .update(|knobs| knobs.api_fault = Some(ApiFault::InternalError));
    };
    let (done, ()) = tokio::join!(poll_again(&api), breaking);
    let kept = stored(&api).await;
    assert_eq!(done["failed"], 1);
    assert!((1..30).contains(&kept), "{kept}");

    api.provider.update(|knobs| knobs.api_fault = None);
    let asked = calls(&api, "messages.get");
    poll_again(&api).await;

    assert_eq!(stored(&api).await, 30);
    let again = i64::try_from(calls(&api, "messages.get") - asked).expect("a number");
    assert_eq!(again, 30 - kept);
}

#[tokio::test]
async fn a_rejected_token_is_refreshed_once_and_the_poll_goes_on() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    for number in 0..20 {
        deliver(&api, &user(1), ANN, &format!("{number}"));
    }
    api.provider.expire_access_tokens();

    let done = poll(&api).await;

    assert_eq!(
        (&done["messages"], &done["failed"]),
        (&20.into(), &0.into())
    );
    assert_eq!(api.provider.refresh_requests(), 1);
}

#[tokio::test]
async fn a_dead_grant_stops_the_poll_with_one_event_and_consent_resumes_it() {
    let api = TestApi::start().await;
    let connection = watched(&api, &user(1)).await;
    poll(&api).await;
    api.provider.kill_grants();

    assert_eq!(poll_again(&api).await["dead"], 1);
    let asked = api.provider.requests().len();
    assert_eq!(poll_again(&api).await["mailboxes"], 0);
    assert_eq!(poll_again(&api).await["mailboxes"], 0);

    assert_eq!(
        api.provider.requests().len(),
        asked,
        "a dead grant was asked for"
    );
    let events = "select count(*)::text from connection_events
                   where type = 'connection.reauthorization_required'";
    assert_eq!(api.text(events).await.as_deref(), Some("1"));

    deliver(&api, &user(1), ANN, "while it was dead");
    consent(&api, &user(1), connection).await;
    assert_eq!(poll_again(&api).await["messages"], 1);
}

#[tokio::test]
async fn wk05_a_provider_that_is_busy_for_everybody_is_left_alone_for_this_run() {
    let api = TestApi::start().await;
    for number in 0..150 {
        watched(&api, &user(number)).await;
    }
    api.provider
        .update(|knobs| knobs.api_fault = Some(ApiFault::RateLimitExceeded));

    let done = poll(&api).await;

    assert!(api.provider.calls().values().sum::<usize>() <= 128);
    assert_eq!(done["more"], true);
}

#[tokio::test]
async fn one_mailbox_that_is_refused_does_not_hold_up_the_others() {
    let api = TestApi::start().await;
    for number in 0..5 {
        watched(&api, &user(number)).await;
        deliver(&api, &user(number), ANN, "hello");
    }
    api.provider.update(|knobs| {
        knobs.api_fault = Some(ApiFault::DomainPolicy);
        knobs.api_fault_accounts = vec![user(3)];
    });

    let done = poll(&api).await;

    assert_eq!((&done["messages"], &done["failed"]), (&4.into(), &1.into()));
    let sql = "select error from gmail_mailboxes where error is not null";
    assert_eq!(api.text(sql).await.as_deref(), Some("domainPolicy"));
}

#[tokio::test]
async fn what_was_found_goes_with_the_connection() {
    let api = TestApi::start().await;
    let connection = watched(&api, &user(1)).await;
    deliver(&api, &user(1), ANN, "hello");
    poll(&api).await;
    assert_eq!(stored(&api).await, 1);

    let gone = api.delete(&format!("/api/connections/{connection}")).await;

    assert_eq!(gone.status, 200, "{}", gone.text);
    for table in ["email_messages", "gmail_watches", "gmail_mailboxes"] {
        let sql = format!("select count(*)::text from {table}");
        assert_eq!(api.text(&sql).await.as_deref(), Some("0"), "{table}");
    }
}

#[tokio::test]
async fn a_connection_that_lost_the_right_to_search_says_so() {
    let api = TestApi::start().await;
    let connection = connected(&api, &user(1)).await;
    watch(&api, connection, "from:anybody").await;
    execute(
        &api,
        "update oauth_tokens set scopes = '{https://www.googleapis.com/auth/gmail.metadata}'",
    )
    .await;

    let done = poll(&api).await;

    assert_eq!((&done["failed"], &done["requests"]), (&1.into(), &0.into()));
    assert_eq!(state(&api).await.0.as_deref(), Some("insufficient_scope"));
}
