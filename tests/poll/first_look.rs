//! The first look at a mailbox lists what there is, however much that is.

use std::time::Duration;

use grantkeep_core::gmail::poll;
use grantkeep_tests::{TestApi, database};
use tokio::time::Instant;

use crate::support::{
    ANN, calls, connected, deliver, poll, poll_again, stored, subjects, user, watch, watched,
};

#[tokio::test]
async fn what_a_sender_wrote_is_stored_with_its_headers() {
    let api = TestApi::start().await;
    watched(&api, "alice@example.test").await;
    let id = deliver(&api, "alice@example.test", &format!("Ann <{ANN}>"), "Grüße");
    deliver(&api, "alice@example.test", "bob@other.example", "Spam");

    let done = poll(&api).await;

    assert_eq!(
        (&done["mailboxes"], &done["messages"]),
        (&1.into(), &1.into())
    );
    assert_eq!((&done["failed"], &done["more"]), (&0.into(), &false.into()));
    let sql = "select message_id, sender, subject, snippet,
                      abs(extract(epoch from now() - received_at)) < 60 from email_messages";
    let rows = database::query(&api.database_url, sql, &[]).await;
    let text = |column| rows[0].get::<_, String>(column);
    assert_eq!(rows.len(), 1);
    assert_eq!((text(0), text(1)), (id, ANN.to_owned()));
    assert_eq!(text(2), "Grüße");
    assert!(text(3).contains("and a text"), "{}", text(3));
    assert!(rows[0].get::<_, bool>(4));
}

#[tokio::test]
async fn wk06_subject_and_snippet_are_neither_fetched_nor_stored_where_that_is_switched_off() {
    let api = TestApi::builder()
        .variable("STORE_MAIL_TEXT", "false")
        .start()
        .await;
    watched(&api, &user(1)).await;
    deliver(&api, &user(1), ANN, "private");

    assert_eq!(poll(&api).await["messages"], 1);

    let sql = "select subject is null and snippet is null and sender = $1 from email_messages";
    let rows = database::query(&api.database_url, sql, &[&ANN]).await;
    assert!(rows[0].get::<_, bool>(0));
    let asked = api.provider.requests();
    let asked = asked.last().expect("a request");
    let names = |(name, value): &(String, String)| name == "metadataHeaders" && value == "Subject";
    assert!(!asked.query.iter().any(names), "{asked:?}");
}

#[tokio::test]
async fn a_mailbox_with_more_than_a_turn_takes_is_listed_to_its_end() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    for number in 0..450 {
        deliver(&api, &user(1), ANN, &format!("{number:03}"));
    }

    let done = poll(&api).await;

    assert_eq!(done["messages"], 450, "{done}");
    assert_eq!(calls(&api, "messages.get"), 450);
    let expected: Vec<String> = (0..450).map(|number| format!("{number:03}")).collect();
    assert_eq!(subjects(&api).await, expected);
}

#[tokio::test]
async fn a_listing_that_ran_out_of_time_goes_on_where_it_stopped() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    for number in 0..300 {
        deliver(&api, &user(1), ANN, &format!("{number:03}"));
    }
    poll_for(&api, Duration::ZERO).await;
    assert_eq!(stored(&api).await, 0);
    api.provider.update(|knobs| knobs.api_delay_ms = 20);

    let mut rounds = 0;
    while stored(&api).await < 300 {
        poll_for(&api, Duration::from_millis(400)).await;
        rounds += 1;
        assert!(rounds < 50, "no end");
    }

    assert!(rounds > 1, "it did not run out of time");
    assert_eq!(calls(&api, "messages.get"), 300);
}

#[tokio::test]
async fn what_comes_while_a_listing_goes_on_is_not_missed() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    for number in 0..250 {
        deliver(&api, &user(1), ANN, &format!("{number:03}"));
    }
    api.provider.update(|knobs| knobs.api_delay_ms = 20);
    poll_for(&api, Duration::from_millis(300)).await;
    assert!((1..250).contains(&stored(&api).await));

    deliver(&api, &user(1), ANN, "meanwhile");
    api.provider.update(|knobs| knobs.api_delay_ms = 0);
    poll(&api).await;
    poll_again(&api).await;

    assert_eq!(stored(&api).await, 251);
}

#[tokio::test]
async fn a_watch_that_is_added_later_lists_what_was_there_before() {
    let api = TestApi::start().await;
    let connection = connected(&api, &user(1)).await;
    watch(&api, connection, &format!("from:{ANN}")).await;
    deliver(&api, &user(1), ANN, "hers");
    deliver(&api, &user(1), "bob@other.example", "his");
    poll(&api).await;
    assert_eq!(subjects(&api).await, ["hers"]);

    watch(&api, connection, "from:bob@other.example").await;
    // Due at once, although the mailbox was polled a moment ago.
    poll(&api).await;

    assert_eq!(subjects(&api).await, ["hers", "his"]);
}

async fn poll_for(api: &TestApi, time: Duration) {
    let until = Instant::now() + time;
    poll::run(&api.app, until, None).await.expect("polled");
}
