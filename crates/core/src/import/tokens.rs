//! Token sets without their client: what Node, Go, Python and .NET libraries keep of a
//! token answer, and the answer itself (RFC 6749 section 5.1).

use chrono::TimeDelta;

use super::members::Members;
use super::{Format, Imported, Refused, Scopes, Whose};

/// The token set in any of these forms; anything else has neither token.
pub(super) fn read(members: &Members) -> Result<Imported, Refused> {
    let format = if members.has("expiry_date") {
        Format::GoogleNode
    } else if members.has("IssuedUtc") || members.has("Issued") {
        Format::DotNet
    } else if members.has("expiry") {
        Format::Go
    } else if members.has("expires_at") && members.0.get("scope").is_some_and(|it| it.is_array()) {
        Format::Oauthlib
    } else {
        Format::TokenResponse
    };
    let mut access_token = members.access_token("access_token")?;
    if access_token.is_none() {
        access_token = members.access_token("token")?;
    }
    Ok(Imported {
        format,
        access_token,
        refresh_token: members.refresh_token("refresh_token")?,
        expires_at: expires_at(members, format)?,
        refresh_expires_at: members.instant("refresh_token_expires_at")?,
        scopes: scopes(members)?,
        client_id: members.text("client_id")?.map(str::to_owned),
        token_uri: members.text("token_uri")?.map(str::to_owned),
        whose: Whose {
            account: members.text("account")?.map(str::to_owned),
            ..Whose::default()
        },
    })
}

/// `expires_in` alone tells nothing: nobody knows when the answer came.
fn expires_at(
    members: &Members,
    format: Format,
) -> Result<Option<chrono::DateTime<chrono::Utc>>, Refused> {
    let lifetime = members.seconds("expires_in")?;
    if format == Format::DotNet {
        let issued = match members.instant("IssuedUtc")? {
            None => members.instant("Issued")?,
            issued => issued,
        };
        let until = |lifetime| issued?.checked_add_signed(TimeDelta::seconds(lifetime));
        return Ok(lifetime.and_then(until));
    }
    for name in [
        "expires_at",
        "expiry_date",
        "expiry",
        "token_expiry",
        "expires_on",
    ] {
        if let Some(at) = members.instant(name)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn scopes(members: &Members) -> Result<Scopes, Refused> {
    for name in ["scope", "granted_scopes", "token_scope"] {
        if let Some(granted) = members.scopes(name)? {
            return Ok(Scopes::Granted(granted));
        }
    }
    Ok(members
        .scopes("scopes")?
        .map_or(Scopes::Unknown, Scopes::Requested))
}
