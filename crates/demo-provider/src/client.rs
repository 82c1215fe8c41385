//! Who asks for tokens: the registered clients and how they prove themselves.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::knobs::Knobs;
use crate::parameters::Parameters;

/// The client id that is always registered. Its digits are its project number, as in Google's ids.
pub const DEMO_CLIENT_ID: &str = "000000000000-demo.apps.googleusercontent.com";

/// The secret that goes with [`DEMO_CLIENT_ID`].
pub const DEMO_CLIENT_SECRET: &str = "demo-client-secret";

/// How a client proved itself in a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic.
    Basic,
    /// `client_secret` in the body.
    Post,
    /// Both at once, which RFC 6749 section 2.3 forbids.
    Both,
    /// No secret at all.
    None,
}

/// What a request says about its client.
pub(crate) struct Presented {
    pub(crate) method: ClientAuth,
    pub(crate) id: Option<String>,
    secret: Option<String>,
}

impl Presented {
    /// Reads the `Authorization` header and the body's parameters.
    pub(crate) fn read(headers: &HeaderMap, parameters: &Parameters) -> Presented {
        let basic = basic_credentials(headers);
        let in_body = parameters.get("client_secret");
        let method = match (&basic, in_body) {
            (Some(_), Some(_)) => ClientAuth::Both,
            (Some(_), None) => ClientAuth::Basic,
            (None, Some(_)) => ClientAuth::Post,
            (None, None) => ClientAuth::None,
        };
        match basic {
            Some((id, secret)) => Presented {
                method,
                id: Some(id),
                secret: Some(secret),
            },
            None => Presented {
                method,
                id: parameters.get("client_id").map(str::to_owned),
                secret: in_body.map(str::to_owned),
            },
        }
    }

    /// The client id, where the secret is that client's.
    pub(crate) fn proven(&self, knobs: &Knobs) -> Option<&str> {
        let id = self.id.as_deref()?;
        let secret = secret_of(knobs, id)?;
        (self.secret.as_deref().unwrap_or_default() == secret).then_some(id)
    }
}

/// Whether a client id is registered.
pub(crate) fn is_registered(knobs: &Knobs, id: &str) -> bool {
    secret_of(knobs, id).is_some()
}

/// The cloud project a client belongs to: the digits before the first `-` of its id.
pub(crate) fn project(client_id: &str) -> &str {
    client_id.split('-').next().unwrap_or(client_id)
}

fn secret_of<'a>(knobs: &'a Knobs, id: &str) -> Option<&'a str> {
    match knobs.clients.get(id) {
        Some(secret) => Some(secret),
        None => (id == DEMO_CLIENT_ID).then_some(DEMO_CLIENT_SECRET),
    }
}

/// RFC 6749 section 2.3.1: both parts are form-urlencoded before they are joined.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

fn form_decoded(text: &str) -> String {
    // A lone key without `=` or `&`: exactly the decoding of one form value.
    let text = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}
