//! The calendar: events are created, listed by time, shown and deleted.

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, CALENDAR, Demo};

const EVENTS: &str = "/calendar/v3/calendars/primary/events";
const WRITE: &str = "https://www.googleapis.com/auth/calendar.events";

fn token(demo: &Demo, scope: &str) -> String {
    let issued = demo
        .provider
        .issue("bob@example.test", DEMO_CLIENT_ID, scope);
    issued.expect("bob exists").access_token
}

async fn insert(demo: &Demo, scope: &str, event: &Value) -> Answer {
    let post = demo.http.post(demo.url(EVENTS));
    Answer::of(post.bearer_auth(token(demo, scope)).json(event)).await
}

fn event(summary: &str, start: &str, end: &str) -> Value {
    json!({"summary": summary, "start": {"dateTime": start}, "end": {"dateTime": end}})
}

#[tokio::test]
async fn a_days_events_are_listed_in_order() {
    let demo = Demo::start().await;
    for (summary, start, end) in [
        ("Late", "2026-11-20T17:00:00Z", "2026-11-20T18:00:00Z"),
        (
            "Early",
            "2026-11-20T10:00:00+01:00",
            "2026-11-20T11:00:00+01:00",
        ),
        ("Tomorrow", "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"),
        ("Ended", "2026-11-19T09:00:00Z", "2026-11-20T00:00:00Z"),
    ] {
        assert_eq!(
            insert(&demo, WRITE, &event(summary, start, end))
                .await
                .status,
            200
        );
    }
    let all_day =
        json!({"summary": "Day", "start": {"date": "2026-11-20"}, "end": {"date": "2026-11-21"}});
    insert(&demo, WRITE, &all_day).await;

    let day = format!(
        "{EVENTS}?timeMin=2026-11-20T00:00:00Z&timeMax=2026-11-21T00:00:00Z&singleEvents=true&orderBy=startTime"
    );
    let listed = demo.get_as(&token(&demo, CALENDAR), &day).await.json();

    let summaries: Vec<&Value> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["summary"])
        .collect();
    assert_eq!(summaries, ["Day", "Early", "Late"]);
    let page = demo
        .get_as(&token(&demo, CALENDAR), &format!("{day}&maxResults=2"))
        .await
        .json();
    let rest = format!(
        "{day}&pageToken={}",
        page["nextPageToken"].as_str().expect("a page")
    );
    let rest = demo.get_as(&token(&demo, CALENDAR), &rest).await.json();
    assert_eq!(rest["items"][0]["summary"], "Late");
}

#[tokio::test]
async fn an_event_is_shown_until_it_is_deleted() {
    let demo = Demo::start().await;
    let talk = event("Talk", "2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z");
    let made = insert(&demo, WRITE, &talk).await.json();
    let id = made["id"].as_str().expect("an id");
    let path = format!("{EVENTS}/{id}");
    let delete = async |scope: &str| {
        let request = demo.http.request(Method::DELETE, demo.url(&path));
        Answer::of(request.bearer_auth(token(&demo, scope)))
            .await
            .status
    };

    let shown = demo.get_as(&token(&demo, CALENDAR), &path).await.json();
    assert_eq!(
        (&shown["summary"], &shown["status"]),
        (&json!("Talk"), &json!("confirmed"))
    );
    assert_eq!(delete(CALENDAR).await, 403);
    assert_eq!(delete(WRITE).await, 204);
    assert_eq!(delete(WRITE).await, 404);
    assert_eq!(
        demo.get_as(&token(&demo, CALENDAR), &path).await.status,
        404
    );
}

#[tokio::test]
async fn what_the_calendar_refuses() {
    let demo = Demo::start().await;
    let good = event("x", "2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z");

    assert_eq!(insert(&demo, CALENDAR, &good).await.status, 403);
    for wrong in [
        json!({"summary": "no times"}),
        event("backwards", "2026-11-20T10:00:00Z", "2026-11-20T09:00:00Z"),
        event("no time", "tomorrow", "2026-11-20T09:00:00Z"),
    ] {
        assert_eq!(insert(&demo, WRITE, &wrong).await.status, 400, "{wrong}");
    }
    for query in ["timeMin=today", "orderBy=startTime", "maxResults=0"] {
        let listed = demo
            .get_as(&token(&demo, CALENDAR), &format!("{EVENTS}?{query}"))
            .await;
        assert_eq!(listed.status, 400, "{query}");
    }
    let other = "/calendar/v3/calendars/alice@example.test/events";
    assert_eq!(
        demo.get_as(&token(&demo, CALENDAR), other).await.status,
        404
    );
}

#[tokio::test]
async fn the_handle_adds_events() {
    let demo = Demo::start().await;
    let Value::Object(event) = event("Seeded", "2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z")
    else {
        unreachable!("it is an object");
    };

    let id = demo
        .provider
        .add_event("bob@example.test", event)
        .expect("an id");

    let shown = demo
        .get_as(&token(&demo, CALENDAR), &format!("{EVENTS}/{id}"))
        .await
        .json();
    assert_eq!(shown["summary"], "Seeded");
}
