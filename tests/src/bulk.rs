//! Many connections at once, without a browser for each.

use grantkeep_core::App;
use grantkeep_core::connection::{Column, ConnectionId, DEFAULT, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::secret::{AccessToken, RefreshToken};
use grantkeep_demo_provider::DemoProvider;
use serde_json::Map;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// Rows of one statement.
const BATCH: usize = 1000;
const ACCOUNT: &str = "alice@example.test";
const SCOPE: &str = "https://www.googleapis.com/auth/gmail.readonly";

/// Connections that are all alike; each has an actor of its own and tokens that work.
#[derive(Clone, Copy, Debug)]
pub struct Seed<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// Seconds from now until the access token ends.
    pub expires_in: f64,
    /// Seconds since consent.
    pub age: f64,
}

/// A connection of `gmail` whose hour is over in a minute.
pub const DUE: Seed<'static> = Seed {
    provider: "gmail",
    expires_in: 60.0,
    age: 3540.0,
};

/// One of `gmail` that is just halfway.
pub const FRESH: Seed<'static> = Seed {
    provider: "gmail",
    expires_in: 1800.0,
    age: 1800.0,
};

/// Saves `count` of them; their ids.
pub async fn connections(
    app: &App,
    demo: &DemoProvider,
    seed: Seed<'_>,
    count: usize,
) -> Vec<Uuid> {
    let provider = app.settings.providers.find(seed.provider);
    let client_id = &provider.expect("a provider").client.id;
    let key_id = app.settings.keys.primary_id().to_string();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let mut ids = Vec::new();
        let mut sealed = Vec::new();
        for _ in 0..BATCH.min(count - all.len()) {
            let id = app.new_id();
            let key = RowKey {
                id: ConnectionId(id),
                provider: seed.provider.to_owned(),
                owner: Owner {
                    workspace: DEFAULT.to_owned(),
                    actor: id.to_string(),
                },
                account: ACCOUNT.to_owned(),
            };
            let issued = demo
                .issue(ACCOUNT, client_id, SCOPE)
                .expect("the account is known");
            let credentials = Credentials {
                access_token: AccessToken::new(issued.access_token),
                refresh_token: Some(RefreshToken::new(issued.refresh_token)),
                lifetime: Some((seed.expires_in + seed.age) as u64),
                metadata: Map::new(),
            };
            let place = key.place(Column::TokenData);
            let plaintext = credentials.to_plaintext();
            sealed.push(app.settings.keys.seal(&plaintext, &place, app.fill));
            ids.push(id);
        }
        app.store
            .write(
                "insert into oauth_tokens
                        (id, provider, workspace_id, actor_id, account, client_id, scopes,
                         requested_scopes, expires_at, status, status_since, token_data, key_id)
                 select id, $3, $4, id::text, $5, $6, array[$7], array[$7],
                        now() + make_interval(secs => $8), 'active',
                        now() - make_interval(secs => $9), sealed, $10
                   from unnest($1::uuid[], $2::bytea[]) as row (id, sealed)",
                &[
                    (&ids, Type::UUID_ARRAY),
                    (&sealed, Type::BYTEA_ARRAY),
                    (&seed.provider, Type::TEXT),
                    (&DEFAULT, Type::TEXT),
                    (&ACCOUNT, Type::TEXT),
                    (client_id, Type::TEXT),
                    (&SCOPE, Type::TEXT),
                    (&seed.expires_in, Type::FLOAT8),
                    (&seed.age, Type::FLOAT8),
                    (&key_id, Type::TEXT),
                ],
            )
            .await
            .expect("the rows are saved");
        all.extend(ids);
    }
    all
}
