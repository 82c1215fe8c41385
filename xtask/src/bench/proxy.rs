//! A TCP proxy before Postgres that counts what a client sends: statements and round trips.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Frontend messages by their type byte, of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Count {
    /// Execute or Query: each runs a statement.
    pub statements: usize,
    /// Sync or Query: each is waited for.
    pub round_trips: usize,
    /// Connections opened.
    pub connections: usize,
}

/// A proxy that runs until the process ends.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    count: Arc<Mutex<Count>>,
}

impl Proxy {
    /// Listens, and passes everything on to `database`.
    pub fn start(database: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let count = Arc::new(Mutex::new(Count::default()));
        let counts = count.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                add(&counts, |count| count.connections += 1);
                let counts = counts.clone();
                thread::spawn(move || pass(client, database, &counts));
            }
        });
        Ok(Self { address, count })
    }

    /// What was counted so far.
    pub fn count(&self) -> Count {
        *self
            .count
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn add(count: &Mutex<Count>, change: impl FnOnce(&mut Count)) {
    change(
        &mut count
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()),
    );
}

fn pass(client: TcpStream, database: SocketAddr, count: &Mutex<Count>) -> io::Result<()> {
    let server = TcpStream::connect(database)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    let (mut from_client, mut to_server) = (client, server);
    // The startup message alone has no type byte.
    let mut head = [0; 4];
    from_client.read_exact(&mut head)?;
    forward(&mut from_client, &mut to_server, &[], head)?;
    loop {
        let mut kind = [0];
        if from_client.read(&mut kind)? == 0 {
            return to_server.shutdown(Shutdown::Write);
        }
        add(count, |count| match kind[0] {
            b'E' => count.statements += 1,
            b'S' => count.round_trips += 1,
            b'Q' => {
                count.statements += 1;
                count.round_trips += 1;
            }
            _ => {}
        });
        from_client.read_exact(&mut head)?;
        forward(&mut from_client, &mut to_server, &kind, head)?;
    }
}

/// Passes on one message, whose length counts itself but not the type byte.
fn forward(
    from: &mut TcpStream,
    to: &mut TcpStream,
    kind: &[u8],
    length: [u8; 4],
) -> io::Result<()> {
    let rest = (u32::from_be_bytes(length) as usize).saturating_sub(4);
    let mut message = [kind, &length].concat();
    let start = message.len();
    message.resize(start + rest, 0);
    from.read_exact(&mut message[start..])?;
    to.write_all(&message)
}
