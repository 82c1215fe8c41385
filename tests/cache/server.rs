//! A Redis server of its own for a test, and what stands between it and an instance.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use grantkeep_core::App;
use grantkeep_functions::routes::FUNCTIONS;
use grantkeep_functions::service;
use grantkeep_tests::api::app;
use grantkeep_tests::instance::Served;
use grantkeep_tests::{TestApi, TestApiBuilder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const GMAIL: &str = "/api/token?provider=gmail";

/// `redis-server` on a free port; killed when dropped.
pub struct Redis {
    child: Child,
    pub port: u16,
    arguments: Vec<String>,
    _folder: TempDir,
}

impl Redis {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(arguments: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        drop(listener);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        let mut all: Vec<String> = ["--port", &port.to_string(), "--dir", &path]
            .map(str::to_owned)
            .into();
        all.extend(["--save", "", "--bind", "127.0.0.1"].map(str::to_owned));
        all.extend(arguments.iter().map(|one| (*one).to_owned()));
        let redis = Self {
            child: spawn(&all),
            port,
            arguments: all,
            _folder: folder,
        };
        listens(port).await;
        redis
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("it ends");
    }

    /// The same server again, empty.
    pub async fn revive(&mut self) {
        self.child = spawn(&self.arguments);
        listens(self.port).await;
    }

    /// One command, its answer as it came.
    pub async fn command(&self, words: &[&[u8]]) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))
            .await
            .expect("connects");
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        stream.write_all(&bytes).await.expect("sends");
        let mut answer = vec![0; 256 * 1024];
        let read = stream.read(&mut answer).await.expect("answers");
        answer.truncate(read);
        answer
    }

    /// Every key.
    pub async fn keys(&self) -> Vec<String> {
        let answer = self.command(&[b"KEYS", b"*"]).await;
        let text = String::from_utf8(answer).expect("text");
        let lines = text
            .split("\r\n")
            .filter(|line| line.starts_with("grantkeep:"));
        lines.map(str::to_owned).collect()
    }

    /// A key's value.
    pub async fn value(&self, key: &str) -> Vec<u8> {
        let answer = self.command(&[b"GET", key.as_bytes()]).await;
        let start = answer
            .windows(2)
            .position(|two| two == b"\r\n")
            .expect("a line")
            + 2;
        answer[start..answer.len() - 2].to_vec()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn spawn(arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed (apt-get install redis-server)")
}

async fn listens(port: u16) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "redis-server does not listen"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A connected Gmail whose instance has this cache.
pub async fn connected(url: &str) -> TestApi {
    let api = builder(url).start().await;
    api.connect("gmail").await;
    unblocked(&api).await;
    api
}

pub fn builder(url: &str) -> TestApiBuilder {
    TestApi::builder().variable("REDIS_URL", url)
}

/// Empties the cache: a connection that has just been made is blocked for a minute.
pub async fn unblocked(api: &TestApi) {
    let port = api.variables["REDIS_URL"]
        .rsplit(':')
        .next()
        .expect("a port");
    let port = port
        .split('/')
        .next()
        .expect("a port")
        .parse::<u16>()
        .expect("a port");
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await {
        stream.write_all(b"FLUSHALL\r\n").await.expect("sends");
        let mut answer = [0; 64];
        drop(tokio::time::timeout(Duration::from_millis(200), stream.read(&mut answer)).await);
    }
}

/// One more instance of all functions with the same settings, or with another cache.
pub async fn instance(api: &TestApi, redis_url: Option<&str>) -> (Served, App) {
    let mut variables = api.variables.clone();
    if let Some(url) = redis_url {
        variables.insert("REDIS_URL".to_owned(), url.to_owned());
    }
    let app = app(&variables);
    (
        Served::start(service::all(&FUNCTIONS, app.clone())).await,
        app,
    )
}

/// A proxy before Redis that can keep commands from it.
pub struct Between {
    pub url: String,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Blocks are answered `OK` and never reach Redis.
    loses_blocks: AtomicBool,
    /// Nothing is answered.
    silent: AtomicBool,
    connections: AtomicUsize,
}

impl Between {
    pub async fn before(redis: &Redis) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("address").port();
        let inner = Arc::new(Inner::default());
        let (shared, to) = (inner.clone(), redis.port);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(pass(client, to, shared.clone()));
            }
        });
        Self {
            url: format!("redis://127.0.0.1:{port}"),
            inner,
        }
    }

    pub fn lose_blocks(&self) {
        self.inner.loses_blocks.store(true, Ordering::SeqCst);
    }

    pub fn silence(&self, silent: bool) {
        self.inner.silent.store(silent, Ordering::SeqCst);
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }
}

/// Commands come whole: a client here sends all it has to say at once.
async fn pass(mut client: TcpStream, to: u16, inner: Arc<Inner>) -> Option<()> {
    let mut server = TcpStream::connect(("127.0.0.1", to)).await.ok()?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let piece = &asked[..read.ok().filter(|read| *read > 0)?];
                let block = piece.windows(7).filter(|part| part == b"$1\r\n-\r\n").count();
                if block > 0 && inner.loses_blocks.load(Ordering::SeqCst) {
                    client.write_all("+OK\r\n".repeat(block).as_bytes()).await.ok()?;
                } else {
                    server.write_all(piece).await.ok()?;
                }
            }
            read = server.read(&mut answered) => {
                let read = read.ok().filter(|read| *read > 0)?;
                while inner.silent.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                client.write_all(&answered[..read]).await.ok()?;
            }
        }
    }
}
