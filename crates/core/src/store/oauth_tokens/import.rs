//! Connections that come from other systems: many in one statement, each with its event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::{Json, Type};
use uuid::Uuid;

use super::super::{Store, StoreError};
use crate::cipher::KeyId;
use crate::connection::{ConnectionId, Owner, RowKey, Version};

/// Where a row goes, and what is sealed for it.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    id: Uuid,
    provider: String,
    workspace_id: String,
    actor_id: String,
    account: String,
    token_data: String,
    key_id: String,
    version: Version,
}

/// One connection to save, its token set sealed for its row.
#[derive(Clone, Debug, Serialize)]
pub struct ImportedRow {
    /// Where it goes.
    #[serde(flatten)]
    pub place: Place,
    /// The account's stable id.
    pub subject: Option<String>,
    /// Whom the tokens were issued to.
    pub client_id: String,
    /// What is granted, or assumed to be.
    pub scopes: Vec<String>,
    /// What was asked for.
    pub requested_scopes: Vec<String>,
    /// What the user left out of it.
    pub missing_scopes: Vec<String>,
    /// Nobody said yet what was granted.
    pub scopes_assumed: bool,
    /// Seconds from now until the access token ends.
    pub expires_in: Option<f64>,
    /// Seconds from now until the refresh token ends.
    pub refresh_expires_in: Option<f64>,
    /// Why the provider does not honour it, where that is known already.
    pub dead: Option<String>,
    /// First consent, where that is known.
    pub created_at: Option<DateTime<Utc>>,
    /// What it was read from.
    pub format: &'static str,
    /// Tells the same credentials from others.
    pub fingerprint: String,
    /// The row that it was read from, in a table's ledger.
    pub source_key: Option<String>,
}

impl Place {
    /// A new row, or the version after `seen` of the one that has this key.
    pub fn new(key: &RowKey, seen: Option<Version>, sealed: &[u8], key_id: KeyId) -> Self {
        Self {
            id: key.id.0,
            provider: key.provider.clone(),
            workspace_id: key.owner.workspace.clone(),
            actor_id: key.owner.actor.clone(),
            account: key.account.clone(),
            token_data: STANDARD.encode(sealed),
            key_id: key_id.to_string(),
            version: seen.unwrap_or(0) + 1,
        }
    }

    /// The connection's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    fn key(&self) -> RowKey {
        RowKey {
            id: ConnectionId(self.id),
            provider: self.provider.clone(),
            owner: Owner {
                workspace: self.workspace_id.clone(),
                actor: self.actor_id.clone(),
            },
            account: self.account.clone(),
        }
    }
}

/// Saves these, each with its event, and answers the ids of those that were saved. One is
/// not when its key was taken, or its row changed, since it was looked up. With `ledger`,
/// the rows' source keys are noted there in the same statement, and their events are not
/// delivered: a migration is one change, not as many as there are rows.
pub async fn save(
    store: &Store,
    rows: &[ImportedRow],
    ledger: Option<&str>,
) -> Result<Vec<Uuid>, StoreError> {
    let noted = match ledger {
        None => "",
        Some(_) => {
            ", ledger as (
                 insert into grantkeep_table_imports (source, source_key, connection_id)
                 select $2::text, given.source_key, saved.id from saved join given using (id))"
        }
    };
    let sql = format!(
        "with given as (
             select * from json_to_recordset($1::json) as given (
                    id uuid, provider text, workspace_id text, actor_id text, account text,
                    subject text, client_id text, scopes text[], requested_scopes text[],
                    missing_scopes text[], scopes_assumed boolean, expires_in float8,
                    refresh_expires_in float8, dead text, token_data text, key_id text,
                    version bigint, created_at timestamptz, format text, fingerprint text,
                    source_key text)),
         saved as (
             insert into oauth_tokens
                    (id, provider, workspace_id, actor_id, account, subject, client_id, scopes,
                     requested_scopes, scopes_assumed, expires_at, refresh_expires_at,
                     status, status_reason, token_data, key_id, version, created_at)
             select id, provider, workspace_id, actor_id, account, subject, client_id, scopes,
                    requested_scopes, scopes_assumed, now() + make_interval(secs => expires_in),
                    now() + make_interval(secs => refresh_expires_in),
                    case when dead is null then 'active' else 'reauthorization_required' end, dead,
                    decode(token_data, 'base64'), key_id, version, coalesce(created_at, now())
               from given
             on conflict (provider, workspace_id, actor_id, account) do update
                set subject = coalesce(excluded.subject, oauth_tokens.subject),
                    client_id = excluded.client_id,
                    scopes = excluded.scopes, requested_scopes = excluded.requested_scopes,
                    scopes_assumed = excluded.scopes_assumed,
                    expires_at = excluded.expires_at,
                    refresh_expires_at = excluded.refresh_expires_at,
                    status = excluded.status, status_reason = excluded.status_reason,
                    status_since = now(),
                    token_data = excluded.token_data, key_id = excluded.key_id,
                    version = excluded.version,
                    pending_token_data = null, pending_until = null,
                    lease_id = null, lease_until = null, retry_at = null, forced_at = null,
                    refresh_failures = 0, refresh_failing_since = null, refresh_error = null,
                    updated_at = now(), last_refreshed_at = null
              where oauth_tokens.id = excluded.id
                and oauth_tokens.version + 1 = excluded.version
          returning id, provider, workspace_id, actor_id, account, scopes),
         noted as (
             insert into connection_events
                    (id, type, connection_id, provider, workspace_id, actor_id, account, data,
                     delivery_given_up)
             select gen_random_uuid(), 'connection.imported', saved.id, saved.provider,
                    saved.workspace_id, saved.actor_id, saved.account,
                    jsonb_build_object('scopes', saved.scopes, 'missing', given.missing_scopes,
                                       'format', given.format, 'fingerprint', given.fingerprint,
                                       'reason', given.dead),
                    $2::text is not null
               from saved join given using (id)){noted}
         select id from saved"
    );
    for row in rows {
        // Where Redis does not take one, it is not asked for each of thousands.
        if !store
            .will_change(&row.place.key(), row.subject.as_deref())
            .await
        {
            break;
        }
    }
    let saved = store
        .write(&sql, &[(&Json(rows), Type::JSON), (&ledger, Type::TEXT)])
        .await?;
    if ledger.is_none() && !saved.is_empty() {
        store.wrote_event();
    }
    Ok(saved.iter().map(|row| row.get(0)).collect())
}

/// Which of these connections the credentials of this fingerprint were imported into.
pub async fn find_imported(
    store: &Store,
    ids: &[Uuid],
    fingerprint: &str,
) -> Result<Option<Uuid>, StoreError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let rows = store
        .read(
            "select connection_id from connection_events
              where connection_id = any($1) and type = 'connection.imported'
                and data ->> 'fingerprint' = $2
              limit 1",
            &[(&ids, Type::UUID_ARRAY), (&fingerprint, Type::TEXT)],
        )
        .await?;
    Ok(rows.first().map(|row| row.get(0)))
}
