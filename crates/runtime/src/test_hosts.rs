//! Stand-ins for Vercel, AWS Lambda and a plain port that run a function's real binary, for tests.
//!
//! A request goes in and a response comes out the same way on each, so that one assertion holds
//! for all three. They panic, naming what they waited for, when the binary breaks the host's protocol.

mod client;
mod executable;
mod lambda;
mod port;
mod process;
mod vercel;

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;

pub use executable::{binary, example, release_binary};
pub use process::Stopped;

/// The host to stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Vercel's launcher: a unix socket for reports, HTTP on a loopback port.
    Vercel,
    /// Lambda's Runtime API behind a function URL.
    Lambda,
    /// A plain port, with no host at all.
    Port,
}

impl Kind {
    /// Every host.
    pub const ALL: [Kind; 3] = [Kind::Vercel, Kind::Lambda, Kind::Port];
}

/// One running function. Dropping it kills the process.
pub enum TestHost {
    /// See [`Kind::Vercel`].
    Vercel(vercel::Vercel),
    /// See [`Kind::Lambda`].
    Lambda(lambda::Lambda),
    /// See [`Kind::Port`].
    Port(port::Port),
}

impl TestHost {
    /// Starts `program` under the host, with the host's variables and these, and no others.
    /// Returns once the host may send requests.
    pub async fn start(kind: Kind, program: &Path, variables: &[(&str, &str)]) -> TestHost {
        match kind {
            Kind::Vercel => TestHost::Vercel(vercel::Vercel::start(program, variables).await),
            Kind::Lambda => TestHost::Lambda(lambda::Lambda::start(program, variables).await),
            Kind::Port => TestHost::Port(port::Port::start(program, variables).await),
        }
    }

    /// What a client gets that sends this through the host. The URI is path and query only;
    /// `transfer-encoding: chunked` sends the body without its length.
    pub async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        match self {
            TestHost::Vercel(host) => host.send(request).await,
            TestHost::Lambda(host) => host.send(request).await,
            TestHost::Port(host) => client::send(host.address(), request).await,
        }
    }

    /// What a client gets for a GET of this path and query.
    pub async fn get(&self, path_and_query: &str) -> Response<Bytes> {
        let request = Request::get(path_and_query).body(Bytes::new());
        self.send(request.expect("a path and query")).await
    }

    /// The pieces of the answer as they arrive at the client, and when the host was told that
    /// the function is done, where it is told.
    ///
    /// # Panics
    /// On Lambda, where an answer arrives as a whole.
    pub async fn pieces(
        &self,
        request: Request<Bytes>,
    ) -> (Vec<(Instant, Bytes)>, Option<Instant>) {
        match self {
            TestHost::Vercel(host) => {
                let (pieces, ended) = host.pieces(request).await;
                (pieces, Some(ended))
            }
            TestHost::Port(host) => (client::pieces(host.address(), request).await, None),
            TestHost::Lambda(_) => panic!("on Lambda answers have no pieces"),
        }
    }

    /// Hands a ready-made event to a function on Lambda: the reply, or the error it reported.
    ///
    /// # Panics
    /// On another host.
    pub async fn invoke(&self, event: Value) -> Result<Value, Value> {
        match self {
            TestHost::Lambda(host) => host.invoke(event).await,
            TestHost::Vercel(_) | TestHost::Port(_) => panic!("only Lambda has events"),
        }
    }

    /// The loopback port that the function listens on; none on Lambda.
    pub fn port(&self) -> Option<u16> {
        match self {
            TestHost::Vercel(host) => Some(host.address().port()),
            TestHost::Lambda(_) => None,
            TestHost::Port(host) => Some(host.address().port()),
        }
    }

    /// What the function has written to stdout so far.
    pub fn stdout(&self) -> String {
        self.process().stdout()
    }

    /// What the function has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.process().stderr()
    }

    /// The function's process id.
    pub fn process_id(&self) -> u32 {
        self.process().id()
    }

    /// Ends the function as its host does: SIGTERM, on Lambda SIGKILL without a warning.
    pub async fn stop(self) -> Stopped {
        match self {
            TestHost::Vercel(host) => host.into_process().terminate().await,
            TestHost::Lambda(host) => host.into_process().kill().await,
            TestHost::Port(host) => host.into_process().terminate().await,
        }
    }

    fn process(&self) -> &process::Process {
        match self {
            TestHost::Vercel(host) => host.process(),
            TestHost::Lambda(host) => host.process(),
            TestHost::Port(host) => host.process(),
        }
    }
}
