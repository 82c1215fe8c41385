//! Changes to connections other than a refresh. Each writes its event in the same
//! statement, so that neither exists without the other.

use tokio_postgres::types::Type;

use super::super::{Store, StoreError};
use crate::connection::{ConnectionId, RowKey};
use crate::scope::ScopeSet;

/// A token set that consent gave, sealed for its row.
pub struct Granted<'a> {
    /// Where it goes; the ciphertext is bound to it.
    pub key: &'a RowKey,
    /// The account's stable id.
    pub subject: Option<&'a str>,
    /// Whom the tokens were issued to.
    pub client_id: &'a str,
    /// What was granted.
    pub scopes: &'a ScopeSet,
    /// What was asked for.
    pub requested_scopes: &'a ScopeSet,
    /// What the user left out of it; an event says so.
    pub missing_scopes: &'a ScopeSet,
    /// The provider did not say what it granted.
    pub scopes_assumed: bool,
    /// Seconds from now until the access token ends.
    pub expires_in: Option<f64>,
    /// Seconds from now until the refresh token ends.
    pub refresh_expires_in: Option<f64>,
    /// `token_data`.
    pub sealed: &'a [u8],
    /// Under which key.
    pub key_id: String,
    /// `status_reason` of a connection that works with a reservation, such as
    /// `expires_without_refresh`.
    pub warning: Option<&'a str>,
}

/// Makes `granted` the connection's token set, whatever was there; tokens and scopes change
/// together, and a refresh that is under way loses. `false` when another row has taken this
/// key meanwhile: find again and seal for that one.
pub async fn save_granted(store: &Store, granted: &Granted<'_>) -> Result<bool, StoreError> {
    store.will_change(granted.key, granted.subject).await;
    let rows = store
        .write(
            "with before as (select status from oauth_tokens where id = $1),
             saved as (
                 insert into oauth_tokens
                        (id, provider, workspace_id, actor_id, account, subject, client_id, scopes,
                         requested_scopes, scopes_assumed, expires_at, refresh_expires_at,
                         status, token_data, key_id, status_reason)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                         now() + make_interval(secs => $11), now() + make_interval(secs => $12),
                         'active', $13, $14, $15)
                 on conflict (provider, workspace_id, actor_id, account) do update
                    set subject = coalesce(excluded.subject, oauth_tokens.subject),
                        client_id = excluded.client_id,
                        scopes = excluded.scopes, requested_scopes = excluded.requested_scopes,
                        scopes_assumed = excluded.scopes_assumed,
                        expires_at = excluded.expires_at,
                        refresh_expires_at = excluded.refresh_expires_at,
                        status = 'active', status_reason = excluded.status_reason,
                        status_since = now(),
                        token_data = excluded.token_data, key_id = excluded.key_id,
                        version = oauth_tokens.version + 1,
                        pending_token_data = null, pending_until = null,
                        lease_id = null, lease_until = null, retry_at = null, forced_at = null,
                        refresh_failures = 0, refresh_failing_since = null, refresh_error = null,
                        updated_at = now(), last_refreshed_at = null
                  where oauth_tokens.id = excluded.id
              returning *),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select gen_random_uuid(),
                        case (select status from before)
                            when 'reauthorization_required' then 'connection.recovered'
                            when 'active' then 'connection.renewed'
                            else 'connection.connected' end,
                        id, provider, workspace_id, actor_id, account,
                        jsonb_build_object('scopes', scopes, 'warning', $15::text)
                   from saved),
             lacking as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select gen_random_uuid(), 'connection.scopes_missing', id, provider,
                        workspace_id, actor_id, account, jsonb_build_object('missing', $16::text[])
                   from saved where cardinality($16::text[]) > 0)
             select id from saved",
            &[
                (&granted.key.id.0, Type::UUID),
                (&granted.key.provider, Type::TEXT),
                (&granted.key.owner.workspace, Type::TEXT),
                (&granted.key.owner.actor, Type::TEXT),
                (&granted.key.account, Type::TEXT),
                (&granted.subject, Type::TEXT),
                (&granted.client_id, Type::TEXT),
                (&granted.scopes.as_slice(), Type::TEXT_ARRAY),
                (&granted.requested_scopes.as_slice(), Type::TEXT_ARRAY),
                (&granted.scopes_assumed, Type::BOOL),
                (&granted.expires_in, Type::FLOAT8),
                (&granted.refresh_expires_in, Type::FLOAT8),
                (&granted.sealed, Type::BYTEA),
                (&granted.key_id, Type::TEXT),
                (&granted.warning, Type::TEXT),
                (&granted.missing_scopes.as_slice(), Type::TEXT_ARRAY),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(!rows.is_empty())
}

/// Puts a token set aside until the host application confirms it. A connection that
/// works keeps working with what it has. `false` as in [`save_granted`].
pub async fn save_pending(
    store: &Store,
    key: &RowKey,
    subject: Option<&str>,
    client_id: &str,
    sealed: &[u8],
    seconds: f64,
) -> Result<bool, StoreError> {
    let rows = store
        .write(
            "with forgotten as (
                 delete from oauth_tokens
                  where id in (select id from oauth_tokens
                                where status = 'pending' and pending_until < now() and id <> $1
                                limit 100 for update skip locked)),
             saved as (
                 insert into oauth_tokens
                        (id, provider, workspace_id, actor_id, account, subject, client_id, status,
                         pending_token_data, pending_until)
                 values ($1, $2, $3, $4, $5, $6, $7, 'pending', $8,
                         now() + make_interval(secs => $9))
                 on conflict (provider, workspace_id, actor_id, account) do update
                    set pending_token_data = excluded.pending_token_data,
                        pending_until = excluded.pending_until, updated_at = now()
                  where oauth_tokens.id = excluded.id
              returning id, provider, workspace_id, actor_id, account),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account)
                 select gen_random_uuid(), 'connection.pending', id, provider, workspace_id,
                        actor_id, account from saved)
             select id from saved",
            &[
                (&key.id.0, Type::UUID),
                (&key.provider, Type::TEXT),
                (&key.owner.workspace, Type::TEXT),
                (&key.owner.actor, Type::TEXT),
                (&key.account, Type::TEXT),
                (&subject, Type::TEXT),
                (&client_id, Type::TEXT),
                (&sealed, Type::BYTEA),
                (&seconds, Type::FLOAT8),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(!rows.is_empty())
}

/// Forgets a connection with its ciphertext and notes why; `false` when it was gone.
pub async fn delete(
    store: &Store,
    key: &RowKey,
    revoked: bool,
    reason: &str,
) -> Result<bool, StoreError> {
    store.will_change(key, None).await;
    let rows = store
        .write(
            "with gone as (
                 delete from oauth_tokens where id = $1
              returning id, provider, workspace_id, actor_id, account),
             noted as (
                 insert into connection_events
                        (id, type, connection_id, provider, workspace_id, actor_id, account, data)
                 select gen_random_uuid(), 'connection.disconnected', id, provider, workspace_id,
                        actor_id, account,
                        jsonb_build_object('revoked', $2::bool, 'reason', $3::text)
                   from gone)
             select id from gone",
            &[
                (&key.id.0, Type::UUID),
                (&revoked, Type::BOOL),
                (&reason, Type::TEXT),
            ],
        )
        .await?;
    if !rows.is_empty() {
        store.wrote_event();
    }
    Ok(!rows.is_empty())
}

/// Takes the refresh lease for a disconnect, so that neither a refresh nor another
/// disconnect runs beside it; `false` while somebody else holds it.
pub async fn lease_for_disconnect(
    store: &Store,
    id: ConnectionId,
    holder: uuid::Uuid,
    seconds: f64,
) -> Result<bool, StoreError> {
    let rows = store
        .write(
            "update oauth_tokens
                set lease_id = $2, lease_until = now() + make_interval(secs => $3)
              where id = $1 and (lease_until is null or lease_until < now())
          returning id",
            &[
                (&id.0, Type::UUID),
                (&holder, Type::UUID),
                (&seconds, Type::FLOAT8),
            ],
        )
        .await?;
    Ok(!rows.is_empty())
}
