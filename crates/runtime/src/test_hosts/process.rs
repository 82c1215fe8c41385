//! A child process with its output kept.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long anything that a test waits for may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How a function ended and what it left behind.
#[derive(Debug)]
pub struct Stopped {
    /// The exit code; none after a signal that it did not handle.
    pub code: Option<i32>,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

struct Output {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Process {
    pub fn start(program: &Path, variables: &[(&str, &str)]) -> Process {
        let mut child = Command::new(program)
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let stdout = Output::keep(child.stdout.take().expect("a pipe"));
        let stderr = Output::keep(child.stderr.take().expect("a pipe"));
        Process {
            child,
            stdout,
            stderr,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("not waited for yet")
    }

    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// The exit code if the process has ended.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child
            .try_wait()
            .expect("a child of ours")
            .map(|status| status.code())
    }

    pub async fn terminate(self) -> Stopped {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(
            sent.is_ok_and(|status| status.success()),
            "cannot send SIGTERM to {id}"
        );
        self.wait().await
    }

    pub async fn kill(mut self) -> Stopped {
        self.child.start_kill().expect("a child of ours");
        self.wait().await
    }

    pub async fn wait(mut self) -> Stopped {
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .expect("the function to end");
        let _ = self.stdout.reader.await;
        let _ = self.stderr.reader.await;
        Stopped {
            code: status.expect("a child of ours").code(),
            stdout: text(&self.stdout.text),
            stderr: text(&self.stderr.text),
        }
    }
}

impl Output {
    fn keep(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Output {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let text = kept.clone();
        let reader = tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut piece).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..read]);
            }
        });
        Output { text, reader }
    }

    fn text(&self) -> String {
        text(&self.text)
    }
}

fn text(kept: &Mutex<Vec<u8>>) -> String {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&kept).into_owned()
}
