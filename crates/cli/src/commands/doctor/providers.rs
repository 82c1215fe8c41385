//! Providers: whether each knows our client, and what has to be registered there.

use grantkeep_core::App;
use grantkeep_core::oauth::token::{self, TokenEndpointError};
use grantkeep_core::provider::Provider;
use grantkeep_core::secret::RefreshToken;

use super::finding::Findings;

/// A refresh token that no provider ever issued. Asking for its refresh tells whether our
/// client is known, and ends nothing.
const NEVER_ISSUED: &str = "grantkeep-doctor-was-never-issued";

/// Looks at every provider with a client.
pub async fn examine(app: &App, offline: bool, findings: &mut Findings) {
    let mut any = false;
    for provider in app.settings.providers.iter() {
        any = true;
        let name = &provider.name;
        findings.ok(
            format!("{name} redirect"),
            format!(
                "register at the client: {}",
                app.settings.public_url.redirect_uri(name)
            ),
        );
        if !offline {
            client(app, provider, findings).await;
        }
        let missing = provider.default_scopes().missing(
            &provider.required_scopes(),
            provider.scope_rules(),
            grantkeep_core::scope::Mode::Effective,
        );
        if !missing.is_empty() {
            findings.warn(
                format!("{name} scopes"),
                format!("does not ask for what it needs: {}", missing.join(" ")),
                "add them to `scopes` in OAUTH_PROVIDERS",
            );
        }
    }
    if !any {
        findings.fail(
            "providers",
            "no provider has a client",
            "set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET, or another provider's",
        );
    }
}

async fn client(app: &App, provider: &Provider, findings: &mut Findings) {
    let check = format!("{} client", provider.name);
    let variables = provider.name.to_ascii_uppercase();
    let definition = match provider.definition(&app.http).await {
        Ok(definition) => definition,
        Err(error) => {
            return findings.fail(
                check,
                error.to_string(),
                "see whether the issuer in OAUTH_PROVIDERS is right and can be reached",
            );
        }
    };
    let scopes = provider.default_scopes();
    let refresh_token = RefreshToken::new(NEVER_ISSUED);
    let answer = token::refresh(
        &app.http,
        definition,
        &provider.client,
        &refresh_token,
        &scopes,
        app.now(),
    );
    match answer.await {
        Err(TokenEndpointError::DeadGrant { .. }) => {
            findings.ok(check, "the provider knows it, id and secret");
        }
        Err(TokenEndpointError::ClientRefused { error }) => findings.fail(
            check,
            format!("the provider refuses it ({error})"),
            format!(
                "compare {variables}_CLIENT_ID and {variables}_CLIENT_SECRET (or the family's) with \
                 the provider's console: deleted, replaced, expired?"
            ),
        ),
        Err(TokenEndpointError::Unavailable { reason, .. }) => findings.warn(
            check,
            format!("the provider could not be asked: the token endpoint {reason}"),
            "see whether this machine reaches it",
        ),
        Err(TokenEndpointError::Refused { error, .. }) => findings.warn(
            check,
            format!("could not be told: the provider answered {error}"),
            "connect an account to see",
        ),
        Ok(_) => findings.warn(
            check,
            "the token endpoint takes any refresh token",
            "use a real provider once this is deployed",
        ),
    }
}
