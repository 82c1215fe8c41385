//! The shape of a provider's definition. Members that exist in RFC 8414 keep
//! their name there; every quirk is an enum value or a list, so that no code
//! ever asks for a provider by name.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One provider: an authorization server plus a purpose.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What users read on the connect page.
    pub display_name: String,
    /// Providers of one family share `{FAMILY}_CLIENT_ID` and `_CLIENT_SECRET`.
    #[serde(default)]
    pub family: Option<String>,

    /// Issuer identifier (RFC 8414 section 2); with nothing else, discovery fills the rest.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Other spellings of the issuer that id_tokens may carry. `{tid}` stands for
    /// the token's own tenant claim.
    #[serde(default)]
    pub id_token_issuers: Vec<String>,
    /// Where the browser is sent (RFC 6749 section 3.1).
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    /// Where codes and refresh tokens are exchanged (RFC 6749 section 3.2).
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Other addresses of the token endpoint that files of credentials may name. They are
    /// recognised when such a file is imported, and never called.
    #[serde(default)]
    pub token_endpoint_aliases: Vec<String>,
    /// Where tokens are revoked; how is said by `revocation`.
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// OIDC userinfo or the provider's own "who am I" address.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// Keys that sign id_tokens (RFC 7517).
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// RFC 9207: the callback must carry `iss`.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,

    /// How the client proves itself at the token endpoint (RFC 8414 names).
    #[serde(default)]
    pub token_endpoint_auth_method: ClientAuthentication,
    /// PKCE (RFC 7636); `none` only where the provider refuses the parameter.
    #[serde(default)]
    pub code_challenge_method: CodeChallengeMethod,
    /// What stands for the redirect URI in the exchange of a code that a page's popup got.
    #[serde(default)]
    pub popup_redirect_uri: Option<String>,
    /// The one of its family that signing in by popup connects when no other is named.
    #[serde(default)]
    pub sign_in: bool,
    /// How the provider hands the code back.
    #[serde(default)]
    pub response_mode: ResponseMode,

    /// Requested when the caller asks for nothing more.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Without these the connection does not do its job. An entry with `|`
    /// is satisfied by any one of its alternatives.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// The only scopes a caller may add; absent means any well-formed scope.
    #[serde(default)]
    pub allowed_scopes: Option<Vec<String>>,
    /// What joins scopes in a request; answers are read tolerantly.
    #[serde(default = "space")]
    pub scope_separator: String,
    /// Name of the request parameter that carries the scopes.
    #[serde(default = "scope")]
    pub scope_parameter: String,
    /// How granted scopes compare with required ones.
    #[serde(default)]
    pub scope_rules: ScopeRules,

    /// Extra parameters of the authorization request.
    #[serde(default)]
    pub authorization_params: BTreeMap<String, String>,
    /// Extra parameters of the token request.
    #[serde(default)]
    pub token_params: BTreeMap<String, String>,
    /// Extra headers of the token request.
    #[serde(default)]
    pub token_headers: BTreeMap<String, String>,
    /// How the token request's body is written.
    #[serde(default)]
    pub token_request_body: RequestBody,
    /// Member of the token answer that holds the token set, where it is not the top level.
    #[serde(default)]
    pub token_response_path: Option<String>,
    /// Token types besides `Bearer` that are bearer tokens in fact.
    #[serde(default)]
    pub bearer_token_types: Vec<String>,

    /// What a refresh does to the refresh token.
    #[serde(default)]
    pub refresh_tokens: RefreshTokens,
    /// How long a used single-use refresh token is still honoured, in seconds.
    #[serde(default)]
    pub refresh_reuse_leeway: u32,
    /// A refresh also ends the access token it replaces.
    #[serde(default)]
    pub refresh_ends_access_token: bool,
    /// The refresh request must repeat the scopes.
    #[serde(default)]
    pub send_scope_on_refresh: bool,
    /// Life of an access token whose answer names none, in seconds.
    #[serde(default)]
    pub default_expires_in: Option<u32>,
    /// Refresh this long before expiry instead of the usual margin, in seconds.
    #[serde(default)]
    pub refresh_margin: Option<u32>,
    /// A refresh token unused for this long is dead, in seconds.
    #[serde(default)]
    pub refresh_token_idle_lifetime: Option<u64>,
    /// A refresh token this long after consent is dead, in seconds.
    #[serde(default)]
    pub refresh_token_lifetime: Option<u64>,
    /// Never refresh more often than this, in seconds.
    #[serde(default)]
    pub min_refresh_interval: Option<u32>,
    /// `error` values that mean the same as `invalid_grant` here.
    #[serde(default)]
    pub dead_grant_errors: Vec<String>,

    /// How to revoke, and what goes with it.
    #[serde(default)]
    pub revocation: Revocation,
    /// Where the account's identity is read.
    #[serde(default)]
    pub account: AccountIdentity,
    /// Members of the token answer worth keeping beside the tokens.
    #[serde(default)]
    pub metadata: Vec<String>,
    /// Query parameters of the callback worth keeping beside the tokens.
    #[serde(default)]
    pub callback_metadata: Vec<String>,
    /// The callback's query is signed with the client secret (hex HMAC-SHA256).
    #[serde(default)]
    pub callback_hmac: bool,
    /// Values for `{name}` in the endpoints above.
    #[serde(default)]
    pub parameters: BTreeMap<String, TemplateParameter>,

    /// Where API calls go.
    #[serde(default)]
    pub api_base: Option<String>,
    /// Further hosts that belong to the provider's API.
    #[serde(default)]
    pub api_hosts: Vec<String>,
    /// The mailbox behind `api_base`, where there is one.
    #[serde(default)]
    pub mail: Option<Mail>,
}

/// A mailbox that can be sent from and watched.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// How it is spoken to.
    pub api: MailApi,
    /// What sending needs; alternatives are joined by `|`.
    pub send_scope: String,
    /// What searching and reading need; alternatives are joined by `|`.
    pub read_scope: String,
    /// While one of these is granted the API refuses searches, whatever else is granted.
    #[serde(default)]
    pub read_denied_by: Vec<String>,
}

/// A mail API that we speak, below `api_base`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum MailApi {
    /// `/gmail/v1/users/me/…`
    GmailV1,
}

fn space() -> String {
    " ".to_owned()
}

fn scope() -> String {
    "scope".to_owned()
}

/// RFC 8414 `token_endpoint_auth_methods_supported` values we speak.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// `client_id` and `client_secret` in the body.
    #[default]
    ClientSecretPost,
    /// HTTP Basic, both parts form-urlencoded (RFC 6749 section 2.3.1).
    ClientSecretBasic,
    /// A public client: `client_id` only.
    None,
    /// The secret is an ES256 JWT, minted for each request from the key that is configured.
    ClientSecretEs256Jwt,
}

/// RFC 7636 section 4.2; `plain` is never used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub enum CodeChallengeMethod {
    /// SHA-256.
    #[default]
    S256,
    /// The provider knows no PKCE.
    #[serde(rename = "none")]
    None,
}

/// How the authorization response reaches the callback.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// As query parameters of a redirect.
    #[default]
    Query,
    /// As a cross-site POST, which `SameSite=Lax` cookies do not travel with.
    FormPost,
}

/// Body of the token request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum RequestBody {
    /// `application/x-www-form-urlencoded`, as RFC 6749 says.
    #[default]
    Form,
    /// `application/json`.
    Json,
}

/// What a refresh does to the refresh token that was used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum RefreshTokens {
    /// It stays valid.
    #[default]
    Keep,
    /// A new one comes, the old one stays valid.
    Rotate,
    /// A new one comes and the old one dies with its use.
    SingleUse,
    /// There are none.
    None,
}

/// How scopes are compared.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeRules {
    /// Pairs that name the same thing.
    #[serde(default)]
    pub aliases: Vec<(String, String)>,
    /// A scope and what the API accepts it for.
    #[serde(default)]
    pub supersets: BTreeMap<String, Vec<String>>,
    /// Scopes that steer the flow and are not echoed, such as `offline_access`.
    #[serde(default)]
    pub flow_control: Vec<String>,
    /// Upper and lower case are the same.
    #[serde(default)]
    pub case_insensitive: bool,
    /// A prefix that may be left out.
    #[serde(default)]
    pub optional_prefix: Option<String>,
}

/// How a grant is revoked at the provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// The request to send to `revocation_endpoint`.
    #[serde(default)]
    pub method: RevocationMethod,
    /// How the client proves itself there.
    #[serde(default)]
    pub auth_method: ClientAuthentication,
    /// How its body is written.
    #[serde(default)]
    pub body: RequestBody,
    /// What one revocation ends.
    #[serde(default)]
    pub reach: RevocationReach,
}

/// The request that revokes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum RevocationMethod {
    /// `token` and `token_type_hint` (RFC 7009).
    #[default]
    Rfc7009,
    /// POST with the access token as bearer and no body.
    BearerPost,
    /// DELETE with the refresh token as `{token}` in the path.
    DeleteTokenPath,
    /// DELETE with Basic authentication and `{"access_token": …}`; `{client_id}` in the path.
    DeleteAccessToken,
    /// POST `client_id` and the account's id as kept in the metadata.
    DeauthorizeAccount,
}

/// What one revocation ends.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReach {
    /// This grant only.
    #[default]
    Connection,
    /// Every grant that the account gave to any client of the same project: the
    /// digits before the first `-` of the client id.
    ClientProject,
}

/// Where the account's identity is read after consent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountIdentity {
    /// Which document holds it.
    #[serde(default)]
    pub source: AccountSource,
    /// JSON pointer (RFC 6901) to the stable id, such as `/sub`.
    #[serde(default)]
    pub id: Option<String>,
    /// JSON pointer to what people call the account, such as `/email`.
    #[serde(default)]
    pub label: Option<String>,
    /// JSON pointer to a boolean without which the label is not used.
    #[serde(default)]
    pub label_verified: Option<String>,
}

/// The document that names the account.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum AccountSource {
    /// The id_token where there is one, else the userinfo endpoint where there is one.
    #[default]
    Oidc,
    /// The answer of `userinfo_endpoint`.
    Userinfo,
    /// The token answer itself.
    TokenResponse,
}

/// A `{name}` in an endpoint: what may stand there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateParameter {
    /// The value to use.
    pub value: String,
    /// What values look like.
    pub form: TemplateForm,
    /// What a value of the form `host` must end with.
    #[serde(default)]
    pub suffix: Option<String>,
}

/// Which values an endpoint's parameter may take.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum TemplateForm {
    /// One path segment of letters, digits, `.` and `-`.
    Segment,
    /// A host name of lower-case letters, digits, `.` and `-`.
    Host,
}
