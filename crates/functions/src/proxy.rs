//! `ANY /api/proxy/{provider}/{path}`: calls the provider's API with a connection's token.
//! The answer is the API's own, whatever its status; only our own errors are problems.

mod headers;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;

use grantkeep_core::App;
use grantkeep_core::api::target::{TargetError, target};
use grantkeep_core::api::{self, CallError};
use grantkeep_core::connection::{Owner, name};
use grantkeep_core::http::{HttpError, Payload};
use grantkeep_core::provider::Provider;
use grantkeep_core::scope::{Mode, ScopeSet};
use grantkeep_core::service_key::Permission;
use grantkeep_core::settings::Need;
use grantkeep_core::tokens::Wanted;

use crate::caller::ServiceKey;
use crate::extract::{MAX_BODY, body};
use crate::problem::{Code, Problem};
use crate::provider_path;
use crate::service::{Function, Instance, Noted};

const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

/// This function.
pub static FUNCTION: Function = Function {
    name: "proxy",
    routes: &[("/api/proxy/{provider}/{*path}", METHODS)],
    needs: &[Need::ServiceKeys],
    router: routes,
};

/// The function on its own, from the environment.
pub fn start() -> Router {
    crate::service::start(&FUNCTION)
}

fn routes() -> Router<Instance> {
    Router::new().route("/api/proxy/{provider}/{*path}", any(pass))
}

async fn pass(
    State(app): State<App>,
    key: ServiceKey,
    request: Request,
) -> Result<Response, Problem> {
    let method = request.method().clone();
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(
            Problem::new(Code::InvalidRequest, "CONNECT and TRACE are not passed on")
                .with_status(StatusCode::METHOD_NOT_ALLOWED),
        );
    }
    let asked = Asked::read(&app, request.uri().path(), request.headers())?;
    key.require(Permission::Proxy, &asked.wanted.owner.workspace)?;
    let Asked {
        provider,
        host,
        rest,
        mut wanted,
    } = asked;
    let query = request.uri().query().unwrap_or_default();
    let query = without_rewrite(query, &provider.name, &rest);
    let url = target(provider.configured(), host.as_deref(), &rest, Some(query))
        .map_err(|error| misdirected(error, provider))?;

    let outgoing = outgoing(request, url.as_str()).await?;
    let (answer, connection) = api::stream(&app, provider, &mut wanted, outgoing)
        .await
        .map_err(|error| failed(&app, provider, error))?;

    let (parts, body) = answer.into_parts();
    let mut response = Response::new(Body::new(body));
    *response.status_mut() = parts.status;
    *response.headers_mut() = headers::to_caller(&parts.headers, &method);
    response.extensions_mut().insert(Noted {
        provider: Some(provider.name.clone()),
        connection: Some(connection.key.id.to_string()),
        key: Some(key.0.name.clone()),
        token: None,
    });
    Ok(response)
}

/// What the path and our own headers ask for.
struct Asked<'a> {
    provider: &'a Provider,
    host: Option<String>,
    rest: String,
    wanted: Wanted,
}

impl<'a> Asked<'a> {
    fn read(app: &'a App, path: &str, headers: &HeaderMap) -> Result<Self, Problem> {
        // The path as it was sent: a decoded one would not show what is a slash of its own.
        let path = path.strip_prefix("/api/proxy/").unwrap_or_default();
        let (provider, rest) = path.split_once('/').unwrap_or((path, ""));
        let provider = provider_path::find(app, provider)?;
        let text = |header: &'static str| one(headers, header);
        let (workspace, actor) = (text("x-grantkeep-workspace")?, text("x-grantkeep-actor")?);
        let account = text("x-grantkeep-account")?
            .map(|account| name("account", account))
            .transpose()?;
        let scopes = text("x-grantkeep-scope")?.map(ScopeSet::parse);
        Ok(Self {
            provider,
            host: text("x-grantkeep-host")?.map(str::to_owned),
            rest: rest.to_owned(),
            wanted: Wanted {
                owner: Owner::new(workspace, actor)?,
                account,
                scopes: scopes.unwrap_or_default(),
                mode: Mode::default(),
                min_ttl: None,
                rejected: None,
            },
        })
    }
}

/// One of our own headers, in UTF-8; an empty one counts as absent.
fn one<'a>(headers: &'a HeaderMap, header: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(header).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(header, "is given more than once"));
    }
    let text = first
        .map(|value| std::str::from_utf8(value.as_bytes()))
        .transpose()
        .map_err(|_| Problem::invalid(header, "is not UTF-8"))?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// The query that the caller sent. Vercel's rewrite appends the path that it matched as
/// `path`, unless the caller's query has one; nothing else is ours to take away.
fn without_rewrite<'a>(query: &'a str, provider: &str, rest: &str) -> &'a str {
    let (before, last) = query.rsplit_once('&').unwrap_or(("", query));
    let Some(value) = last.strip_prefix("path=") else {
        return query;
    };
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let whole = format!("{provider}/{rest}");
    match decoded(value) == whole || decoded(value) == decoded(&whole) {
        true => before,
        false => query,
    }
}

/// The request as the API gets it. A small body whose length is known is read first, so
/// that the call can be made again where that does no harm.
async fn outgoing(request: Request, url: &str) -> Result<http::Request<Payload>, Problem> {
    let headers = headers::to_api(request.headers());
    let method = request.method().clone();
    let size = http_body::Body::size_hint(request.body()).exact();
    let small = size.is_some_and(|size| size <= MAX_BODY as u64);
    let payload = match (size, small && method.is_idempotent()) {
        (Some(0), _) | (_, true) => Payload::Whole(body(request).await?),
        _ => Payload::Stream(request.into_body().map_err(Into::into).boxed_unsync()),
    };
    let mut outgoing = http::Request::new(payload);
    *outgoing.method_mut() = method;
    *outgoing.uri_mut() = url
        .parse()
        .map_err(|_| Problem::invalid("path", "cannot be sent"))?;
    *outgoing.headers_mut() = headers;
    Ok(outgoing)
}

fn misdirected(error: TargetError, provider: &Provider) -> Problem {
    match error {
        TargetError::NoApi => {
            Problem::new(Code::Misconfigured, format!("{} {error}", provider.name))
        }
        TargetError::Host => Problem::invalid("x-grantkeep-host", error.to_string()),
        TargetError::Path(reason) => Problem::invalid("path", reason),
    }
}

fn failed(app: &App, provider: &Provider, error: CallError) -> Problem {
    match error {
        CallError::Token(error) => Problem::of_token(error, |scopes, account| {
            provider_path::connect_url(app, &provider.name, scopes, account)
        }),
        CallError::Http(error @ HttpError::PrivateAddress) => Problem::new(
            Code::Misconfigured,
            format!("OAUTH_PROVIDERS: {}: api_base {error}", provider.name),
        ),
        CallError::Http(error @ HttpError::Malformed) => {
            Problem::invalid("request", error.to_string())
        }
        CallError::Http(
            error @ (HttpError::Unreachable
            | HttpError::Timeout
            | HttpError::Interrupted
            | HttpError::TooLarge),
        ) => Problem::new(
            Code::ProviderUnavailable,
            format!("the provider's API {error}; try again later"),
        )
        .retry_after(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_rewrite_appended_is_taken_away() {
        for (query, expected) in [
            ("", ""),
            ("path=gmail/a/b", ""),
            ("path=gmail%2Fa%2Fb", ""),
            ("x=1&path=gmail/a/b", "x=1"),
            ("path=own&x=1", "path=own&x=1"),
            ("x=1&path=own", "x=1&path=own"),
            ("path=gmail/a/b&x=1", "path=gmail/a/b&x=1"),
            ("x=1&path=gmail/a/b/c", "x=1&path=gmail/a/b/c"),
            ("x=1&apath=gmail/a/b", "x=1&apath=gmail/a/b"),
        ] {
            assert_eq!(without_rewrite(query, "gmail", "a/b"), expected, "{query}");
        }
        for query in ["path=gmail/a%20%2B", "path=gmail%2Fa%2520%252B"] {
            assert_eq!(without_rewrite(query, "gmail", "a%20%2B"), "", "{query}");
        }
    }
}
