//! Rows of the account tables of sign-in libraries for Node: Auth.js and better-auth.

use super::members::Members;
use super::{Format, Imported, Refused, Scopes, Whose};

/// `None` when it is neither.
pub(super) fn read(members: &Members) -> Option<Result<Imported, Refused>> {
    if members.has("providerAccountId") {
        return Some(auth_js(members));
    }
    let better_auth = members.has("accountId") && members.has("providerId");
    better_auth.then(|| self::better_auth(members))
}

fn auth_js(members: &Members) -> Result<Imported, Refused> {
    Ok(Imported {
        format: Format::AuthJs,
        access_token: members.access_token("access_token")?,
        refresh_token: members.refresh_token("refresh_token")?,
        expires_at: members.instant("expires_at")?,
        refresh_expires_at: None,
        scopes: granted(members)?,
        client_id: None,
        token_uri: None,
        whose: Whose {
            provider: members.text("provider")?.map(str::to_owned),
            subject: members.id("providerAccountId")?,
            user: members.id("userId")?,
            ..Whose::default()
        },
    })
}

fn better_auth(members: &Members) -> Result<Imported, Refused> {
    for name in ["accessToken", "refreshToken"] {
        if members
            .text(name)?
            .is_some_and(|text| text.starts_with("$ba$"))
        {
            return Err(Refused::new(
                name,
                "is encrypted by better-auth under its own secret: read the account through \
                 better-auth (auth.api.getAccessToken, or encryptOAuthTokens off), and import the \
                 plain tokens",
            ));
        }
    }
    Ok(Imported {
        format: Format::BetterAuth,
        access_token: members.access_token("accessToken")?,
        refresh_token: members.refresh_token("refreshToken")?,
        expires_at: members.instant("accessTokenExpiresAt")?,
        refresh_expires_at: members.instant("refreshTokenExpiresAt")?,
        scopes: granted(members)?,
        client_id: None,
        token_uri: None,
        whose: Whose {
            provider: members.text("providerId")?.map(str::to_owned),
            subject: members.id("accountId")?,
            user: members.id("userId")?,
            ..Whose::default()
        },
    })
}

fn granted(members: &Members) -> Result<Scopes, Refused> {
    Ok(members
        .scopes("scope")?
        .map_or(Scopes::Unknown, Scopes::Granted))
}
