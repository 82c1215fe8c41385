//! A message: what is read from its bytes once, and how the API shows it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mail_parser::parsers::MessageStream;
use mail_parser::{MessageParser, MimeHeaders as _, PartType};
use serde_json::{Value, json};

use super::fields::Fields;

const SNIPPET: usize = 120;

/// One message in one mailbox.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) thread: String,
    pub(crate) labels: Vec<String>,
    pub(crate) history: u64,
    pub(crate) received_at_ms: i64,
    pub(crate) has_attachment: bool,
    /// Decoded, for searches.
    pub(crate) text: String,
    /// Decoded, in order.
    headers: Vec<(String, String)>,
    raw: Vec<u8>,
}

/// How much of a message is shown.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Format {
    Minimal,
    Metadata,
    Full,
    Raw,
}

impl Message {
    pub(crate) fn new(
        id: String,
        raw: Vec<u8>,
        labels: Vec<String>,
        received_at_ms: i64,
        history: u64,
    ) -> Message {
        let headers = decoded_headers(&raw);
        let (text, has_attachment) = MessageParser::default().parse(&raw).map_or_else(
            || (String::new(), false),
            |parsed| {
                let text = parsed.body_text(0).unwrap_or_default().into_owned();
                (text, parsed.attachment_count() > 0)
            },
        );
        Message {
            thread: id.clone(),
            id,
            labels,
            history,
            received_at_ms,
            has_attachment,
            text,
            headers,
            raw,
        }
    }

    /// The first header field of this name, decoded.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn has_label(&self, label: &str) -> bool {
        self.labels
            .iter()
            .any(|known| known.eq_ignore_ascii_case(label))
    }

    /// The ids of the messages that it answers.
    pub(crate) fn references(&self) -> Vec<String> {
        ["In-Reply-To", "References"]
            .iter()
            .filter_map(|name| self.header(name))
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    }

    /// The subject without what replies and forwards put before it.
    pub(crate) fn base_subject(&self) -> String {
        let mut subject = self.header("Subject").unwrap_or_default().trim();
        while let Some((prefix, rest)) = subject.split_once(':')
            && ["re", "fwd", "fw"].contains(&prefix.to_ascii_lowercase().as_str())
        {
            subject = rest.trim();
        }
        subject.to_lowercase()
    }

    /// `id` and `threadId`, as in lists.
    pub(crate) fn reference(&self) -> Value {
        json!({"id": self.id, "threadId": self.thread})
    }

    /// As `messages.get` shows it; `only` names the header fields of [`Format::Metadata`], empty
    /// is all of them.
    pub(crate) fn shown(&self, format: Format, only: &[String]) -> Value {
        let mut shown = json!({
            "id": self.id,
            "threadId": self.thread,
            "labelIds": self.labels,
            "snippet": self.snippet(),
            "historyId": self.history.to_string(),
            "internalDate": self.received_at_ms.to_string(),
            "sizeEstimate": self.raw.len(),
        });
        match format {
            Format::Minimal => {}
            Format::Raw => shown["raw"] = URL_SAFE_NO_PAD.encode(&self.raw).into(),
            Format::Metadata => {
                let mut payload = json!({"mimeType": self.mime_type()});
                let wanted = |name: &str| {
                    only.is_empty() || only.iter().any(|only| only.eq_ignore_ascii_case(name))
                };
                payload["headers"] = headers_json(&self.headers, wanted);
                shown["payload"] = payload;
            }
            Format::Full => shown["payload"] = self.payload(),
        }
        shown
    }

    /// In full, with its bytes.
    pub(crate) fn shown_with_raw(&self) -> Value {
        let mut shown = self.shown(Format::Full, &[]);
        shown["raw"] = URL_SAFE_NO_PAD.encode(&self.raw).into();
        shown
    }

    /// The beginning of the text, with entities as in HTML, which is how Gmail writes it.
    fn snippet(&self) -> String {
        let words = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut snippet = String::new();
        for character in words.chars().take(SNIPPET) {
            match character {
                '&' => snippet.push_str("&amp;"),
                '<' => snippet.push_str("&lt;"),
                '>' => snippet.push_str("&gt;"),
                '"' => snippet.push_str("&quot;"),
                '\'' => snippet.push_str("&#39;"),
                other => snippet.push(other),
            }
        }
        snippet
    }

    fn mime_type(&self) -> String {
        let declared = self.header("Content-Type").unwrap_or("text/plain");
        let name = declared.split(';').next().unwrap_or_default();
        name.trim().to_ascii_lowercase()
    }

    fn payload(&self) -> Value {
        match MessageParser::default().parse(&self.raw) {
            Some(parsed) => part(&parsed, 0, ""),
            None => json!({"mimeType": self.mime_type()}),
        }
    }
}

/// One MIME part with those inside it.
fn part(message: &mail_parser::Message<'_>, index: u32, id: &str) -> Value {
    let Some(found) = message.part(index) else {
        return Value::Null;
    };
    let raw = message.raw_message();
    let header_bytes = raw.get(found.offset_header as usize..found.offset_body as usize);
    let headers = decoded_headers(header_bytes.unwrap_or_default());
    let mime_type = found.content_type().map_or_else(
        || "text/plain".to_owned(),
        |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()),
    );
    let mut shown = json!({
        "partId": id,
        "mimeType": mime_type,
        "filename": found.attachment_name().unwrap_or_default(),
        "headers": headers_json(&headers, |_| true),
    });
    match &found.body {
        PartType::Multipart(inner) => {
            let inner = inner.iter().enumerate().map(|(position, index)| {
                let id = match id {
                    "" => position.to_string(),
                    _ => format!("{id}.{position}"),
                };
                part(message, *index, &id)
            });
            shown["body"] = json!({"size": 0});
            shown["parts"] = inner.collect();
        }
        _ => {
            let body = found.contents();
            shown["body"] = json!({"size": body.len(), "data": URL_SAFE_NO_PAD.encode(body)});
        }
    }
    shown
}

fn decoded_headers(raw: &[u8]) -> Vec<(String, String)> {
    Fields::split(raw).0.into_decoded(|value| {
        let mut line = value.to_vec();
        line.extend_from_slice(b"\r\n");
        MessageStream::new(&line)
            .parse_unstructured()
            .into_text()
            .map(|text| text.into_owned())
            .unwrap_or_default()
    })
}

fn headers_json(headers: &[(String, String)], wanted: impl Fn(&str) -> bool) -> Value {
    headers
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}
