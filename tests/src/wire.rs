//! A proxy before Postgres that counts round trips, can lose an answer and can fall
//! silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy; it ends with the test's runtime.
pub struct Wire {
    /// The database's URL through the proxy, without TLS.
    pub url: String,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    round_trips: AtomicUsize,
    /// The number of the round trip whose answer gets lost; 0: none.
    lost: AtomicUsize,
    silent: AtomicBool,
}

impl Wire {
    /// Stands before the database of this URL.
    pub async fn before(database_url: &str) -> Self {
        let mut url = url::Url::parse(database_url).expect("a URL");
        let server = format!(
            "{}:{}",
            url.host_str().expect("a host"),
            url.port().expect("a port")
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        url.set_port(Some(port)).expect("a port");
        url.set_query(Some("sslmode=disable"));

        let counters = Arc::new(Counters::default());
        let counted = counters.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("Postgres");
                tokio::spawn(pass(client, server, counted.clone()));
            }
        });
        Self {
            url: url.into(),
            counters,
        }
    }

    /// Round trips since the last call: every `Query` and every `Sync` waits for the server.
    pub fn round_trips(&self) -> usize {
        self.counters.round_trips.swap(0, Ordering::SeqCst)
    }

    /// Starts to count anew, and breaks the connection instead of answering the `number`th
    /// round trip, which the server does carry out.
    pub fn lose_answer(&self, number: usize) {
        self.counters.round_trips.store(0, Ordering::SeqCst);
        self.counters.lost.store(number, Ordering::SeqCst);
    }

    /// Holds every answer back, on old and new connections, until told otherwise. What is
    /// asked reaches the server.
    pub fn silence(&self, silent: bool) {
        self.counters.silent.store(silent, Ordering::SeqCst);
    }
}

/// Passes both directions on until one of them ends.
async fn pass(client: TcpStream, server: TcpStream, counters: Arc<Counters>) {
    let (client_reads, mut client_writes) = client.into_split();
    let (mut server_reads, server_writes) = server.into_split();
    let lost = AtomicBool::new(false);
    let answers = async {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = server_reads.read(&mut piece).await {
            while counters.silent.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if lost.load(Ordering::SeqCst) || client_writes.write_all(&piece[..read]).await.is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        _ = requests(client_reads, server_writes, &counters, &lost) => {}
        () = answers => {}
    }
}

/// Passes messages on. The first has no type byte: protocol version, user and database.
async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    counters: &Counters,
    lost: &AtomicBool,
) -> Option<()> {
    let mut startup = true;
    loop {
        let mut message = Vec::new();
        if !startup {
            message.push(client.read_u8().await.ok()?);
        }
        let length = client.read_u32().await.ok()?;
        message.extend_from_slice(&length.to_be_bytes());
        let rest = usize::try_from(length).ok()?.checked_sub(4)?;
        let head = message.len();
        message.resize(head + rest, 0);
        client.read_exact(&mut message[head..]).await.ok()?;
        if !startup && matches!(message[0], b'Q' | b'S') {
            let number = counters.round_trips.fetch_add(1, Ordering::SeqCst) + 1;
            if number == counters.lost.load(Ordering::SeqCst) {
                counters.lost.store(0, Ordering::SeqCst);
                lost.store(true, Ordering::SeqCst);
            }
        }
        startup = false;
        server.write_all(&message).await.ok()?;
    }
}
