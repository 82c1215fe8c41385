//! What consent gave, and saving it: at once, or when the host application confirms.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::TTL;
use super::identity::Identity;
use crate::app::App;
use crate::cipher::OpenError;
use crate::connection::{Column, ConnectionId, Owner, RowKey};
use crate::credentials::Credentials;
use crate::oauth::TokenSet;
use crate::provider::{Definition, Provider};
use crate::scope::ScopeSet;
use crate::store::StoreError;
use crate::store::oauth_tokens::write::{self, Granted};
use crate::store::oauth_tokens::{self, Connection, Status};

/// A token set with everything that goes beside it into the row.
pub struct Grant {
    /// The tokens.
    pub credentials: Credentials,
    /// The rest.
    pub terms: Terms,
}

/// The part of a grant that is no secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Terms {
    /// Whom the tokens were issued to.
    pub client_id: String,
    /// What was granted.
    pub scopes: ScopeSet,
    /// What was asked for.
    pub requested_scopes: ScopeSet,
    /// The provider did not say what it granted.
    pub scopes_assumed: bool,
    /// When the access token ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<DateTime<Utc>>,
}

/// Why there was nothing to confirm.
#[derive(Debug, thiserror::Error)]
pub enum ConfirmError {
    /// Not there, or not confirmed in time.
    #[error("there is no such connection")]
    NotConnected,
    /// It waits for the user, not for a confirmation.
    #[error("the connection is not pending")]
    NotPending,
    /// The token set does not open.
    #[error(transparent)]
    Cipher(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Another row may take the same key at the same moment; then the next try finds it.
const TRIES: usize = 4;

/// Saves a grant as the connection of this owner and account. Keeps the refresh token
/// that the connection had, where the provider sent no new one for the same client.
pub(super) async fn save(
    app: &App,
    provider: &str,
    owner: &Owner,
    identity: &Identity,
    mut grant: Grant,
    pending: bool,
) -> Result<RowKey, StoreError> {
    for _ in 0..TRIES {
        let rows = oauth_tokens::find(&app.store, provider, owner, None).await?;
        let (key, existing) = row_for(app, provider, owner, identity, &rows);
        if grant.credentials.refresh_token.is_none() {
            grant.credentials.refresh_token =
                existing.and_then(|row| kept_refresh_token(app, row, &grant.terms.client_id));
        }
        let subject = identity.subject.as_deref();
        let saved = match pending {
            false => save_active(app, &key, subject, &grant).await?,
            true => save_pending(app, &key, subject, &grant).await?,
        };
        if saved {
            return Ok(key);
        }
    }
    Err(StoreError::Unavailable(
        "the same account is being connected elsewhere".to_owned(),
    ))
}

/// The row that this account has, or a new one. The subject decides; a label alone
/// never joins two different accounts.
pub(crate) fn row_for<'a>(
    app: &App,
    provider: &str,
    owner: &Owner,
    identity: &Identity,
    rows: &'a [Connection],
) -> (RowKey, Option<&'a Connection>) {
    let same_subject =
        |row: &&Connection| identity.subject.is_some() && row.subject == identity.subject;
    let same_label = |row: &&Connection| row.key.account == identity.label;
    let compatible = |row: &&Connection| row.subject.is_none() || identity.subject.is_none();
    let existing = rows
        .iter()
        .find(same_subject)
        .or_else(|| rows.iter().find(|row| same_label(row) && compatible(row)));
    if let Some(row) = existing {
        return (row.key.clone(), existing);
    }
    let taken = rows.iter().any(|row| same_label(&row));
    let account = match (&identity.subject, taken) {
        (Some(subject), true) => subject.clone(),
        _ => identity.label.clone(),
    };
    let id = ConnectionId(app.new_id());
    (
        RowKey {
            id,
            provider: provider.to_owned(),
            owner: owner.clone(),
            account,
        },
        None,
    )
}

fn kept_refresh_token(
    app: &App,
    row: &Connection,
    client_id: &str,
) -> Option<crate::secret::RefreshToken> {
    let sealed = row
        .sealed
        .as_deref()
        .filter(|_| row.client_id == client_id && row.status == Status::Active)?;
    let plaintext = app
        .settings
        .keys
        .open(sealed, &row.key.place(Column::TokenData))
        .ok()?;
    Credentials::from_plaintext(&plaintext)?.refresh_token
}

async fn save_active(
    app: &App,
    key: &RowKey,
    subject: Option<&str>,
    grant: &Grant,
) -> Result<bool, StoreError> {
    let Grant { credentials, terms } = grant;
    let keys = &app.settings.keys;
    let left = |at: Option<DateTime<Utc>>| at.map(|at| (at - app.now()).as_seconds_f64());
    let missing = app
        .settings
        .providers
        .find(&key.provider)
        .map(|provider| provider.missing_scopes(&terms.scopes, &terms.requested_scopes))
        .unwrap_or_default();
    let unrefreshable = credentials.refresh_token.is_none() && terms.expires_at.is_some();
    let granted = Granted {
        key,
        subject,
        client_id: &terms.client_id,
        scopes: &terms.scopes,
        requested_scopes: &terms.requested_scopes,
        missing_scopes: &missing,
        scopes_assumed: terms.scopes_assumed,
        expires_in: left(terms.expires_at),
        refresh_expires_in: left(terms.refresh_expires_at),
        sealed: &keys.seal(
            &credentials.to_plaintext(),
            &key.place(Column::TokenData),
            app.fill,
        ),
        key_id: keys.primary_id().to_string(),
        warning: unrefreshable.then_some("expires_without_refresh"),
    };
    write::save_granted(&app.store, &granted).await
}

async fn save_pending(
    app: &App,
    key: &RowKey,
    subject: Option<&str>,
    grant: &Grant,
) -> Result<bool, StoreError> {
    let place = key.place(Column::PendingTokenData);
    let sealed = app
        .settings
        .keys
        .seal(&grant.to_plaintext(), &place, app.fill);
    let client_id = &grant.terms.client_id;
    write::save_pending(&app.store, key, subject, client_id, &sealed, TTL as f64).await
}

/// Makes a pending connection usable; one that already is stays as it is.
pub async fn confirm(app: &App, connection: &Connection) -> Result<Connection, ConfirmError> {
    if connection.pending.is_some() {
        let grant = pending(app, connection).ok_or(OpenError::Integrity)?;
        let subject = connection.subject.as_deref();
        if !save_active(app, &connection.key, subject, &grant).await? {
            return Err(ConfirmError::NotConnected);
        }
    } else if connection.status != Status::Active {
        return Err(ConfirmError::NotPending);
    }
    oauth_tokens::find_by_id(&app.store, connection.key.id)
        .await?
        .ok_or(ConfirmError::NotConnected)
}

/// The grant that waits for confirmation, if there is one and it opens.
pub fn pending(app: &App, connection: &Connection) -> Option<Grant> {
    let place = connection.key.place(Column::PendingTokenData);
    let plaintext = app
        .settings
        .keys
        .open(connection.pending.as_deref()?, &place)
        .ok()?;
    Grant::from_plaintext(&plaintext)
}

impl Grant {
    /// What a code exchange gave, where `requested` had been asked for.
    pub(super) fn issued(
        provider: &Provider,
        definition: &Definition,
        tokens: TokenSet,
        requested: &ScopeSet,
    ) -> Self {
        let refresh_expires_in = tokens
            .refresh_token_expires_in
            .or(definition.refresh_token_lifetime);
        let terms = Terms {
            client_id: provider.client.id.clone(),
            scopes: tokens.scope.clone().unwrap_or_else(|| requested.clone()),
            requested_scopes: requested.clone(),
            scopes_assumed: tokens.scope.is_none(),
            expires_at: Terms::until(tokens.requested_at, tokens.expires_in),
            refresh_expires_at: Terms::until(tokens.requested_at, refresh_expires_in),
        };
        Self {
            credentials: Credentials::issued(tokens),
            terms,
        }
    }

    /// Terms as JSON with their length before them, then the credentials.
    fn to_plaintext(&self) -> Zeroizing<Vec<u8>> {
        let terms = serde_json::to_vec(&self.terms).unwrap_or_default();
        let length = u32::try_from(terms.len()).unwrap_or_default().to_be_bytes();
        let credentials = self.credentials.to_plaintext();
        Zeroizing::new([length.as_slice(), &terms, &credentials].concat())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let (length, rest) = plaintext.split_first_chunk::<4>()?;
        let (terms, credentials) =
            rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        Some(Self {
            terms: serde_json::from_slice(terms).ok()?,
            credentials: Credentials::from_plaintext(credentials)?,
        })
    }
}

impl Terms {
    /// An instant `seconds` after `from`.
    fn until(from: DateTime<Utc>, seconds: Option<u64>) -> Option<DateTime<Utc>> {
        Some(from + TimeDelta::seconds(i64::try_from(seconds?).ok()?))
    }
}
