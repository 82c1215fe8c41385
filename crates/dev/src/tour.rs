//! `cargo dev --tour`: starts everything on a free port and plays the user over real
//! HTTP. Every step says what it did and checks it.

mod consent;
mod mail;
mod row;
mod tokens;

use std::fmt::Display;

use grantkeep_demo_provider::{Account, DemoProvider};

use crate::client::{Answer, Browser};
use crate::port;
use crate::ready::connect_page;
use crate::screen::{Style, progress, say, styled};
use crate::stack::Stack;
use crate::variables::Variables;

/// The provider of the tour, and what it is called in paths.
const PROVIDER: &str = "gmail";
/// Another workspace, whose key may not read the tour's token.
const OTHER_WORKSPACE: &str = "acme";

/// Plays the tour. The error names the step that failed and what was seen.
pub async fn run() -> Result<(), String> {
    progress("the tour uses a Postgres and a demo provider of its own, whatever is configured");
    let mut tour = Tour::start().await?;
    let played = tour.play().await;
    let (step, title) = (tour.step, tour.title);
    tour.stack.stop().await;
    played.map_err(|seen| format!("step {step} ({title}) failed: {seen}"))?;
    let all = format!("\nAll {step} steps did what they should.");
    say(&styled(Style::Green, &all));
    Ok(())
}

struct Tour {
    stack: Stack,
    other_key: String,
    browser: Browser,
    /// Authorizations that were completed.
    flows: usize,
    step: usize,
    title: &'static str,
}

impl Tour {
    /// Starts everything anew: it connects and disconnects as it likes, so the
    /// environment's database and clients are left alone.
    async fn start() -> Result<Self, String> {
        let listener = port::listen(0).await?;
        let mut variables = Variables::of(Box::new(|_| None));
        let other_key = variables.add_service_key(OTHER_WORKSPACE, OTHER_WORKSPACE, "read");
        Ok(Self {
            stack: Stack::start(listener, variables).await?,
            other_key,
            browser: Browser::default(),
            flows: 0,
            step: 0,
            title: "",
        })
    }

    /// Every step in order. The error says what was expected and what was seen.
    async fn play(&mut self) -> Result<(), String> {
        self.begin("Health");
        self.health().await?;
        self.begin("Sign in to the connect page");
        self.sign_in().await?;

        self.begin("Redirect to the provider");
        let asked = self.redirect(&self.authorize_url()).await?;
        self.begin("Consent at the provider");
        let returned = self.consent(&asked, &[]).await?;
        self.begin("Callback");
        self.callback(&returned, "connected").await?;
        self.begin("The sealed row in Postgres");
        let row = self.sealed_row().await?;

        self.begin("A token read");
        let first = self.first_read(&row).await?;
        self.begin("The same token again");
        self.second_read(&first).await?;
        self.begin("20 readers of an expired token, one refresh");
        self.refresh_once(&first, &row).await?;

        self.begin("A permission that is not granted");
        self.untick().await?;
        let connect_url = self.scope_refused().await?;
        self.begin("The connect_url of that refusal puts it right");
        self.put_right(&connect_url).await?;
        self.begin("A key of another workspace");
        self.other_workspace().await?;

        self.begin("A mail, sent once");
        self.send_once().await?;
        self.begin("A sender watched");
        self.watch().await?;

        self.begin("Disconnect");
        self.disconnect(&row).await?;
        self.begin("A token read after that");
        self.not_connected().await
    }

    fn begin(&mut self, title: &'static str) {
        self.step += 1;
        self.title = title;
        say(&styled(
            Style::Bold,
            &format!("\n{:>2}. {title}", self.step),
        ));
    }

    fn demo(&self) -> Result<&DemoProvider, String> {
        let demo = self.stack.demo.as_ref();
        demo.ok_or_else(|| "the demo provider is not running".to_owned())
    }

    async fn health(&mut self) -> Result<(), String> {
        let answer = self.browser.get(&self.url("/api/health")).await?;
        expect_status(&answer, 200)?;
        expect(
            answer.json()["status"] == "ok",
            "status ok",
            answer.summary(),
        )?;
        shown(&format!("GET /api/health -> {}", answer.text));
        Ok(())
    }

    async fn sign_in(&mut self) -> Result<(), String> {
        let answer = self.browser.get(&connect_page(&self.stack)).await?;
        expect_status(&answer, 303)?;
        let location = answer.location(&self.stack.origin);
        let location = location.ok_or("a redirect without Location")?;
        expect(
            location.query().is_none(),
            "the session out of the address bar",
            "a query",
        )?;
        shown(&format!(
            "GET /connect?session=(a signed session) -> 303 {}, cookie {}",
            location.path(),
            self.browser.cookies().collect::<Vec<_>>().join(", ")
        ));

        let page = self.browser.get(location.as_str()).await?;
        expect_status(&page, 200)?;
        let names: Vec<&str> = self
            .stack
            .app
            .settings
            .providers
            .iter()
            .map(|provider| provider.display_name())
            .collect();
        for name in &names {
            expect(
                page.text.contains(name),
                &format!("{name} on the page"),
                "a page without it",
            )?;
        }
        shown(&format!("GET /connect -> 200, offers {}", names.join(", ")));
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stack.origin)
    }

    fn authorize_url(&self) -> String {
        self.url(&format!(
            "/api/oauth/{PROVIDER}/authorize?return_to=%2Fconnect"
        ))
    }
}

/// Whose consent is given.
fn user() -> &'static Account {
    &grantkeep_demo_provider::ACCOUNTS[0]
}

fn shown(line: &str) {
    say(&format!("    {line}"));
}

/// A name and its value in a list of such.
fn listed(name: &str, value: &str) {
    say(&format!("      {name:<22} {value}"));
}

/// A secret, known by its length.
fn length(secret: &str) -> String {
    format!("({} characters)", secret.chars().count())
}

/// A token as far as it may be shown.
fn shortened(token: &str) -> String {
    let start: String = token.chars().take(6).collect();
    format!("{start}… {}", length(token))
}

fn expect(holds: bool, what: &str, seen: impl Display) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(format!("expected {what}, saw {seen}")),
    }
}

fn expect_status(answer: &Answer, status: u16) -> Result<(), String> {
    expect(
        answer.status == status,
        &format!("status {status}"),
        answer.summary(),
    )
}

/// The error code of a refusal.
fn expect_refusal(answer: &Answer, status: u16, code: &str) -> Result<(), String> {
    let fits = answer.status == status && answer.json()["code"] == code;
    expect(fits, &format!("{status} {code}"), answer.summary())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_fails_ends_the_tour_and_says_what_was_seen() {
        let mut tour = Tour::start().await.expect("it starts");
        tour.demo()
            .expect("it runs")
            .update(|knobs| knobs.token_error = Some("invalid_grant".to_owned()));

        let seen = tour.play().await.expect_err("no code can be exchanged");

        assert_eq!(tour.title, "Callback");
        assert_eq!(seen, "expected connection=connected, saw error");
    }

    #[test]
    fn a_summary_says_why_and_shows_no_token() {
        let answer = |text: &str| Answer {
            status: 403,
            headers: Default::default(),
            text: text.to_owned(),
        };

        let refused = answer(r#"{"code":"forbidden","detail":"no","status":403}"#);
        let token = answer(r#"{"access_token":"ya29.canary"}"#);

        assert_eq!(refused.summary(), "403 (forbidden, no)");
        assert_eq!(token.summary(), "403");
    }
}
