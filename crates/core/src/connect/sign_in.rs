//! Signing in with an account at a provider, by the code that its popup gave to a page:
//! the id_token says who it is, and the same consent is saved as that user's connection.

use serde_json::{Map, Value};

use super::grant::{self, Grant};
use super::identity::{self, Identity};
use crate::app::App;
use crate::connection::{DEFAULT, Owner};
use crate::oauth::discovery::DiscoveryError;
use crate::oauth::id_token::{self, Expected, IdTokenError};
use crate::oauth::token::{self, TokenEndpointError, TokenSet};
use crate::provider::{Definition, Provider};
use crate::scope::ScopeSet;
use crate::secret::AuthorizationCode;
use crate::store::oauth_tokens::{self, Connection};
use crate::store::users::{self, User};
use crate::store::{StoreError, oauth_tokens::Status};

/// Who signed in, and what they connected by it.
pub struct SignedIn {
    /// The user; their id is the actor of their connections.
    pub user: User,
    /// In the workspace `default`.
    pub connection: Connection,
}

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider has no popup, or nothing to check its id_tokens with.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The code was used, has run out or was given to another client.
    #[error("the provider refused the code ({error})")]
    CodeRefused {
        /// The provider's `error`.
        error: String,
    },
    /// The consent did not include `openid`.
    #[error("the provider gave no id_token")]
    NoIdToken,
    /// The id_token is not to be believed.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// The code exchange.
    #[error(transparent)]
    Token(TokenEndpointError),
    /// The provider's endpoints.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<TokenEndpointError> for SignInError {
    fn from(error: TokenEndpointError) -> Self {
        match error {
            TokenEndpointError::DeadGrant { error } => Self::CodeRefused { error },
            other => Self::Token(other),
        }
    }
}

/// Exchanges a popup's code, and saves user and connection. `requested` is what the page
/// asked for, so that what the user left out can be told.
pub async fn sign_in(
    app: &App,
    provider: &Provider,
    code: &AuthorizationCode,
    requested: &ScopeSet,
) -> Result<SignedIn, SignInError> {
    let definition = provider.definition(&app.http).await?;
    let redirect_uri = definition
        .popup_redirect_uri
        .as_deref()
        .ok_or(SignInError::Unsupported("has no popup to sign in with"))?;
    // An unsigned token is enough to label a connection, not to say who somebody is.
    if definition.jwks_uri.is_none() {
        return Err(SignInError::Unsupported(
            "has no jwks_uri to check who signs in",
        ));
    }
    let client = &provider.client;
    let tokens = token::exchange(
        &app.http,
        definition,
        client,
        code,
        None,
        redirect_uri,
        app.now(),
    )
    .await?;
    let claims = verified(app, provider, definition, &tokens).await?;
    let identity = identity::read(&Value::Object(claims.clone()), definition);

    let user = save_user(app, definition, &claims, &identity).await?;
    let owner = Owner {
        workspace: DEFAULT.to_owned(),
        actor: user.id.to_string(),
    };
    let grant = Grant::issued(provider, definition, tokens, requested);
    let connection = saved(app, provider, &owner, &identity, grant).await?;
    Ok(SignedIn { user, connection })
}

async fn verified(
    app: &App,
    provider: &Provider,
    definition: &Definition,
    tokens: &TokenSet,
) -> Result<Map<String, Value>, SignInError> {
    let token = tokens.id_token.as_ref().ok_or(SignInError::NoIdToken)?;
    let expected = Expected {
        client_id: &provider.client.id,
        // The page's popup sends none: the code came from its own client, just now.
        nonce: None,
        access_token: &tokens.access_token,
        now: app.now(),
    };
    Ok(id_token::verify(&app.http, &app.key_sets, definition, token, &expected).await?)
}

/// Known by issuer and subject alone: an address can change hands.
async fn save_user(
    app: &App,
    definition: &Definition,
    claims: &Map<String, Value>,
    identity: &Identity,
) -> Result<User, SignInError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // One issuer may have several spellings; its users are the same people.
    let issuer = match &definition.issuer {
        Some(issuer) if !issuer.contains('{') => Some(issuer.as_str()),
        _ => text("iss"),
    };
    let issuer = issuer.ok_or(IdTokenError::Claim("iss"))?;
    let subject = text("sub").ok_or(IdTokenError::Claim("sub"))?;
    // A label that is not the subject is an address that the provider has verified.
    let email =
        Some(identity.label.as_str()).filter(|label| identity.subject.as_deref() != Some(label));
    Ok(users::sign_in(&app.store, app.new_id(), issuer, subject, email).await?)
}

async fn saved(
    app: &App,
    provider: &Provider,
    owner: &Owner,
    identity: &Identity,
    grant: Grant,
) -> Result<Connection, StoreError> {
    let key = grant::save(app, &provider.name, owner, identity, grant, false).await?;
    oauth_tokens::find_by_id(&app.store, key.id)
        .await?
        .filter(|row| row.status != Status::Pending)
        .ok_or_else(|| StoreError::Unavailable("disconnected at the same moment".to_owned()))
}
