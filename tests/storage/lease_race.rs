//! The lease's promise, kept while many work at once: one holder at any time, and every
//! version saved once.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use grantkeep_core::connection::{ConnectionId, Owner, RowKey};
use grantkeep_core::store::oauth_tokens::{self, lease};
use grantkeep_tests::database;
use uuid::Uuid;

use crate::lease_steps::{Random, grant, save, store};

/// Who holds the lease, as the holders themselves know it.
struct Holder {
    name: Uuid,
    /// Before this the database cannot have let anybody else in.
    safe_until: Instant,
    released: bool,
}

const LEASE: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn rf01_at_no_time_do_two_hold_the_lease_and_every_version_is_saved_once() {
    let url = database::create().await;
    let key = RowKey {
        id: ConnectionId(Uuid::from_u128(7)),
        provider: "gmail".to_owned(),
        owner: Owner::new(None, None).expect("names"),
        account: "alice@example.test".to_owned(),
    };
    assert!(grant(&store(&url), &key, b"first").await);
    let holder: Arc<Mutex<Option<Holder>>> = Arc::default();
    let until = Instant::now() + Duration::from_secs(6);

    let mut workers = Vec::new();
    for worker in 0..12_u64 {
        // A few instances with several requests each.
        let store = store(&url);
        let (holder, key) = (holder.clone(), key.clone());
        workers.push(tokio::spawn(async move {
            let mut random = Random::new(100 + worker);
            let mut saved: Vec<(i64, Vec<u8>)> = Vec::new();
            let mut deaths = 0;
            while Instant::now() < until {
                let row = oauth_tokens::find_by_id(&store, key.id)
                    .await
                    .expect("a read");
                let seen = row.expect("a row").version;
                let asked = Instant::now();
                let name = random.id();
                let lease = LEASE.as_secs_f64();
                let got = lease::claim(&store, key.id, seen, name, lease, None).await;
                if got.expect("a statement").is_none() {
                    tokio::time::sleep(Duration::from_millis(random.below(10))).await;
                    continue;
                }
                let began = Instant::now();
                if began >= asked + LEASE {
                    // So slow that it may be over: not a holder in anybody's eyes.
                    continue;
                }
                let before = holder.lock().expect("no panic").replace(Holder {
                    name,
                    safe_until: asked + LEASE,
                    released: false,
                });
                let free =
                    before.is_none_or(|before| before.released || before.safe_until <= began);
                assert!(free, "two holders at once");

                if random.below(40) == 0 {
                    deaths += 1;
                    continue;
                }
                tokio::time::sleep(Duration::from_millis(random.below(6))).await;
                if let Some(held) = holder.lock().expect("no panic").as_mut() {
                    held.released |= held.name == name;
                }
                let token = name.as_bytes().to_vec();
                if let Some(version) = save(&store, &key, seen, &token).await {
                    saved.push((version, token));
                }
            }
            (saved, deaths)
        }));
    }

    let mut saved = Vec::new();
    let mut deaths = 0;
    for worker in workers {
        let (own, died) = worker.await.expect("a worker");
        saved.extend(own);
        deaths += died;
    }
    saved.sort();
    let versions: Vec<i64> = saved.iter().map(|(version, _)| *version).collect();
    let expected: Vec<i64> = (2..).take(versions.len()).collect();
    assert_eq!(versions, expected, "each version once, none left out");
    let row = oauth_tokens::find_by_id(&store(&url), key.id).await;
    let row = row.expect("a read").expect("a row");
    let last = saved.last().expect("saved something");
    assert_eq!((row.version, row.sealed.as_ref()), (last.0, Some(&last.1)));
    assert!(
        saved.len() > 100 && deaths > 0,
        "{} saved, {deaths} died",
        saved.len()
    );
}
