//! Token reads with the Redis cache and without it, in turns in one run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::database::{Database, SUBJECT};
use super::figures::{median, percentile};
use super::function::{Builds, Function, request_of, token_request, token_variables};
use super::{Error, load, note};

/// Seconds of one measurement.
const SECONDS: u64 = 3;

/// `redis-server` on a free port, without persistence.
struct Redis {
    child: Child,
    address: SocketAddr,
}

impl Redis {
    fn start() -> Result<Self, Error> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let port = address.port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server (apt-get install redis-server): {error}"))?;
        let redis = Self { child, address };
        let listens = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            TcpStream::connect(address).is_ok()
        });
        match listens {
            true => Ok(redis),
            false => Err("redis-server did not listen".into()),
        }
    }

    /// How many values it found, and how many it did not, since it started.
    fn hits_and_misses(&self) -> Result<(f64, f64), Error> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(b"INFO stats\r\nQUIT\r\n")?;
        let (mut hits, mut misses) = (0.0, 0.0);
        for line in BufReader::new(stream).lines() {
            match line?.trim().split_once(':') {
                Some(("keyspace_hits", count)) => hits = count.parse()?,
                Some(("keyspace_misses", count)) => misses = count.parse()?,
                _ => {}
            }
        }
        Ok((hits, misses))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Figures of one way to read, one for each round.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Figures {
    fn measure(&mut self, to: &Function, request: &[u8], clients: usize) -> Result<(), Error> {
        let length = Duration::from_secs(SECONDS);
        let outcome = load::run(to.address, request, clients, length)?;
        self.rates.push(outcome.rate);
        self.p50.push(median(&outcome.latencies) * 1e6);
        self.p99.push(percentile(&outcome.latencies, 0.99) * 1e6);
        Ok(())
    }

    fn line(&self, what: &str, hit_rate: Option<f64>) {
        let hits = hit_rate.map_or("–".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        println!(
            "| {what} | {:.0} | {:.0} µs | {:.0} µs | {hits} |",
            median(&self.rates),
            median(&self.p50),
            median(&self.p99)
        );
    }
}

/// Measures and prints a table.
pub fn run(rounds: usize) -> Result<(), Error> {
    let token = Builds::token()?;
    let database = Database::start()?;
    let redis = Redis::start()?;
    let plain = token_variables(&database, &database.url());
    let mut cached = plain.clone();
    cached.push(("REDIS_URL", format!("redis://{}", redis.address)));
    let without = Function::start(&token, &plain)?;
    let with = Function::start(&token, &cached)?;
    // An account named by its id is asked of Redis and never found there.
    let in_vain = request_of(SUBJECT);
    load::count(without.address, &token_request(), 100)?;
    load::count(with.address, &token_request(), 100)?;

    println!("| reads of one connection | per second | p50 | p99 | hits |");
    println!("|---|---|---|---|---|");
    for clients in [1, 32] {
        let mut figures: [Figures; 4] = Default::default();
        let (mut hits, mut asked) = (0.0, 0.0);
        for round in 1..=rounds {
            note(&format!("{clients} clients, {round}/{rounds}"));
            figures[0].measure(&without, &token_request(), clients)?;
            let before = redis.hits_and_misses()?;
            figures[1].measure(&with, &token_request(), clients)?;
            let after = redis.hits_and_misses()?;
            hits += after.0 - before.0;
            asked += after.0 + after.1 - before.0 - before.1;
            figures[2].measure(&without, &in_vain, clients)?;
            figures[3].measure(&with, &in_vain, clients)?;
        }
        let [without, with, by_id, in_vain] = &figures;
        without.line(&format!("{clients} clients, no cache"), None);
        with.line(&format!("{clients} clients, cache"), Some(hits / asked));
        by_id.line(&format!("{clients} clients, account by id, no cache"), None);
        let what = format!("{clients} clients, account by id, cache asked in vain");
        in_vain.line(&what, Some(0.0));
    }
    println!("\nmedians of {rounds} rounds of {SECONDS} s each, in turns");
    Ok(())
}
