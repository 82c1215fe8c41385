//! A load generator that costs little itself, since it competes for the same cores:
//! one thread, connections that stay open, requests that are bytes already.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a load found.
pub struct Outcome {
    /// Answers per second.
    pub rate: f64,
    /// Seconds that each answer took.
    pub latencies: Vec<f64>,
}

/// Sends `request` over `clients` connections for `length`, each waiting for its answer.
pub fn run(
    address: SocketAddr,
    request: &[u8],
    clients: usize,
    length: Duration,
) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let end = began + length;
        let tasks: Vec<_> = (0..clients)
            .map(|_| tokio::spawn(client(address, request.to_vec(), end)))
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await??);
        }
        let rate = latencies.len() as f64 / began.elapsed().as_secs_f64();
        Ok(Outcome { rate, latencies })
    })
}

/// Sends `request` `times` times over one connection, one after the other.
pub fn count(address: SocketAddr, request: &[u8], times: usize) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        for _ in 0..times {
            connection.ask(request).await?;
        }
        Ok(())
    })
}

async fn client(address: SocketAddr, request: Vec<u8>, end: Instant) -> io::Result<Vec<f64>> {
    let mut connection = Connection::open(address).await?;
    let mut latencies = Vec::new();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(latencies);
        }
        connection.ask(&request).await?;
        latencies.push(sent.elapsed().as_secs_f64());
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = vec![0; 16 * 1024];
        Ok(Self { stream, buffer })
    }

    async fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        while !is_complete(&self.buffer[..filled])? {
            match self.stream.read(&mut self.buffer[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(())
    }
}

/// Whether this is a whole answer; an error when it is anything but a 200.
pub fn is_complete(answer: &[u8]) -> io::Result<bool> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    match length {
        Some(length) if head.starts_with("HTTP/1.1 200 ") => Ok(answer.len() >= end + 4 + length),
        _ => Err(io::Error::other(format!(
            "unexpected answer: {}",
            String::from_utf8_lossy(answer)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

        assert!(is_complete(answer).unwrap());
        assert!(!is_complete(&answer[..answer.len() - 1]).unwrap());
        assert!(!is_complete(&answer[..20]).unwrap());
    }

    #[test]
    fn a_refusal_is_an_error_and_no_fast_answer() {
        assert!(is_complete(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").is_err());
    }
}
