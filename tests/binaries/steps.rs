//! Steps that several files of these tests take.

use grantkeep_tests::api::session;
use grantkeep_tests::{Consent, Deployment, Reply};

/// Connects an actor of the workspace `default` by a session; the callback's answer.
pub async fn connect(deployment: &Deployment, provider: &str, consent: &Consent) -> Reply {
    let session = session("default", "default");
    let path = format!("/api/oauth/{provider}/authorize?session={session}");
    deployment.visitor().connect(&path, consent).await
}

/// The lines of a log, each a JSON object.
///
/// # Panics
/// On a line that is none.
pub fn lines(stdout: &str) -> Vec<serde_json::Value> {
    let line = |line| {
        let read: serde_json::Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("not a JSON line ({error}): {line}"));
        assert!(read.is_object(), "{line}");
        read
    };
    stdout.lines().map(line).collect()
}
