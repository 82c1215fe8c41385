//! Lambda's Runtime API, and the function URL in front of it that turns HTTP into events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::time::timeout;

use super::process::{PATIENCE, Process};

mod gateway;

const NEXT: &str = "/2018-06-01/runtime/invocation/next";

pub struct Lambda {
    process: Process,
    api: Arc<RuntimeApi>,
}

/// What the function sees of Lambda.
struct RuntimeApi {
    submit: mpsc::UnboundedSender<(String, Value)>,
    queue: AsyncMutex<mpsc::UnboundedReceiver<(String, Value)>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Result<Value, Value>>>>,
    invocations: AtomicU64,
}

impl Lambda {
    pub async fn start(program: &Path, variables: &[(&str, &str)]) -> Lambda {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let (submit, queue) = mpsc::unbounded_channel();
        let api = Arc::new(RuntimeApi {
            submit,
            queue: AsyncMutex::new(queue),
            waiting: Mutex::default(),
            invocations: AtomicU64::new(0),
        });
        tokio::spawn(api.clone().listen(listener));

        let mut all = vec![
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", "function"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_REGION", "us-east-1"),
        ];
        all.extend(variables);
        Lambda {
            process: Process::start(program, &all),
            api,
        }
    }

    pub async fn send(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path().to_owned();
        match self.invoke(gateway::event(request)).await {
            Ok(reply) => gateway::response(&reply),
            Err(error) => panic!("the function reported an error for {path}: {error}"),
        }
    }

    pub async fn invoke(&self, event: Value) -> Result<Value, Value> {
        let id = format!(
            "invocation-{}",
            self.api.invocations.fetch_add(1, Ordering::Relaxed)
        );
        let (answered, answer) = oneshot::channel();
        self.api
            .waiting
            .lock()
            .expect("no panic while locked")
            .insert(id.clone(), answered);
        self.api
            .submit
            .send((id, event))
            .expect("the queue lives as long as the API");
        let answer = timeout(PATIENCE, answer).await;
        answer
            .expect("the function to answer an invocation")
            .expect("a waiting sender")
    }

    pub fn process(&self) -> &Process {
        &self.process
    }

    pub fn into_process(self) -> Process {
        self.process
    }
}

impl RuntimeApi {
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let api = self.clone();
            tokio::spawn(async move {
                let service =
                    service_fn(|request| async { Ok::<_, Infallible>(api.answer(request).await) });
                // The connection breaks when the function is killed.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if path == NEXT {
            return self.next().await;
        }
        let body = request
            .into_body()
            .collect()
            .await
            .expect("a complete report")
            .to_bytes();
        let report = serde_json::from_slice(&body).expect("a report in JSON");
        let ended = path.rsplit_once('/').and_then(|(rest, end)| {
            let (_, id) = rest.rsplit_once('/')?;
            match end {
                "response" => Some((id, Ok(report))),
                "error" => Some((id, Err(report))),
                _ => None,
            }
        });
        let Some((id, outcome)) = ended else {
            return answer(StatusCode::NOT_FOUND);
        };
        match self
            .waiting
            .lock()
            .expect("no panic while locked")
            .remove(id)
        {
            // Nobody waits any more after a test has given up.
            Some(waiting) => drop(waiting.send(outcome)),
            None => return answer(StatusCode::BAD_REQUEST),
        }
        answer(StatusCode::ACCEPTED)
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        let (id, event) = self
            .queue
            .lock()
            .await
            .recv()
            .await
            .expect("the API holds a sender");
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", "4102444800000")
            .header(
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:1:function:f",
            )
            .header(
                "lambda-runtime-trace-id",
                "Root=1-5759e988-bd862e3fe1be46a994272793",
            )
            .body(Full::from(event.to_string()))
            .expect("valid headers")
    }
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
