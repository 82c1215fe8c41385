//! The wire of Redis (RESP2), as much of it as the cache speaks. Whatever else a server
//! answers is an error, and no answer makes us read more than a token set can have.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::redis::RedisError;

/// The longest value that is read.
const MAX_VALUE: usize = 64 * 1024;
/// The longest line that is read.
const MAX_LINE: u64 = 1024;
/// The most members of an array.
const MAX_MEMBERS: usize = 4;

/// An answer.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Reply {
    /// `nil`.
    Nothing,
    /// A simple string, such as `OK`.
    Simple(String),
    /// A number.
    Number(i64),
    /// A value.
    Value(Vec<u8>),
    /// An array of values, such as `TIME` has it.
    List(Vec<Vec<u8>>),
}

/// Appends a command.
pub(super) fn write(command: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
    for part in command {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads one answer; an error of the server's is [`RedisError::Refused`].
pub(super) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, RedisError> {
    let line = line(from).await?;
    let (kind, rest) = line.split_at_checked(1).ok_or(RedisError::Protocol)?;
    match kind {
        "+" => Ok(Reply::Simple(rest.to_owned())),
        "-" => Err(RedisError::refused(rest)),
        ":" => number(rest).map(Reply::Number),
        "$" => match value(from, rest).await? {
            None => Ok(Reply::Nothing),
            Some(value) => Ok(Reply::Value(value)),
        },
        "*" => {
            let count = usize::try_from(number(rest)?).ok();
            let count = count.filter(|count| *count <= MAX_MEMBERS);
            let mut list = Vec::new();
            for _ in 0..count.ok_or(RedisError::Protocol)? {
                let line = self::line(from).await?;
                let length = line.strip_prefix('$').ok_or(RedisError::Protocol)?;
                list.push(value(from, length).await?.ok_or(RedisError::Protocol)?);
            }
            Ok(Reply::List(list))
        }
        _ => Err(RedisError::Protocol),
    }
}

async fn line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<String, RedisError> {
    let mut line = Vec::new();
    from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(RedisError::Closed);
    }
    let line = line.strip_suffix(b"\r\n").ok_or(RedisError::Protocol)?;
    String::from_utf8(line.to_vec()).map_err(|_| RedisError::Protocol)
}

fn number(text: &str) -> Result<i64, RedisError> {
    text.parse().map_err(|_| RedisError::Protocol)
}

/// A value whose length was told; `None` for `nil`.
async fn value(
    from: &mut (impl AsyncBufRead + Unpin),
    length: &str,
) -> Result<Option<Vec<u8>>, RedisError> {
    let length = number(length)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).ok().filter(|n| *n <= MAX_VALUE);
    let mut value = vec![0; length.ok_or(RedisError::Protocol)? + 2];
    from.read_exact(&mut value).await?;
    match value.split_off(value.len() - 2).as_slice() {
        b"\r\n" => Ok(Some(value)),
        _ => Err(RedisError::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut bytes: &[u8]) -> Result<Reply, RedisError> {
        read(&mut bytes).await
    }

    #[tokio::test]
    async fn answers_are_read() {
        let value = |text: &str| text.as_bytes().to_vec();
        for (bytes, reply) in [
            ("+OK\r\n", Reply::Simple("OK".to_owned())),
            ("$-1\r\n", Reply::Nothing),
            ("$4\r\na\r\nb\r\n", Reply::Value(value("a\r\nb"))),
            (":-7\r\n", Reply::Number(-7)),
            (
                "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
                Reply::List(vec![value("1"), value("2")]),
            ),
        ] {
            assert_eq!(read_all(bytes.as_bytes()).await, Ok(reply), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn garbage_is_an_error_and_is_not_waited_for() {
        let long = "x".repeat(5000);
        for bytes in [
            "HTTP/1.1 400 Bad Request\r\n",
            "$999999999\r\n",
            "$-2\r\n",
            "*1000000\r\n",
            "*1\r\n*1\r\n",
            "$2\r\nabcd",
            "\r\n",
            "+no line end",
            "$x\r\n",
            &long,
        ] {
            assert_eq!(
                read_all(bytes.as_bytes()).await,
                Err(RedisError::Protocol),
                "{bytes:?}"
            );
        }
        assert_eq!(read_all(b"").await, Err(RedisError::Closed));
    }

    #[tokio::test]
    async fn of_the_servers_errors_only_the_code_is_kept() {
        let error = read_all(b"-WRONGPASS invalid pair: canary\r\n").await;

        assert_eq!(error, Err(RedisError::Refused("WRONGPASS".to_owned())));
        let odd = read_all(b"-canary with a secret\r\n").await;
        assert_eq!(odd, Err(RedisError::Refused("ERR".to_owned())));
    }
}
