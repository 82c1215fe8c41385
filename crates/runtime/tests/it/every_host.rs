//! What holds on every host.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use grantkeep_runtime::test_hosts::Kind;
use http::{Request, Response, StatusCode, header};
use tokio::task::JoinSet;

use crate::{json, start};

const LIMIT: usize = 1024 * 1024;

fn strings<'a>(response: &'a Response<Bytes>, name: &str) -> Vec<&'a str> {
    response
        .headers()
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect()
}

#[tokio::test]
async fn the_router_is_built_once() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        host.get("/anything").await;

        assert_eq!(host.get("/starts").await.body(), "1", "{kind:?}");
    }
}

#[tokio::test]
async fn path_and_query_arrive_as_sent() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        for sent in [
            "/",
            "/a/b",
            "/a%2Fb%20c/%C3%A9/d@e:f;g=h",
            "/a?x=1&x=2&y=%C3%A9+z%26&e=&n",
        ] {
            let seen = json(host.get(sent).await.body());
            assert_eq!(seen["uri"], sent, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn method_headers_and_cookies_arrive() {
    for kind in Kind::ALL {
        let host = start(kind).await;
        let request = Request::builder()
            .method("PATCH")
            .uri("/x")
            .header("authorization", "Bearer abc")
            .header("x-name", "caf\u{e9}")
            .header("cookie", "a=1; b=2")
            .body(Bytes::from("four"))
            .unwrap();

        let seen = json(host.send(request).await.body());

        assert_eq!(seen["method"], "PATCH", "{kind:?}");
        assert_eq!(seen["body_length"], 4, "{kind:?}");
        assert_eq!(
            seen["headers"]["authorization"][0], "Bearer abc",
            "{kind:?}"
        );
        assert_eq!(seen["headers"]["x-name"][0], "caf\u{e9}", "{kind:?}");
        assert_eq!(
            seen["headers"]["cookie"],
            serde_json::json!(["a=1; b=2"]),
            "{kind:?}"
        );
        assert!(seen["headers"]["host"][0].is_string(), "{kind:?}");
    }
}

#[tokio::test]
async fn vercels_internal_headers_do_not_reach_the_router() {
    for kind in Kind::ALL {
        let host = start(kind).await;
        let request = Request::get("/x")
            .header("x-vercel-internal-anything", "forged")
            .header("x-vercel-internal-anything", "twice")
            .header("x-vercel-id", "iad1::abc")
            .body(Bytes::new());

        let seen = json(host.send(request.unwrap()).await.body());

        let names: BTreeSet<_> = seen["headers"].as_object().unwrap().keys().collect();
        assert!(
            !names
                .iter()
                .any(|name| name.starts_with("x-vercel-internal-")),
            "{kind:?} {names:?}"
        );
        assert!(seen["headers"]["x-vercel-id"].is_array(), "{kind:?}");
    }
}

#[tokio::test]
async fn several_cookies_and_equal_headers_survive() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        let response = host.get("/cookies").await;

        assert_eq!(
            strings(&response, "set-cookie"),
            [
                "first=1; Path=/; HttpOnly",
                "second=2; Path=/; Expires=Wed, 21 Oct 2037 07:28:00 GMT"
            ],
            "{kind:?}"
        );
        assert_eq!(
            strings(&response, "vary").join(", "),
            "cookie, origin",
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn bodies_of_any_bytes_pass_both_ways() {
    let all: Vec<u8> = (0..=255).collect();
    for kind in Kind::ALL {
        let host = start(kind).await;

        assert_eq!(host.get("/bytes").await.body(), &all, "{kind:?}");

        for sent in [
            Bytes::from(all.clone()),
            Bytes::from("h\u{e9}llo\0"),
            Bytes::new(),
        ] {
            let response = host
                .send(Request::post("/body").body(sent.clone()).unwrap())
                .await;
            assert_eq!(response.body(), &sent, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_panic_is_answered_with_500_and_logged_without_its_message() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        let response = host.get("/panic").await;
        let after = host.get("/still-there").await;

        assert_eq!(
            response.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{kind:?}"
        );
        assert_eq!(
            strings(&response, "content-type"),
            ["application/problem+json"],
            "{kind:?}"
        );
        let problem = json(response.body());
        assert_eq!(problem["type"], "urn:grantkeep:error:internal", "{kind:?}");
        assert_eq!(problem["title"], "Internal error", "{kind:?}");
        assert_eq!(problem["status"], 500, "{kind:?}");
        assert_eq!(problem["code"], "internal", "{kind:?}");
        assert_eq!(after.status(), StatusCode::OK, "{kind:?}");

        let stopped = host.stop().await;
        let panics: Vec<_> = stopped
            .stdout
            .lines()
            .filter(|line| line.contains("panic"))
            .map(|line| json(line.as_bytes()))
            .collect();
        assert_eq!(panics.len(), 1, "{kind:?} {}", stopped.stdout);
        assert_eq!(panics[0]["level"], "error", "{kind:?}");
        assert_eq!(panics[0]["event"], "panic", "{kind:?}");
        let place = panics[0]["location"].as_str().unwrap();
        assert!(place.contains("probe.rs:"), "{kind:?} {place}");
        let everything = format!("{response:?}{}{}", stopped.stdout, stopped.stderr);
        assert!(!everything.contains("hunter2"), "{kind:?} {everything}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_becomes_a_500() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        let response = host.get("/broken-off").await;

        assert_eq!(
            response.status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{kind:?}"
        );
        assert_eq!(json(response.body())["code"], "internal", "{kind:?}");
        let stopped = host.stop().await;
        assert!(stopped.stdout.contains("response_body_failed"), "{kind:?}");
        assert!(
            !format!("{response:?}{stopped:?}").contains("hunter2"),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_header_outside_ascii_does_not_break_the_answer() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        let response = host.get("/latin1").await;

        assert_eq!(response.body(), "latin1", "{kind:?}");
        assert!(
            response.headers()["x-latin1"]
                .as_bytes()
                .starts_with(b"caf"),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_body_above_one_mebibyte_is_refused_with_or_without_its_length() {
    for kind in Kind::ALL {
        let host = start(kind).await;
        let send = async |size, chunked| {
            let mut request = Request::post("/x");
            if chunked {
                request = request.header(header::TRANSFER_ENCODING, "chunked");
            }
            host.send(request.body(Bytes::from(vec![b'x'; size])).unwrap())
                .await
        };

        for chunked in [false, true] {
            let at_limit = send(LIMIT, chunked).await;
            assert_eq!(at_limit.status(), StatusCode::OK, "{kind:?} {chunked}");
            assert_eq!(
                json(at_limit.body())["body_length"],
                LIMIT,
                "{kind:?} {chunked}"
            );

            for size in [LIMIT + 1, 4 * LIMIT] {
                let above = send(size, chunked).await;
                assert_eq!(
                    above.status(),
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "{kind:?} {chunked}"
                );
                assert_eq!(
                    strings(&above, "content-type"),
                    ["application/problem+json"]
                );
                let problem = json(above.body());
                assert_eq!(problem["code"], "invalid_request", "{kind:?} {chunked}");
                assert_eq!(problem["status"], 413, "{kind:?} {chunked}");
            }
        }
        assert_eq!(
            host.get("/still-there").await.status(),
            StatusCode::OK,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn twenty_requests_are_answered_side_by_side_except_on_lambda() {
    for kind in Kind::ALL {
        let host = Arc::new(start(kind).await);
        let started = Instant::now();

        let mut requests = JoinSet::new();
        for _ in 0..20 {
            let host = host.clone();
            requests.spawn(async move { host.get("/slow").await });
        }
        let answers = requests.join_all().await;

        assert!(
            answers.iter().all(|answer| answer.body() == "slow"),
            "{kind:?}"
        );
        let one_after_the_other = Duration::from_millis(20 * 300);
        assert_eq!(
            started.elapsed() >= one_after_the_other,
            kind == Kind::Lambda,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    for kind in Kind::ALL {
        let host = start(kind).await;

        let response = host
            .send(Request::head("/bytes").body(Bytes::new()).unwrap())
            .await;

        assert_eq!(response.status(), StatusCode::OK, "{kind:?}");
        assert!(response.body().is_empty(), "{kind:?}");
    }
}
