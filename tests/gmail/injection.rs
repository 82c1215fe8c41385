//! Whatever is written into the fields of a message: it is refused, or it arrives as that field
//! and as nothing else, as an independent parser reads it.

use chrono::DateTime;
use grantkeep_core::gmail::address::Address;
use grantkeep_core::gmail::message::{Attachment, Outgoing};
use mail_parser::{MessageParser, MimeHeaders as _};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Pieces that mean something to mail programs, and anything else.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("\0".to_owned()),
        Just("\u{85}".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("Bcc: eve@evil.example".to_owned()),
        Just("\r\n\r\n".to_owned()),
        Just("=?utf-8?q?=0D=0ABcc:=20eve@evil.example?=".to_owned()),
        Just("=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("<eve@evil.example>".to_owned()),
        Just(", eve@evil.example".to_owned()),
        Just(";".to_owned()),
        Just("(comment)".to_owned()),
        Just(" ".to_owned()),
        "[ -~]{0,80}",
        "\\PC{0,20}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

/// A message of these texts, if it may be sent.
fn message(texts: &[String; 6]) -> Option<Outgoing> {
    let [name, subject, id, filename, content_type, body] = texts;
    let outgoing = Outgoing {
        from_name: Some(name.clone()),
        to: vec![Address::parse(&format!("{name} <bob@example.test>")).ok()?],
        cc: vec![Address::parse(&format!("\"{name}\" <carol@example.test>")).ok()?],
        reply_to: vec![Address::parse("desk@example.test").ok()?],
        subject: subject.clone(),
        text: Some(body.clone()),
        html: Some(body.clone()),
        in_reply_to: Some(id.clone()),
        attachments: vec![Attachment {
            filename: filename.clone(),
            content_type: content_type.clone(),
            content: body.clone().into_bytes(),
        }],
        ..Outgoing::default()
    };
    outgoing.checked().ok()
}

const NAMES: [&str; 11] = [
    "cc",
    "content-type",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "references",
    "reply-to",
    "subject",
    "to",
];

/// What a parser sees of a message, beside what was meant.
fn arrives_as_meant(outgoing: &Outgoing) {
    let raw = outgoing.to_bytes("alice@example.test", "id", None, DateTime::UNIX_EPOCH);

    let parsed = MessageParser::default().parse(&raw).expect("a message");
    let mut names: Vec<String> = parsed
        .headers_raw()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(names, NAMES, "{}", String::from_utf8_lossy(&raw));
    let recipients: Vec<String> = [parsed.to(), parsed.cc(), parsed.bcc()]
        .into_iter()
        .flatten()
        .flat_map(|list| list.iter())
        .map(|address| address.address().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(recipients, ["bob@example.test", "carol@example.test"]);
    assert_eq!(
        parsed.attachment_count(),
        1,
        "{}",
        String::from_utf8_lossy(&raw)
    );
    let attachment = parsed.attachment(0).expect("the attachment");
    // Long names are folded at spaces too, and this parser leaves the line breaks in.
    let name = attachment.attachment_name().unwrap_or_default();
    assert_eq!(words(name), words(&outgoing.attachments[0].filename));
    let subject = parsed.subject().unwrap_or_default();
    assert_eq!(words(subject), words(&outgoing.subject));
    for line in raw.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999, "a line of {} bytes", line.len());
        assert!(line.is_ascii());
    }
}

/// A text without regard to how many spaces there are: lines of a header are folded at them.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        // The same cases in every run: who changed nothing should see the same result.
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn hi01_a_hostile_text_is_refused_or_stays_what_it_is(
        texts in [hostile(), hostile(), hostile(), hostile(), hostile(), hostile()],
        at in 0_usize..6,
    ) {
        // One field at a time, because a message with six of them is hardly ever accepted.
        let mut tried = ["Ann Bell", "Hello", "id@x.example", "a.txt", "text/plain", "Body"]
            .map(str::to_owned);
        tried[at].clone_from(&texts[at]);

        let outgoing = message(&tried);

        let has_break = tried[..5].iter().any(|text| text.contains(['\r', '\n', '\0']));
        prop_assert!(!(has_break && outgoing.is_some()), "accepted: {tried:?}");
        if let Some(outgoing) = outgoing {
            arrives_as_meant(&outgoing);
        }
    }

    #[test]
    fn plain_texts_of_any_script_are_accepted(
        subject in "[\\p{L}\\p{N}\\p{P} ]{0,60}",
        name in "[\\p{L}\\p{N} ]{1,40}",
        filename in "[\\p{L}\\p{N} ._()-]{1,40}",
    ) {
        let texts = [&name, &subject, "a@b.example", &filename, "text/plain", "Body"]
            .map(|text| text.to_owned());

        let outgoing = message(&texts).expect("it may be sent");

        arrives_as_meant(&outgoing);
    }
}
