//! From spawn to the first answer: what the first user after a pause waits for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use super::database::Database;
use super::figures::{median, minimum};
use super::function::{Builds, Function, hello_request, token_request, token_variables};
use super::report::{Report, Target};
use super::{Error, load, note};

/// Starts for each measured round of the others.
const STARTS: usize = 6;

/// The token function against a function that connects to the same database and asks it
/// something.
pub fn measure(
    builds: &Builds,
    database: &Database,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Error> {
    let token = token_variables(database, &database.url());
    let bare = [("DATABASE_URL", database.url())];
    let (mut ours, mut theirs, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for start in 0..=rounds * STARTS {
        let now = [
            start_to_answer(&builds.token, &token, &token_request())?,
            start_to_answer(&builds.bare_postgres, &bare, &hello_request())?,
            start_to_answer(&builds.hello, &[], &hello_request())?,
        ];
        // The first start reads the files from the disk.
        if start > 0 {
            ours.push(now[0]);
            theirs.push(now[1]);
            floor.push(now[2]);
        }
    }
    note(&format!(
        "cold start, {} each: median {:.2} ms, min {:.2} ms; bare {:.2}, {:.2}; hello without database {:.2}, {:.2}",
        ours.len(),
        median(&ours),
        minimum(&ours),
        median(&theirs),
        minimum(&theirs),
        median(&floor),
        minimum(&floor)
    ));
    for (what, figure) in [
        ("spawn to first answer, median", median as fn(&[f64]) -> f64),
        ("spawn to first answer, minimum", minimum),
    ] {
        let (ours, theirs) = (figure(&ours), figure(&theirs));
        report.add(
            what,
            format!("{ours:.2} ms"),
            format!("hello + bare query {theirs:.2} ms"),
            ours / theirs,
            Target::AtMost(1.5),
        );
    }
    Ok(())
}

/// Milliseconds.
fn start_to_answer(
    binary: &Path,
    variables: &[(&str, String)],
    request: &[u8],
) -> Result<f64, Error> {
    let began = Instant::now();
    let function = Function::start(binary, variables)?;
    let mut stream = TcpStream::connect(function.address)?;
    stream.set_nodelay(true)?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !load::is_complete(&answer)? {
        match stream.read(&mut buffer)? {
            0 => return Err("the function hung up".into()),
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
