//! What the server says of itself: metadata (RFC 8414, OpenID Connect Discovery) and keys.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::world::Shared;

pub(crate) async fn metadata(State(shared): State<Shared>) -> Json<Value> {
    let origin = shared.origin();
    Json(json!({
        "issuer": origin,
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "revocation_endpoint": format!("{origin}/revoke"),
        "userinfo_endpoint": format!("{origin}/userinfo"),
        "jwks_uri": format!("{origin}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "form_post"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid", "email", "profile"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "claims_supported": [
            "iss", "sub", "aud", "azp", "exp", "iat", "nonce", "at_hash",
            "email", "email_verified", "name", "preferred_username",
        ],
    }))
}

pub(crate) async fn jwks(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.key().jwks())
}

/// An `OAUTH_PROVIDERS` object that points the built-in mail and calendar providers at this server.
pub(crate) fn settings(origin: &str) -> Value {
    let entry = |api_base: String| {
        json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "revocation_endpoint": format!("{origin}/revoke"),
            "userinfo_endpoint": format!("{origin}/userinfo"),
            "jwks_uri": format!("{origin}/jwks"),
            "api_base": api_base,
        })
    };
    json!({
        "gmail": entry(origin.to_owned()),
        // The path of the real one: callers of its API leave it out.
        "google_calendar": entry(format!("{origin}/calendar/v3")),
        "outlook": entry(origin.to_owned()),
    })
}
