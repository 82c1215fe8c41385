//! The user's way to the provider and back.

use std::collections::BTreeMap;

use url::Url;

use super::{Tour, expect, expect_status, length, listed, shown, user};

/// Of these only the length is shown.
const SECRET: [&str; 4] = ["state", "nonce", "code_challenge", "code"];
/// These are shown of every authorization.
const NEWS: [&str; 4] = ["scope", "login_hint", "connection", "missing_scope"];

impl Tour {
    /// Opens the authorize function; answers the provider's address, with what is asked.
    pub(super) async fn redirect(&mut self, authorize_url: &str) -> Result<Url, String> {
        let answer = self.browser.get(authorize_url).await?;
        expect_status(&answer, 302)?;
        let target = answer.location(authorize_url);
        let target = target.ok_or("a redirect without Location")?;
        let sent: BTreeMap<String, String> = target.query_pairs().into_owned().collect();

        let to = format!("{}{}", target.origin().ascii_serialization(), target.path());
        shown(&format!(
            "GET {} -> 302 {to}",
            Url::parse(authorize_url).map_or_else(|_| String::new(), |url| url.path().to_owned())
        ));
        self.list(&sent);
        let callback = self.url("/api/oauth/gmail/callback");
        for (name, wanted) in [
            ("response_type", "code"),
            ("code_challenge_method", "S256"),
            ("redirect_uri", callback.as_str()),
        ] {
            let seen = sent.get(name).map_or("nothing", String::as_str);
            expect(seen == wanted, &format!("{name} {wanted}"), seen)?;
        }
        for name in ["state", "nonce", "code_challenge"] {
            let characters = sent.get(name).map_or(0, String::len);
            expect(
                characters >= 22,
                &format!("a {name} that cannot be guessed"),
                format!("{characters} characters"),
            )?;
        }
        let flow = self.browser.cookies().any(|name| name.contains("_flow_"));
        expect(flow, "a cookie that binds the flow to this browser", "none")?;
        Ok(target)
    }

    /// Reads the consent page and allows everything but `unticked`; answers the
    /// callback's address as the provider gives it.
    pub(super) async fn consent(&mut self, asked: &Url, unticked: &[&str]) -> Result<Url, String> {
        let page = self.browser.get(asked.as_str()).await?;
        expect_status(&page, 200)?;
        expect(
            page.text.contains(user().email),
            "a consent page with the user's accounts",
            page.summary(),
        )?;

        let scopes = asked
            .query_pairs()
            .find(|(name, _)| name == "scope")
            .map(|(_, scopes)| scopes.into_owned())
            .unwrap_or_default();
        let ticked: Vec<&str> = scopes
            .split(' ')
            .filter(|scope| !unticked.contains(scope))
            .collect();
        let mut form = vec![
            ("request", asked.query().unwrap_or_default()),
            ("account", user().email),
            ("decision", "allow"),
        ];
        form.extend(ticked.iter().map(|scope| ("scope", *scope)));
        let mut form_target = asked.clone();
        form_target.set_query(None);
        let answer = self.browser.submit(form_target.as_str(), &form).await?;

        expect_status(&answer, 303)?;
        let returned = answer.location(form_target.as_str());
        let returned = returned.ok_or("a redirect without Location")?;
        shown(&format!(
            "{} allows {}{}",
            user().email,
            short(&ticked),
            match unticked {
                [] => String::new(),
                unticked => format!(", unticks {}", short(unticked)),
            }
        ));
        shown(&format!("POST {form_target} -> 303 {}", returned.path()));
        self.list(&returned.query_pairs().into_owned().collect());
        Ok(returned)
    }

    /// Follows the provider's redirect to the callback, which has to end with
    /// `connection=outcome`; answers everything the browser brings back.
    pub(super) async fn callback(
        &mut self,
        returned: &Url,
        outcome: &str,
    ) -> Result<BTreeMap<String, String>, String> {
        let answer = self.browser.get(returned.as_str()).await?;
        expect_status(&answer, 303)?;
        let target = answer.location(returned.as_str());
        let target = target.ok_or("a redirect without Location")?;
        let brought: BTreeMap<String, String> = target.query_pairs().into_owned().collect();

        shown(&format!("GET {} -> 303 {}", returned.path(), target.path()));
        self.list(&brought);
        self.flows += 1;
        let seen = brought.get("connection").map_or("nothing", String::as_str);
        expect(seen == outcome, &format!("connection={outcome}"), seen)?;
        expect(
            !brought.contains_key("code") && !brought.contains_key("state"),
            "no code and no state in the address bar",
            "one of them",
        )?;
        let flow = self.browser.cookies().any(|name| name.contains("_flow_"));
        expect(!flow, "the flow's cookie gone", "it is still there")?;
        Ok(brought)
    }

    /// Shows every parameter the first time round, and then those that say something new.
    fn list(&self, parameters: &BTreeMap<String, String>) {
        for (name, value) in parameters {
            let name = name.as_str();
            if self.flows > 0 && !NEWS.contains(&name) {
                continue;
            }
            match SECRET.contains(&name) {
                true => listed(name, &length(value)),
                false => listed(name, value),
            }
        }
    }
}

/// Scopes without what they have in common.
fn short(scopes: &[&str]) -> String {
    let last = |scope: &&str| {
        let name = scope.trim_end_matches('/').rsplit('/').next();
        name.unwrap_or(scope).to_owned()
    };
    scopes.iter().map(last).collect::<Vec<_>>().join(", ")
}
