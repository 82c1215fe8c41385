//! The one port: which, and who has it if it is not free.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The port without `PORT`.
const DEFAULT: u16 = 3000;

/// The `Server` header of every answer, by which a second start knows the first.
pub const MARKER: &str = "grantkeep-dev";

/// Reads `PORT`.
pub fn wanted(variable: Option<OsString>) -> Result<u16, String> {
    let Some(text) = variable.filter(|text| !text.is_empty()) else {
        return Ok(DEFAULT);
    };
    text.to_str()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| "PORT must be a number from 0 to 65535".to_owned())
}

/// Listens on 127.0.0.1; the error says who else does.
pub async fn listen(port: u16) -> Result<TcpListener, String> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let next = port.checked_add(1).unwrap_or(DEFAULT);
            let holder = match is_cargo_dev(port).await {
                true => format!(
                    "cargo dev is running already at http://127.0.0.1:{port}: use that one, stop \
                     it with Ctrl-C in its terminal,"
                ),
                false => format!("port {port} is in use by another program: stop it,"),
            };
            Err(format!(
                "{holder} or start this one elsewhere with PORT={next} cargo dev"
            ))
        }
        Err(error) => Err(format!("port {port} cannot be listened on: {error}")),
    }
}

async fn is_cargo_dev(port: u16) -> bool {
    let asked = tokio::time::timeout(Duration::from_secs(2), ask(port)).await;
    asked.is_ok_and(|answer| answer.is_ok_and(|head| says_marker(&head)))
}

/// The beginning of the answer to a health request.
async fn ask(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream
        .write_all(b"GET /api/health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn says_marker(answer: &str) -> bool {
    answer
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .any(|(name, value)| name.eq_ignore_ascii_case("server") && value.trim() == MARKER)
}
