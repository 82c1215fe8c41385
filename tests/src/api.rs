//! Every function on one port, in this process.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use chrono::{TimeDelta, Utc};
use grantkeep_core::App;
use grantkeep_core::connection::Owner;
use grantkeep_core::session::SessionKey;
use grantkeep_core::settings::Settings;
use grantkeep_demo_provider::DemoProvider;
use grantkeep_demo_provider::client::{DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use grantkeep_functions::routes::FUNCTIONS;
use grantkeep_functions::service;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::database;
use crate::http::{Reply, client, send};
use crate::visitor::{Consent, Visitor};

/// Signs sessions in tests.
pub const SESSION_SECRET: &str = "a-session-secret-that-only-tests-use-0001";
/// What the scheduler shows in tests.
pub const CRON_SECRET: &str = "a-cron-secret-that-only-tests-use-0001";
/// Seals in tests.
pub const ENCRYPTION_KEY: &str = "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE=";
/// May do everything everywhere.
pub const KEY: &str = "gk_test_everything";
/// May read in the workspace `acme`.
pub const ACME_KEY: &str = "gk_test_acme_read";
/// May read in the workspace `default`.
pub const READ_KEY: &str = "gk_test_default_read";

/// A running Grantkeep with what it needs.
pub struct TestApi {
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub origin: String,
    /// The authorization server.
    pub provider: DemoProvider,
    /// Its database.
    pub database_url: String,
    /// Its settings, for starting more instances over the same database.
    pub variables: BTreeMap<String, String>,
    /// In the process, for looking inside.
    pub app: App,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Changes to the usual settings.
#[derive(Default)]
pub struct TestApiBuilder {
    variables: BTreeMap<String, String>,
    providers: BTreeMap<String, Value>,
}

impl TestApiBuilder {
    /// Sets a variable; an empty value takes it away.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Merges members over a provider's entry in `OAUTH_PROVIDERS`; `{origin}` in strings
    /// stands for the demo provider. A provider that is not built in needs its client
    /// variables set too.
    pub fn provider(mut self, name: &str, members: Value) -> Self {
        self.providers.insert(name.to_owned(), members);
        self
    }

    /// Starts it.
    pub async fn start(self) -> TestApi {
        let provider = DemoProvider::start().await.expect("demo provider");
        let database_url = match self.variables.get("DATABASE_URL") {
            Some(url) => url.clone(),
            None => database::create().await,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("address"));

        let mut variables = usual(&origin, &database_url, &provider, &self.providers);
        variables.extend(self.variables);
        let app = app(&variables);
        let router = service::all(&FUNCTIONS, app.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serves");
        });
        TestApi {
            origin,
            provider,
            database_url,
            variables,
            app,
            server,
        }
    }
}

/// An app of these variables.
pub fn app(variables: &BTreeMap<String, String>) -> App {
    let lookup = |name: &str| variables.get(name).cloned();
    let settings = Settings::read(&[], &lookup).unwrap_or_else(|error| panic!("{error}"));
    App::new(settings).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn usual(
    origin: &str,
    database_url: &str,
    provider: &DemoProvider,
    more: &BTreeMap<String, Value>,
) -> BTreeMap<String, String> {
    let mut providers = provider.settings();
    for (name, members) in more {
        let text = members.to_string().replace("{origin}", provider.origin());
        let members: Value = serde_json::from_str(&text).expect("members");
        let entry = providers
            .as_object_mut()
            .expect("an object")
            .entry(name.clone())
            .or_insert_with(|| json!({}));
        grantkeep_providers::merge(entry, members);
    }
    let keys = [
        format!("everything:*:read+write+export+send+proxy:{}", hash(KEY)),
        format!("acme:acme:read:{}", hash(ACME_KEY)),
        format!("reader:default:read:{}", hash(READ_KEY)),
    ];
    [
        ("DATABASE_URL", database_url.to_owned()),
        ("OAUTH_ENCRYPTION_KEY", ENCRYPTION_KEY.to_owned()),
        ("PUBLIC_URL", origin.to_owned()),
        ("SESSION_SECRET", SESSION_SECRET.to_owned()),
        ("SERVICE_KEYS", keys.join(",")),
        ("CRON_SECRET", CRON_SECRET.to_owned()),
        ("RETURN_TO_ORIGINS", "https://app.test".to_owned()),
        ("OAUTH_PROVIDERS", providers.to_string()),
        ("GOOGLE_CLIENT_ID", DEMO_CLIENT_ID.to_owned()),
        ("GOOGLE_CLIENT_SECRET", DEMO_CLIENT_SECRET.to_owned()),
        ("MICROSOFT_CLIENT_ID", DEMO_CLIENT_ID.to_owned()),
        ("MICROSOFT_CLIENT_SECRET", DEMO_CLIENT_SECRET.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Hex SHA-256, as `SERVICE_KEYS` wants it.
pub fn hash(key: &str) -> String {
    digest(&SHA256, key.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A session of ten minutes.
pub fn session(workspace: &str, actor: &str) -> String {
    let owner = Owner::new(Some(workspace), Some(actor)).expect("names");
    let key = SessionKey::new(SESSION_SECRET).expect("long enough");
    let token = key
        .mint(&owner, Utc::now(), TimeDelta::minutes(10))
        .expect("signs");
    token.expose().to_owned()
}

impl TestApi {
    /// With the usual settings.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// With other settings.
    pub fn builder() -> TestApiBuilder {
        TestApiBuilder::default()
    }

    /// The origin that browsers are told, which can be another than where it listens.
    pub fn public_url(&self) -> &str {
        self.variables
            .get("PUBLIC_URL")
            .map_or(self.origin.as_str(), String::as_str)
    }

    /// The path and query of an address at this api; a path stays as it is.
    pub fn local<'a>(&self, address: &'a str) -> &'a str {
        [self.public_url(), &self.origin]
            .into_iter()
            .find_map(|origin| address.strip_prefix(origin))
            .unwrap_or(address)
    }

    /// A request to this api.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("method");
        client().request(method, format!("{}{path}", self.origin))
    }

    /// A GET with the service key that may do everything.
    pub async fn get(&self, path: &str) -> Reply {
        self.get_as(KEY, path).await
    }

    /// A GET with another bearer.
    pub async fn get_as(&self, bearer: &str, path: &str) -> Reply {
        send(
            self.request("GET", path)
                .header("authorization", format!("Bearer {bearer}")),
        )
        .await
    }

    /// Any method with a JSON body and the service key that may do everything.
    pub async fn send_json(&self, method: &str, path: &str, body: &Value) -> Reply {
        let request = self
            .request(method, path)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(body.to_string());
        send(request).await
    }

    /// `DELETE` with the service key that may do everything.
    pub async fn delete(&self, path: &str) -> Reply {
        send(
            self.request("DELETE", path)
                .header("authorization", format!("Bearer {KEY}")),
        )
        .await
    }

    /// A token read of the default connection.
    pub async fn token(&self, provider: &str) -> Reply {
        self.get(&format!("/api/token?provider={provider}")).await
    }

    /// A browser that nobody is signed in with.
    pub fn visitor(&self) -> Visitor<'_> {
        Visitor::at(&self.origin, self.public_url())
    }

    /// Connects the default workspace and actor, all boxes ticked; the callback's answer.
    pub async fn connect(&self, provider: &str) -> Reply {
        self.connect_with(provider, &Consent::default()).await
    }

    /// The same with a choice made at the consent page.
    pub async fn connect_with(&self, provider: &str, consent: &Consent) -> Reply {
        let mut visitor = self.visitor();
        let session = session("default", "default");
        visitor
            .connect(
                &format!("/api/oauth/{provider}/authorize?session={session}"),
                consent,
            )
            .await
    }

    /// Connects the default workspace and actor with more scopes than the provider's own,
    /// joined by spaces.
    pub async fn connect_more(&self, provider: &str, scope: &str) -> Reply {
        let session = session("default", "default");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("session", session.as_str()), ("scope", scope)])
            .finish();
        let path = format!("/api/oauth/{provider}/authorize?{query}");
        self.visitor().connect(&path, &Consent::default()).await
    }

    /// Lets the stored access token end `seconds` from now (negative: before now).
    pub async fn set_expiry(&self, provider: &str, seconds: i64) {
        let sql = format!(
            "update oauth_tokens set expires_at = now() + interval '{seconds} seconds'
              where provider = '{provider}'"
        );
        database::execute(&self.database_url, &sql).await;
    }

    /// The only value of a statement that answers one row with one text.
    pub async fn text(&self, sql: &str) -> Option<String> {
        let rows = database::query(&self.database_url, sql, &[]).await;
        rows.first().and_then(|row| row.get(0))
    }
}
