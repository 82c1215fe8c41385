//! Functions that pass bodies on.

use std::time::Duration;

use bytes::Bytes;
use grantkeep_runtime::test_hosts::{Kind, TestHost, example};
use http::{Request, StatusCode, header};

use crate::json;

const STREAMING: [Kind; 2] = [Kind::Vercel, Kind::Port];

async fn start(kind: Kind) -> TestHost {
    let passing = example("grantkeep-runtime", "passing");
    TestHost::start(kind, &passing, &[]).await
}

fn drip() -> Request<Bytes> {
    Request::get("/drip").body(Bytes::new()).unwrap()
}

#[tokio::test]
async fn an_answer_arrives_piece_by_piece_and_the_host_waits_for_its_end() {
    for kind in STREAMING {
        let host = start(kind).await;

        let (pieces, ended) = host.pieces(drip()).await;

        let texts: Vec<&[u8]> = pieces.iter().map(|(_, piece)| &piece[..]).collect();
        assert_eq!(texts, [&b"one"[..], b"two", b"three"], "{kind:?}");
        let (first, last) = (pieces[0].0, pieces[2].0);
        assert!(last - first >= Duration::from_millis(500), "{kind:?}");
        if let Some(ended) = ended {
            assert!(ended - first >= Duration::from_millis(500), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn lambda_gets_the_answer_as_a_whole() {
    let host = start(Kind::Lambda).await;

    assert_eq!(host.send(drip()).await.body(), "onetwothree");
}

#[tokio::test]
async fn bodies_above_the_usual_limit_pass() {
    for kind in Kind::ALL {
        let host = start(kind).await;
        let sent = Bytes::from(vec![b'x'; 3 << 20]);
        for chunked in [false, true] {
            let mut request = Request::post("/echo");
            if chunked {
                request = request.header(header::TRANSFER_ENCODING, "chunked");
            }

            let echoed = host.send(request.body(sent.clone()).unwrap()).await;

            assert_eq!(echoed.status(), StatusCode::OK, "{kind:?}");
            assert!(*echoed.body() == sent, "{kind:?}: {}", echoed.body().len());
        }
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_keep_the_client_from_the_answer() {
    for kind in Kind::ALL {
        let host = start(kind).await;
        let sent = Bytes::from(vec![b'x'; 5 << 20]);

        let refused = host
            .send(Request::post("/refuse").body(sent).unwrap())
            .await;

        assert_eq!(refused.body(), "no", "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_above_lambdas_limit_is_refused_there_and_nowhere_else() {
    let size = 5 << 20;
    let path = format!("/large/{size}");
    for kind in STREAMING {
        let large = start(kind).await.get(&path).await;

        assert_eq!(large.body().len(), size, "{kind:?}");
        assert_eq!(large.headers()[header::CONTENT_LENGTH], size.to_string());
    }
    let host = start(Kind::Lambda).await;
    let refused = host.get(&path).await;
    assert_eq!(refused.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(refused.headers()["x-grantkeep-error"], "provider_error");
    assert_eq!(json(refused.body())["provider_error"], "answer_too_large");

    // Quotes double in JSON: this much fits only because it is not sent as a string.
    let fitting = host.get(&format!("/large/{}", 4 << 20)).await;
    assert_eq!(fitting.body().len(), 4 << 20);
}

#[tokio::test]
async fn a_panic_is_still_answered() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        let response = host.get("/panic").await;

        assert_eq!(
            response.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{kind:?}"
        );
        assert_eq!(json(response.body())["code"], "internal", "{kind:?}");
        assert_eq!(host.get("/refuse").await.body(), "no", "{kind:?}");
    }
}

#[tokio::test]
async fn a_stop_waits_for_the_end_of_an_answer() {
    for kind in STREAMING {
        let host = start(kind).await;
        let address = format!("127.0.0.1:{}", host.port().unwrap());
        let mut client = tokio::net::TcpStream::connect(&address).await.unwrap();
        let request = format!("GET /drip HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut client, request.as_bytes())
            .await
            .unwrap();
        let mut first = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut first)
            .await
            .unwrap();

        let (stopped, rest) = tokio::join!(host.stop(), async {
            let mut rest = String::new();
            let read = tokio::io::AsyncReadExt::read_to_string(&mut client, &mut rest).await;
            read.map(|_| rest)
        });

        assert!(
            stopped.stdout.contains("drip is done"),
            "{kind:?} {}",
            stopped.stdout
        );
        assert!(rest.unwrap().contains("three"), "{kind:?}");
    }
}
