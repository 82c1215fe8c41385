//! Files that name their client: google-auth's, gcloud's and those of Google's older
//! Python and Ruby libraries.

use super::members::Members;
use super::{Format, Imported, Refused, Scopes, Whose};

/// `None` when it is none of these.
pub(super) fn read(members: &Members) -> Option<Result<Imported, Refused>> {
    let oauth2client = members
        .text("_module")
        .ok()
        .flatten()
        .is_some_and(|module| module.starts_with("oauth2client"));
    if oauth2client {
        return Some(oauth2client_storage(members));
    }
    if members.has("expiration_time_millis") {
        return Some(ruby(members));
    }
    let authorized_user = members.text("type").ok().flatten() == Some("authorized_user");
    let google_auth = members.has("client_id") && !members.has("access_token");
    (authorized_user || google_auth).then(|| google_auth_json(members))
}

fn google_auth_json(members: &Members) -> Result<Imported, Refused> {
    let access_token = members.access_token("token")?;
    Ok(Imported {
        format: match access_token {
            Some(_) => Format::GoogleAuth,
            None => Format::AuthorizedUser,
        },
        access_token,
        refresh_token: members.refresh_token("refresh_token")?,
        expires_at: members.instant("expiry")?,
        refresh_expires_at: None,
        // google-auth writes what was asked for; what was granted it does not keep.
        scopes: match members.scopes("granted_scopes")? {
            Some(granted) => Scopes::Granted(granted),
            None => requested(members, "scopes")?,
        },
        client_id: required_client(members)?,
        token_uri: members.text("token_uri")?.map(str::to_owned),
        whose: Whose {
            account: members.text("account")?.map(str::to_owned),
            ..Whose::default()
        },
    })
}

fn oauth2client_storage(members: &Members) -> Result<Imported, Refused> {
    if members.text("_class")? == Some("ServiceAccountCredentials") {
        return Err(Refused::new(
            "_class",
            "a service account is no user's consent: connect as a user instead",
        ));
    }
    if members.0.get("invalid").is_some_and(|flag| *flag == true) {
        return Err(Refused::new(
            "invalid",
            "its library has noted that the provider no longer honours it: connect again",
        ));
    }
    let answer = members
        .0
        .get("token_response")
        .and_then(|it| it.as_object());
    let granted = match answer {
        Some(answer) => Members(answer.clone()).scopes("scope")?,
        None => None,
    };
    Ok(Imported {
        format: Format::Oauth2client,
        access_token: members.access_token("access_token")?,
        refresh_token: members.refresh_token("refresh_token")?,
        expires_at: members.instant("token_expiry")?,
        refresh_expires_at: None,
        scopes: match granted {
            Some(granted) => Scopes::Granted(granted),
            None => requested(members, "scopes")?,
        },
        client_id: required_client(members)?,
        token_uri: members.text("token_uri")?.map(str::to_owned),
        whose: Whose::default(),
    })
}

fn ruby(members: &Members) -> Result<Imported, Refused> {
    Ok(Imported {
        format: Format::GoogleRuby,
        access_token: members.access_token("access_token")?,
        refresh_token: members.refresh_token("refresh_token")?,
        expires_at: members.instant("expiration_time_millis")?,
        refresh_expires_at: None,
        scopes: requested(members, "scope")?,
        client_id: required_client(members)?,
        token_uri: None,
        whose: Whose::default(),
    })
}

fn requested(members: &Members, name: &str) -> Result<Scopes, Refused> {
    Ok(members
        .scopes(name)?
        .map_or(Scopes::Unknown, Scopes::Requested))
}

fn required_client(members: &Members) -> Result<Option<String>, Refused> {
    match members.text("client_id")? {
        Some(id) => Ok(Some(id.to_owned())),
        None => Err(Refused::new(
            "client_id",
            "is missing: a file of this form names the client that its tokens were issued to",
        )),
    }
}
