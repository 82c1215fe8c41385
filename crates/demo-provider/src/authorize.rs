//! `/authorize`: checks the request, shows the consent page, and sends the user back with a code or an error.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, Uri, header};
use serde_json::{Map, Value};
use url::Url;

use crate::account::{self, ACCOUNTS, Account};
use crate::client;
use crate::knobs::Knobs;
use crate::page::{self, ConsentPage};
use crate::parameters::Parameters;
use crate::scopes;
use crate::world::{Consent, Shared, World};

/// The redirect URI of a popup: the code goes to the opener instead of a URL.
const POSTMESSAGE: &str = "postmessage";

const CODE_LIFETIME: Duration = Duration::from_secs(600);

/// An authorization request that can be answered: its client and its redirect URI are in order.
struct AuthorizationRequest {
    client_id: String,
    redirect_uri: String,
    state: Option<String>,
    form_post: bool,
    /// What was asked for, or the error to send back.
    wanted: Result<Wanted, &'static str>,
}

struct Wanted {
    scopes: Vec<String>,
    nonce: Option<String>,
    code_challenge: Option<String>,
    offline: bool,
    include_granted: bool,
    login_hint: Option<&'static Account>,
}

impl AuthorizationRequest {
    /// Reads a query string. The error is for the user's eyes: with a doubtful client or redirect
    /// URI nothing may be sent there (RFC 6749 section 4.1.2.1).
    fn read(query: &str, knobs: &Knobs) -> Result<AuthorizationRequest, &'static str> {
        let parameters = Parameters::from_form(query.as_bytes());
        let client_id = parameters
            .get("client_id")
            .ok_or("The request names no client_id.")?;
        if !client::is_registered(knobs, client_id) {
            return Err("The client_id is not registered here.");
        }
        let redirect_uri = parameters
            .get("redirect_uri")
            .ok_or("The request names no redirect_uri.")?;
        if redirect_uri != POSTMESSAGE && !is_web_address(redirect_uri) {
            return Err("The redirect_uri is not an absolute http or https address.");
        }
        Ok(AuthorizationRequest {
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            state: parameters.get("state").map(str::to_owned),
            form_post: parameters.get("response_mode") == Some("form_post"),
            wanted: Wanted::read(&parameters, knobs),
        })
    }

    /// Sends the user back with these parameters beside `state` and `iss`.
    fn answer(&self, shared: &Shared, knobs: &Knobs, result: &[(&str, &str)]) -> Response {
        let mut parameters = result.to_vec();
        if let Some(state) = &self.state {
            parameters.push(("state", state));
        }
        if knobs.wrong_iss {
            parameters.push(("iss", "https://another.example.test"));
        } else if knobs.send_iss {
            parameters.push(("iss", shared.origin()));
        }

        if self.redirect_uri == POSTMESSAGE {
            let message: Map<String, Value> = parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into()))
                .collect();
            return axum::Json(message).into_response();
        }
        if self.form_post {
            return page::form_post(&self.redirect_uri, &parameters);
        }
        let mut target = Url::parse(&self.redirect_uri).expect("the address was read before");
        target.query_pairs_mut().extend_pairs(parameters);
        (StatusCode::SEE_OTHER, [(header::LOCATION, target.as_str())]).into_response()
    }

    fn refuse(&self, shared: &Shared, knobs: &Knobs, error: &str) -> Response {
        self.answer(shared, knobs, &[("error", error)])
    }
}

impl Wanted {
    fn read(parameters: &Parameters, knobs: &Knobs) -> Result<Wanted, &'static str> {
        if parameters.get("response_type") != Some("code") {
            return Err("unsupported_response_type");
        }
        let code_challenge = parameters.get("code_challenge");
        // Without a method RFC 7636 means `plain`, which is refused here.
        if code_challenge.is_some() && parameters.get("code_challenge_method") != Some("S256") {
            return Err("invalid_request");
        }
        let scopes = scopes::requested(parameters.get("scope").unwrap_or_default());
        if scopes.is_empty() {
            return Err("invalid_scope");
        }
        let consent_forced = parameters
            .get("prompt")
            .is_some_and(|prompt| prompt.split(' ').any(|p| p == "consent"));
        let asks_offline = parameters.get("access_type") == Some("offline") && consent_forced;
        Ok(Wanted {
            scopes,
            nonce: parameters.get("nonce").map(str::to_owned),
            code_challenge: code_challenge.map(str::to_owned),
            offline: asks_offline || !knobs.offline_needs_consent,
            include_granted: parameters.get("include_granted_scopes") == Some("true"),
            login_hint: parameters.get("login_hint").and_then(account::find),
        })
    }
}

fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none()
    })
}

/// `GET /authorize`: the consent page.
pub(crate) async fn show(State(shared): State<Shared>, uri: Uri) -> Response {
    let knobs = shared.world().knobs.clone();
    let query = uri.query().unwrap_or_default();
    let request = match AuthorizationRequest::read(query, &knobs) {
        Ok(request) => request,
        Err(problem) => return page::error(problem),
    };
    if let Some(error) = &knobs.authorize_error {
        return request.refuse(&shared, &knobs, error);
    }
    let wanted = match &request.wanted {
        Ok(wanted) => wanted,
        Err(error) => return request.refuse(&shared, &knobs, error),
    };
    page::consent(&ConsentPage::new(
        query,
        &request.client_id,
        &request.redirect_uri,
        &wanted.scopes,
        wanted.login_hint.unwrap_or(&ACCOUNTS[0]),
    ))
}

/// `POST /authorize`: what the user decided. `request` is the query string of the page, and it is
/// checked again, because a form's hidden field is the sender's word.
pub(crate) async fn decide(State(shared): State<Shared>, body: Bytes) -> Response {
    let form = Parameters::from_form(&body);
    let mut world = shared.world();
    let knobs = world.knobs.clone();
    let request = match AuthorizationRequest::read(form.get("request").unwrap_or_default(), &knobs)
    {
        Ok(request) => request,
        Err(problem) => return page::error(problem),
    };
    if let Some(error) = &knobs.authorize_error {
        return request.refuse(&shared, &knobs, error);
    }
    let wanted = match &request.wanted {
        Ok(wanted) => wanted,
        Err(error) => return request.refuse(&shared, &knobs, error),
    };
    match form.get("decision") {
        Some("allow") => {}
        Some("deny") => return request.refuse(&shared, &knobs, "access_denied"),
        _ => return page::error("The form says neither allow nor deny."),
    }
    let Some(account) = form.get("account").and_then(account::find) else {
        return page::error("The form names no account of this provider.");
    };

    let ticked: Vec<&str> = form.all("scope").map(scopes::canonical).collect();
    let scopes = granted_scopes(&world, &request.client_id, wanted, account, &ticked);
    let scope = scopes.join(" ");
    let code = world.save_code(
        Consent {
            client_id: request.client_id.clone(),
            redirect_uri: request.redirect_uri.clone(),
            account,
            scopes,
            nonce: wanted.nonce.clone(),
            code_challenge: wanted.code_challenge.clone(),
            offline: wanted.offline,
        },
        Instant::now() + CODE_LIFETIME,
    );
    request.answer(&shared, &knobs, &[("code", &code), ("scope", &scope)])
}

/// The requested scopes that were ticked or have no tick box; with
/// `include_granted_scopes`, also what the project has been granted before.
fn granted_scopes(
    world: &World,
    client_id: &str,
    wanted: &Wanted,
    account: &Account,
    ticked: &[&str],
) -> Vec<String> {
    let mut granted: Vec<String> = wanted.scopes.clone();
    granted.retain(|scope| !scopes::is_optional(scope) || ticked.contains(&scope.as_str()));
    if wanted.include_granted {
        for scope in world.granted_to_project(client_id, account) {
            if !granted.contains(&scope) {
                granted.push(scope);
            }
        }
    }
    granted
}
