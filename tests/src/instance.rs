//! One more instance of a function over the same database: a process of its own, or
//! another app in this process.

use std::collections::BTreeMap;
use std::path::Path;

use axum::Router;
use grantkeep_runtime::test_hosts::{Kind, TestHost, binary};
use tokio::net::TcpListener;

use crate::api::KEY;
use crate::http::{Reply, client, send};

/// The real binary of one function, listening on a port; killed when dropped.
pub struct Process {
    host: TestHost,
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub origin: String,
}

impl Process {
    /// Starts it with these variables and no others; the one in `FUNCTIONS_FOLDER`, if there
    /// is one, else that of the tests' own profile.
    pub async fn start(function: &'static str, variables: &BTreeMap<String, String>) -> Self {
        let program = match std::env::var_os("FUNCTIONS_FOLDER") {
            Some(folder) => Path::new(&folder).join(function),
            None => tokio::task::spawn_blocking(move || binary("grantkeep", function))
                .await
                .expect("the binary"),
        };
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let host = TestHost::start(Kind::Port, &program, &variables).await;
        let port = host.port().expect("a port");
        Self {
            host,
            origin: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Several of one function at once.
    pub async fn start_many(
        count: usize,
        function: &'static str,
        variables: &BTreeMap<String, String>,
    ) -> Vec<Self> {
        let mut starting = Vec::new();
        for _ in 0..count {
            let variables = variables.clone();
            starting.push(tokio::spawn(async move {
                Self::start(function, &variables).await
            }));
        }
        let mut started = Vec::new();
        for one in starting {
            started.push(one.await.expect("started"));
        }
        started
    }

    /// Its log so far.
    pub fn stdout(&self) -> String {
        self.host.stdout()
    }

    /// Stops it in the middle of whatever it does, as a host freezes an instance.
    pub async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    /// Lets it go on where it was.
    pub async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.host.process_id().to_string();
        let mut kill = tokio::process::Command::new("kill");
        let sent = kill.args([signal, &id]).status().await.expect("kill");
        assert!(sent.success(), "cannot send {signal} to {id}");
    }

    /// SIGKILL, without a warning.
    pub fn kill(self) {
        drop(self.host);
    }
}

/// A router served on a port of this process until dropped.
pub struct Served {
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub origin: String,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Starts to serve.
    pub async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("address"));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        Self { origin, server }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A GET at any origin with the service key that may do everything.
pub async fn get(origin: &str, path: &str) -> Reply {
    let request = client()
        .get(format!("{origin}{path}"))
        .header("authorization", format!("Bearer {KEY}"));
    send(request).await
}

/// A POST of JSON, the same way.
pub async fn post(origin: &str, path: &str, body: &serde_json::Value) -> Reply {
    let request = client()
        .post(format!("{origin}{path}"))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(body.to_string());
    send(request).await
}
