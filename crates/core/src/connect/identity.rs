//! Which account gave consent: its stable id, and what people call it.

use std::time::Duration;

use grantkeep_providers::{AccountSource, Definition};
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::Value;

use crate::app::App;
use crate::connection::{DEFAULT, name};
use crate::oauth::TokenSet;
use crate::oauth::id_token::{self, Expected, IdTokenError};
use crate::provider::Provider;
use crate::secret::Nonce;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The account at the provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Stable; absent where the provider tells nothing.
    pub subject: Option<String>,
    /// For people: a verified e-mail address where there is one, else the id.
    pub label: String,
}

/// Why the account is not known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// The id_token is not to be believed.
    #[error(transparent)]
    IdToken(#[from] IdTokenError),
    /// The userinfo endpoint did not say.
    #[error("the provider did not say which account this is")]
    Userinfo,
}

/// Reads the account from where the definition says.
pub async fn identify(
    app: &App,
    provider: &Provider,
    definition: &Definition,
    tokens: &TokenSet,
    nonce: Option<&Nonce>,
) -> Result<Identity, IdentityError> {
    let document = match definition.account.source {
        AccountSource::Oidc => match (&tokens.id_token, &definition.userinfo_endpoint) {
            (Some(token), _) => {
                let expected = Expected {
                    client_id: &provider.client.id,
                    nonce,
                    access_token: &tokens.access_token,
                    now: app.now(),
                };
                let claims =
                    id_token::verify(&app.http, &app.key_sets, definition, token, &expected)
                        .await?;
                Value::Object(claims)
            }
            (None, Some(endpoint)) => userinfo(app, endpoint, tokens).await?,
            (None, None) => Value::Null,
        },
        AccountSource::Userinfo => match &definition.userinfo_endpoint {
            Some(endpoint) => userinfo(app, endpoint, tokens).await?,
            None => Value::Null,
        },
        AccountSource::TokenResponse => Value::Object(tokens.metadata.clone()),
    };
    Ok(read(&document, definition))
}

/// Whether the id_token of a refresh names another issuer or account than the one that
/// gave consent (OpenID Connect Core section 12.2). It comes from the token endpoint
/// itself, so TLS vouches for it, as section 3.1.3.7 (6) allows.
pub(crate) fn is_another(
    definition: &Definition,
    tokens: &TokenSet,
    subject: Option<&str>,
) -> bool {
    let (AccountSource::Oidc, Some(token)) = (definition.account.source, &tokens.id_token) else {
        return false;
    };
    let Some(claims) = id_token::claims_of_issuer(definition, token) else {
        return true;
    };
    let named = read(&Value::Object(claims), definition).subject;
    subject.is_some() && named.as_deref() != subject
}

/// The account that a document names.
pub(super) fn read(document: &Value, definition: &Definition) -> Identity {
    let account = &definition.account;
    let text = |pointer: &str| match document.pointer(pointer)? {
        Value::String(text) => name("account", text).ok(),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let subject = text(account.id.as_deref().unwrap_or("/sub"));
    // Without a word on it, only an address that the provider has verified is a label.
    let (label, verified) = match (&account.label, &account.label_verified) {
        (None, _) => ("/email", Some("/email_verified")),
        (Some(label), verified) => (label.as_str(), verified.as_deref()),
    };
    let trusted = verified.is_none_or(|pointer| {
        document
            .pointer(pointer)
            .is_some_and(|flag| *flag == true || *flag == "true")
    });
    let label = text(label).filter(|_| trusted).or_else(|| subject.clone());
    Identity {
        subject,
        label: label.unwrap_or_else(|| DEFAULT.to_owned()),
    }
}

async fn userinfo(app: &App, endpoint: &str, tokens: &TokenSet) -> Result<Value, IdentityError> {
    let request = http::Request::get(endpoint)
        .header(ACCEPT, "application/json")
        .header(
            AUTHORIZATION,
            format!("Bearer {}", tokens.access_token.expose()),
        )
        .body(Vec::new())
        .map_err(|_| IdentityError::Userinfo)?;
    let answer = app
        .http
        .send(request, TIMEOUT)
        .await
        .map_err(|_| IdentityError::Userinfo)?;
    match answer.status {
        200 => serde_json::from_slice(&answer.body).map_err(|_| IdentityError::Userinfo),
        _ => Err(IdentityError::Userinfo),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn identity(document: Value, account: Value) -> Identity {
        let definition =
            serde_json::from_value(json!({"display_name": "Test", "account": account}));
        read(&document, &definition.expect("definition"))
    }

    #[test]
    fn id03_an_address_is_a_label_only_when_it_is_verified() {
        let verified = json!({"sub": "1", "email": "a@b.example", "email_verified": true});
        let unverified = json!({"sub": "1", "email": "a@b.example"});

        assert_eq!(identity(verified, json!({})).label, "a@b.example");
        assert_eq!(identity(unverified, json!({})).label, "1");
    }

    #[test]
    fn an_unknown_account_is_called_default() {
        let nobody = identity(Value::Null, json!({}));

        assert_eq!((nobody.subject, nobody.label.as_str()), (None, "default"));
    }

    #[test]
    fn ids_and_labels_are_read_where_the_definition_points() {
        let account = json!({"source": "token_response", "id": "/team/id", "label": "/team/name"});
        let found = identity(json!({"team": {"id": 7, "name": "Acme"}}), account);

        assert_eq!(
            (found.subject.as_deref(), found.label.as_str()),
            (Some("7"), "Acme")
        );
    }
}
