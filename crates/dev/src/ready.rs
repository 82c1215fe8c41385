//! What is printed once everything runs: addresses, and lines to paste.

use chrono::TimeDelta;
use grantkeep_core::connection::{DEFAULT, Owner};

use crate::screen::{Style, say, styled};
use crate::stack::Stack;

/// How long the printed session lasts.
const SESSION: TimeDelta = TimeDelta::days(1);

/// Prints where everything is and what to try.
pub fn show(stack: &Stack) {
    let Stack {
        origin,
        service_key,
        ..
    } = stack;
    let heading = |text: &str| styled(Style::Bold, text);
    let aside = |text: &str| styled(Style::Dim, text);
    let curl = |path: &str| {
        format!("  curl -sS -H 'Authorization: Bearer {service_key}' '{origin}{path}'")
    };

    say("");
    say(&heading("Open the connect page:"));
    say(&format!("  {}", connect_page(stack)));
    if let Some(demo) = &stack.demo {
        say(&aside(&format!(
            "  the demo provider at {} stands in for {}, for want of a client id",
            demo.origin(),
            stack.stands_in_for.join(", ")
        )));
    }
    say("");
    say(&heading("Then paste, in another terminal:"));
    if let Some(provider) = provider(stack) {
        say(&aside("  # an access token, once it is connected"));
        say(&curl(&format!("/api/token?provider={provider}")));
    }
    if stack.app.settings.providers.find("gmail").is_some() {
        say(&aside("  # Gmail's own API, called with it"));
        say(&curl("/api/proxy/gmail/gmail/v1/users/me/profile"));
    }
    say(&aside("  # what is connected"));
    say(&curl("/api/connections"));
    say(&aside("  # how it is doing"));
    say(&curl("/api/health"));
    say("");
    say(&heading("For programs of your own, examples/ among them:"));
    say(&format!("  export {}", environment(stack)));
    say("");
    if let Some(demo) = &stack.demo {
        let demo = demo.origin();
        say(&heading("Steer the demo provider:"));
        say(&aside("  # what it was asked"));
        say(&format!("  curl -sS '{demo}/control/requests'"));
        say(&aside("  # what can be turned"));
        say(&format!("  curl -sS '{demo}/control/knobs'"));
        say(&aside(
            "  # its next tokens last a minute, and are refreshed after half of it",
        ));
        say(&format!(
            "  curl -sS -X PATCH -d '{{\"access_token_lifetime_s\": 60}}' '{demo}/control/knobs'"
        ));
        say("");
    }
    if let Some(postgres) = &stack.postgres {
        say(&heading("The throw-away Postgres:"));
        say(&format!("  {}", postgres.url()));
        say("");
    }
    say("Stop with Ctrl-C; nothing of it stays.");
}

/// What the packages for TypeScript and Python read, as a shell takes it. A secret that
/// came from outside is not shown.
fn environment(stack: &Stack) -> String {
    let mut words = vec![
        format!("GRANTKEEP_URL='{}'", stack.app.settings.public_url.origin()),
        format!("GRANTKEEP_KEY='{}'", stack.service_key),
    ];
    let secrets = stack.secrets.iter();
    words.extend(secrets.map(|(name, secret)| format!("{name}='{secret}'")));
    words.join(" ")
}

/// The page's address with a session of workspace and actor `default`.
pub fn connect_page(stack: &Stack) -> String {
    let settings = &stack.app.settings;
    let owner = Owner {
        workspace: DEFAULT.to_owned(),
        actor: DEFAULT.to_owned(),
    };
    let session = settings
        .sessions
        .as_ref()
        .and_then(|key| key.mint(&owner, stack.app.now(), SESSION));
    let origin = settings.public_url.origin();
    match session {
        Some(session) => format!("{origin}/connect?session={}", session.expose()),
        None => format!("{origin}/connect"),
    }
}

/// One that can be connected, `gmail` if it is there.
fn provider(stack: &Stack) -> Option<&str> {
    let providers = &stack.app.settings.providers;
    let first = providers.iter().next()?;
    Some(&providers.find("gmail").unwrap_or(first).name)
}
