//! `/dev/mail`: what a connected mailbox and calendar are good for, to be looked at. Everything on
//! the page comes from the public HTTP API, asked with a service key as any other endpoint would;
//! the deployed functions know nothing of it.

mod actions;
mod api;
mod link;
mod look;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use grantkeep_core::App;
use grantkeep_functions::caller::browser_session;

use api::Api;
use page::Notice;

/// Where the page is.
pub const PATH: &str = "/dev/mail";

/// What the page works with.
#[derive(Clone)]
pub struct Mail(Arc<Parts>);

struct Parts {
    app: App,
    api: Api,
    /// Where the demo provider is, if mail can be made to arrive there.
    demo: Option<String>,
}

impl Mail {
    /// For the functions at `origin`.
    pub fn new(
        app: App,
        origin: &str,
        service_key: &str,
        cron_secret: Option<String>,
        demo: Option<String>,
    ) -> Self {
        let api = Api::new(origin, service_key, cron_secret);
        Self(Arc::new(Parts { app, api, demo }))
    }

    /// Adds the page to the functions, and the way to it to theirs.
    pub fn beside(self, functions: Router) -> Router {
        let page = Router::new()
            .route(PATH, get(show).post(actions::act))
            .with_state(self);
        functions
            .layer(middleware::map_response(link::add))
            .merge(page)
    }
}

/// The page, or the connect page for who is not signed in.
async fn show(State(mail): State<Mail>, headers: HeaderMap, uri: axum::http::Uri) -> Response {
    let notice = Notice::of_query(uri.query().unwrap_or_default());
    render(&mail, &headers, notice).await
}

async fn render(mail: &Mail, headers: &HeaderMap, notice: Option<Notice>) -> Response {
    let session = match browser_session(&mail.0.app, headers).await {
        Ok(Some(session)) => session,
        Ok(None) => return see_other(HeaderValue::from_static("/connect")),
        Err(problem) => return problem.into_response(),
    };
    let looked = look::at(mail, &session.owner).await;
    page::html(mail.0.demo.is_some(), &session.owner, notice, looked)
}

fn see_other(location: HeaderValue) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}
