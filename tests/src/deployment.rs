//! Every function as a process of its own behind one front door, as a host deploys them:
//! several instances of each, and no two requests in a row at the same one.

mod front;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grantkeep_demo_provider::DemoProvider;
use grantkeep_functions::routes::FUNCTIONS;
use grantkeep_functions::service::Function;
use grantkeep_runtime::test_hosts::{Kind, Stopped, TestHost, binary, release_binary};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use crate::api::{KEY, usual};
use crate::database;
use crate::http::{Reply, client, send};
use crate::visitor::Visitor;

pub use front::Exchange;
use front::Front;

/// A deployed Grantkeep with what it needs.
pub struct Deployment {
    /// Where browsers and callers find it, `http://127.0.0.1:PORT`.
    pub origin: String,
    /// The authorization server.
    pub provider: DemoProvider,
    /// Its database.
    pub database_url: String,
    /// The variables of every process.
    pub variables: BTreeMap<String, String>,
    front: Arc<Front>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A process that has ended.
pub struct Ended {
    /// The function's name.
    pub function: &'static str,
    /// What it left behind.
    pub stopped: Stopped,
}

/// How a deployment differs from the usual one.
pub struct DeploymentBuilder {
    kind: Kind,
    instances: usize,
    variables: BTreeMap<String, String>,
    providers: BTreeMap<String, Value>,
    launcher: Option<PathBuf>,
}

impl DeploymentBuilder {
    /// Sets a variable of every process; an empty value takes it away.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Merges members over a provider's entry in `OAUTH_PROVIDERS`.
    pub fn provider(mut self, name: &str, members: Value) -> Self {
        self.providers.insert(name.to_owned(), members);
        self
    }

    /// How many processes of each function there are; usually two.
    pub fn instances(mut self, instances: usize) -> Self {
        self.instances = instances;
        self
    }

    /// A program that is started in each function's place, becomes the function that
    /// `FUNCTION_BINARY` names, and prepares its surroundings before.
    pub fn launcher(mut self, program: &Path) -> Self {
        self.launcher = Some(program.to_owned());
        self
    }

    /// Starts every process.
    pub async fn start(self) -> Deployment {
        let provider = DemoProvider::start().await.expect("demo provider");
        let database_url = database::create().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("address"));
        let mut variables = usual(&origin, &database_url, &provider, &self.providers);
        variables.extend(self.variables);

        let mut starting = JoinSet::new();
        for (index, function) in FUNCTIONS.iter().enumerate() {
            let program = program(function.name).await;
            for _ in 0..self.instances {
                let (program, launcher) = (program.clone(), self.launcher.clone());
                let (variables, kind) = (variables.clone(), self.kind);
                starting.spawn(async move {
                    let launcher = launcher.as_deref();
                    (index, start(kind, &program, launcher, &variables).await)
                });
            }
        }
        let mut hosts: Vec<(&'static Function, Vec<TestHost>)> = FUNCTIONS
            .iter()
            .map(|function| (*function, Vec::new()))
            .collect();
        while let Some(started) = starting.join_next().await {
            let (index, host) = started.expect("the process starts");
            hosts[index].1.push(host);
        }

        let front = Arc::new(Front::new(self.kind, hosts));
        let server = tokio::spawn(front.clone().serve(listener));
        Deployment {
            origin,
            provider,
            database_url,
            variables,
            front,
            server,
        }
    }
}

/// Whether functions are taken as they are deployed. `FUNCTIONS_PROFILE=debug` takes those
/// of the tests' own profile, which are built in seconds instead of minutes.
pub fn as_deployed() -> bool {
    std::env::var("FUNCTIONS_PROFILE").as_deref() != Ok("debug")
}

/// The binary of a function. All are built at the first call if one is missing or older than
/// its sources, and stay what they are for the whole run. `FUNCTIONS_FOLDER` names a folder
/// of others, such as a host's tools made.
pub async fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("FUNCTIONS_FOLDER") {
        return Path::new(&folder).join(name);
    }
    static FOUND: OnceCell<BTreeMap<&str, PathBuf>> = OnceCell::const_new();
    let find = |function: &&Function| match as_deployed() {
        true => (function.name, release_binary("grantkeep", function.name)),
        false => (function.name, binary("grantkeep", function.name)),
    };
    let all = move || FUNCTIONS.iter().map(find).collect();
    let found = FOUND.get_or_init(|| async {
        let found = tokio::task::spawn_blocking(all).await;
        found.expect("the binaries")
    });
    found.await[name].clone()
}

/// Starts one function under a host, with these variables and the host's.
pub async fn start(
    kind: Kind,
    program: &Path,
    launcher: Option<&Path>,
    variables: &BTreeMap<String, String>,
) -> TestHost {
    let mut pairs: Vec<(&str, &str)> = variables
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    pairs.push(("FUNCTION_BINARY", program.to_str().expect("UTF-8")));
    TestHost::start(kind, launcher.unwrap_or(program), &pairs).await
}

impl Deployment {
    /// Two instances of every function under this host, with the usual settings.
    pub fn builder(kind: Kind) -> DeploymentBuilder {
        DeploymentBuilder {
            kind,
            instances: 2,
            variables: BTreeMap::new(),
            providers: BTreeMap::new(),
            launcher: None,
        }
    }

    /// A browser that nobody is signed in with.
    pub fn visitor(&self) -> Visitor<'_> {
        Visitor::at(&self.origin, &self.origin)
    }

    /// A request to the front door.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("method");
        client().request(method, format!("{}{path}", self.origin))
    }

    /// A request with the service key that may do everything, and perhaps a JSON body.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let request = self.request(method, path).bearer_auth(KEY);
        send(match body {
            None => request,
            Some(body) => request
                .header("content-type", "application/json")
                .body(body.to_string()),
        })
        .await
    }

    /// A token read of the default connection.
    pub async fn token(&self, provider: &str) -> Reply {
        let path = format!("/api/token?provider={provider}");
        self.call("GET", &path, None).await
    }

    /// Lets every stored access token of a provider end `seconds` from now, as if no
    /// refresh had been tried yet.
    pub async fn set_expiry(&self, provider: &str, seconds: i64) {
        let sql = format!(
            "update oauth_tokens
                set expires_at = now() + interval '{seconds} seconds', retry_at = null,
                    refresh_error = null, refresh_failures = 0, forced_at = null,
                    lease_id = null, lease_until = null
              where provider = '{provider}'"
        );
        database::execute(&self.database_url, &sql).await;
    }

    /// Everything that went through the front door so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.front.exchanges()
    }

    /// The process ids of every instance.
    pub async fn processes(&self) -> Vec<(&'static str, u32)> {
        self.front.processes().await
    }

    /// Ends every process as its host does.
    pub async fn stop(&self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for (function, host) in self.front.take().await {
            let stopped = host.stop().await;
            ended.push(Ended { function, stopped });
        }
        ended
    }
}
