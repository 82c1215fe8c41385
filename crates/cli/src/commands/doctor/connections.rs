//! Connections: how many work, what fails, and grants that die after a week.

use grantkeep_core::App;
use grantkeep_core::store::connection_events::outbox;
use grantkeep_core::store::{StoreError, cron_runs, disabled_webhooks, inspect, oauth_tokens};

use super::finding::Findings;
use crate::time::rfc3339;

/// Looks at what the database says of the work so far.
pub async fn examine(app: &App, findings: &mut Findings) {
    let looked = [
        connections(app, findings).await,
        weekly_deaths(app, findings).await,
        jobs(app, findings).await,
        webhook(app, findings).await,
    ];
    for error in looked.into_iter().filter_map(Result::err) {
        findings.fail("tables", error.to_string(), "run `grantkeep migrate`");
    }
}

async fn connections(app: &App, findings: &mut Findings) -> Result<(), StoreError> {
    let (counts, failing) = oauth_tokens::summary(&app.store, None).await?;
    let words: Vec<String> = counts
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    let dead = counts
        .iter()
        .find(|(status, _)| status == oauth_tokens::Status::ReauthorizationRequired.as_str());
    match (words.is_empty(), dead) {
        (true, _) => findings.ok("connections", "none yet"),
        (false, None) => findings.ok("connections", words.join(", ")),
        (false, Some(_)) => findings.warn(
            "connections",
            words.join(", "),
            "`grantkeep list --status reauthorization_required` names those whose users have to \
             connect again, and why",
        ),
    }
    if let Some(since) = failing {
        findings.warn(
            "refreshing",
            format!(
                "some connection's refresh has failed since {}",
                rfc3339(since)
            ),
            "`grantkeep list --json` shows refresh_error; see the provider's status page",
        );
    }
    Ok(())
}

async fn weekly_deaths(app: &App, findings: &mut Findings) -> Result<(), StoreError> {
    for deaths in inspect::deaths(&app.store).await? {
        let weekly = deaths.after_a_week > 0 && deaths.after_a_week * 2 >= deaths.all;
        let detail = match (weekly, deaths.given_a_week) {
            (true, _) => format!(
                "{} of {} grants that died lived a week",
                deaths.after_a_week, deaths.all
            ),
            (false, 0) => continue,
            (false, count) => format!("{count} refresh tokens were given for a week only"),
        };
        findings.warn(
            format!("{} lifetime", deaths.provider),
            detail,
            "an application whose publishing status is Testing gets refresh tokens for 7 days: \
             publish it in the provider's console, then let the users connect again",
        );
    }
    Ok(())
}

async fn jobs(app: &App, findings: &mut Findings) -> Result<(), StoreError> {
    let runs = cron_runs::list(&app.store).await?;
    if app.settings.cron_secret.is_some() && runs.is_empty() {
        findings.warn(
            "cron",
            "no job has run so far",
            "see that the host's schedule calls /api/cron/refresh with CRON_SECRET",
        );
    }
    for (job, ended_at) in runs {
        let detail = format!("{job} last ended at {}", rfc3339(ended_at));
        // The rarest schedule is a daily one.
        match app.now() - ended_at > chrono::TimeDelta::hours(25) {
            false => findings.ok("cron", detail),
            true => findings.warn(
                "cron",
                detail,
                "see that the host's schedule still calls it, with the CRON_SECRET of today",
            ),
        }
    }
    Ok(())
}

async fn webhook(app: &App, findings: &mut Findings) -> Result<(), StoreError> {
    let Some(endpoint) = &app.settings.webhook else {
        findings.warn(
            "webhook",
            "WEBHOOK_URL is not set: nobody is told when a connection dies",
            "set WEBHOOK_URL and WEBHOOK_SECRET, or look at /api/health",
        );
        return Ok(());
    };
    if let Some(since) = disabled_webhooks::since(&app.store, &endpoint.url_hash()).await? {
        findings.fail(
            "webhook",
            format!(
                "WEBHOOK_URL answered 410 Gone at {} and is not called",
                rfc3339(since)
            ),
            "set WEBHOOK_URL to an address that takes events",
        );
        return Ok(());
    }
    let standing = outbox::standing(&app.store).await?;
    let detail = format!(
        "{} events wait, {} were given up in 30 days",
        standing.waiting, standing.given_up
    );
    match standing.given_up {
        0 => findings.ok("webhook", detail),
        _ => findings.warn(
            "webhook",
            detail,
            "see why WEBHOOK_URL does not answer 2xx; `connection_events` has every event",
        ),
    }
    Ok(())
}
