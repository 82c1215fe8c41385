//! A proxy before Postgres that counts round trips.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy; it ends with the test's runtime.
pub struct Wire {
    /// The database's URL through the proxy, without TLS.
    pub url: String,
    round_trips: Arc<AtomicUsize>,
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

        let round_trips = Arc::new(AtomicUsize::new(0));
        let counted = round_trips.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("Postgres");
                let (client_reads, mut client_writes) = client.into_split();
                let (mut server_reads, server_writes) = server.into_split();
                tokio::spawn(requests(client_reads, server_writes, counted.clone()));
                tokio::spawn(async move {
                    tokio::io::copy(&mut server_reads, &mut client_writes).await
                });
            }
        });
        Self {
            url: url.into(),
            round_trips,
        }
    }

    /// Round trips since the last call: every `Query` and every `Sync` waits for the server.
    pub fn round_trips(&self) -> usize {
        self.round_trips.swap(0, Ordering::SeqCst)
    }
}

/// Passes messages on. The first has no type byte: protocol version, user and database.
async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    counted: Arc<AtomicUsize>,
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
            counted.fetch_add(1, Ordering::SeqCst);
        }
        startup = false;
        server.write_all(&message).await.ok()?;
    }
}
