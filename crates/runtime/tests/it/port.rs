//! What only the plain port does: connections of its own, and an orderly end.

use std::time::{Duration, Instant};

use grantkeep_runtime::test_hosts::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::start;

async fn connect(port: Option<u16>) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port.unwrap()))
        .await
        .unwrap()
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let host = start(Kind::Port).await;
    let mut stream = connect(host.port()).await;

    let requests = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n\
                    GET /starts HTTP/1.1\r\nHost: x\r\n\r\n\
                    POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();

    let bodies: Vec<_> = answers
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1)
        .collect();
    assert_eq!(bodies, ["slow", "1", "last"]);
}

#[tokio::test]
async fn a_request_in_flight_at_sigterm_is_answered_and_idle_connections_are_closed() {
    let host = start(Kind::Port).await;
    let mut idle = connect(host.port()).await;
    let mut busy = connect(host.port()).await;
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();

    let stopped = host.stop().await;

    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nslow"), "{answer}");
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn work_goes_on_when_the_client_hangs_up() {
    let host = start(Kind::Port).await;
    let mut stream = connect(host.port()).await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    stream.set_zero_linger().unwrap();
    drop(stream);
    let stopped = host.stop().await;

    assert!(
        stopped.stdout.contains("slow is done"),
        "{}",
        stopped.stdout
    );
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let host = start(Kind::Port).await;
    let mut stream = connect(host.port()).await;

    let head =
        "POST /body HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();

    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
}
