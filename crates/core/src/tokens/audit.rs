//! Tokens that are handed out to a caller: with `AUDIT_READS=table` each read leaves a row,
//! refused ones too.

use super::{Issued, TokenError, Usable, Wanted, cached, flush, only, serve};
use crate::app::App;
use crate::connection::Owner;
use crate::provider::Provider;
use crate::settings::AuditReads;
use crate::store::token_reads::{self, ISSUED, Noted, Reading};

/// What [`super::usable`] answers, for the service key of this name; `whole` with the
/// refresh token. With `AUDIT_READS=table` the read and its row are one statement, so the
/// cache is not asked; a token whose row cannot be written is not handed out, so one that
/// was refreshed while the database was away is not either.
pub async fn issue(
    app: &App,
    provider: &Provider,
    wanted: &Wanted,
    key: &str,
    whole: bool,
) -> Result<Issued, TokenError> {
    if app.settings.audit_reads == AuditReads::Log {
        return cached::issue(app, provider, wanted, whole).await;
    }
    flush(app).await;
    let reading = Reading {
        service_key: key,
        provider: &provider.name,
        owner: &wanted.owner,
        account: wanted.account.as_deref(),
        scopes: &wanted.scopes,
    };
    let (found, noted) = token_reads::find(&app.store, &reading).await?;
    let result = match only(app, found).await {
        Ok(current) => serve(app, provider, wanted, current).await,
        Err(error) => Err(error),
    };
    put_right(app, &noted, &result).await;
    result.map(Issued::from)
}

/// The row was written before it was known how the read would end. Where it ended otherwise
/// it is put right; if that fails, it says that a token was handed out which was not, or
/// names the token set before the last.
async fn put_right(app: &App, noted: &Noted, result: &Result<Usable, TokenError>) {
    let (code, issued) = match result {
        Ok(Usable { connection, .. }) => (ISSUED, Some((connection.key.id, connection.version))),
        Err(error) => (code(error), None),
    };
    if code == noted.result && issued.is_none_or(|(_, version)| noted.version == Some(version)) {
        return;
    }
    if let Err(error) = token_reads::correct(&app.store, noted, code, issued).await {
        tracing::error!(code, %error, "audit row not put right");
    }
}

/// The code of the problem that the caller sees.
fn code(error: &TokenError) -> &'static str {
    match error {
        TokenError::NotConnected => "not_connected",
        TokenError::AmbiguousAccount { .. } => "ambiguous_account",
        TokenError::InsufficientScope { .. } => "insufficient_scope",
        TokenError::ReauthorizationRequired { .. } => "reauthorization_required",
        TokenError::ClientRefused { .. } => "misconfigured",
        TokenError::ProviderRefused { .. } => "provider_error",
        TokenError::ProviderUnavailable { .. } => "provider_unavailable",
        TokenError::Cipher(_) => "internal",
        TokenError::Store(_) => "storage_unavailable",
    }
}

/// Records that the caller may not read tokens of this owner, if reads are recorded at all;
/// `code` says why. The caller gets none in any case, so a row that cannot be written is
/// only logged.
pub async fn refused(app: &App, provider: &Provider, owner: &Owner, key: &str, code: &str) {
    if app.settings.audit_reads == AuditReads::Log {
        return;
    }
    let refused = token_reads::refuse(&app.store, key, &provider.name, owner, code).await;
    if let Err(error) = refused {
        tracing::error!(provider = %provider.name, key, code, %error, "refused read not recorded");
    }
}
