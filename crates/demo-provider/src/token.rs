//! `POST /token`: exchanges codes and refreshes, after the faults had their turn.

use std::time::Duration;

use aws_lc_rs::{constant_time, digest};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::answer::{self, Refusal, TokenSet};
use crate::client::{ClientAuth, Presented};
use crate::id_token::Subject;
use crate::knobs::Knobs;
use crate::parameters::{Parameters, is_json};
use crate::scopes;
use crate::world::{Consent, Grant, Shared};

/// Marks a response whose connection is closed instead of sending it.
#[derive(Clone, Copy)]
pub(crate) struct LostAnswer;

pub(crate) async fn token(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (knobs, faulty) = shared.world().begin_token_request();
    tokio::time::sleep(Duration::from_millis(knobs.delay_ms)).await;

    if faulty && let Some(failure) = failure_before_processing(&shared, &knobs) {
        return failure;
    }

    let answer = match perform(&shared, &knobs, &headers, &body) {
        Ok(set) => set.into_response(&knobs),
        Err(refusal) => refusal.into_response(&knobs),
    };

    if faulty && knobs.drop_connection_after_processing {
        lost(answer)
    } else if faulty && knobs.garbage_body {
        answer::garbage()
    } else if faulty && knobs.huge_body {
        answer::huge()
    } else {
        answer
    }
}

/// `/moved`, where a redirected token request would end up: a token that opens nothing.
pub(crate) async fn moved() -> Response {
    axum::Json(serde_json::json!({"access_token": "ya29.moved", "token_type": "Bearer"}))
        .into_response()
}

fn lost(mut answer: Response) -> Response {
    answer.extensions_mut().insert(LostAnswer);
    answer
}

fn failure_before_processing(shared: &Shared, knobs: &Knobs) -> Option<Response> {
    if let Some(status) = knobs.redirect_token {
        let target = format!("{}/moved", shared.origin());
        return Some((status_code(status), [(header::LOCATION, target)]).into_response());
    }
    let chosen = knobs.token_status.map(status_code);
    if let Some(error) = &knobs.token_error {
        let refusal = Refusal::new(error, description(error));
        let refusal = match chosen {
            Some(status) => refusal.with_status(status),
            None => refusal,
        };
        return Some(refusal.into_response(knobs));
    }
    let status = match chosen {
        Some(status) => status,
        None if knobs.has_token_fault() => return None,
        None => StatusCode::SERVICE_UNAVAILABLE,
    };
    Some(gateway_error(status, knobs))
}

/// What a load balancer in front of a provider says: HTML, with no OAuth error in it.
fn gateway_error(status: StatusCode, knobs: &Knobs) -> Response {
    let body = format!(
        "<!doctype html><title>Error {0}</title><p>Error {0}",
        status.as_u16()
    );
    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    match &knobs.retry_after {
        Some(value) => (status, html, [(header::RETRY_AFTER, value.clone())], body).into_response(),
        None => (status, html, body).into_response(),
    }
}

/// A knob's status; one outside 100 to 999 cannot be sent and becomes 500.
pub(crate) fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn description(error: &str) -> &'static str {
    match error {
        "invalid_grant" => "Token has been expired or revoked.",
        "invalid_client" => "The OAuth client was not found.",
        _ => "Bad Request",
    }
}

fn perform(
    shared: &Shared,
    knobs: &Knobs,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<TokenSet, Refusal> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if knobs.require_json_body && !is_json(content_type) {
        return Err(Refusal::new("invalid_request", "The body must be JSON."));
    }
    let parameters = Parameters::from_body(content_type, body);
    let client = Presented::read(headers, &parameters);
    let client_id = authenticated(&client, knobs)?;
    match parameters.get("grant_type") {
        Some("authorization_code") => exchange(shared, knobs, client_id, &parameters),
        Some("refresh_token") => refresh(shared, knobs, client_id, &parameters),
        Some(_) => Err(Refusal::new("unsupported_grant_type", "Invalid grant_type")),
        None => Err(Refusal::new(
            "invalid_request",
            "Required parameter is missing: grant_type",
        )),
    }
}

fn authenticated<'a>(client: &'a Presented, knobs: &Knobs) -> Result<&'a str, Refusal> {
    let wrong_way = match client.method {
        ClientAuth::Both => {
            return Err(Refusal::new(
                "invalid_request",
                "Two client authentication methods.",
            ));
        }
        ClientAuth::Basic => knobs.require_post_auth,
        ClientAuth::Post => knobs.require_basic_auth,
        ClientAuth::None => knobs.require_basic_auth || knobs.require_post_auth,
    };
    if wrong_way {
        return Err(Refusal::new(
            "invalid_client",
            "Unsupported client authentication method.",
        ));
    }
    client
        .proven(knobs)
        .ok_or_else(|| Refusal::new("invalid_client", "Unauthorized"))
}

fn exchange(
    shared: &Shared,
    knobs: &Knobs,
    client_id: &str,
    parameters: &Parameters,
) -> Result<TokenSet, Refusal> {
    let missing = || Refusal::new("invalid_request", "Missing required parameter: code");
    let code = parameters.get("code").ok_or_else(missing)?;
    let mut world = shared.world();
    let consent = world
        .take_code(code)
        .filter(|consent| consent.client_id == client_id)
        .ok_or_else(|| Refusal::new("invalid_grant", "Malformed auth code."))?;
    if parameters.get("redirect_uri") != Some(&consent.redirect_uri) {
        return Err(Refusal::new("redirect_uri_mismatch", "Bad Request"));
    }
    if !verifier_fits(&consent, parameters.get("code_verifier")) {
        return Err(Refusal::new("invalid_grant", "Invalid code verifier."));
    }

    let id = world.open_grant(client_id, consent.account, consent.scopes.clone());
    let access_token = world.mint_access_token(id, consent.scopes);
    let offline = consent.offline && !knobs.omit_refresh_token;
    let refresh_token = offline.then(|| world.mint_refresh_token(id));
    let grant = world.grant(id);
    Ok(TokenSet {
        id_token: id_token(
            shared,
            knobs,
            grant,
            consent.nonce.as_deref(),
            &access_token,
        ),
        access_token,
        refresh_token,
        scopes: grant.scopes.clone(),
    })
}

/// A verifier without a challenge is refused as well (RFC 9700 section 4.8.2).
fn verifier_fits(consent: &Consent, verifier: Option<&str>) -> bool {
    match (&consent.code_challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
            let expected = URL_SAFE_NO_PAD.encode(hash);
            constant_time::verify_slices_are_equal(expected.as_bytes(), challenge.as_bytes())
                .is_ok()
        }
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn refresh(
    shared: &Shared,
    knobs: &Knobs,
    client_id: &str,
    parameters: &Parameters,
) -> Result<TokenSet, Refusal> {
    let missing = || {
        Refusal::new(
            "invalid_request",
            "Missing required parameter: refresh_token",
        )
    };
    let refresh_token = parameters.get("refresh_token").ok_or_else(missing)?;
    let dead = || Refusal::new("invalid_grant", description("invalid_grant"));

    let mut world = shared.world();
    // Before the token is used up: a refused scope must not cost the client its refresh token.
    let grant = world
        .grant_behind(refresh_token)
        .cloned()
        .ok_or_else(dead)?;
    let scopes = refreshed_scopes(&grant, knobs, parameters.get("scope"))?;
    let (id, next) = world
        .use_refresh_token(refresh_token, client_id)
        .ok_or_else(dead)?;
    let access_token = world.mint_access_token(id, scopes.clone());
    Ok(TokenSet {
        id_token: id_token(shared, knobs, &grant, None, &access_token),
        access_token,
        refresh_token: next,
        scopes,
    })
}

/// The grant's scopes, or the part of them that the request or the knob names.
fn refreshed_scopes(
    grant: &Grant,
    knobs: &Knobs,
    asked: Option<&str>,
) -> Result<Vec<String>, Refusal> {
    let mut granted = grant.scopes.clone();
    if let Some(asked) = asked {
        let asked = scopes::requested(asked);
        if asked.iter().any(|scope| !granted.contains(scope)) {
            return Err(Refusal::new("invalid_scope", "Bad Request"));
        }
        granted.retain(|scope| asked.contains(scope));
    }
    if let Some(narrower) = &knobs.narrower_scope_on_refresh {
        granted.retain(|scope| narrower.iter().any(|kept| scopes::canonical(kept) == scope));
    }
    Ok(granted)
}

fn id_token(
    shared: &Shared,
    knobs: &Knobs,
    grant: &Grant,
    nonce: Option<&str>,
    access_token: &str,
) -> Option<String> {
    let subject = Subject {
        issuer: shared.origin(),
        client_id: &grant.client_id,
        account: grant.account,
        scopes: &grant.scopes,
        nonce,
        access_token,
    };
    let wanted = grant.scopes.iter().any(|scope| scope == "openid");
    wanted.then(|| subject.sign(shared.key(), knobs.id_token_fault))
}
