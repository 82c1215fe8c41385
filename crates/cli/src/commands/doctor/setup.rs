//! Settings that can be read and may still not be what was meant.

use std::collections::HashSet;

use grantkeep_core::App;
use grantkeep_core::service_key::Permission;

use super::finding::Findings;

/// Looks at what needs neither database nor provider.
pub fn examine(app: &App, findings: &mut Findings) {
    let settings = &app.settings;
    let origin = settings.public_url.origin();
    match settings.public_url.is_secure() {
        true => findings.ok("public url", origin),
        false => findings.warn(
            "public url",
            format!("{origin} is reachable from this machine alone"),
            "set PUBLIC_URL to the https origin that browsers see once it is deployed",
        ),
    }
    match settings.sessions {
        Some(_) => findings.ok("sessions", "SESSION_SECRET is set"),
        None => findings.warn(
            "sessions",
            "SESSION_SECRET is not set: nobody can open the connect page or authorize",
            "set it to the output of `grantkeep keygen`, unless users come by connect links alone",
        ),
    }
    match settings.cron_secret {
        Some(_) => findings.ok("cron secret", "CRON_SECRET is set"),
        None => findings.warn(
            "cron secret",
            "CRON_SECRET is not set: nothing is refreshed ahead or tried again by itself",
            "set it to the output of `grantkeep keygen`, and see that the schedule sends it",
        ),
    }
    service_keys(app, findings);
}

fn service_keys(app: &App, findings: &mut Findings) {
    let keys: Vec<_> = app.settings.service_keys.iter().collect();
    if keys.is_empty() {
        return findings.warn(
            "service keys",
            "SERVICE_KEYS is not set: nobody can read a token",
            "make one with `grantkeep service-key new NAME`",
        );
    }
    let mut names = HashSet::new();
    for key in &keys {
        if !names.insert(&key.name) {
            findings.warn(
                "service keys",
                format!(
                    "two are called {}: the log cannot tell them apart",
                    key.name
                ),
                "give each holder a name of its own in SERVICE_KEYS",
            );
        }
        if key.workspace().is_none() && key.permits(Permission::Export) {
            findings.warn(
                "service keys",
                format!(
                    "{} may export the refresh tokens of every workspace",
                    key.name
                ),
                "take `export` away from it, or name one workspace, unless it is for backups",
            );
        }
    }
    // The SHA-256 of nothing: an entry made of an empty variable.
    if app.settings.service_keys.find("").is_some() {
        findings.fail(
            "service keys",
            "one of them is the empty key",
            "make a new one with `grantkeep service-key new NAME`",
        );
    }
    findings.ok("service keys", format!("{} configured", keys.len()));
}
