//! What a test or a person can turn: every fault and every quirk of a real provider that the demo acts out.
//! The same structure is spoken in Rust and, as JSON, over `/control/knobs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Behaviour of a [`DemoProvider`](crate::DemoProvider); the default is a Google-like provider without faults.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Client ids known besides the demo client, with their secrets; an empty secret is a public client.
    pub clients: BTreeMap<String, String>,

    /// Milliseconds the token endpoint waits before it looks at a request.
    pub delay_ms: u64,
    /// The faults below hit only this many token requests, counted down here; absent means every one.
    /// Without any fault set, they are answered 503.
    pub fail_next_n: Option<u32>,
    /// Fault: the token endpoint answers this status, and nothing is performed.
    pub token_status: Option<u16>,
    /// `Retry-After` sent with `token_status` or `token_error`: seconds or an HTTP date.
    pub retry_after: Option<String>,
    /// Fault: the token endpoint answers this OAuth error code, and nothing is performed.
    pub token_error: Option<String>,
    /// Fault: the token endpoint redirects with this 3xx status to `/moved`.
    pub redirect_token: Option<u16>,
    /// Fault: the request is performed, then the connection is closed without an answer.
    pub drop_connection_after_processing: bool,
    /// Fault: the request is performed, the answer is cut-off JSON.
    pub garbage_body: bool,
    /// Fault: the request is performed, the answer is valid JSON of 16 MiB.
    pub huge_body: bool,

    /// What a refresh does to the refresh token that was used.
    pub refresh_tokens: RefreshTokens,
    /// For this many milliseconds after its use a single-use refresh token is honoured again.
    pub reuse_leeway_ms: u64,
    /// A refresh ends the access tokens that the grant had.
    pub old_access_token_dies_on_refresh: bool,
    /// Seconds that an access token works, and the value behind `expires_in`.
    pub access_token_lifetime_s: u64,
    /// How `expires_in` is written.
    pub expires_in: ExpiresIn,
    /// How the granted scopes are written.
    pub scope_echo: ScopeEcho,
    /// A refresh grants only those of the grant's scopes that are listed here.
    pub narrower_scope_on_refresh: Option<Vec<String>>,
    /// How the token endpoint writes its answers.
    pub response_format: ResponseFormat,
    /// Errors of the token endpoint have status 200.
    pub error_with_status_200: bool,
    /// Answers carry `"ok"`: true in a success, and false with status 200 in an error.
    pub ok_false_errors: bool,
    /// Member of the answer in which the token set is nested, for example `authed_user`.
    pub nest_under: Option<String>,
    /// The `token_type` of answers.
    pub token_type: String,
    /// The code exchange gives no refresh token.
    pub omit_refresh_token: bool,
    /// A refresh token is given only for `access_type=offline` with `prompt=consent`.
    pub offline_needs_consent: bool,
    /// Answers have status 200 but no access token.
    pub omit_access_token: bool,
    /// Seconds in `refresh_token_expires_in`; absent means the member is not sent.
    pub refresh_token_expires_in: Option<u64>,
    /// Members merged over the top level of a successful answer.
    pub extra_members: Map<String, Value>,
    /// Token requests must be JSON.
    pub require_json_body: bool,
    /// The client must authenticate with HTTP Basic.
    pub require_basic_auth: bool,
    /// The client must authenticate in the request's body.
    pub require_post_auth: bool,

    /// The authorization endpoint redirects with this error instead of asking for consent.
    pub authorize_error: Option<String>,
    /// Authorization responses carry `iss` (RFC 9207).
    pub send_iss: bool,
    /// The `iss` of authorization responses names another server.
    pub wrong_iss: bool,

    /// What is wrong with the id_token.
    pub id_token_fault: Option<IdTokenFault>,
    /// Fault: the userinfo endpoint answers this status.
    pub userinfo_status: Option<u16>,
    /// Fault: the revocation endpoint answers this status, and nothing is revoked.
    pub revoke_status: Option<u16>,

    /// Milliseconds the mail and calendar APIs wait before they look at a call.
    pub api_delay_ms: u64,
    /// Milliseconds between a call that was performed and its answer.
    pub api_answer_delay_ms: u64,
    /// What is wrong with the mail and calendar APIs.
    pub api_fault: Option<ApiFault>,
    /// `api_fault` hits only this many calls, counted down here; absent means every one.
    pub api_fail_next_n: Option<u32>,
    /// `api_fault` hits only the calls of these accounts (e-mail addresses); empty means all.
    pub api_fault_accounts: Vec<String>,
    /// `Retry-After` sent with `api_fault`: seconds or an HTTP date.
    pub api_retry_after: Option<String>,
    /// Fault: every API answers 401 to these access tokens, which are otherwise good.
    pub rejected_access_tokens: Vec<String>,
    /// Fault: `history.list` answers 404, as for a `startHistoryId` that is too old.
    pub history_too_old: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Knobs {
            clients: BTreeMap::new(),
            delay_ms: 0,
            fail_next_n: None,
            token_status: None,
            retry_after: None,
            token_error: None,
            redirect_token: None,
            drop_connection_after_processing: false,
            garbage_body: false,
            huge_body: false,
            refresh_tokens: RefreshTokens::default(),
            reuse_leeway_ms: 0,
            old_access_token_dies_on_refresh: false,
            access_token_lifetime_s: 3599,
            expires_in: ExpiresIn::default(),
            scope_echo: ScopeEcho::default(),
            narrower_scope_on_refresh: None,
            response_format: ResponseFormat::default(),
            error_with_status_200: false,
            ok_false_errors: false,
            nest_under: None,
            token_type: "Bearer".to_owned(),
            omit_refresh_token: false,
            offline_needs_consent: false,
            omit_access_token: false,
            refresh_token_expires_in: None,
            extra_members: Map::new(),
            require_json_body: false,
            require_basic_auth: false,
            require_post_auth: false,
            authorize_error: None,
            send_iss: true,
            wrong_iss: false,
            id_token_fault: None,
            userinfo_status: None,
            revoke_status: None,
            api_delay_ms: 0,
            api_answer_delay_ms: 0,
            api_fault: None,
            api_fail_next_n: None,
            api_fault_accounts: Vec::new(),
            api_retry_after: None,
            rejected_access_tokens: Vec::new(),
            history_too_old: false,
        }
    }
}

impl Knobs {
    /// These knobs with an RFC 7396 merge patch applied; the error names the member that does not fit.
    pub(crate) fn patched(&self, patch: Map<String, Value>) -> Result<Knobs, serde_json::Error> {
        let mut merged = serde_json::to_value(self)?;
        merge(&mut merged, &Value::Object(patch));
        serde_json::from_value(merged)
    }

    /// Whether a fault of the token endpoint is chosen.
    pub(crate) fn has_token_fault(&self) -> bool {
        self.token_status.is_some()
            || self.token_error.is_some()
            || self.redirect_token.is_some()
            || self.drop_connection_after_processing
            || self.garbage_body
            || self.huge_body
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name).or_insert(Value::Null), change);
        }
    }
}

/// What a refresh does to the refresh token that was used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokens {
    /// It stays valid and the answer has none.
    #[default]
    Keep,
    /// A new one comes, the old one stays valid.
    Rotate,
    /// A new one comes and the old one dies with its use; using it again kills the whole grant.
    SingleUse,
}

/// How `expires_in` is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiresIn {
    /// `3599`
    #[default]
    Number,
    /// `"3599"`
    String,
    /// `3599.5`
    Float,
    /// Not sent.
    Absent,
    /// `-1`
    Negative,
    /// `0`
    Zero,
    /// `1e18` seconds, more than any calendar holds.
    Huge,
}

/// How the granted scopes are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeEcho {
    /// `scope` as one string, separated by spaces.
    #[default]
    String,
    /// `scope` as one string, separated by commas.
    Comma,
    /// `scope` as a JSON array.
    Array,
    /// `scopes` as a JSON array, and no `scope`.
    ArrayInScopes,
    /// `scope` as the empty string.
    Empty,
    /// Not sent.
    Absent,
}

/// How the token endpoint writes its answers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseFormat {
    /// `application/json`
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// What is wrong with an id_token.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdTokenFault {
    /// `nonce` is not the one of the authorization request.
    WrongNonce,
    /// `aud` is another client.
    WrongAud,
    /// `iss` is another server.
    WrongIss,
    /// `exp` is an hour ago.
    Expired,
    /// `alg` is `none` and the signature is empty.
    AlgNone,
    /// `email_verified` is false.
    EmailUnverified,
    /// The signature does not fit.
    BadSignature,
}

/// What is wrong with the mail and calendar APIs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiFault {
    /// 429.
    TooManyRequests,
    /// 403 with the reason `rateLimitExceeded`.
    RateLimitExceeded,
    /// 403 with the reason `userRateLimitExceeded`.
    UserRateLimitExceeded,
    /// 403 with the reason `domainPolicy`: the account's administrator switched the API off.
    DomainPolicy,
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
    /// The call is performed, then the connection is closed without an answer.
    LostAnswer,
}
