//! Beginning an authorization: state, PKCE verifier and nonce sealed into a cookie of
//! this flow, its id recorded for single use, the browser sent to the provider.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use grantkeep_providers::ResponseMode;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::TTL;
use super::link::Link;
use crate::app::App;
use crate::cipher::Place;
use crate::connection::Owner;
use crate::oauth::authorization;
use crate::oauth::discovery::DiscoveryError;
use crate::provider::Provider;
use crate::scope::ScopeSet;
use crate::secret::{CodeVerifier, Nonce, SealedToken, State};
use crate::store::{StoreError, oauth_tokens, pending_authorizations};

/// Browsers keep cookies of up to 4096 bytes, name and attributes included.
const MAX_COOKIE: usize = 3800;

/// What an authorization is begun with.
pub struct Begin {
    /// For whom.
    pub owner: Owner,
    /// Where the browser goes afterwards; already checked.
    pub return_to: Option<String>,
    /// Scopes besides the provider's own and those already granted.
    pub scopes: ScopeSet,
    /// The account to offer first; a connection of that name must be completed with it.
    pub account: Option<String>,
    /// The link that began it, if one did.
    pub link: Option<Link>,
}

/// Where to send the browser, and what it has to bring back.
pub struct Begun {
    /// The provider's authorization endpoint with its query.
    pub location: Url,
    /// Names the cookie.
    pub flow: Uuid,
    /// The cookie's value.
    pub cookie: SealedToken,
    /// The callback will be a cross-site POST.
    pub form_post: bool,
}

/// Why an authorization could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// A scope that callers may not ask for; they are named.
    #[error("scopes that may not be asked for")]
    ScopeNotAllowed(Vec<String>),
    /// More than fits into a cookie.
    #[error("return_to and scope are too long together")]
    TooLong,
    /// The link was completed before.
    #[error("the link was used")]
    LinkUsed,
    /// The provider's endpoints are not known.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What travels through the browser, sealed, from begin to complete.
#[derive(Deserialize)]
pub(super) struct Flow {
    pub state: State,
    pub verifier: Option<CodeVerifier>,
    pub nonce: Option<Nonce>,
    pub provider: String,
    pub owner: Owner,
    pub account: Option<String>,
    pub return_to: Option<String>,
    pub scopes: ScopeSet,
    pub redirect_uri: String,
    pub expires_at: DateTime<Utc>,
    pub link: Option<Link>,
}

/// The sealed form of a [`Flow`]; the only place where its secrets are serialised.
#[derive(Serialize)]
struct Written<'a> {
    state: &'a str,
    verifier: Option<&'a str>,
    nonce: Option<&'a str>,
    provider: &'a str,
    owner: &'a Owner,
    account: Option<&'a str>,
    return_to: Option<&'a str>,
    scopes: &'a [String],
    redirect_uri: &'a str,
    expires_at: DateTime<Utc>,
    link: Option<&'a Link>,
}

/// Records the authorization and says where to send the browser.
pub async fn begin(app: &App, provider: &Provider, begin: Begin) -> Result<Begun, BeginError> {
    let refused: Vec<String> = begin
        .scopes
        .iter()
        .filter(|scope| !is_scope_token(scope) || !provider.allows_scope(scope))
        .map(str::to_owned)
        .collect();
    if !refused.is_empty() {
        return Err(BeginError::ScopeNotAllowed(refused));
    }
    if let Some(link) = &begin.link
        && crate::store::completed_links::is_completed(&app.store, link.id).await?
    {
        return Err(BeginError::LinkUsed);
    }
    let definition = provider.definition(&app.http).await?;
    let granted = granted(app, provider, &begin).await?;
    let more = granted.union(&begin.scopes);
    let scopes = provider
        .default_scopes()
        .extended(&more, provider.scope_rules());

    let id = app.new_id();
    let state = new_state(id, app.fill);
    let flow = Flow {
        verifier: authorization::verifier(definition, app.fill),
        nonce: authorization::nonce(&scopes, app.fill),
        provider: provider.name.clone(),
        redirect_uri: app.settings.public_url.redirect_uri(&provider.name),
        expires_at: app.now() + TimeDelta::seconds(TTL),
        owner: begin.owner,
        account: begin.account,
        return_to: begin.return_to,
        link: begin.link,
        scopes,
        state,
    };
    let request = authorization::Request {
        client_id: &provider.client.id,
        redirect_uri: &flow.redirect_uri,
        scopes: &flow.scopes,
        state: &flow.state,
        verifier: flow.verifier.as_ref(),
        nonce: flow.nonce.as_ref(),
        login_hint: flow.account.as_deref(),
    };
    let location = authorization::url(definition, &request).ok_or_else(|| {
        DiscoveryError::Unusable("names no usable authorization_endpoint".to_owned())
    })?;
    let cookie = seal(app, id, &flow);
    if cookie.expose().len() > MAX_COOKIE {
        return Err(BeginError::TooLong);
    }
    let hash = state_hash(&flow.state);
    pending_authorizations::insert(&app.store, id, &hash, TTL as f64).await?;
    let form_post = definition.response_mode == ResponseMode::FormPost;
    Ok(Begun {
        location,
        flow: id,
        cookie,
        form_post,
    })
}

/// What the connection that is being extended already has, so that the new consent
/// covers it too and no scope is lost (incremental consent).
async fn granted(app: &App, provider: &Provider, begin: &Begin) -> Result<ScopeSet, StoreError> {
    let account = begin.account.as_deref();
    let found = oauth_tokens::find(&app.store, &provider.name, &begin.owner, account).await?;
    Ok(match found.as_slice() {
        [only] => only
            .scopes
            .iter()
            .filter(|scope| provider.allows_scope(scope))
            .collect(),
        _ => ScopeSet::default(),
    })
}

/// RFC 6749 section 3.3.
fn is_scope_token(scope: &str) -> bool {
    scope
        .bytes()
        .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// The flow's id and 256 random bits: the callback finds its cookie by the id.
fn new_state(id: Uuid, fill: fn(&mut [u8])) -> State {
    let mut bytes = [0; 48];
    bytes[..16].copy_from_slice(id.as_bytes());
    fill(&mut bytes[16..]);
    State::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// The id inside a state that we made; `None` for anything else.
pub(super) fn flow_id(state: &State) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(state.expose()).ok()?;
    if bytes.len() != 48 {
        return None;
    }
    Uuid::from_slice(&bytes[..16]).ok()
}

/// What is stored of a state.
pub(super) fn state_hash(state: &State) -> Vec<u8> {
    use aws_lc_rs::digest::{SHA256, digest};
    digest(&SHA256, state.expose().as_bytes()).as_ref().to_vec()
}

fn place(id: Uuid) -> Place {
    Place::new("flow", &[id.as_bytes()])
}

fn seal(app: &App, id: Uuid, flow: &Flow) -> SealedToken {
    let written = Written {
        state: flow.state.expose(),
        verifier: flow.verifier.as_ref().map(CodeVerifier::expose),
        nonce: flow.nonce.as_ref().map(Nonce::expose),
        provider: &flow.provider,
        owner: &flow.owner,
        account: flow.account.as_deref(),
        return_to: flow.return_to.as_deref(),
        scopes: flow.scopes.as_slice(),
        redirect_uri: &flow.redirect_uri,
        expires_at: flow.expires_at,
        link: flow.link.as_ref(),
    };
    let plaintext = zeroize::Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default());
    let sealed = app.settings.keys.seal(&plaintext, &place(id), app.fill);
    SealedToken::new(URL_SAFE_NO_PAD.encode(sealed))
}

/// Opens a flow's cookie; `None` for one of another flow, altered, or run out.
pub(super) fn open(app: &App, id: Uuid, cookie: &SealedToken) -> Option<Flow> {
    let sealed = URL_SAFE_NO_PAD.decode(cookie.expose()).ok()?;
    let plaintext = app.settings.keys.open(&sealed, &place(id)).ok()?;
    let flow: Flow = serde_json::from_slice(&plaintext).ok()?;
    (flow.expires_at > app.now()).then_some(flow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ar01_a_state_carries_its_flow_and_256_random_bits() {
        let id = Uuid::from_u128(7);
        let state = new_state(id, |bytes| bytes.fill(9));

        assert_eq!(flow_id(&state), Some(id));
        assert_eq!(state.expose().len(), 64);
    }

    #[test]
    fn st03_a_malformed_state_names_no_flow() {
        for state in ["", "x", "%00", &"a".repeat(10_240), "aaaa aaaa"] {
            assert_eq!(flow_id(&State::new(state)), None);
        }
    }
}
