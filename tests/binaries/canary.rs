//! No secret leaves: every flow and every failure is gone through with the log at `trace`,
//! then everything that was logged, answered and stored is searched.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_demo_provider::client::DEMO_CLIENT_SECRET;
use grantkeep_runtime::test_hosts::Kind;
use grantkeep_tests::Deployment;
use grantkeep_tests::api::{ACME_KEY, ENCRYPTION_KEY, KEY, READ_KEY, SESSION_SECRET, hash};
use grantkeep_tests::database;
use grantkeep_tests::deployment::Exchange;
use serde_json::{Value, json};
use url::Url;

use crate::needles::Needle;
use crate::steps::lines;
use crate::tap::{TRACE_ID, Tap};

mod popup;
mod trouble;

/// A deployment that is gone through, and what it stored at each step.
pub struct Watched {
    pub deployment: Deployment,
    pub tap: Tap,
    stored: Vec<String>,
}

impl Watched {
    async fn start(kind: Kind) -> Self {
        let tap = Tap::start().await;
        let endpoint = json!({"token_endpoint": tap.endpoint});
        let deployment = Deployment::builder(kind)
            .instances(1)
            .provider("gmail", endpoint.clone())
            .provider("outlook", endpoint)
            .variable("LOG_LEVEL", "trace")
            .variable("RUST_LOG", "trace")
            .variable("RUST_BACKTRACE", "full")
            .start()
            .await;
        tap.lead_to(format!("{}/token", deployment.provider.origin()));
        Self {
            deployment,
            tap,
            stored: Vec::new(),
        }
    }

    /// Keeps every row of every table for the search.
    pub async fn look(&mut self) {
        let url = &self.deployment.database_url;
        let tables = "select table_name::text from information_schema.tables
                       where table_schema = 'public'";
        for table in database::query(url, tables, &[]).await {
            let table: String = table.get(0);
            let rows = format!("select row_to_json(t)::text from {table} t");
            let rows = database::query(url, &rows, &[]).await;
            let rows = rows.iter().map(|row| row.get::<_, String>(0));
            self.stored
                .extend(rows.map(|row| format!("{table}: {row}")));
        }
    }
}

/// Every secret that was about, by its name.
fn secrets(watched: &Watched) -> Vec<(String, Vec<u8>)> {
    let key = STANDARD.decode(ENCRYPTION_KEY).expect("base64");
    let mut all: Vec<(String, Vec<u8>)> = vec![
        ("encryption key".to_owned(), ENCRYPTION_KEY.into()),
        ("encryption key".to_owned(), key),
        ("session secret".to_owned(), SESSION_SECRET.into()),
        ("client secret".to_owned(), DEMO_CLIENT_SECRET.into()),
    ];
    for key in [KEY, ACME_KEY, READ_KEY] {
        all.push(("service key".to_owned(), key.into()));
        all.push(("hash of a service key".to_owned(), hash(key).into()));
    }
    let passed = watched.tap.secrets();
    all.extend(passed.into_iter().map(|(name, value)| (name, value.into())));
    for exchange in watched.deployment.exchanges() {
        for cookie in exchange.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("ASCII");
            let value = cookie.split(['=', ';']).nth(1).unwrap_or_default();
            if !value.is_empty() {
                all.push(("cookie".to_owned(), value.into()));
            }
        }
        let location = exchange.headers.get("location");
        let location = location.map(|value| value.to_str().expect("ASCII"));
        for address in [Some(exchange.target.as_str()), location]
            .into_iter()
            .flatten()
        {
            for (name, value) in parameters(address) {
                let secret = ["code", "state", "nonce", "session", "link", "access_token"];
                if secret.contains(&name.as_str()) && value.len() >= 8 {
                    all.push((name, value.into()));
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

fn parameters(address: &str) -> Vec<(String, String)> {
    let base = Url::parse("http://base.invalid").expect("a URL");
    let url = base.join(address).expect("an address");
    url.query_pairs().into_owned().collect()
}

/// What an answer says, without what it is meant to carry: cookies; `state` and `nonce` on
/// the way to the provider; tokens to a caller who asked for them; a link to its maker.
fn said(exchange: &Exchange) -> String {
    let mut said = String::new();
    for (name, value) in &exchange.headers {
        let value = value.to_str().expect("ASCII");
        let to_provider = exchange.function == "authorize" && exchange.status == 302;
        match name.as_str() {
            "set-cookie" => {}
            "location" if to_provider => {
                let mut url = Url::parse(value).expect("a URL");
                let kept = parameters(value).into_iter();
                let kept = kept.filter(|(name, _)| !["state", "nonce"].contains(&name.as_str()));
                let kept: Vec<(String, String)> = kept.collect();
                url.query_pairs_mut().clear().extend_pairs(kept);
                said += &format!("location: {url}\n");
            }
            name => said += &format!("{name}: {value}\n"),
        }
    }
    let meant: &[&str] = match (exchange.function, exchange.status) {
        ("token", 200) if exchange.target.contains("format=authorized_user") => {
            &["token", "refresh_token", "client_secret"]
        }
        ("token", 200) => &["access_token"],
        ("connect-links", 200) => &["url"],
        _ => &[],
    };
    match serde_json::from_str::<Value>(&exchange.body) {
        Ok(Value::Object(mut members)) => {
            members.retain(|name, _| !meant.contains(&name.as_str()));
            // Says to the caller which name it does not know.
            if members.get("code") == Some(&Value::from("unknown_provider")) {
                members.retain(|name, _| !["provider", "detail"].contains(&name.as_str()));
            }
            said + &Value::Object(members).to_string()
        }
        _ => said + &exchange.body,
    }
}

async fn nothing_leaves_under(kind: Kind) {
    let mut watched = Watched::start(kind).await;

    trouble::everything(&mut watched).await;

    watched.look().await;
    let secrets = secrets(&watched);
    let names: BTreeSet<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "access_token",
        "refresh_token",
        "id_token",
        "code",
        "code_verifier",
        "client_secret",
        "state",
        "nonce",
        "session",
        "link",
        "cookie",
        "service key",
    ] {
        assert!(names.contains(name), "no {name} among {names:?}");
    }
    let needles: Vec<Needle> = secrets
        .iter()
        .map(|(name, secret)| Needle::new(name, secret))
        .collect();

    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for (number, exchange) in watched.deployment.exchanges().iter().enumerate() {
        let place = format!("answer {number} of {}", exchange.function);
        places.insert(place, said(exchange));
    }
    for (number, row) in watched.stored.iter().enumerate() {
        places.insert(format!("row {number}"), row.clone());
    }
    let mut log = Vec::new();
    for ended in watched.deployment.stop().await {
        log.extend(lines(&ended.stopped.stdout));
        places.insert(
            format!("stdout of {}", ended.function),
            ended.stopped.stdout,
        );
        places.insert(
            format!("stderr of {}", ended.function),
            ended.stopped.stderr,
        );
    }
    let found: Vec<String> = places
        .iter()
        .flat_map(|(place, text)| {
            let found = needles.iter().filter_map(|needle| needle.found_in(text));
            found.map(move |found| format!("{place}: {found}"))
        })
        .collect();
    assert!(
        found.is_empty(),
        "{} leaks:\n{}",
        found.len(),
        found.join("\n\n")
    );

    // What answers are meant to carry is found where it is not left out.
    let exchanges = watched.deployment.exchanges();
    let found = |text: &str| needles.iter().find_map(|needle| needle.found_in(text));
    let mut tokens = exchanges
        .iter()
        .filter(|exchange| exchange.function == "token" && exchange.status == 200);
    assert!(tokens.all(|exchange| found(&exchange.body).is_some()));

    the_log_says_what_operators_need(&log);
}

fn the_log_says_what_operators_need(log: &[Value]) {
    let refused = log.iter().find(|line| line["event"] == "token_endpoint");
    let refused = refused.expect("a refused token request is logged");
    assert_eq!(refused["provider"], "Gmail", "{refused}");
    assert_eq!(refused["status"], 400, "{refused}");
    assert_eq!(refused["error_codes"], "AADSTS50196", "{refused}");
    assert_eq!(refused["trace_id"], TRACE_ID, "{refused}");
    let error = refused["error"].as_str().unwrap_or_default();
    assert!(error.contains("invalid_request"), "{refused}");

    // No path and no query, which hold codes and states; the route's pattern instead.
    for line in log.iter().filter(|line| line["event"] == "request") {
        let route = line["route"].as_str().unwrap_or_default();
        let known = grantkeep_functions::routes::FUNCTIONS
            .iter()
            .flat_map(|function| function.routes)
            .any(|(pattern, _)| *pattern == route);
        assert!(known, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lk01_no_secret_leaves_on_vercel() {
    nothing_leaves_under(Kind::Vercel).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lk01_no_secret_leaves_on_lambda() {
    nothing_leaves_under(Kind::Lambda).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lk01_no_secret_leaves_on_a_plain_port() {
    nothing_leaves_under(Kind::Port).await;
}
