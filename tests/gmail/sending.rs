//! What goes out, as it arrives.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::*;

/// The decoded body of a part.
fn content(part: &Value) -> Vec<u8> {
    let data = part["body"]["data"].as_str().expect("a body");
    URL_SAFE_NO_PAD.decode(data).expect("base64url")
}

#[tokio::test]
async fn a_message_arrives_and_its_ids_are_those_of_the_senders_mailbox() {
    let api = connected().await;

    let reply = send(&api, &message(json!({}))).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    let sent = api.provider.mailbox(ALICE).remove(0);
    assert_eq!(
        reply.json(),
        json!({"id": sent["id"], "thread_id": sent["threadId"]})
    );
    let arrived = bobs(&api).remove(0);
    assert_eq!(header(&arrived, "From"), Some("<alice@example.test>"));
    assert_eq!(header(&arrived, "To"), Some("<bob@example.test>"));
    assert_eq!(header(&arrived, "Subject"), Some("Your offer"));
    assert_eq!(arrived["payload"]["mimeType"], "text/plain");
    assert_eq!(content(&arrived["payload"]), b"It is accepted.");
    assert_eq!(header(&arrived, "X-Grantkeep-Id"), None);
}

#[tokio::test]
async fn names_subjects_and_texts_may_be_of_any_language() {
    let api = connected().await;
    let text = "Grüße aus Köln\n日本語 🙂\n";

    let reply = send(
        &api,
        &message(json!({
            "from_name": "Alice Moréau", "to": "\"Tanaka, Böb\" <bob@example.test>",
            "subject": "Größe: 日本語 🙂 und ein Betreff, der länger als eine Zeile ist und umbrochen wird",
            "text": text,
        })),
    )
    .await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    let arrived = bobs(&api).remove(0);
    assert_eq!(
        header(&arrived, "Subject"),
        Some("Größe: 日本語 🙂 und ein Betreff, der länger als eine Zeile ist und umbrochen wird")
    );
    assert_eq!(
        header(&arrived, "From"),
        Some("Alice Moréau <alice@example.test>")
    );
    assert!(header(&arrived, "To").expect("To").contains("Tanaka, Böb"));
    let received = String::from_utf8(content(&arrived["payload"])).expect("UTF-8");
    assert_eq!(received.replace("\r\n", "\n"), text);
    let raw = URL_SAFE_NO_PAD
        .decode(arrived["raw"].as_str().expect("raw"))
        .expect("base64");
    assert!(raw.is_ascii(), "every server on the way may be an old one");
}

#[tokio::test]
async fn text_and_html_are_alternatives_beside_the_files() {
    let api = connected().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();

    let reply = send(
        &api,
        &message(json!({
            "html": "<p>It is <b>accepted</b>.</p>",
            "attachments": [
                {"filename": "Übersicht Q3.csv", "content_type": "text/csv",
                 "content_base64": STANDARD.encode("a;b\r\n1;2\r\n")},
                {"filename": "scan.pdf", "content_base64": STANDARD.encode(&bytes)},
            ],
        })),
    )
    .await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    let payload = &bobs(&api).remove(0)["payload"];
    assert_eq!(payload["mimeType"], "multipart/mixed");
    let [alternative, csv, pdf] = [0, 1, 2].map(|index| &payload["parts"][index]);
    assert_eq!(alternative["mimeType"], "multipart/alternative");
    assert_eq!(alternative["parts"][0]["mimeType"], "text/plain");
    assert_eq!(alternative["parts"][1]["mimeType"], "text/html");
    assert_eq!(
        content(&alternative["parts"][1]),
        b"<p>It is <b>accepted</b>.</p>"
    );
    assert_eq!(
        (&csv["mimeType"], &csv["filename"]),
        (&json!("text/csv"), &json!("Übersicht Q3.csv"))
    );
    assert_eq!(content(csv), b"a;b\r\n1;2\r\n");
    assert_eq!(pdf["mimeType"], "application/octet-stream");
    assert_eq!(content(pdf), bytes);
}

#[tokio::test]
async fn copies_go_to_everyone_and_only_the_sender_sees_bcc() {
    let api = connected().await;

    let reply = send(
        &api,
        &message(json!({
            "cc": ["carol@example.test"], "bcc": ["user7@example.test"], "reply_to": "desk@example.test",
        })),
    )
    .await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    for account in [BOB, "carol@example.test", "user7@example.test"] {
        let copy = api.provider.mailbox(account).remove(0);
        assert_eq!(
            header(&copy, "Cc"),
            Some("<carol@example.test>"),
            "{account}"
        );
        assert_eq!(header(&copy, "Reply-To"), Some("<desk@example.test>"));
        assert_eq!(header(&copy, "Bcc"), None);
    }
    let own = api.provider.mailbox(ALICE).remove(0);
    assert_eq!(header(&own, "Bcc"), Some("<user7@example.test>"));
}

#[tokio::test]
async fn a_reply_stays_in_its_conversation() {
    let api = connected().await;
    let first = send(&api, &message(json!({}))).await.json();
    let own = api.provider.mailbox(ALICE).remove(0);
    let id = header(&own, "Message-ID").expect("an id");

    let reply = send(
        &api,
        &message(json!({
            "subject": "Re: Your offer", "in_reply_to": id, "thread_id": first["thread_id"],
        })),
    )
    .await;
    let longer = send(
        &api,
        &message(json!({
            "subject": "Re: Your offer", "in_reply_to": id, "references": format!("<older@x> {id}"),
            "thread_id": first["thread_id"],
        })),
    )
    .await;

    assert_eq!(
        reply.json()["thread_id"],
        first["thread_id"],
        "{}",
        reply.text
    );
    assert_eq!(
        longer.json()["thread_id"],
        first["thread_id"],
        "{}",
        longer.text
    );
    let arrived = bobs(&api);
    assert_eq!(header(&arrived[1], "In-Reply-To"), Some(id));
    assert_eq!(header(&arrived[1], "References"), Some(id));
    let references: Vec<&str> = header(&arrived[2], "References")
        .expect("references")
        .split_whitespace()
        .collect();
    assert_eq!(references, ["<older@x>", id]);
    assert_eq!(arrived[0]["threadId"], arrived[1]["threadId"]);
}

#[tokio::test]
async fn a_message_of_several_megabytes_gets_through() {
    let api = connected().await;
    let file = STANDARD.encode(vec![b'x'; 4_400_000]);

    let reply = send(
        &api,
        &message(json!({"attachments": [{"filename": "a.bin", "content_base64": file}]})),
    )
    .await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    let size = bobs(&api)[0]["payload"]["parts"][1]["body"]["size"].clone();
    assert_eq!(size, 4_400_000);
}

#[tokio::test]
async fn a_token_that_ran_out_is_refreshed_first_and_one_that_is_rejected_once() {
    let api = connected().await;
    api.set_expiry("gmail", -1).await;
    assert_eq!(send(&api, &message(json!({}))).await.status, 200);
    assert_eq!((sendings(&api), api.provider.refresh_requests()), (1, 1));

    api.text("update oauth_tokens set forced_at = null returning 'done'")
        .await;
    api.provider.expire_access_tokens();
    let reply = send(&api, &message(json!({}))).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!((sendings(&api), api.provider.refresh_requests()), (3, 2));
    assert_eq!(bobs(&api).len(), 2);
}
