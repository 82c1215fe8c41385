//! From spawn to the first answer, under stand-ins for each host: what the first user
//! after a pause waits for.

use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use grantkeep_runtime::test_hosts::{Kind, TestHost};
use http::Request;

use super::database::Database;
use super::figures::{median, minimum};
use super::function::{self, Builds, peak_memory, token_variables};
use super::report::{Report, Target};
use super::{Error, note};

/// Starts for each measured round of the others.
const STARTS: usize = 6;

/// One binary, started again and again.
struct Subject {
    program: PathBuf,
    variables: Vec<(&'static str, String)>,
    request: fn() -> Request<Bytes>,
    /// Milliseconds of each start.
    times: Vec<f64>,
    /// MB after the answer.
    memory: Vec<f64>,
}

impl Subject {
    fn new(
        program: &Path,
        variables: Vec<(&'static str, String)>,
        request: fn() -> Request<Bytes>,
    ) -> Self {
        Self {
            program: program.to_owned(),
            variables,
            request,
            times: Vec::new(),
            memory: Vec::new(),
        }
    }

    async fn start(&mut self, kind: Kind, counts: bool) -> Result<(), Error> {
        let variables: Vec<(&str, &str)> = self
            .variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let request = (self.request)();
        let began = Instant::now();
        let host = TestHost::start(kind, &self.program, &variables).await;
        let answer = host.send(request).await;
        let took = began.elapsed().as_secs_f64() * 1e3;
        if answer.status() != 200 {
            let program = self.program.display();
            return Err(format!("{program} answered {}", answer.status()).into());
        }
        if counts {
            self.times.push(took);
            self.memory.push(peak_memory(host.process_id())?);
        }
        host.stop().await;
        Ok(())
    }

    fn said(&self) -> String {
        let (middle, least) = (median(&self.times), minimum(&self.times));
        let memory = median(&self.memory);
        format!("median {middle:.2} ms, minimum {least:.2} ms, {memory:.1} MB")
    }
}

/// The token function against a function that connects to the same database and asks it
/// for a constant, and one that does nothing, in turn.
pub fn measure(
    builds: &Builds,
    database: &Database,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for kind in [Kind::Vercel, Kind::Lambda, Kind::Port] {
        let program = artefact(kind, builds);
        let mut subjects = [
            Subject::new(
                &program,
                token_variables(database, &database.url()),
                token_request,
            ),
            Subject::new(
                &builds.bare_postgres,
                vec![("DATABASE_URL", database.url())],
                hello_request,
            ),
            Subject::new(&builds.hello, Vec::new(), hello_request),
        ];
        for start in 0..=rounds * STARTS {
            for subject in &mut subjects {
                // The first start reads the files from the disk.
                runtime.block_on(subject.start(kind, start > 0))?;
            }
        }
        let [ours, bare, hello] = subjects;
        note(&format!(
            "{kind:?}, {} starts each of {}: {}",
            ours.times.len(),
            program.display(),
            ours.said()
        ));
        note(&format!("  hello + bare query: {}", bare.said()));
        note(&format!("  hello: {}", hello.said()));
        for (what, figure) in [
            ("median", median as fn(&[f64]) -> f64),
            ("minimum", minimum),
        ] {
            let (ours, bare) = (figure(&ours.times), figure(&bare.times));
            report.add(
                &format!("{kind:?}: spawn to first answer, {what}"),
                format!("{ours:.2} ms"),
                format!("hello + bare query {bare:.2} ms"),
                ours / bare,
                Target::AtMost(1.3),
            );
        }
        let (ours, bare) = (median(&ours.memory), median(&bare.memory));
        report.add(
            &format!("{kind:?}: peak memory of that instance"),
            format!("{ours:.1} MB"),
            format!("hello + bare query {bare:.1} MB"),
            ours / bare,
            Target::AtMost(2.0),
        );
    }
    Ok(())
}

/// What the host's own tool built, if `cargo xtask verify` has run, else what Cargo built.
fn artefact(kind: Kind, builds: &Builds) -> PathBuf {
    let folder = match kind {
        Kind::Vercel => "target/verify/vercel/functions",
        Kind::Lambda => "target/aws/functions",
        Kind::Port => return builds.token.clone(),
    };
    let built = crate::verify::root().join(folder).join("token");
    match built.exists() {
        true => built,
        false => builds.token.clone(),
    }
}

fn token_request() -> Request<Bytes> {
    let (path, bearer) = function::token_target();
    Request::get(path)
        .header("authorization", bearer)
        .body(Bytes::new())
        .expect("a request")
}

fn hello_request() -> Request<Bytes> {
    Request::get("/").body(Bytes::new()).expect("a request")
}
