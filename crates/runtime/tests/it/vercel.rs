//! What only Vercel does: one socket for reports, SIGTERM.

use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::time::Duration;

use grantkeep_runtime::test_hosts::Kind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{probe, start};

#[tokio::test]
async fn a_request_in_flight_at_sigterm_is_answered() {
    let host = start(Kind::Vercel).await;
    let mut stream = TcpStream::connect(("127.0.0.1", host.port().unwrap()))
        .await
        .unwrap();
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    let stopped = host.stop().await;

    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nslow"), "{answer}");
}

#[tokio::test]
async fn an_ipc_socket_that_nobody_listens_on_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let stale = folder.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());

    for path in [folder.path().join("missing.sock"), stale] {
        let mut function = Command::new(probe())
            .env_clear()
            .env("VERCEL_IPC_PATH", path)
            .env("VERCEL_DEV_PORT", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(function.stderr.take().unwrap());

        let mut said = String::new();
        let line = timeout(Duration::from_secs(10), stderr.read_line(&mut said)).await;

        assert!(line.is_ok() && said.contains("VERCEL_IPC_PATH"), "{said}");
        function.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_reachable_ipc_socket_is_no_reason_to_speak() {
    let host = start(Kind::Vercel).await;

    host.get("/").await;

    assert_eq!(host.stop().await.stderr, "");
}
