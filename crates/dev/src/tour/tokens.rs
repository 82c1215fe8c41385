//! What other serverless endpoints do: read tokens, and be refused.

use tokio::task::JoinSet;
use url::Url;

use super::row::SealedRow;
use super::{
    OTHER_WORKSPACE, PROVIDER, Tour, expect, expect_refusal, expect_status, shortened, shown, user,
};
use crate::client::{Answer, get_as};

/// A permission that the connection does not ask for by itself.
const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
/// Readers at once.
const READERS: usize = 20;

impl Tour {
    async fn read(&self, query: &[(&str, &str)]) -> Result<Answer, String> {
        get_as(&self.stack.service_key, &self.token_url(query)).await
    }

    fn token_url(&self, query: &[(&str, &str)]) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("provider", PROVIDER)
            .extend_pairs(query)
            .finish();
        self.url(&format!("/api/token?{query}"))
    }

    /// Whether the provider's API takes a token, as its HTTP status.
    async fn api_status(&self, token: &str) -> Result<Answer, String> {
        let profile = format!("{}/gmail/v1/users/me/profile", self.demo()?.origin());
        get_as(token, &profile).await
    }

    /// Reads the token, and tries it at the provider's API.
    pub(super) async fn first_read(&self, row: &SealedRow) -> Result<String, String> {
        let answer = self.read(&[]).await?;
        let token = access_token(&answer)?;
        let body = answer.json();
        shown(&format!(
            "GET /api/token?provider={PROVIDER} -> 200, access_token {}, expires_in {}, account {}",
            shortened(&token),
            body["expires_in"],
            body["account"].as_str().unwrap_or("none"),
        ));
        expect(
            body["connection_id"] == row.id.as_str(),
            "the row's id as connection_id",
            &body["connection_id"],
        )?;
        expect(
            !row.shows(&token),
            "the token unreadable in token_data",
            "it in clear",
        )?;

        let profile = self.api_status(&token).await?;
        expect_status(&profile, 200)?;
        expect(
            profile.json()["emailAddress"] == user().email,
            "the mailbox of the user who consented",
            profile.summary(),
        )?;
        shown("the provider's API takes it: GET /gmail/v1/users/me/profile -> 200");
        Ok(token)
    }

    /// Reads it again: the same, without a word to the provider.
    pub(super) async fn second_read(&self, first: &str) -> Result<(), String> {
        let before = self.demo()?.token_requests();
        let answer = self.read(&[]).await?;
        let token = access_token(&answer)?;
        let asked = self.demo()?.token_requests() - before;
        expect(token == first, "the same token", shortened(&token))?;
        expect(asked == 0, "no request to the provider", asked)?;
        shown(&format!(
            "GET /api/token?provider={PROVIDER} -> 200, the same, without asking the provider"
        ));
        Ok(())
    }

    /// Many readers of an expired token: the provider is asked once.
    pub(super) async fn refresh_once(&self, first: &str, row: &SealedRow) -> Result<(), String> {
        self.expire().await?;
        let gone = self.api_status(first).await?;
        expect_status(&gone, 401)?;
        shown("its hour is over: the provider's API answers 401 to it");

        let before = self.demo()?.refresh_requests();
        let mut readers = JoinSet::new();
        for _ in 0..READERS {
            let (key, url) = (self.stack.service_key.clone(), self.token_url(&[]));
            readers.spawn(async move { get_as(&key, &url).await });
        }
        let mut tokens = Vec::new();
        while let Some(answer) = readers.join_next().await {
            let answer = answer.map_err(|error| error.to_string())??;
            tokens.push(access_token(&answer)?);
        }
        let refreshes = self.demo()?.refresh_requests() - before;
        tokens.sort();
        tokens.dedup();
        let [token] = tokens.as_slice() else {
            return Err(format!("expected one new token, saw {}", tokens.len()));
        };
        expect(token != first, "another token", "the expired one")?;
        expect(refreshes == 1, "1 refresh at the provider", refreshes)?;
        let version = self.version().await?;
        expect(
            version == row.version + 1,
            &format!("version {}", row.version + 1),
            version,
        )?;
        expect_status(&self.api_status(token).await?, 200)?;
        shown(&format!(
            "{READERS} x GET /api/token at once -> {READERS} x 200 with {}, {refreshes} refresh, row version {version}",
            shortened(token)
        ));
        Ok(())
    }

    /// Asks for a further permission, which the user unticks.
    pub(super) async fn untick(&mut self) -> Result<(), String> {
        let mut authorize = Url::parse(&self.authorize_url()).map_err(|error| error.to_string())?;
        authorize.query_pairs_mut().append_pair("scope", SEND);
        let asked = self.redirect(authorize.as_str()).await?;
        let returned = self.consent(&asked, &[SEND]).await?;
        let brought = self.callback(&returned, "insufficient_scope").await?;
        let missing = brought.get("missing_scope").map_or("", String::as_str);
        expect(missing == SEND, &format!("missing_scope={SEND}"), missing)
    }

    /// A reader that needs it is refused; answers where the user can grant it.
    pub(super) async fn scope_refused(&self) -> Result<String, String> {
        let answer = self.read(&[("scope", SEND)]).await?;
        expect_refusal(&answer, 403, "insufficient_scope")?;
        let body = answer.json();
        expect(
            body["missing_scopes"] == serde_json::json!([SEND]),
            "the permission among missing_scopes",
            &body["missing_scopes"],
        )?;
        let connect_url = body["connect_url"].as_str().unwrap_or_default();
        expect(
            connect_url.starts_with(&self.stack.origin),
            "a connect_url",
            &body["connect_url"],
        )?;
        shown(&format!(
            "GET /api/token?provider={PROVIDER}&scope={SEND} -> 403 insufficient_scope"
        ));
        shown(&format!("  connect_url {connect_url}"));

        access_token(&self.read(&[]).await?)?;
        shown(&format!(
            "GET /api/token?provider={PROVIDER} -> 200: who does not need it is not disturbed"
        ));
        Ok(connect_url.to_owned())
    }

    /// The user follows the link and allows everything.
    pub(super) async fn put_right(&mut self, connect_url: &str) -> Result<(), String> {
        let asked = self.redirect(connect_url).await?;
        let returned = self.consent(&asked, &[]).await?;
        self.callback(&returned, "connected").await?;
        let answer = self.read(&[("scope", SEND)]).await?;
        let token = access_token(&answer)?;
        shown(&format!(
            "GET /api/token?provider={PROVIDER}&scope={SEND} -> 200, access_token {}",
            shortened(&token)
        ));
        Ok(())
    }

    /// A key that is good for another workspace only.
    pub(super) async fn other_workspace(&self) -> Result<(), String> {
        let answer = get_as(&self.other_key, &self.token_url(&[])).await?;
        expect_refusal(&answer, 403, "forbidden")?;
        let own = self.token_url(&[("workspace", OTHER_WORKSPACE)]);
        let answer_own = get_as(&self.other_key, &own).await?;
        expect_refusal(&answer_own, 404, "not_connected")?;
        shown(&format!(
            "GET /api/token with the key of workspace {OTHER_WORKSPACE} -> 403 forbidden, and in its \
             own workspace 404 not_connected"
        ));
        Ok(())
    }

    /// The user disconnects: revoked at the provider, deleted here.
    pub(super) async fn disconnect(&mut self, row: &SealedRow) -> Result<(), String> {
        let last = access_token(&self.read(&[]).await?)?;
        let url = self.url(&format!("/api/connections/{}", row.id));
        let answer = self.browser.delete(&url).await?;
        expect_status(&answer, 200)?;
        let body = answer.json();
        expect(
            body["revoked"] == true && body["deleted"] == true,
            "revoked and deleted",
            &body,
        )?;
        shown(&format!(
            "DELETE /api/connections/{} -> 200 {}",
            row.id, answer.text
        ));

        expect_status(&self.api_status(&last).await?, 401)?;
        shown("the provider's API answers 401 to the last token");
        Ok(())
    }

    /// Nothing is left to read.
    pub(super) async fn not_connected(&self) -> Result<(), String> {
        let answer = self.read(&[]).await?;
        expect_refusal(&answer, 404, "not_connected")?;
        shown(&format!(
            "GET /api/token?provider={PROVIDER} -> 404 not_connected"
        ));
        Ok(())
    }
}

fn access_token(answer: &Answer) -> Result<String, String> {
    expect_status(answer, 200)?;
    let body = answer.json();
    let token = body["access_token"].as_str().unwrap_or_default();
    expect(!token.is_empty(), "an access_token", answer.summary())?;
    Ok(token.to_owned())
}
