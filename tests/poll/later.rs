//! Later looks ask for what is new, and cost one request where nothing is.

use grantkeep_tests::TestApi;

use crate::support::{
    ANN, calls, connected, deliver, execute, poll, poll_again, state, stored, subjects, user,
    watch, watched,
};

#[tokio::test]
async fn a_mailbox_without_news_costs_one_request() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    deliver(&api, &user(1), ANN, "first");
    poll(&api).await;

    for _ in 0..3 {
        let done = poll_again(&api).await;
        assert_eq!(
            (&done["requests"], &done["messages"]),
            (&1.into(), &0.into())
        );
    }
    assert_eq!(calls(&api, "history.list"), 3);
}

#[tokio::test]
async fn a_mailbox_is_polled_every_few_minutes_and_no_more() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;

    poll(&api).await;

    let (error, failures, due_in) = state(&api).await;
    assert_eq!((error, failures), (None, 0));
    // Less than the five minutes of the schedule, so that no round is left out.
    assert!((180.0..=241.0).contains(&due_in), "{due_in}");
    assert_eq!(poll(&api).await["mailboxes"], 0);
}

#[tokio::test]
async fn new_messages_are_found_once_and_others_are_not_fetched() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    poll(&api).await;
    for number in 0..5 {
        deliver(&api, &user(1), ANN, &format!("new {number}"));
        deliver(&api, &user(1), "bob@other.example", "not watched");
    }

    let done = poll_again(&api).await;
    let after = poll_again(&api).await;
    let quiet = poll_again(&api).await;

    assert_eq!(done["messages"], 5);
    assert_eq!(done["requests"], 1 + 1 + 5);
    assert_eq!(calls(&api, "messages.get"), 5);
    // The five that no watch matched are looked for once more, then never again.
    assert_eq!(
        (&after["requests"], &after["messages"]),
        (&2.into(), &0.into())
    );
    assert_eq!(quiet["requests"], 1);
    assert_eq!(stored(&api).await, 5);
}

#[tokio::test]
async fn more_news_than_a_page_holds_are_all_found() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    poll(&api).await;
    for number in 0..330 {
        let from = if number % 3 == 0 {
            "bob@other.example"
        } else {
            ANN
        };
        deliver(&api, &user(1), from, &format!("{number:03}"));
    }

    let done = poll_again(&api).await;

    assert_eq!(done["messages"], 220, "{done}");
    assert_eq!(stored(&api).await, 220);
}

#[tokio::test]
async fn a_message_that_several_watches_match_is_stored_once() {
    let api = TestApi::start().await;
    let connection = connected(&api, &user(1)).await;
    watch(&api, connection, &format!("from:{ANN}")).await;
    watch(&api, connection, "subject:invoice").await;
    poll(&api).await;
    deliver(&api, &user(1), ANN, "invoice of hers");
    deliver(&api, &user(1), "bob@other.example", "invoice of his");

    let done = poll_again(&api).await;

    assert_eq!(done["messages"], 2);
    assert_eq!(subjects(&api).await, ["invoice of hers", "invoice of his"]);
    assert_eq!(calls(&api, "messages.get"), 2);
}

#[tokio::test]
async fn what_the_search_finds_late_is_found_by_the_next_poll() {
    let api = TestApi::start().await;
    let connection = connected(&api, &user(1)).await;
    watch(&api, connection, "from:nobody@sender.example").await;
    poll(&api).await;
    deliver(&api, &user(1), ANN, "late");
    assert_eq!(poll_again(&api).await["messages"], 0);

    // As if the search had caught up with the history.
    execute(
        &api,
        &format!("update gmail_watches set query = 'from:{ANN}'"),
    )
    .await;
    assert_eq!(poll_again(&api).await["messages"], 1);
}

#[tokio::test]
async fn wk02_a_history_that_is_too_old_is_made_up_for_by_a_listing() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    deliver(&api, &user(1), ANN, "before");
    poll(&api).await;
    deliver(&api, &user(1), ANN, "in the gap");
    api.provider.forget_history();

    let done = poll_again(&api).await;

    assert_eq!(done["messages"], 1, "{done}");
    assert_eq!(subjects(&api).await, ["before", "in the gap"]);
    assert_eq!(poll_again(&api).await["requests"], 1);
    let lists: Vec<String> = api
        .provider
        .requests()
        .iter()
        .filter(|request| request.endpoint.ends_with("/messages"))
        .filter_map(|request| request.parameter("q").map(str::to_owned))
        .collect();
    let since = format!("(from:\"{ANN}\") after:");
    assert!(
        lists.last().is_some_and(|q| q.starts_with(&since)),
        "{lists:?}"
    );
}

#[tokio::test]
async fn a_mailbox_without_watches_is_left_alone() {
    let api = TestApi::start().await;
    watched(&api, &user(1)).await;
    execute(&api, "delete from gmail_watches").await;

    let done = poll(&api).await;

    assert_eq!(
        (&done["mailboxes"], &done["requests"]),
        (&0.into(), &0.into())
    );
    assert_eq!(done["more"], false);
}
