//! What is kept of a message: who it says it is from, subject, first words, time.

use super::client::Found;
use crate::connection::ConnectionId;
use crate::store::email_messages::NewMessage;

/// The longest subject or snippet that is kept, in characters.
const MAX_TEXT: usize = 1000;
/// The longest address (RFC 5321 section 4.5.3.1).
const MAX_ADDRESS: usize = 320;

/// The row of a message.
pub fn read(connection: ConnectionId, found: Found) -> NewMessage {
    NewMessage {
        connection_id: connection,
        message_id: found.id,
        thread_id: found.thread_id,
        sender: text(&address(&found.from).to_lowercase(), MAX_ADDRESS),
        subject: found.subject.map(|subject| text(&subject, MAX_TEXT)),
        snippet: found
            .snippet
            .map(|snippet| text(&unescape(&snippet), MAX_TEXT)),
        received_at: found.received_at,
    }
}

/// The address of a `From` header: what stands in the last angle brackets, or all of it.
/// A display name can hold an address of its own, quoted, and comes first.
fn address(from: &str) -> &str {
    from.rfind('<')
        .and_then(|open| from[open + 1..].split_once('>'))
        .map_or(from, |(address, _)| address)
        .trim()
}

/// Without control characters, which a database refuses or a terminal obeys.
fn text(text: &str, longest: usize) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(longest)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// The API writes snippets as HTML text.
fn unescape(snippet: &str) -> String {
    snippet
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_the_address_and_not_a_name_that_looks_like_one() {
        for (from, expected) in [
            ("a@b.c", "a@b.c"),
            ("Ann <Ann@B.c>", "ann@b.c"),
            (
                "\"boss@corp.test <boss@corp.test>\" <thief@evil.test>",
                "thief@evil.test",
            ),
            ("<a@b.c", "<a@b.c"),
            ("", ""),
        ] {
            let found = Found {
                id: "1".to_owned(),
                thread_id: "1".to_owned(),
                from: from.to_owned(),
                subject: Some("a\0b\r\nc".to_owned()),
                snippet: Some("Tom &amp; &lt;Jerry&gt; don&#39;t &amp;lt;".to_owned()),
                received_at: 0,
            };
            let read = read(ConnectionId(uuid::Uuid::nil()), found);

            assert_eq!(read.sender, expected);
            assert_eq!(read.subject.as_deref(), Some("a b  c"));
            assert_eq!(read.snippet.as_deref(), Some("Tom & <Jerry> don't &lt;"));
        }
    }
}
