//! The page for trying a connected mailbox and calendar, as somebody clicks through it.

use crate::support::{Dev, Visitor, paste};

const PAGE: &str = "/dev/mail";
const READ: &str = "https://www.googleapis.com/auth/gmail.readonly";
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const CALENDAR: &str = "https://www.googleapis.com/auth/calendar.readonly";

/// The value of the page's first hidden field of this name.
fn hidden(page: &str, name: &str) -> String {
    let start = format!("<input type=\"hidden\" name=\"{name}\" value=\"");
    let (_, rest) = page
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn the_connect_page_leads_there_and_only_who_is_signed_in_gets_in() {
    let dev = Dev::start(&[]);
    let visitor = Visitor::new(&dev);

    assert!(visitor.page("/connect").contains("href=\"/dev/mail\""));
    assert!(visitor.page(PAGE).contains("Nothing is connected yet"));

    let url = format!("{}{PAGE}", dev.origin());
    let stranger = paste(&format!(
        "curl -sS -o /dev/null -w '%{{redirect_url}}' '{url}'"
    ))
    .1;
    assert!(stranger.ends_with("/connect"), "{stranger}");
    let other = format!("curl -sS -d do=send -o /dev/null -w '%{{redirect_url}}' '{url}'");
    assert!(paste(&other).1.ends_with("/connect"));
}

#[test]
fn a_test_mail_is_sent_once_when_sending_is_allowed() {
    let dev = Dev::start(&[]);
    let visitor = Visitor::new(&dev);
    visitor.connect("gmail", &[READ]);
    assert!(visitor.page(PAGE).contains("Allow sending"));
    visitor.connect("gmail", &[READ, SEND]);
    let page = visitor.page(PAGE);
    let (connection, key) = (hidden(&page, "connection"), hidden(&page, "key"));
    let form = [
        ("do", "send"),
        ("connection", &connection),
        ("key", &key),
        ("subject", "A test mail"),
        ("text", "It works."),
    ];

    let first = visitor.submit(PAGE, &form);
    let second = visitor.submit(PAGE, &form);

    assert!(first.ends_with("/dev/mail?done=sent"), "{first}");
    assert_eq!(first, second);
    let page = visitor.page("/dev/mail?done=sent");
    assert!(page.contains("on its way"), "{page}");
    assert!(page.contains("<strong>A test mail</strong>"), "{page}");
    let demo = dev
        .line("/control/requests")
        .trim_start_matches("curl -sS ")
        .replace("requests", "calls");
    let calls = paste(&format!("curl -sS {demo}")).1;
    assert!(calls.contains("\"gmail.users.messages.send\":1"), "{calls}");
}

#[test]
fn another_site_and_another_users_connection_change_nothing() {
    let dev = Dev::start(&[]);
    let visitor = Visitor::new(&dev);
    visitor.connect("gmail", &[READ, SEND]);

    let foreign = [
        ("do", "send"),
        ("connection", "00000000-0000-4000-8000-000000000000"),
    ];
    let refused = visitor.submit(PAGE, &foreign);
    assert!(refused.contains("no such connection of yours"), "{refused}");
    let url = format!("{}{PAGE}", dev.origin());
    let cross = visitor.status(&url, "-d do=send -H 'Origin: https://evil.example'");
    assert_eq!(cross, "403");
}

#[test]
fn todays_events_are_listed() {
    let dev = Dev::start(&[]);
    let visitor = Visitor::new(&dev);
    visitor.connect("google_calendar", &[CALENDAR]);

    let page = visitor.page(PAGE);

    for event in [
        "<strong>09:00 UTC</strong> Stand-up",
        "Lunch with Ann",
        "Review of the quarter",
    ] {
        assert!(page.contains(event), "no {event} in {page}");
    }
}

#[test]
fn what_a_watched_sender_writes_appears() {
    let dev = Dev::start(&[]);
    let visitor = Visitor::new(&dev);
    visitor.connect("gmail", &[READ]);
    let connection = hidden(&visitor.page(PAGE), "connection");
    let press = |button: &str, further: (&str, &str)| {
        visitor.submit(
            PAGE,
            &[("do", button), ("connection", &connection), further],
        )
    };

    let watched = press("watch", ("sender", "specific@sender.com"));
    assert!(watched.ends_with("done=watched"), "{watched}");
    press("arrive", ("from", "Ann <specific@sender.com>"));
    press("arrive", ("from", "eve@other.example"));
    let looked = press("look", ("", ""));
    assert!(looked.ends_with("done=looked&messages=1"), "{looked}");

    let page = visitor.page("/dev/mail?done=looked&messages=1");
    assert!(page.contains("1 new."), "{page}");
    let (_, found) = page
        .split_once("What the watches found")
        .expect("a heading");
    let (found, mailbox) = found
        .split_once("Newest in the mailbox")
        .expect("a heading");
    assert!(found.contains("<strong>Your offer</strong>"), "{found}");
    assert!(found.contains("from specific@sender.com") && !found.contains("eve@other.example"));
    assert!(mailbox.contains("eve@other.example"), "{mailbox}");
    let refused = press("watch", ("sender", "a\"b"));
    assert!(refused.contains("That did not work"), "{refused}");

    let watch = hidden(&page, "watch");
    press("unwatch", ("watch", &watch));
    assert!(!visitor.page(PAGE).contains("from:"));
}
