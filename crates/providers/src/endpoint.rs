//! Checks on every URL of a definition: where it leads once templates are
//! filled in, and that it leads there only over TLS.

use std::collections::BTreeMap;

use url::{Host, Url};

use crate::definition::{Definition, RevocationMethod, TemplateForm, TemplateParameter};
use crate::invalid::Findings;
use crate::template::{fault, fill, is_host_name, placeholders};

type Parameters = BTreeMap<String, TemplateParameter>;

pub(crate) fn check(definition: &Definition, findings: &mut Findings) {
    check_parameters(definition, findings);

    // What a revocation puts into its own path, per request.
    let own = match definition.revocation.method {
        RevocationMethod::DeleteTokenPath => Some("token"),
        RevocationMethod::DeleteAccessToken => Some("client_id"),
        RevocationMethod::Rfc7009
        | RevocationMethod::BearerPost
        | RevocationMethod::DeauthorizeAccount => None,
    };
    let missing = |url: &String| own.is_some_and(|own| !url.contains(&format!("{{{own}}}")));
    if definition.revocation_endpoint.as_ref().is_some_and(missing) {
        let own = own.unwrap_or_default();
        findings.add(
            "revocation_endpoint",
            format!("the revocation method needs `{{{own}}}` in its path"),
        );
    }

    for (field, template, query, own) in [
        ("issuer", &definition.issuer, false, None),
        (
            "authorization_endpoint",
            &definition.authorization_endpoint,
            true,
            None,
        ),
        ("token_endpoint", &definition.token_endpoint, true, None),
        (
            "revocation_endpoint",
            &definition.revocation_endpoint,
            true,
            own,
        ),
        (
            "userinfo_endpoint",
            &definition.userinfo_endpoint,
            true,
            None,
        ),
        ("jwks_uri", &definition.jwks_uri, true, None),
        ("api_base", &definition.api_base, false, None),
    ] {
        let Some(template) = template else { continue };
        let url = places(template, &definition.parameters, own)
            .and_then(|()| destination(template, &definition.parameters, own));
        match url {
            Err(message) => findings.add(field, message),
            Ok(url) if !query && url.query().is_some() => findings.add(field, "remove the query"),
            Ok(_) => {}
        }
    }

    for (i, host) in definition.api_hosts.iter().enumerate() {
        if !is_host_name(host) {
            findings.add(
                format!("api_hosts[{i}]"),
                "write a host name in lower case, nothing else",
            );
        }
    }
    for (i, issuer) in definition.id_token_issuers.iter().enumerate() {
        let names = placeholders(issuer);
        if issuer.is_empty()
            || !issuer.bytes().all(|b| b.is_ascii_graphic())
            || !names.is_some_and(|names| names.iter().all(|name| *name == "tid"))
        {
            findings.add(
                format!("id_token_issuers[{i}]"),
                "write the issuer as id_tokens carry it, in visible ASCII; only `{tid}` is replaced",
            );
        }
    }
}

fn check_parameters(definition: &Definition, findings: &mut Findings) {
    let templates = [
        &definition.issuer,
        &definition.authorization_endpoint,
        &definition.token_endpoint,
        &definition.revocation_endpoint,
        &definition.userinfo_endpoint,
        &definition.jwks_uri,
        &definition.api_base,
    ];
    for (name, parameter) in &definition.parameters {
        let field = format!("parameters.{}", name.escape_debug());
        if ["token", "client_id", "tid"].contains(&name.as_str()) {
            findings.add(
                &field,
                "this name is filled in per request: choose another one",
            );
        }
        let placeholder = format!("{{{name}}}");
        if !templates
            .iter()
            .any(|url| url.as_ref().is_some_and(|url| url.contains(&placeholder)))
        {
            findings.add(
                &field,
                "no endpoint holds this name in braces: remove it, or use it",
            );
        }
        if let Some((member, message)) = fault(parameter) {
            findings.add(format!("{field}.{member}"), message);
        }
    }
}

/// Every `{name}` has a value and stands where its form belongs.
fn places(template: &str, parameters: &Parameters, own: Option<&str>) -> Result<(), String> {
    let names = placeholders(template).ok_or("pair up the braces: `{name}`")?;
    for name in names {
        let placeholder = format!("{{{name}}}");
        let form = match parameters.get(name) {
            Some(parameter) => parameter.form,
            None if Some(name) == own => TemplateForm::Segment,
            None => {
                let name = name.escape_debug();
                return Err(format!("`{{{name}}}` has no value: add it to `parameters`"));
            }
        };
        let (before_query, query) = template.split_once('?').unwrap_or((template, ""));
        let (_, path) = split_authority(before_query);
        let whole_host = host(template) == placeholder;
        let (count, all) = match form {
            TemplateForm::Host => (
                usize::from(whole_host),
                template.matches(&placeholder).count(),
            ),
            TemplateForm::Segment => (
                path.split('/')
                    .filter(|segment| *segment == placeholder)
                    .count(),
                before_query.matches(&placeholder).count() + query.matches(&placeholder).count(),
            ),
        };
        if count != all {
            let place = match form {
                TemplateForm::Host => "the whole host",
                TemplateForm::Segment => "a whole segment of the path",
            };
            return Err(format!(
                "`{}` may only be {place}",
                placeholder.escape_debug()
            ));
        }
    }
    Ok(())
}

/// The URL that requests go to. The host is compared with what the template
/// says: parsers forgive (`\`, tabs, upper case, `%2e`, other dots), and what
/// they forgive is how a value leads elsewhere.
fn destination(template: &str, parameters: &Parameters, own: Option<&str>) -> Result<Url, String> {
    let mut text = fill(template, parameters);
    if let Some(own) = own {
        text = text.replace(&format!("{{{own}}}"), "x");
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err("write the URL in visible ASCII characters, without `\\`".to_owned());
    }
    let url = Url::parse(&text).map_err(|_| "write an absolute https URL")?;
    let loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return Err("write an absolute https URL".to_owned()),
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
        return Err("use https; plain http is for loopback addresses only".to_owned());
    }
    if split_authority(&text).0.contains('@') {
        return Err("remove the user information before `@`".to_owned());
    }
    if url.fragment().is_some() {
        return Err("remove the fragment (`#` and what follows)".to_owned());
    }
    if url.host_str() != Some(fill(host(template), parameters).as_str()) {
        return Err("write the host in lower case, as it is looked up".to_owned());
    }
    Ok(url)
}

/// Authority and path of a URL, as written.
fn split_authority(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// The host, as written: without port, with the brackets of IPv6.
fn host(url: &str) -> &str {
    let (authority, _) = split_authority(url);
    let end = match authority.find(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    &authority[..end]
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
