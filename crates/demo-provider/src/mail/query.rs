//! Gmail's search language, as far as it is documented and needed: words and phrases, `from:`,
//! `to:`, `cc:`, `bcc:`, `subject:`, `after:`, `before:`, `newer_than:`, `older_than:`, `is:`,
//! `in:`, `label:`, `has:attachment`, `rfc822msgid:`, `-`, `OR`, `{ }` and `( )`.

use chrono::{NaiveDate, NaiveTime};

use super::Message;

const DAY_S: i64 = 86_400;

/// What a message has to fulfil.
#[derive(Debug, PartialEq)]
pub(crate) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
    /// The words one after the other, in a header field or anywhere.
    Words(Option<&'static str>, Vec<String>),
    After(i64),
    Before(i64),
    Label(String),
    NotLabel(String),
    Attachment,
    MessageId(String),
    Everything,
}

/// A parsed search.
pub(crate) struct Search {
    query: Query,
    /// Spam and bin are looked at too.
    pub(crate) anywhere: bool,
}

impl Search {
    /// Reads a search; what is not understood matches as words, as in Gmail.
    pub(crate) fn parse(text: &str, now_s: i64) -> Search {
        let tokens = tokens(text);
        let anywhere = tokens.iter().any(|token| {
            matches!(token, Token::Word { operator: Some(operator), value, .. }
                if operator == "in" && ["anywhere", "spam", "trash"].contains(&value.as_str()))
        });
        let mut reader = Reader {
            tokens,
            at: 0,
            now_s,
        };
        Search {
            query: reader.all(None, None),
            anywhere,
        }
    }

    /// Whether a message is found.
    pub(crate) fn finds(&self, message: &Message) -> bool {
        self.query.finds(message)
    }
}

impl Query {
    fn finds(&self, message: &Message) -> bool {
        match self {
            Query::All(parts) => parts.iter().all(|part| part.finds(message)),
            Query::Any(parts) => parts.iter().any(|part| part.finds(message)),
            Query::Not(inner) => !inner.finds(message),
            Query::Words(Some(field), words) => message
                .header(field)
                .is_some_and(|value| has_words(value, words)),
            Query::Words(None, words) => {
                let fields = ["From", "To", "Cc", "Subject"];
                has_words(&message.text, words)
                    || fields
                        .iter()
                        .filter_map(|field| message.header(field))
                        .any(|value| has_words(value, words))
            }
            // The second itself is left out: who asks for "after the last one" has that one.
            Query::After(second) => message.received_at_ms.div_euclid(1000) > *second,
            Query::Before(second) => message.received_at_ms.div_euclid(1000) < *second,
            Query::Label(label) => message.has_label(label),
            Query::NotLabel(label) => !message.has_label(label),
            Query::Attachment => message.has_attachment,
            Query::MessageId(id) => message
                .header("Message-ID")
                .is_some_and(|value| bare_id(value) == bare_id(id)),
            Query::Everything => true,
        }
    }
}

fn bare_id(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

/// Letters and digits, the way Gmail cuts text into words.
fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn has_words(text: &str, wanted: &[String]) -> bool {
    let text = words(text);
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}

#[derive(Debug, PartialEq)]
enum Token {
    Open(char),
    Close,
    Minus,
    Or,
    /// `operator:value`; the value of an operator before a parenthesis is empty.
    Word {
        operator: Option<String>,
        value: String,
        quoted: bool,
    },
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '(' | '{' => tokens.push(Token::Open(next)),
            ')' | '}' => tokens.push(Token::Close),
            '-' => tokens.push(Token::Minus),
            ' ' | '\t' | '\r' | '\n' => {}
            _ => {
                tokens.push(word(&mut rest));
                continue;
            }
        }
        rest.next();
    }
    tokens
}

fn word(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Token {
    let (mut operator, mut value, mut quoted) = (None, String::new(), false);
    while let Some(&next) = rest.peek() {
        match next {
            '"' => {
                rest.next();
                quoted = true;
                value.extend(std::iter::from_fn(|| rest.next().filter(|c| *c != '"')));
            }
            ':' if operator.is_none() && !quoted => {
                rest.next();
                operator = Some(std::mem::take(&mut value).to_lowercase());
            }
            '(' | ')' | '{' | '}' => break,
            space if space.is_whitespace() => break,
            other => {
                rest.next();
                value.push(other);
            }
        }
    }
    match value.as_str() {
        "OR" | "or" if operator.is_none() && !quoted => Token::Or,
        _ => Token::Word {
            operator,
            value,
            quoted,
        },
    }
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    now_s: i64,
}

impl Reader {
    /// Everything up to the closing bracket; `OR` binds its two neighbours.
    fn all(&mut self, field: Option<&str>, open: Option<char>) -> Query {
        let mut parts: Vec<Query> = Vec::new();
        let mut join = false;
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Close => {
                    self.at += 1;
                    break;
                }
                Token::Or => {
                    self.at += 1;
                    join = true;
                    continue;
                }
                _ => {}
            }
            let one = self.one(field);
            match parts.pop() {
                Some(before) if join => parts.push(either(before, one)),
                Some(before) => parts.extend([before, one]),
                None => parts.push(one),
            }
            join = false;
        }
        match open {
            Some('{') => Query::Any(parts),
            _ => Query::All(parts),
        }
    }

    fn one(&mut self, field: Option<&str>) -> Query {
        let token = self.tokens.get(self.at);
        self.at += 1;
        match token {
            Some(Token::Minus) => Query::Not(Box::new(self.one(field))),
            Some(&Token::Open(bracket)) => self.all(field, Some(bracket)),
            Some(Token::Word {
                operator,
                value,
                quoted,
            }) => {
                let operator = operator.as_deref().or(field).map(str::to_owned);
                let group = match self.tokens.get(self.at) {
                    Some(&Token::Open(bracket)) if value.is_empty() && !quoted => Some(bracket),
                    _ => None,
                };
                let value = value.clone();
                match group {
                    Some(bracket) => {
                        self.at += 1;
                        self.all(operator.as_deref(), Some(bracket))
                    }
                    None => term(operator.as_deref(), &value, self.now_s),
                }
            }
            Some(Token::Close | Token::Or) | None => Query::Everything,
        }
    }
}

fn either(left: Query, right: Query) -> Query {
    match left {
        Query::Any(mut parts) => {
            parts.push(right);
            Query::Any(parts)
        }
        other => Query::Any(vec![other, right]),
    }
}

fn term(operator: Option<&str>, value: &str, now_s: i64) -> Query {
    let lower = value.to_lowercase();
    let found = match operator {
        Some("from") => Some(Query::Words(Some("From"), words(value))),
        Some("to") => Some(Query::Words(Some("To"), words(value))),
        Some("cc") => Some(Query::Words(Some("Cc"), words(value))),
        Some("bcc") => Some(Query::Words(Some("Bcc"), words(value))),
        Some("subject") => Some(Query::Words(Some("Subject"), words(value))),
        Some("rfc822msgid") => Some(Query::MessageId(value.to_owned())),
        Some("after" | "newer") => second(value).map(Query::After),
        Some("before" | "older") => second(value).map(Query::Before),
        Some("newer_than") => span(&lower).map(|span| Query::After(now_s - span)),
        Some("older_than") => span(&lower).map(|span| Query::Before(now_s - span)),
        Some("has") if lower == "attachment" => Some(Query::Attachment),
        Some("is") if lower == "read" => Some(Query::NotLabel("UNREAD".to_owned())),
        Some("in") if lower == "anywhere" => Some(Query::Everything),
        Some("is" | "in" | "label") => Some(Query::Label(lower)),
        _ => None,
    };
    found.unwrap_or_else(|| {
        let mut all = operator.map(words).unwrap_or_default();
        all.extend(words(value));
        Query::Words(None, all)
    })
}

/// Seconds since 1970, or a day such as `2026/11/20` in UTC.
fn second(value: &str) -> Option<i64> {
    if let Ok(second) = value.parse() {
        return Some(second);
    }
    let formats = ["%Y/%m/%d", "%Y-%m-%d"];
    let day = formats
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(value, format).ok())?;
    Some(day.and_time(NaiveTime::MIN).and_utc().timestamp())
}

/// `2d`, `3m`, `1y`, `12h` in seconds.
fn span(value: &str) -> Option<i64> {
    let unit = value.chars().last()?;
    let number: i64 = value.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        'h' => 3600,
        'd' => DAY_S,
        'm' => 30 * DAY_S,
        'y' => 365 * DAY_S,
        _ => return None,
    };
    number.checked_mul(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, subject: &str, at_s: i64) -> Message {
        let raw = format!("From: {from}\r\nSubject: {subject}\r\nMessage-ID: <1@x>\r\n\r\nHello.");
        let labels = vec!["INBOX".to_owned(), "UNREAD".to_owned()];
        Message::new("1".to_owned(), raw.into_bytes(), labels, at_s * 1000, 1)
    }

    fn finds(query: &str, message: &Message) -> bool {
        Search::parse(query, 1_000_000).finds(message)
    }

    #[test]
    fn operators_find_what_they_name() {
        let mail = message("Ann <ann@sender.example>", "Offer for March", 999_000);

        for found in [
            "",
            "from:ann@sender.example",
            "from:\"ann@sender.example\"",
            "from:sender.example subject:offer",
            "subject:(march offer)",
            "hello",
            "-from:bob",
            "from:bob OR from:ann",
            "{from:bob from:ann}",
            "from:(bob OR ann)",
            "after:998999 before:999001",
            "after:1970/01/12",
            "newer_than:1h",
            "is:unread in:inbox",
            "rfc822msgid:<1@x>",
        ] {
            assert!(finds(found, &mail), "{found}");
        }
        for missed in [
            "from:bob@sender.example",
            "from:\"ann@sender.example OR in:anywhere\"",
            "from:ann subject:invoice",
            "subject:\"march offer\"",
            "-from:ann",
            "after:999000",
            "before:999000",
            "older_than:1h",
            "is:read",
            "is:starred",
            "has:attachment",
            "rfc822msgid:2@x",
        ] {
            assert!(!finds(missed, &mail), "{missed}");
        }
    }

    #[test]
    fn a_value_that_is_not_quoted_can_widen_the_search() {
        let other = message("bob@other.example", "Anything", 1);

        assert!(finds("from:ann@sender.example OR in:anywhere", &other));
        assert!(!finds("from:\"ann@sender.example OR in:anywhere\"", &other));
    }
}
