//! Calls of a provider's API with a connection's token. An answer of 401 refreshes the
//! token once, however many callers get it, and the call is made again.

use std::time::Duration;

use http::{HeaderValue, header};

use crate::app::App;
use crate::http::{Answer, HttpError};
use crate::provider::Provider;
use crate::secret::AccessToken;
use crate::store::oauth_tokens::Connection;
use crate::tokens::{self, TokenError, Wanted};

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
    let token = usable.credentials.access_token;
    let answer = send(app, request(), &token, timeout).await?;
    if answer.status != 401 || !replayable {
        return Ok((answer, usable.connection));
    }
    wanted.rejected = Some(token);
    let usable = tokens::usable(app, provider, wanted).await?;
    let token = usable.credentials.access_token;
    let answer = send(app, request(), &token, timeout).await?;
    Ok((answer, usable.connection))
}

async fn send(
    app: &App,
    mut request: http::Request<Vec<u8>>,
    token: &AccessToken,
    timeout: Duration,
) -> Result<Answer, HttpError> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| HttpError::Malformed)?;
    bearer.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
    app.http.send(request, timeout).await
}
