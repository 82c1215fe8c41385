//! Calls of a provider's API with a connection's token. An answer of 401 refreshes the
//! token once, however many callers get it, and the call is made again where it may be.

pub mod target;

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};

use crate::app::App;
use crate::http::{Answer, HttpError, Payload, Stream};
use crate::provider::Provider;
use crate::secret::AccessToken;
use crate::store::oauth_tokens::Connection;
use crate::tokens::{self, TokenError, Usable, Wanted};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no token to call with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The API did not answer.
    #[error("the provider's API {0}")]
    Http(#[from] HttpError),
}

/// Calls with the token of the connection that is `wanted`; what the API answered, whatever
/// its status, and the connection. `request` makes the same request each time it is asked;
/// its URL has been checked to be one of the provider's own. A request that may not be
/// repeated is none of `replayable`: its 401 is handed on.
pub async fn call(
    app: &App,
    provider: &Provider,
    wanted: &mut Wanted,
    request: impl Fn() -> http::Request<Vec<u8>>,
    replayable: bool,
    timeout: Duration,
) -> Result<(Answer, Connection), CallError> {
    let usable = tokens::usable(app, provider, wanted).await?;
    call_with(app, provider, wanted, usable, request, replayable, timeout).await
}

/// The same with a token of the connection that was read already.
pub async fn call_with(
    app: &App,
    provider: &Provider,
    wanted: &mut Wanted,
    usable: Usable,
    request: impl Fn() -> http::Request<Vec<u8>>,
    replayable: bool,
    timeout: Duration,
) -> Result<(Answer, Connection), CallError> {
    let token = &usable.credentials.access_token;
    let answer = send(app, request(), token, timeout).await?;
    if answer.status != 401 || !replayable {
        return Ok((answer, usable.connection));
    }
    let Some(usable) = replacement(app, provider, wanted, &usable).await? else {
        return Ok((answer, usable.connection));
    };
    let token = &usable.credentials.access_token;
    let answer = send(app, request(), token, timeout).await?;
    Ok((answer, usable.connection))
}

/// The same for a request and an answer of any size, which pass through. What may be made
/// again (RFC 9110 section 9.2.2) is what is known as a whole, and is idempotent or has no
/// body; after the 401 of anything else the token is replaced all the same, so that the
/// caller's own next try works.
pub async fn stream(
    app: &App,
    provider: &Provider,
    wanted: &mut Wanted,
    request: http::Request<Payload>,
) -> Result<(http::Response<Stream>, Connection), CallError> {
    let again = copy(&request);
    let usable = tokens::usable(app, provider, wanted).await?;
    let request = authorized(request, &usable.credentials.access_token)?;
    let answer = app.http.stream(request).await?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        return Ok((answer, usable.connection));
    }
    let renewed = match replacement(app, provider, wanted, &usable).await {
        // Asked for a moment ago, or not to be had: what the API said is all there is to say.
        Err(TokenError::ProviderUnavailable { .. }) => None,
        renewed => renewed?,
    };
    let (Some(renewed), Some(again)) = (renewed, again) else {
        return Ok((answer, usable.connection));
    };
    drop(answer);
    let request = authorized(again, &renewed.credentials.access_token)?;
    Ok((app.http.stream(request).await?, renewed.connection))
}

/// The request once more, if it may be made again.
fn copy(request: &http::Request<Payload>) -> Option<http::Request<Payload>> {
    let Payload::Whole(body) = request.body() else {
        return None;
    };
    if !request.method().is_idempotent() && !body.is_empty() {
        return None;
    }
    let mut copy = http::Request::new(Payload::Whole(body.clone()));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

/// The token that comes after one that the API answered 401 to; `None` where there is no
/// other one, because the last was made a moment ago.
async fn replacement(
    app: &App,
    provider: &Provider,
    wanted: &mut Wanted,
    refused: &Usable,
) -> Result<Option<Usable>, TokenError> {
    let token = &refused.credentials.access_token;
    wanted.rejected = Some(token.clone());
    let usable = tokens::usable(app, provider, wanted).await?;
    Ok((!usable.credentials.access_token.same_as(token)).then_some(usable))
}

pub(crate) async fn send(
    app: &App,
    request: http::Request<Vec<u8>>,
    token: &AccessToken,
    timeout: Duration,
) -> Result<Answer, HttpError> {
    app.http.send(authorized(request, token)?, timeout).await
}

fn authorized<B>(
    mut request: http::Request<B>,
    token: &AccessToken,
) -> Result<http::Request<B>, HttpError> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| HttpError::Malformed)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    Ok(request)
}
