//! Encryption keys: those in use are configured, and those configured are in use.

use grantkeep_core::App;
use grantkeep_core::rotate;

use super::finding::Findings;

/// Compares what rows are sealed under with what is configured.
pub async fn examine(app: &App, findings: &mut Findings) {
    let ring = &app.settings.keys;
    let used = match rotate::used_keys(app).await {
        Ok(used) => used,
        Err(error) => {
            return findings.fail(
                "encryption keys",
                error.to_string(),
                "see the findings above",
            );
        }
    };
    let primary = ring.primary_id().to_string();
    match rotate::unknown_keys(app).await {
        Ok(unknown) => {
            for (id, count) in unknown {
                findings.fail(
                    "encryption keys",
                    format!(
                        "{count} token sets are sealed under key {id}, which is not configured"
                    ),
                    "put that key back into OAUTH_ENCRYPTION_KEYS_RETIRED; if it is lost, their \
                     users have to connect again",
                );
            }
        }
        Err(error) => findings.fail("encryption keys", error.to_string(), "try again"),
    }
    for retired in ring.ids().iter().skip(1).map(ToString::to_string) {
        match used.get(&retired).copied().unwrap_or_default() {
            0 => findings.warn(
                "encryption keys",
                format!("nothing is sealed under the retired key {retired}"),
                "take it out of OAUTH_ENCRYPTION_KEYS_RETIRED, once every function seals under \
                 the new one",
            ),
            count => findings.warn(
                "encryption keys",
                format!("{count} token sets are sealed under the retired key {retired}"),
                "run `grantkeep rotate-keys`",
            ),
        }
    }
    findings.ok("encryption keys", format!("key {primary} seals"));
}
