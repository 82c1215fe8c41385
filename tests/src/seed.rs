//! Many connections at once, sealed and saved as the functions would, each with a refresh
//! token of the demo provider.

use grantkeep_core::App;
use grantkeep_core::connection::{Column, ConnectionId, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::{AccessToken, RefreshToken};
use grantkeep_core::store::oauth_tokens::write::{Granted, save_granted};
use grantkeep_demo_provider::DemoProvider;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;

/// The provider of seeded connections.
pub const PROVIDER: &str = "gmail";
/// Their account.
pub const ACCOUNT: &str = "alice@example.test";
const SCOPES: &str = "https://www.googleapis.com/auth/gmail.readonly openid email";

/// Connections of the actors `actor-0` to `actor-{count - 1}` in the workspace `seeded`, sealed
/// under the app's primary key, their access tokens good for `expires_in` seconds.
pub async fn connections(app: &App, provider: &DemoProvider, count: usize, expires_in: f64) {
    for number in 0..count {
        let issued = provider
            .issue(ACCOUNT, DEMO_CLIENT_ID, SCOPES)
            .expect("issued");
        let owner = Owner::new(Some("seeded"), Some(&format!("actor-{number}"))).expect("names");
        let key = RowKey {
            id: ConnectionId(app.new_id()),
            provider: PROVIDER.to_owned(),
            owner,
            account: ACCOUNT.to_owned(),
        };
        let credentials = Credentials {
            access_token: AccessToken::new(issued.access_token),
            refresh_token: Some(RefreshToken::new(issued.refresh_token)),
            lifetime: Some(3600),
            metadata: serde_json::Map::new(),
        };
        let keys = &app.settings.keys;
        let place = key.place(Column::TokenData);
        let scopes = ScopeSet::parse(SCOPES);
        let granted = Granted {
            key: &key,
            subject: None,
            client_id: DEMO_CLIENT_ID,
            scopes: &scopes,
            requested_scopes: &scopes,
            missing_scopes: &ScopeSet::default(),
            scopes_assumed: false,
            expires_in: Some(expires_in),
            refresh_expires_in: None,
            sealed: &keys.seal(&credentials.to_plaintext(), &place, app.fill),
            key_id: keys.primary_id().to_string(),
            warning: None,
        };
        assert!(save_granted(&app.store, &granted).await.expect("saved"));
    }
}
