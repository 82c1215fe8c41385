//! What a definition must fulfil before anything uses it: at build time for
//! the files, at cold start for the operator's own entries.

use crate::definition::{AccountSource, Definition, RevocationMethod};
use crate::invalid::{Findings, Invalid};
use crate::{endpoint, scopes};

/// Parameters of the authorization request that only the protocol may set.
const AUTHORIZATION: [&str; 10] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "scope",
    "request",
    "request_uri",
];

/// The same for the token request.
const TOKEN: [&str; 8] = [
    "grant_type",
    "code",
    "redirect_uri",
    "client_id",
    "client_secret",
    "code_verifier",
    "refresh_token",
    "scope",
];

/// Headers that the request itself decides.
const HEADERS: [&str; 7] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "host",
    "transfer-encoding",
];

impl Definition {
    /// Checks the definition of the provider `name`, before templates are
    /// filled in. The error lists everything that is wrong, not the first only.
    pub fn validate(&self, name: &str) -> Result<(), Vec<Invalid>> {
        let mut findings = Findings::default();
        self.check_names(name, &mut findings);
        self.check_presence(&mut findings);
        endpoint::check(self, &mut findings);
        scopes::check(self, &mut findings);
        self.check_requests(&mut findings);
        self.check_account(&mut findings);
        self.check_times(&mut findings);
        if findings.0.is_empty() {
            Ok(())
        } else {
            Err(findings.0)
        }
    }

    fn check_names(&self, name: &str, findings: &mut Findings) {
        const NAME: &str =
            "use a lower-case letter, then at most 48 lower-case letters, digits and `_`";
        if !is_name(name) {
            findings.add("name", NAME);
        }
        if self
            .family
            .as_deref()
            .is_some_and(|family| !is_name(family))
        {
            findings.add("family", NAME);
        }
        if self.display_name.trim().is_empty() || self.display_name.contains(char::is_control) {
            findings.add("display_name", "write what users shall read, on one line");
        }
    }

    fn check_presence(&self, findings: &mut Findings) {
        if self.mail.is_some() && self.api_base.is_none() {
            findings.add("mail", "add the `api_base` that its calls go to");
        }
        if self.issuer.is_some() {
            return;
        }
        for (field, endpoint) in [
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
        ] {
            if endpoint.is_none() {
                findings.add(field, "add it, or an `issuer` to discover it from");
            }
        }
        if self.authorization_response_iss_parameter_supported {
            findings.add("issuer", "add what `iss` in the callback has to equal");
        }
        if self.jwks_uri.is_some() && self.id_token_issuers.is_empty() {
            findings.add(
                "jwks_uri",
                "add an `issuer` or `id_token_issuers` to check id_tokens against",
            );
        }
        if self.account.source == AccountSource::Userinfo && self.userinfo_endpoint.is_none() {
            findings.add(
                "userinfo_endpoint",
                "add it: `account.source` reads from there",
            );
        }
        if self.revocation.method != RevocationMethod::Rfc7009 && self.revocation_endpoint.is_none()
        {
            findings.add(
                "revocation_endpoint",
                "add it: `revocation.method` needs it",
            );
        }
    }

    fn check_requests(&self, findings: &mut Findings) {
        if !is_parameter(&self.scope_parameter)
            || (self.scope_parameter != "scope" && is_one_of(&self.scope_parameter, &AUTHORIZATION))
        {
            findings.add(
                "scope_parameter",
                "name a parameter that carries nothing but scopes",
            );
        }
        if self
            .popup_redirect_uri
            .as_deref()
            .is_some_and(|uri| uri.is_empty() || !uri.bytes().all(|b| b.is_ascii_graphic()))
        {
            findings.add("popup_redirect_uri", "write it in visible ASCII");
        }
        if self.sign_in && (self.popup_redirect_uri.is_none() || self.family.is_none()) {
            findings.add(
                "sign_in",
                "add `popup_redirect_uri` and `family`, or remove it",
            );
        }
        for name in self.authorization_params.keys() {
            let field = format!("authorization_params.{}", name.escape_debug());
            if is_one_of(name, &AUTHORIZATION) {
                findings.add(field, "remove it: the protocol sets this parameter");
            } else if name.eq_ignore_ascii_case("response_mode") {
                findings.add(field, "remove it and use the member `response_mode`");
            } else if *name == self.scope_parameter {
                findings.add(field, "remove it and use the member `scopes`");
            } else if !is_parameter(name) {
                findings.add(field, "name it with letters, digits, `_`, `-`, `.`");
            }
        }
        if let Some((_, query)) = self
            .authorization_endpoint
            .as_deref()
            .and_then(|url| url.split_once('?'))
        {
            let mut names = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
            if names.any(|name| is_one_of(&name, &AUTHORIZATION) || name == self.scope_parameter) {
                findings.add(
                    "authorization_endpoint",
                    "remove what the protocol sets from its query",
                );
            }
        }
        for name in self.token_params.keys() {
            let field = format!("token_params.{}", name.escape_debug());
            if is_one_of(name, &TOKEN) {
                findings.add(field, "remove it: the protocol sets this parameter");
            } else if !is_parameter(name) {
                findings.add(field, "name it with letters, digits, `_`, `-`, `.`");
            }
        }
        for (name, value) in &self.token_headers {
            let field = format!("token_headers.{}", name.escape_debug());
            if is_one_of(name, &HEADERS) {
                findings.add(field, "remove it: the request sets this header");
            } else if !is_header(name) {
                findings.add(field, "name it with letters, digits and `-`");
            } else if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                findings.add(field, "write its value in visible ASCII, on one line");
            }
        }
    }

    fn check_account(&self, findings: &mut Findings) {
        let account = &self.account;
        for (field, pointer) in [
            ("account.id", &account.id),
            ("account.label", &account.label),
            ("account.label_verified", &account.label_verified),
        ] {
            if pointer
                .as_deref()
                .is_some_and(|pointer| !is_pointer(pointer))
            {
                findings.add(field, "write a JSON pointer (RFC 6901): it begins with `/`");
            }
        }
        if account.label.is_none() && account.label_verified.is_some() {
            findings.add("account.label", "add it, or remove `label_verified`");
        }
        if account.id.is_none() && account.source != AccountSource::Oidc {
            findings.add(
                "account.id",
                "add where in the document the account's stable id is",
            );
        }
        for (field, names) in [
            ("metadata", self.metadata.as_slice()),
            ("callback_metadata", self.callback_metadata.as_slice()),
            ("bearer_token_types", self.bearer_token_types.as_slice()),
            ("dead_grant_errors", self.dead_grant_errors.as_slice()),
            ("token_response_path", self.token_response_path.as_slice()),
        ] {
            if names.iter().any(|name| name.trim().is_empty()) {
                findings.add(field, "remove what is empty");
            }
        }
    }

    fn check_times(&self, findings: &mut Findings) {
        for (field, seconds) in [
            ("default_expires_in", self.default_expires_in.map(u64::from)),
            ("refresh_margin", self.refresh_margin.map(u64::from)),
            (
                "min_refresh_interval",
                self.min_refresh_interval.map(u64::from),
            ),
            (
                "refresh_token_idle_lifetime",
                self.refresh_token_idle_lifetime,
            ),
            ("refresh_token_lifetime", self.refresh_token_lifetime),
        ] {
            if seconds == Some(0) {
                findings.add(field, "write seconds above 0, or remove it");
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 49
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Without regard to case: some providers read parameters that way.
fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn is_parameter(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_pointer(pointer: &str) -> bool {
    pointer.starts_with('/')
        && pointer
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
