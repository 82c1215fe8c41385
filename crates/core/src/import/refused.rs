//! Files that look like credentials and are something else, each with the way out.

use serde_json::Value;

use super::Refused;
use super::members::Members;

/// Formats that are no JSON.
pub(super) fn binary(bytes: &[u8]) -> Result<(), Refused> {
    let pickle = matches!(bytes, [0x80, 2..=5, ..])
        || bytes.starts_with(b"ccopy_reg")
        || bytes.starts_with(b"ccopyreg")
        || bytes.starts_with(b"cgoogle.");
    if pickle {
        return Err(Refused::whole(
            "is a Python pickle, and loading one runs code. Where it was made, run \
             python -c \"import pickle;print(pickle.load(open('token.pickle','rb')).to_json())\" \
             and import what it prints",
        ));
    }
    if bytes.starts_with(&[0xac, 0xed]) {
        return Err(Refused::whole(
            "is a Java StoredCredential, which only Java reads. Print getAccessToken(), \
             getRefreshToken() and getExpirationTimeMilliseconds() of the stored credential as \
             JSON members access_token, refresh_token and expiry_date, and import that",
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Refused::whole("is UTF-16 text: save it as UTF-8"));
    }
    if bytes.starts_with(b"SQLite format 3") {
        return Err(Refused::whole(
            "is an SQLite database: gcloud keeps the credentials to import in \
             application_default_credentials.json beside it",
        ));
    }
    if bytes.starts_with(b"---") {
        return Err(Refused::whole(
            "is YAML: the command line reads the token store of Google's Ruby library, elsewhere \
             give the JSON text of one of its entries",
        ));
    }
    Ok(())
}

/// JSON of another purpose.
pub(super) fn check(members: &Members) -> Result<(), Refused> {
    for kind in ["web", "installed"] {
        if matches!(members.0.get(kind), Some(Value::Object(_))) {
            return Err(Refused::new(
                kind,
                "this is the OAuth client, not a user's credentials: set GOOGLE_CLIENT_ID and \
                 GOOGLE_CLIENT_SECRET to its client_id and client_secret, and import the token.json",
            ));
        }
    }
    if let Some(kind) = members.text("type").ok().flatten() {
        let message = match kind {
            "service_account" => {
                "a service account has a private key and no user's consent: connect as a user \
                 instead, or use the key with the provider's own library"
            }
            "external_account" | "external_account_authorized_user" => {
                "workload and workforce identity credentials are exchanged at another server: \
                 connect as a user instead"
            }
            "impersonated_service_account" | "gdch_service_account" => {
                "credentials that act as a service account are no user's consent: connect as a \
                 user instead"
            }
            _ => "",
        };
        if !message.is_empty() {
            return Err(Refused::new("type", message));
        }
    }
    if members.has("private_key") {
        return Err(Refused::new(
            "private_key",
            "a private key is no user's credentials: connect as a user instead",
        ));
    }
    match members.text("universe_domain")? {
        None | Some("googleapis.com") => Ok(()),
        Some(_) => Err(Refused::new(
            "universe_domain",
            "must be googleapis.com: tokens of another universe are refreshed elsewhere",
        )),
    }
}

/// What a provider with refresh tokens needs.
pub(super) fn no_refresh_token() -> Refused {
    Refused::new(
        "refresh_token",
        "is missing: the access token alone ends within the hour. Connect again, asking for \
         offline access (access_type=offline and prompt=consent at Google), or import the file \
         that has one",
    )
}
