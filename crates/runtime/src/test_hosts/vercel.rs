//! Vercel's launcher: takes one connection on a unix socket, waits for `server-started`, sends
//! requests with its internal headers, and wants an `end` for each.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::client;
use super::process::{PATIENCE, Process};

pub struct Vercel {
    process: Process,
    address: SocketAddr,
    reports: Arc<Reports>,
    requests: AtomicU64,
    _socket: TempDir,
}

#[derive(Default)]
struct Reports {
    received: Mutex<Vec<Value>>,
    more: Notify,
}

impl Vercel {
    pub async fn start(program: &Path, variables: &[(&str, &str)]) -> Vercel {
        // Somebody else may take the free port first; then the next one will do.
        for _ in 0..5 {
            if let Some(vercel) = Vercel::try_start(program, variables).await {
                return vercel;
            }
        }
        panic!("found no port for {}", program.display());
    }

    /// `None` when the port was taken.
    async fn try_start(program: &Path, variables: &[(&str, &str)]) -> Option<Vercel> {
        let socket = tempfile::tempdir().expect("a temporary directory");
        let path = socket.path().join("ipc.sock");
        let listener = UnixListener::bind(&path).expect("a unix socket");
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = free.local_addr().expect("bound");
        drop(free);

        let mut all = vec![
            ("VERCEL", "1"),
            // As on Vercel's machines, and a trap: this is not Lambda.
            ("AWS_REGION", "us-east-1"),
            ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9"),
        ];
        let port = address.port().to_string();
        all.push(("VERCEL_DEV_PORT", &port));
        all.push(("VERCEL_IPC_PATH", path.to_str().expect("UTF-8")));
        all.extend(variables);
        let mut process = Process::start(program, &all);

        let connected = tokio::select! {
            accepted = listener.accept() => Some(accepted.expect("a unix socket")),
            () = ended(&mut process) => None,
            () = sleep(PATIENCE) => panic!("nobody connected to VERCEL_IPC_PATH"),
        };
        let Some((ipc, _)) = connected else {
            return port_taken(process).await;
        };
        // The launcher knows one function per socket: whoever connects first is it.
        drop(listener);
        let reports = Arc::new(Reports::default());
        tokio::spawn(reports.clone().collect(ipc));

        let started = tokio::select! {
            started = reports.first(|report| report["type"] == "server-started") => Some(started),
            () = ended(&mut process) => None,
        };
        let Some(started) = started else {
            return port_taken(process).await;
        };
        assert_eq!(started["payload"]["httpPort"], address.port());
        Some(Vercel {
            process,
            address,
            reports,
            requests: AtomicU64::new(0),
            _socket: socket,
        })
    }

    pub async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (request, context) = self.invocation(request);
        let response = client::send(self.address, request).await;
        self.reports.end(&context).await;
        response
    }

    /// The pieces of the answer, and when the function reported its end, as they arrived.
    pub async fn pieces(&self, request: Request<Bytes>) -> (Vec<(Instant, Bytes)>, Instant) {
        let (request, context) = self.invocation(request);
        let ended = async {
            self.reports.end(&context).await;
            Instant::now()
        };
        tokio::join!(client::pieces(self.address, request), ended)
    }

    /// The request as the launcher sends it, and what its `end` will name.
    fn invocation(&self, mut request: Request<Bytes>) -> (Request<Bytes>, Value) {
        let id = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let invocation = format!("invocation-{id}");
        let headers = request.headers_mut();
        let value = HeaderValue::from_str(&invocation).expect("visible ASCII");
        headers.insert("x-vercel-internal-invocation-id", value);
        headers.insert("x-vercel-internal-request-id", HeaderValue::from(id));
        headers.insert(
            "x-vercel-internal-ingress-bucket",
            HeaderValue::from_static("b-001"),
        );
        let context = json!({"invocationId": invocation, "requestId": id});
        (request, context)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn into_process(self) -> Process {
        self.process
    }
}

impl Reports {
    async fn collect(self: Arc<Self>, ipc: UnixStream) {
        let mut frames = BufReader::new(ipc).split(0);
        while let Ok(Some(frame)) = frames.next_segment().await {
            let report = serde_json::from_slice(&frame).expect("a report in JSON");
            self.received
                .lock()
                .expect("no panic while locked")
                .push(report);
            self.more.notify_waiters();
        }
    }

    async fn end(&self, context: &Value) {
        let ended =
            |report: &Value| report["type"] == "end" && report["payload"]["context"] == *context;
        let end = self.first(ended).await;
        assert_eq!(end["payload"]["error"], Value::Null);
    }

    async fn first(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let more = self.more.notified();
                let found = {
                    let received = self.received.lock().expect("no panic while locked");
                    received.iter().find(|report| wanted(report)).cloned()
                };
                match found {
                    Some(report) => return report,
                    None => more.await,
                }
            }
        };
        timeout(PATIENCE, found)
            .await
            .expect("the function to report over VERCEL_IPC_PATH")
    }
}

/// `None`, if that is why the process ended.
async fn port_taken(process: Process) -> Option<Vercel> {
    let stopped = process.wait().await;
    assert!(
        stopped.stderr.contains("in use"),
        "ended early: {}",
        stopped.stderr
    );
    None
}

async fn ended(process: &mut Process) {
    while process.ended().is_none() {
        sleep(Duration::from_millis(5)).await;
    }
}
