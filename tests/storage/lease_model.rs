//! The lease and the compare-and-swap, step by step in any order, against a small model
//! of them.

use grantkeep_core::connection::{ConnectionId, Owner, RowKey};
use grantkeep_core::store::Store;
use grantkeep_core::store::oauth_tokens::lease::{self, Failed, Lease};
use grantkeep_core::store::oauth_tokens::write;
use grantkeep_tests::database;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::lease_steps::{IS_OVER, LASTS, Random, grant, save, store};

/// What a row should look like. A lease or a wait either lasts for the whole test or is
/// over when the next step begins.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Row {
    id: Uuid,
    version: i64,
    active: bool,
    token: Vec<u8>,
    holder: Option<Uuid>,
    held: bool,
    waits: bool,
    forced: bool,
    failures: i32,
}

fn seconds(lasts: bool) -> f64 {
    if lasts { LASTS } else { IS_OVER }
}

struct Bench {
    store: Store,
    client: Client,
    actor: String,
    random: Random,
    row: Option<Row>,
    /// Ids and leases of before, for those who come late.
    known_ids: Vec<Uuid>,
    known_leases: Vec<Lease>,
    written: u32,
}

impl Bench {
    async fn new(url: &str, seed: u64) -> Self {
        Self {
            store: store(url),
            client: database::connect(url).await,
            actor: format!("seed {seed}"),
            random: Random::new(seed),
            row: None,
            known_ids: Vec::new(),
            known_leases: Vec::new(),
            written: 0,
        }
    }

    /// The row's id, or one that is gone.
    fn some_id(&mut self) -> Uuid {
        match (&self.row, self.random.seldom()) {
            (Some(row), false) => row.id,
            _ => {
                let count = self.known_ids.len() as u64;
                match self.random.below(count + 1) {
                    unknown if unknown == count => self.random.id(),
                    known => self.known_ids[known as usize],
                }
            }
        }
    }

    /// The row's version, or the one before it.
    fn some_version(&mut self) -> i64 {
        let version = self.row.as_ref().map_or(1, |row| row.version);
        version - i64::from(self.random.seldom())
    }

    fn next_token(&mut self) -> Vec<u8> {
        self.written += 1;
        self.written.to_be_bytes().to_vec()
    }

    fn key(&self, id: Uuid) -> RowKey {
        RowKey {
            id: ConnectionId(id),
            provider: "gmail".to_owned(),
            owner: Owner::new(None, Some(&self.actor)).expect("names"),
            account: "alice@example.test".to_owned(),
        }
    }

    /// The row if a step with this id and version is about it.
    fn hit(&mut self, id: Uuid, version: i64) -> Option<&mut Row> {
        self.row
            .as_mut()
            .filter(|row| row.id == id && row.version == version)
    }

    async fn claim(&mut self) {
        let (id, version) = (self.some_id(), self.some_version());
        let (holder, lasts, forced) = (self.random.id(), self.random.often(), self.random.seldom());
        let got = lease::claim(
            &self.store,
            ConnectionId(id),
            version,
            holder,
            seconds(lasts),
            forced.then_some(LASTS),
        )
        .await
        .expect("a statement");

        let expected = self
            .hit(id, version)
            .filter(|row| row.active && !row.held && !row.waits)
            .filter(|row| !forced || !row.forced)
            .map(|row| {
                let abandoned = row.holder.is_some();
                (row.holder, row.held) = (Some(holder), lasts);
                row.forced |= forced;
                (holder, abandoned)
            });
        assert_eq!(got.map(|lease| (lease.id, lease.abandoned)), expected);
        self.known_leases.extend(got);
    }

    async fn save(&mut self) {
        let (id, version) = (self.some_id(), self.some_version());
        let token = self.next_token();
        let saved = save(&self.store, &self.key(id), version, &token).await;

        let expected = self.hit(id, version).map(|row| {
            *row = Row {
                version: row.version + 1,
                active: true,
                token,
                holder: None,
                held: false,
                waits: false,
                failures: 0,
                ..row.clone()
            };
            row.version
        });
        assert_eq!(saved, expected);
    }

    async fn fail(&mut self) {
        let (id, wait) = (self.some_id(), self.random.often());
        let count = self.known_leases.len();
        if count == 0 {
            return;
        }
        // Mostly the last one, who may still hold it.
        let back = match self.random.often() {
            true => 1,
            false => 1 + self.random.below(count as u64) as usize,
        };
        let lease = self.known_leases[count - back];
        let failed = Failed {
            error: "provider_unavailable",
            retry_in: seconds(wait),
            of_connection: true,
        };
        lease::record_failure(&self.store, ConnectionId(id), lease, &failed)
            .await
            .expect("a statement");

        let held = |row: &&mut Row| row.id == id && row.holder == Some(lease.id);
        if let Some(row) = self.row.as_mut().filter(held) {
            (row.holder, row.held, row.waits) = (None, false, wait);
            row.failures += 1;
        }
    }

    async fn mark_dead(&mut self) {
        let (id, version) = (self.some_id(), self.some_version());
        let died = lease::mark_dead(&self.store, &self.key(id), version, "invalid_grant")
            .await
            .expect("a statement");

        let expected = self.hit(id, version).filter(|row| row.active).map(|row| {
            (row.active, row.holder, row.held, row.waits) = (false, None, false, false);
        });
        assert_eq!(died, expected.is_some());
    }

    async fn reconnect(&mut self) {
        let id = self.some_id();
        let token = self.next_token();
        let key = self.key(id);
        let saved = grant(&self.store, &key, &token).await;

        let fits = self.row.as_ref().is_none_or(|row| row.id == id);
        assert_eq!(saved, fits);
        if fits {
            self.row = Some(Row {
                id,
                version: self.row.as_ref().map_or(1, |row| row.version + 1),
                active: true,
                token,
                holder: None,
                held: false,
                waits: false,
                forced: false,
                failures: 0,
            });
            self.known_ids.push(id);
        }
    }

    async fn lease_for_disconnect(&mut self) {
        let (id, holder, lasts) = (self.some_id(), self.random.id(), self.random.seldom());
        let got =
            write::lease_for_disconnect(&self.store, ConnectionId(id), holder, seconds(lasts))
                .await
                .expect("a statement");

        let free = |row: &&mut Row| row.id == id && !row.held;
        let expected = self.row.as_mut().filter(free).map(|row| {
            (row.holder, row.held) = (Some(holder), lasts);
        });
        assert_eq!(got, expected.is_some());
    }

    async fn delete(&mut self) {
        let id = self.some_id();
        let gone = write::delete(&self.store, &self.key(id), true, "revoked")
            .await
            .expect("a statement");

        let expected = self.row.take_if(|row| row.id == id);
        assert_eq!(gone, expected.is_some());
    }

    async fn step(&mut self) {
        match self.random.below(20) {
            0..6 => self.claim().await,
            6..10 => self.save().await,
            10..13 => self.fail().await,
            13..15 => self.mark_dead().await,
            15..18 => self.reconnect().await,
            18 => self.lease_for_disconnect().await,
            _ => self.delete().await,
        }
        assert_eq!(self.stored().await, self.row);
    }

    async fn stored(&self) -> Option<Row> {
        let sql = "select id, version, status = 'active', token_data, lease_id,
                          coalesce(lease_until > now(), false), coalesce(retry_at > now(), false),
                          forced_at is not null, refresh_failures
                     from oauth_tokens where actor_id = $1";
        let rows = self.client.query(sql, &[&self.actor]).await.expect("rows");
        assert!(rows.len() < 2, "two rows of one key");
        rows.first().map(|row| Row {
            id: row.get(0),
            version: row.get(1),
            active: row.get(2),
            token: row.get(3),
            holder: row.get(4),
            held: row.get(5),
            waits: row.get(6),
            forced: row.get(7),
            failures: row.get(8),
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rf05_any_order_of_steps_ends_as_the_model_says() {
    let url = database::create().await;
    let mut running = Vec::new();
    for seed in 1..=8_u64 {
        let url = url.clone();
        running.push(tokio::spawn(async move {
            println!("seed {seed}");
            let mut bench = Bench::new(&url, seed).await;
            bench.reconnect().await;
            for _ in 0..250 {
                bench.step().await;
            }
            bench.written
        }));
    }

    for one in running {
        let written = one.await.expect("the model and the table agree");
        assert!(
            written > 30,
            "{written} token sets written: too few to mean anything"
        );
    }
}
