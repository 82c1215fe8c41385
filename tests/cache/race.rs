//! Many readers and a writer at once on several instances: no read that begins after a
//! change was answered gets what was there before.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use grantkeep_core::App;
use grantkeep_core::connection::{Column, ConnectionId, Owner, RowKey};
use grantkeep_core::credentials::Credentials;
use grantkeep_core::scope::ScopeSet;
use grantkeep_core::secret::AccessToken;
use grantkeep_core::store::oauth_tokens::lease::{Refreshed, save_refreshed};
use grantkeep_core::store::oauth_tokens::write::{Granted, save_granted};
use grantkeep_core::tokens::{self, Cached, Wanted};

use crate::server::{Redis, builder, instance, unblocked};

/// Each is changed once: its block outlives the test.
const CONNECTIONS: usize = 60;

fn key(number: usize) -> RowKey {
    RowKey {
        id: ConnectionId(uuid::Uuid::from_u128(number as u128 + 1)),
        provider: "gmail".to_owned(),
        owner: Owner::new(None, Some(&format!("actor {number}"))).expect("names"),
        account: "alice@example.test".to_owned(),
    }
}

fn seal(app: &App, key: &RowKey, token: &str) -> Vec<u8> {
    let credentials = Credentials {
        access_token: AccessToken::new(token),
        refresh_token: None,
        lifetime: Some(3600),
        metadata: Default::default(),
    };
    let place = key.place(Column::TokenData);
    app.settings
        .keys
        .seal(&credentials.to_plaintext(), &place, app.fill)
}

async fn connect(app: &App, key: &RowKey) {
    let none = ScopeSet::default();
    let granted = Granted {
        key,
        subject: None,
        client_id: "client",
        scopes: &none,
        requested_scopes: &none,
        missing_scopes: &none,
        scopes_assumed: false,
        expires_in: Some(3600.0),
        refresh_expires_in: None,
        sealed: &seal(app, key, "before"),
        key_id: app.settings.keys.primary_id().to_string(),
        warning: None,
    };
    assert!(save_granted(&app.store, &granted).await.expect("saved"));
}

async fn change(app: &App, key: &RowKey) -> i64 {
    let refreshed = Refreshed {
        sealed: &seal(app, key, "after"),
        key_id: app.settings.keys.primary_id().to_string(),
        scopes: None,
        expires_in: Some(3600.0),
        refresh_expires_in: None,
    };
    let saved = save_refreshed(&app.store, key, 1, &refreshed).await;
    saved.expect("a statement").expect("saved").version
}

#[tokio::test(flavor = "multi_thread")]
async fn ca03_no_read_that_begins_after_a_change_gets_what_was_before() {
    let redis = Redis::start().await;
    let api = builder(&redis.url()).start().await;
    let mut apps = Vec::new();
    for _ in 0..4 {
        apps.push(instance(&api, None).await.1);
    }
    for number in 0..CONNECTIONS {
        connect(&apps[0], &key(number)).await;
    }
    unblocked(&api).await;
    let current = Arc::new(AtomicUsize::new(0));
    // For each connection the version of the last change that was answered.
    let known: Arc<Vec<AtomicI64>> =
        Arc::new((0..CONNECTIONS).map(|_| AtomicI64::new(1)).collect());

    let mut readers = Vec::new();
    for reader in 0..8 {
        let (app, known, current) = (apps[reader % 4].clone(), known.clone(), current.clone());
        readers.push(tokio::spawn(async move {
            let provider = app.settings.providers.find("gmail").expect("gmail");
            let (mut hits, mut reads) = (0, 0);
            loop {
                let number = current.load(Ordering::SeqCst);
                if number == CONNECTIONS {
                    return (hits, reads);
                }
                let wanted = Wanted {
                    owner: key(number).owner,
                    account: None,
                    scopes: Default::default(),
                    mode: Default::default(),
                    min_ttl: None,
                    rejected: None,
                };
                let before = known[number].load(Ordering::SeqCst);
                let issued = tokens::issue(&app, provider, &wanted, "test", false).await;
                let issued = issued.expect("a token");
                assert!(
                    issued.version >= before,
                    "{} after {before}",
                    issued.version
                );
                hits += u32::from(issued.cached == Cached::Hit);
                reads += 1;
            }
        }));
    }
    for number in 0..CONNECTIONS {
        tokio::time::sleep(Duration::from_millis(5 + (number as u64 * 7) % 40)).await;
        let version = change(&apps[number % 4], &key(number)).await;
        known[number].store(version, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(30)).await;
        current.store(number + 1, Ordering::SeqCst);
    }

    let (mut hits, mut reads) = (0, 0);
    for reader in readers {
        let (own_hits, own_reads) = reader.await.expect("no read was stale");
        hits += own_hits;
        reads += own_reads;
    }
    println!("{hits} hits of {reads} reads");
    assert!(hits > 500 && reads > hits, "{hits} hits of {reads} reads");
}
