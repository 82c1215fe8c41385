//! Completing an authorization: cookie and state agree, both are used up, the code is
//! exchanged, and what was granted is saved, or nothing is.

use serde_json::Value;
use uuid::Uuid;

use super::begin::{self, Flow};
use super::grant::{self, Grant};
use super::identity::{self, IdentityError};
use crate::app::App;
use crate::connection::{ConnectionId, Owner};
use crate::oauth::discovery::DiscoveryError;
use crate::oauth::token::{self, TokenEndpointError};
use crate::provider::Provider;
use crate::scope::ScopeSet;
use crate::secret::{AuthorizationCode, SealedToken, State};
use crate::store::{StoreError, completed_links, connection_events, pending_authorizations};

/// What the provider's redirect brought.
pub struct Callback {
    /// Required.
    pub state: Option<State>,
    /// RFC 6749 section 4.1.2.
    pub code: Option<AuthorizationCode>,
    /// RFC 6749 section 4.1.2.1; wins over a code.
    pub error: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
    /// Every parameter, for what the definition wants kept.
    pub parameters: Vec<(String, String)>,
}

/// The flow that a callback belongs to, as far as the browser may know.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Names its cookie.
    pub flow: Uuid,
    /// Where the browser goes now.
    pub return_to: Option<String>,
    /// Whose connection it is.
    pub owner: Owner,
    /// It was begun by a link, so this browser need not have a session.
    pub by_link: bool,
}

/// A connection that was made.
#[derive(Debug)]
pub struct Completed {
    /// The flow.
    pub arrival: Arrival,
    /// The connection.
    pub connection: ConnectionId,
    /// What its account is called.
    pub account: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a completed authorization ended.
#[derive(Debug)]
pub enum Outcome {
    /// All that was asked for.
    Connected,
    /// Saved, but the user left something out.
    InsufficientScope {
        /// What.
        missing: ScopeSet,
    },
    /// Waits for the host application.
    Pending,
}

/// A callback that made no connection.
#[derive(Debug)]
pub struct CompleteError {
    /// The flow, once it was clear that this browser had begun it.
    pub arrival: Option<Arrival>,
    /// Why.
    pub failure: Failure,
}

/// Why a callback made no connection.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// State missing, forged, run out, used, or of another browser.
    #[error("{0}")]
    InvalidState(&'static str),
    /// The user said no.
    #[error("the user said no at the provider")]
    AccessDenied,
    /// Another `error` of the authorization endpoint.
    #[error("the provider answered an error")]
    ProviderError(String),
    /// Neither code nor error.
    #[error("{0}")]
    Malformed(&'static str),
    /// Somebody else's account than the one that was to be connected again.
    #[error("another account than the one that was to be connected again")]
    AccountMismatch,
    /// The code exchange.
    #[error(transparent)]
    Token(#[from] TokenEndpointError),
    /// Who the account is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The provider's endpoints.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The database. Nothing was saved anywhere.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The flow whose cookie a callback has to bring.
pub fn flow_cookie(callback: &Callback) -> Option<Uuid> {
    begin::flow_id(callback.state.as_ref()?)
}

/// Completes an authorization with the cookie that [`flow_cookie`] names.
pub async fn complete(
    app: &App,
    provider: &Provider,
    callback: Callback,
    cookie: Option<SealedToken>,
) -> Result<Completed, CompleteError> {
    let (id, flow) = match recognise(app, provider, &callback, cookie) {
        Ok(recognised) => recognised,
        Err(reason) => {
            let failure = refuse(app, provider, reason).await;
            return Err(CompleteError {
                arrival: None,
                failure,
            });
        }
    };
    let arrival = Arrival {
        flow: id,
        return_to: flow.return_to.clone(),
        owner: flow.owner.clone(),
        by_link: flow.link.is_some(),
    };
    let fail = |failure| CompleteError {
        arrival: Some(arrival.clone()),
        failure,
    };

    // Nothing that a provider answers: the sign-in is left for its real answer.
    if callback.code.is_none() && callback.error.is_none() {
        return Err(CompleteError {
            arrival: None,
            failure: Failure::Malformed("the answer has neither code nor error"),
        });
    }
    // Used up before the token request: of two callbacks at once, one goes on.
    let consumed =
        pending_authorizations::consume(&app.store, id, &begin::state_hash(&flow.state)).await;
    match consumed {
        Ok(true) => {}
        // Used up before: this browser is not sent on as if it had just come.
        Ok(false) => {
            let failure =
                refuse(app, provider, "this sign-in was used before or has expired").await;
            return Err(CompleteError {
                arrival: None,
                failure,
            });
        }
        Err(error) => return Err(fail(error.into())),
    }
    match exchange_and_save(app, provider, callback, flow).await {
        Ok((connection, account, outcome)) => Ok(Completed {
            arrival,
            connection,
            account,
            outcome,
        }),
        Err(failure) => Err(fail(failure)),
    }
}

/// The flow of a callback, if this very browser began it for this very provider.
fn recognise(
    app: &App,
    provider: &Provider,
    callback: &Callback,
    cookie: Option<SealedToken>,
) -> Result<(Uuid, Flow), &'static str> {
    // The same for a state that is not ours: nobody learns which ones are.
    let elsewhere = "this browser did not begin the sign-in, or its cookie is gone";
    let state = callback.state.as_ref().ok_or("the state is missing")?;
    let id = begin::flow_id(state).ok_or(elsewhere)?;
    let cookie = cookie.ok_or(elsewhere)?;
    let flow = begin::open(app, id, &cookie).ok_or("the sign-in has expired")?;
    if !flow.state.same_as(state) {
        return Err("the state is not the one of this browser");
    }
    if flow.provider != provider.name {
        return Err("the state belongs to another provider");
    }
    Ok((id, flow))
}

/// A refused callback leaves a trace for the operator, if the database takes it.
async fn refuse(app: &App, provider: &Provider, reason: &'static str) -> Failure {
    let name = &provider.name;
    let recorded = connection_events::insert_refused_callback(&app.store, name, reason).await;
    if let Err(error) = recorded {
        tracing::warn!(provider = %name, %error, "refused callback not recorded");
    }
    tracing::warn!(provider = %provider.name, reason, "callback refused");
    Failure::InvalidState(reason)
}

async fn exchange_and_save(
    app: &App,
    provider: &Provider,
    callback: Callback,
    flow: Flow,
) -> Result<(ConnectionId, String, Outcome), Failure> {
    let definition = provider.definition(&app.http).await?;
    if let Some(error) = callback.error {
        return Err(match error.as_str() {
            "access_denied" | "user_cancelled_login" | "consent_required" => Failure::AccessDenied,
            _ => Failure::ProviderError(crate::oauth::error_code(&error)),
        });
    }
    let issuer_fits = match (&callback.iss, &definition.issuer) {
        (Some(iss), Some(issuer)) => iss == issuer,
        (None, _) => !definition.authorization_response_iss_parameter_supported,
        (Some(_), None) => true,
    };
    if !issuer_fits {
        return Err(refuse(app, provider, "the answer came from another issuer").await);
    }
    let code = callback
        .code
        .ok_or(Failure::Malformed("the answer has neither code nor error"))?;
    if let Some(link) = &flow.link
        && completed_links::is_completed(&app.store, link.id).await?
    {
        return Err(Failure::InvalidState("this link was used before"));
    }

    let client = &provider.client;
    let verifier = flow.verifier.as_ref();
    let mut tokens = token::exchange(
        &app.http,
        definition,
        client,
        &code,
        verifier,
        &flow.redirect_uri,
        app.now(),
    )
    .await?;
    for (name, value) in callback.parameters {
        if definition.callback_metadata.contains(&name) {
            tokens.metadata.insert(name, Value::String(value));
        }
    }
    let identity =
        identity::identify(app, provider, definition, &tokens, flow.nonce.as_ref()).await?;
    require_account(app, provider, &flow, &identity).await?;

    let grant = Grant::issued(provider, definition, tokens, &flow.scopes);
    let missing = provider.missing_scopes(&grant.terms.scopes, &flow.scopes);
    if let Some(link) = &flow.link
        && !completed_links::complete(&app.store, link.id, super::TTL as f64).await?
    {
        return Err(Failure::InvalidState("this link was used before"));
    }
    let pending = flow.link.as_ref().is_some_and(|link| link.confirm);
    let key = grant::save(app, &provider.name, &flow.owner, &identity, grant, pending).await?;
    let outcome = match (pending, missing.is_empty()) {
        (true, _) => Outcome::Pending,
        (false, true) => Outcome::Connected,
        (false, false) => Outcome::InsufficientScope { missing },
    };
    Ok((key.id, key.account, outcome))
}

/// A connection that is made again has to be made with the same account: another one's
/// tokens must not end up in its row, nor beside it unnoticed.
async fn require_account(
    app: &App,
    provider: &Provider,
    flow: &Flow,
    identity: &identity::Identity,
) -> Result<(), Failure> {
    let Some(account) = &flow.account else {
        return Ok(());
    };
    let rows =
        crate::store::oauth_tokens::find(&app.store, &provider.name, &flow.owner, Some(account))
            .await?;
    let same = rows.iter().all(|row| {
        row.key.account == identity.label
            || (row.subject.is_some() && row.subject == identity.subject)
    });
    if same {
        Ok(())
    } else {
        Err(Failure::AccountMismatch)
    }
}
