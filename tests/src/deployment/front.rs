//! The front door: finds the function of a path, the instance whose turn it is, and
//! remembers what was said.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use grantkeep_functions::service::Function;
use grantkeep_runtime::test_hosts::{Kind, TestHost};
use http::{HeaderMap, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::RwLock;

/// More than any function accepts.
const LIMIT: usize = 8 << 20;

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which function answered.
    pub function: &'static str,
    /// Which of its instances.
    pub instance: usize,
    /// The request's method.
    pub method: String,
    /// The request's path and query, as the client sent it.
    pub target: String,
    /// The answer's status.
    pub status: u16,
    /// The answer's headers.
    pub headers: HeaderMap,
    /// The answer's body.
    pub body: String,
}

struct Instances {
    function: &'static Function,
    hosts: RwLock<Vec<TestHost>>,
    turn: AtomicUsize,
}

pub(super) struct Front {
    kind: Kind,
    functions: Vec<Instances>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Front {
    pub(super) fn new(kind: Kind, hosts: Vec<(&'static Function, Vec<TestHost>)>) -> Self {
        let functions = hosts.into_iter().map(|(function, hosts)| Instances {
            function,
            hosts: RwLock::new(hosts),
            turn: AtomicUsize::new(0),
        });
        Self {
            kind,
            functions: functions.collect(),
            exchanges: Mutex::default(),
        }
    }

    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let router = Router::new().fallback(pass).with_state(self);
        axum::serve(listener, router).await.expect("serves");
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        let exchanges = self.exchanges.lock();
        exchanges.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) async fn processes(&self) -> Vec<(&'static str, u32)> {
        let mut processes = Vec::new();
        for instances in &self.functions {
            let hosts = instances.hosts.read().await;
            let ids = hosts.iter().map(TestHost::process_id);
            processes.extend(ids.map(|id| (instances.function.name, id)));
        }
        processes
    }

    pub(super) async fn take(&self) -> Vec<(&'static str, TestHost)> {
        let mut all = Vec::new();
        for instances in &self.functions {
            let hosts = std::mem::take(&mut *instances.hosts.write().await);
            all.extend(
                hosts
                    .into_iter()
                    .map(|host| (instances.function.name, host)),
            );
        }
        all
    }

    /// The function whose route a path is, and the route's parameters.
    fn find(&self, path: &str) -> Option<(&Instances, Vec<(&'static str, String)>)> {
        self.functions.iter().find_map(|instances| {
            let mut routes = instances.function.routes.iter();
            routes.find_map(|(route, _)| Some((instances, parameters(route, path)?)))
        })
    }
}

/// What a route's placeholders stand for in a path that it matches.
fn parameters(route: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    if let Some((before, rest)) = route.split_once("{*") {
        return below(before, rest.trim_end_matches('}'), path);
    }
    let (wanted, parts) = (route.split('/'), path.split('/'));
    if wanted.clone().count() != parts.clone().count() {
        return None;
    }
    let mut found = Vec::new();
    for (wanted, part) in wanted.zip(parts) {
        match wanted.strip_prefix('{').and_then(|w| w.strip_suffix('}')) {
            Some(name) => found.push((name, part.to_owned())),
            None if wanted == part => {}
            None => return None,
        }
    }
    Some(found)
}

/// The same for a route that takes all that is below it. It is a rewrite to the file at the
/// beginning of the route, so its other placeholders are no parameters of their own.
fn below(before: &str, name: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let file = before.split("/{").next()?;
    let rest = path.strip_prefix(file)?.strip_prefix('/')?;
    let depth = before.matches("/{").count();
    (rest.split('/').count() > depth).then(|| vec![(name, rest.to_owned())])
}

/// Vercel appends a route's parameters to the query, behind what the client sent.
fn with_parameters(uri: &Uri, parameters: &[(&str, String)]) -> Uri {
    let mut query = uri.query().unwrap_or_default().to_owned();
    for (name, value) in parameters {
        let sent = url::form_urlencoded::parse(query.as_bytes()).any(|(known, _)| known == *name);
        if !sent {
            let joint = if query.is_empty() { "" } else { "&" };
            query = format!("{query}{joint}{name}={value}");
        }
    }
    let path = uri.path();
    let text = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    text.parse().expect("a path and query")
}

async fn pass(State(front): State<Arc<Front>>, request: Request) -> Response {
    let target = request.uri().to_string();
    let Some((instances, parameters)) = front.find(request.uri().path()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (mut parts, body) = request.into_parts();
    let method = parts.method.to_string();
    if front.kind == Kind::Vercel {
        parts.uri = with_parameters(&parts.uri, &parameters);
    }
    let Ok(body) = to_bytes(body, LIMIT).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let hosts = instances.hosts.read().await;
    let instance = instances.turn.fetch_add(1, Ordering::Relaxed) % hosts.len();
    let answer = hosts[instance]
        .send(http::Request::from_parts(parts, body))
        .await;
    let exchange = Exchange {
        function: instances.function.name,
        instance,
        method,
        target,
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: String::from_utf8_lossy(answer.body()).into_owned(),
    };
    let mut exchanges = front
        .exchanges
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    exchanges.push(exchange);
    answer.map(|bytes: Bytes| Body::from(bytes))
}
