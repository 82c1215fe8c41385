//! Connect links: what a host application redirects its user to. Everything is sealed
//! into the link itself; that it was completed is all that is ever stored.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::TTL;
use crate::app::App;
use crate::cipher::Place;
use crate::connection::Owner;
use crate::scope::ScopeSet;
use crate::secret::SealedToken;

/// What a link stands for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Link {
    /// Names it for single use.
    pub id: Uuid,
    /// The provider's name.
    pub provider: String,
    /// For whom.
    pub owner: Owner,
    /// Where the browser goes afterwards.
    pub return_to: Option<String>,
    /// Scopes besides the provider's own.
    pub scopes: ScopeSet,
    /// The connection waits until the host application confirms it.
    pub confirm: bool,
    /// Ten minutes after it was made.
    pub expires_at: DateTime<Utc>,
}

/// A link that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LinkError {
    /// Not one of ours, or for another provider.
    #[error("the link is not valid")]
    Invalid,
    /// Older than ten minutes.
    #[error("the link has expired")]
    Expired,
}

fn place() -> Place {
    Place::new("connect link", &[])
}

/// A link for one provider and owner, and the token that goes into its URL.
pub fn create(
    app: &App,
    provider: &str,
    owner: Owner,
    return_to: Option<String>,
    scopes: ScopeSet,
    confirm: bool,
) -> (Link, SealedToken) {
    let link = Link {
        id: app.new_id(),
        provider: provider.to_owned(),
        owner,
        return_to,
        scopes,
        confirm,
        expires_at: app.now() + TimeDelta::seconds(TTL),
    };
    let plaintext = serde_json::to_vec(&link).unwrap_or_default();
    let sealed = app.settings.keys.seal(&plaintext, &place(), app.fill);
    (link, SealedToken::new(URL_SAFE_NO_PAD.encode(sealed)))
}

/// Reads the token of a link for `provider`.
pub fn open(app: &App, provider: &str, token: &SealedToken) -> Result<Link, LinkError> {
    let sealed = URL_SAFE_NO_PAD
        .decode(token.expose())
        .map_err(|_| LinkError::Invalid)?;
    let plaintext = app
        .settings
        .keys
        .open(&sealed, &place())
        .map_err(|_| LinkError::Invalid)?;
    let link: Link = serde_json::from_slice(&plaintext).map_err(|_| LinkError::Invalid)?;
    if link.provider != provider {
        return Err(LinkError::Invalid);
    }
    if link.expires_at <= app.now() {
        Err(LinkError::Expired)
    } else {
        Ok(link)
    }
}
