//! Making a connection of imported credentials: checked against the provider's settings,
//! refreshed once to see whether they work, and saved like a consent, or not at all.

use chrono::{DateTime, Utc};
use grantkeep_providers::RefreshTokens;

use super::candidate::{Candidate, Verified, scopes};
use super::{Imported, Refused, refused};
use crate::app::App;
use crate::connect::{identify, row_for};
use crate::connection::{Owner, RowKey, Version};
use crate::oauth::discovery::DiscoveryError;
use crate::oauth::token::{self, TokenEndpointError};
use crate::provider::Provider;
use crate::store::StoreError;
use crate::store::oauth_tokens::import::{self, ImportedRow};
use crate::store::oauth_tokens::{self, Connection, Status};

/// Another writer may take the same row at the same moment; then the next try finds it.
const TRIES: usize = 4;

/// How to import.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose connection it becomes.
    pub owner: Owner,
    /// What to call the account; without it the provider is asked, then the file.
    pub account: Option<String>,
    /// Refresh once before saving: the only way to learn whether it works, what is granted
    /// and whose account it is.
    pub verify: bool,
    /// Put it in the place of a connection that works.
    pub replace: bool,
    /// Save it even if the provider says that it is dead.
    pub keep_dead: bool,
}

/// What became of an import.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Saved as this connection.
    Imported(Connection),
    /// This very file was imported before; nothing was changed.
    Unchanged(Connection),
}

/// Why nothing was saved.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file does not fit the provider's settings, or the order.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The account has a connection that works.
    #[error("the account is connected already, and that connection works")]
    Connected {
        /// Its name.
        account: String,
    },
    /// The provider no longer honours it.
    #[error("the provider no longer honours these credentials ({reason})")]
    Dead {
        /// The provider's `error`.
        reason: String,
    },
    /// The provider did not say whether they work.
    #[error(transparent)]
    Provider(TokenEndpointError),
    /// The provider's endpoints are not known.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Refuses what cannot become a connection of this provider whatever the provider says.
pub fn check(provider: &Provider, imported: &Imported) -> Result<(), Refused> {
    let definition = provider.configured();
    if imported.refresh_token.is_none() && definition.refresh_tokens != RefreshTokens::None {
        return Err(refused::no_refresh_token());
    }
    if imported
        .client_id
        .as_ref()
        .is_some_and(|id| *id != provider.client.id)
    {
        return Err(Refused::new(
            "client_id",
            format!(
                "is not the client that is configured for {}: a refresh token works only with the \
                 client it was issued to. Set the provider's _CLIENT_ID and _CLIENT_SECRET to that \
                 client's, or import it for the provider that has it",
                provider.name
            ),
        ));
    }
    let known = imported.token_uri.as_ref().is_none_or(|uri| {
        definition.token_endpoint.as_ref() == Some(uri)
            || definition.token_endpoint_aliases.contains(uri)
    });
    match known {
        true => Ok(()),
        false => Err(Refused::new(
            "token_uri",
            format!(
                "is none of the token endpoints of {}: tokens and client secret would go to a \
                 stranger. Take the member out if you trust the file; it is never used",
                provider.name
            ),
        )),
    }
}

/// Imports. Answers what is there when the same file was imported before.
pub async fn save(
    app: &App,
    provider: &Provider,
    imported: &Imported,
    order: &Order,
) -> Result<Outcome, ImportError> {
    match prepare(app, provider, imported, order).await? {
        Prepared::Unchanged(row) => Ok(Outcome::Unchanged(*row)),
        Prepared::Ready(ready) => ready.commit(app).await.map(Outcome::Imported),
    }
}

/// An import that needs nobody's word any more but the database's.
pub enum Prepared {
    /// This very file was imported before.
    Unchanged(Box<Connection>),
    /// It can be saved.
    Ready(Box<Ready>),
}

/// Credentials that may become a connection; nothing is stored yet.
pub struct Ready {
    provider: String,
    order: Order,
    candidate: Candidate,
    fingerprint: String,
    format: &'static str,
    created_at: Option<DateTime<Utc>>,
}

/// Everything up to the save: several imports that belong together are all prepared before
/// the first is saved.
pub async fn prepare(
    app: &App,
    provider: &Provider,
    imported: &Imported,
    order: &Order,
) -> Result<Prepared, ImportError> {
    check(provider, imported)?;
    let fingerprint = fingerprint(imported);
    let rows = oauth_tokens::find(&app.store, &provider.name, &order.owner, None).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.key.id.0).collect();
    if let Some(id) = import::find_imported(&app.store, &ids, &fingerprint).await?
        && let Some(row) = rows.iter().find(|row| row.key.id.0 == id)
        && row.status == Status::Active
        && named(order, row)
    {
        return Ok(Prepared::Unchanged(Box::new(row.clone())));
    }
    // Before the provider is asked, which could use up a single-use refresh token.
    if let Some(row) = rows
        .iter()
        .find(|row| order.account.is_some() && named(order, row))
    {
        may_replace(order, row)?;
    }

    let verified = match order.verify && imported.refresh_token.is_some() {
        false => None,
        true => Some(verify(app, provider, imported, order).await?),
    };
    let ready = Ready {
        provider: provider.name.clone(),
        candidate: Candidate::new(provider, imported, order, verified)?,
        order: order.clone(),
        fingerprint,
        format: imported.format.as_str(),
        created_at: imported.whose.created_at,
    };
    ready.place(app, &rows)?;
    Ok(Prepared::Ready(Box::new(ready)))
}

impl Ready {
    /// What the account will be called.
    pub fn account(&self) -> &str {
        &self.candidate.identity.label
    }

    /// Saves it; the connection.
    pub async fn commit(&self, app: &App) -> Result<Connection, ImportError> {
        for _ in 0..TRIES {
            let (provider, owner) = (&self.provider, &self.order.owner);
            let rows = oauth_tokens::find(&app.store, provider, owner, None).await?;
            let (key, seen) = self.place(app, &rows)?;
            let row = ImportedRow {
                format: self.format,
                fingerprint: self.fingerprint.clone(),
                created_at: self.created_at,
                ..self.candidate.row(app, &key, seen)
            };
            if !import::save(&app.store, &[row], None).await?.is_empty() {
                let saved = oauth_tokens::find_by_id(&app.store, key.id).await?;
                return saved.ok_or_else(elsewhere);
            }
        }
        Err(elsewhere())
    }

    /// The row that it goes into, and the version that it replaces, if it may.
    fn place(
        &self,
        app: &App,
        rows: &[Connection],
    ) -> Result<(RowKey, Option<Version>), ImportError> {
        let identity = &self.candidate.identity;
        let (key, existing) = row_for(app, &self.provider, &self.order.owner, identity, rows);
        // A refresh token that was just rotated is the one in use, whatever the row holds.
        if let Some(row) = existing.filter(|_| !self.candidate.rotated) {
            may_replace(&self.order, row)?;
        }
        Ok((key, existing.map(|row| row.version)))
    }
}

fn elsewhere() -> ImportError {
    ImportError::Store(StoreError::Unavailable(
        "the same account is being connected elsewhere".to_owned(),
    ))
}

fn named(order: &Order, row: &Connection) -> bool {
    order
        .account
        .as_ref()
        .is_none_or(|account| row.key.account == *account || row.subject.as_ref() == Some(account))
}

fn may_replace(order: &Order, row: &Connection) -> Result<(), ImportError> {
    match row.status == Status::Active && !order.replace {
        true => Err(ImportError::Connected {
            account: row.key.account.clone(),
        }),
        false => Ok(()),
    }
}

/// Tells the same credentials from others, and nothing about them: of the refresh token,
/// which nobody can guess.
pub(crate) fn fingerprint(imported: &Imported) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    let token = match (&imported.refresh_token, &imported.access_token) {
        (Some(token), _) => token.expose(),
        (None, Some(token)) => token.expose(),
        (None, None) => "",
    };
    digest(&SHA256, token.as_bytes())
        .as_ref()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn verify(
    app: &App,
    provider: &Provider,
    imported: &Imported,
    order: &Order,
) -> Result<Verified, ImportError> {
    let Some(refresh_token) = &imported.refresh_token else {
        return Err(refused::no_refresh_token().into());
    };
    let definition = provider.definition(&app.http).await?;
    let (scopes, _) = scopes(provider, imported);
    let client = &provider.client;
    let answer = token::refresh(
        &app.http,
        definition,
        client,
        refresh_token,
        &scopes,
        app.now(),
    )
    .await;
    match answer {
        Ok(tokens) => {
            // Some tokens may not ask who they are; then the file or the order says so.
            let identity = identify(app, provider, definition, &tokens, None)
                .await
                .ok();
            Ok(Verified::Works(Box::new(tokens), identity))
        }
        Err(TokenEndpointError::DeadGrant { error }) if order.keep_dead => {
            Ok(Verified::Dead(error))
        }
        Err(TokenEndpointError::DeadGrant { error }) => Err(ImportError::Dead { reason: error }),
        Err(error) => Err(ImportError::Provider(error)),
    }
}
