//! Reads of any connection, and refreshes of those that the demo provider knows, until told
//! to stop.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{KEY, LIVE, World, actor};
use crate::bench::Error;
use crate::bench::function::Function;
use crate::bench::load::is_complete;

/// So many callers read at once; one more refreshes.
const READERS: usize = 2;

/// What came of it.
#[derive(Default)]
pub struct Count {
    /// Tokens that were read.
    pub reads: usize,
    /// Answers other than a token, and refreshes that gave the old one.
    pub failures: usize,
    /// The last token of every connection that was refreshed.
    pub tokens: BTreeMap<usize, String>,
}

/// A running function and its callers.
pub struct Traffic {
    _function: Function,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Count>>,
}

impl Traffic {
    /// Starts both.
    pub fn start(world: &World, token: &Path) -> Result<Self, Error> {
        let function = Function::start(token, &world.variables())?;
        let stop = Arc::<AtomicBool>::default();
        let mut callers = Vec::new();
        for number in 0..=READERS {
            let (stop, rows) = (Arc::clone(&stop), world.rows());
            let caller = Caller::new(function.address);
            callers.push(std::thread::spawn(move || match number {
                READERS => refresh(caller, &stop),
                reader => read(caller, &stop, reader, rows),
            }));
        }
        Ok(Self {
            _function: function,
            stop,
            callers,
        })
    }

    /// Ends both; what it came to.
    pub fn stop(self) -> Result<Count, Error> {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Count::default();
        for caller in self.callers {
            let count = caller.join().map_err(|_| "a caller panicked")?;
            total.reads += count.reads;
            total.failures += count.failures;
            total.tokens.extend(count.tokens);
        }
        Ok(total)
    }
}

fn read(mut caller: Caller, stop: &AtomicBool, reader: usize, rows: usize) -> Count {
    let mut count = Count::default();
    // A prime step comes to every row before it comes to one again.
    let mut row = reader * rows / READERS;
    while !stop.load(Ordering::Relaxed) {
        row = (row + 7919) % rows;
        match caller.token(row) {
            Ok(_) => count.reads += 1,
            Err(_) => count.failures += 1,
        }
    }
    count
}

/// Each once: callers can force a refresh only every ten seconds.
fn refresh(mut caller: Caller, stop: &AtomicBool) -> Count {
    let mut count = Count::default();
    for row in 0..LIVE {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let refreshed = caller
            .token(row)
            .and_then(|old| Ok((caller.replace(row, &old)?, old)));
        match refreshed {
            Ok((new, old)) if new != old => {
                count.tokens.insert(row, new);
            }
            _ => count.failures += 1,
        }
    }
    count
}

/// One caller on a connection that stays open.
pub struct Caller {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Caller {
    /// Of the function at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// The access token of a connection.
    pub fn token(&mut self, row: usize) -> Result<String, Error> {
        let path = format!("/api/token?provider=gmail&actor={}", actor(row));
        self.ask("GET", &path, "")
    }

    /// Another one than this.
    pub fn replace(&mut self, row: usize, rejected: &str) -> Result<String, Error> {
        let body = json!({"provider": "gmail", "actor": actor(row), "rejected": rejected});
        self.ask("POST", "/api/token", &body.to_string())
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<String, Error> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.address)?,
        };
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: app.example\r\nauthorization: Bearer {KEY}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let (mut buffer, mut filled) = (vec![0; 16 * 1024], 0);
        while !is_complete(&buffer[..filled])? {
            match stream.read(&mut buffer[filled..])? {
                0 => return Err("the answer broke off".into()),
                read => filled += read,
            }
        }
        self.stream = Some(stream);
        let text = std::str::from_utf8(&buffer[..filled])?;
        let (_, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
        let answer: Value = serde_json::from_str(body)?;
        let token = answer["access_token"].as_str().ok_or("no token")?;
        Ok(token.to_owned())
    }
}
