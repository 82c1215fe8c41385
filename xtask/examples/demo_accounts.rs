//! The demo provider with any number of accounts that have consented, for benchmarks of what
//! works on many connections. Its argument is how many; it prints its origin, then for each
//! account `user0@example.test` and so on a line with access token and refresh token, and serves
//! until its standard input ends.

use std::io::{Read as _, Write as _};

use grantkeep_demo_provider::DemoProvider;
use grantkeep_demo_provider::client::DEMO_CLIENT_ID;

const SCOPE: &str = "https://www.googleapis.com/auth/gmail.readonly";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: u32 = std::env::args().nth(1).ok_or("how many?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let provider = runtime.block_on(DemoProvider::start())?;

    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(output, "{}", provider.origin())?;
    for number in 0..count {
        let account = format!("user{number}@example.test");
        let tokens = provider.issue(&account, DEMO_CLIENT_ID, SCOPE);
        let tokens = tokens.ok_or("no such account")?;
        writeln!(output, "{} {}", tokens.access_token, tokens.refresh_token)?;
    }
    output.flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
