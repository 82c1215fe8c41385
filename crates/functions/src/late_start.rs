//! A function whose encryption keys AWS KMS has to open: it starts at its first request, and
//! again at the next one where KMS was away.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;

use grantkeep_core::App;
use grantkeep_core::app::LoadError;
use grantkeep_core::kms::KmsError;

use crate::problem::Problem;
use crate::service::{self, Function};

/// KMS is not asked again before, however many requests come.
const PAUSE: Duration = Duration::from_secs(1);
/// The same where it refused: until the settings or the role change, it will again.
const LONG_PAUSE: Duration = Duration::from_secs(15);

struct LateStart {
    function: &'static Function,
    started: Instant,
    router: OnceCell<Router>,
    refused: Mutex<Option<(Instant, Problem)>>,
}

/// A router that becomes the function's own with its first request.
pub fn router(function: &'static Function, started: Instant) -> Router {
    let late = Arc::new(LateStart {
        function,
        started,
        router: OnceCell::new(),
        refused: Mutex::default(),
    });
    Router::new().fallback(move |request: Request| answer(Arc::clone(&late), request))
}

async fn answer(late: Arc<LateStart>, request: Request) -> Response {
    use tower::Service as _;
    match late.router.get_or_try_init(|| late.start()).await {
        Ok(router) => {
            let answered: Result<Response, Infallible> = router.clone().call(request).await;
            answered.unwrap_or_else(|never| match never {})
        }
        Err(problem) => {
            let response = problem.into_response();
            service::note_unmatched(late.function.name, request.method(), response.status());
            response
        }
    }
}

impl LateStart {
    /// One at a time: who waits gets the router, or tries after the pause.
    async fn start(&self) -> Result<Router, Problem> {
        if let Some((until, problem)) = self.refused().clone()
            && Instant::now() < until
        {
            return Err(problem);
        }
        let error = match App::load(self.function.needs).await {
            Ok(app) => return Ok(service::one(self.function, app, self.started)),
            Err(LoadError::Settings(error)) => {
                return Ok(service::misconfigured(self.function.name, &error));
            }
            Err(LoadError::Kms(error)) => error,
        };
        let function = self.function.name;
        tracing::error!(event = "keys_not_opened", function, %error);
        let pause = match error {
            KmsError::Unavailable(_) => PAUSE,
            KmsError::Setting { .. } | KmsError::Refused(_) => LONG_PAUSE,
        };
        let problem = Problem::from(error);
        *self.refused() = Some((Instant::now() + pause, problem.clone()));
        Err(problem)
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Problem)>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
