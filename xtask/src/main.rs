//! `cargo xtask`: work on the project that is neither a build nor a test.

mod bench;
mod verify;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask bench [read|latency|wire|cold-start|size|all]

Measures the release build of the token function against what it could not do without:
the same statement run by pgbench, a function that does nothing, a bare connection.
Starts its own Postgres; builds what it measures. GRANTKEEP_BENCH_ROUNDS (default 7)
says how often each pair is measured, GRANTKEEP_BENCH_TOKEN names another build of the
token function to measure.

       cargo xtask bench cache

Measures token reads with a Redis cache and without it; needs redis-server.

       cargo xtask bench poll

Measures the mail worker on 10,000 mailboxes (or GRANTKEEP_BENCH_MAILBOXES) of a demo
provider that takes 50 ms for each request: alone, four at once, and killed in the middle.
GRANTKEEP_BENCH_CRON names another build of the cron function.

       cargo xtask bench import-table

Measures the command on an earlier token table of 100,000 rows (or GRANTKEEP_BENCH_ROWS),
killed in the middle once, then its backup and restore. GRANTKEEP_BENCH_CLI names another
build of the command.

       cargo xtask bench refresh-ahead

Lets one, two and four processes of the cron function refresh ahead 100,000 connections of
which one in ten is due (GRANTKEEP_BENCH_CONNECTIONS says another number).

       cargo xtask bench kills

Kills the cron and the token function 200 times (GRANTKEEP_BENCH_KILLS) in the middle of
refreshes with refresh tokens that work once, and counts what is lost.

       cargo xtask bench rotate-keys

Measures `grantkeep rotate-keys` on 100,000 connections (or GRANTKEEP_BENCH_ROWS): alone,
then with reads and refreshes of single-use refresh tokens running all the while, and
looks for what was lost. GRANTKEEP_BENCH_CLI names another build of the command.

       cargo xtask verify HOST

Builds with the host's own tools what is deployed to it, looks at what they built, and
drives the whole flow through it. Fetches the tools into .tools/ once. HOST is vercel, aws,
or aws-arm64, which is built and not run.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["-h" | "--help" | "help"] => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        ["bench"] => bench::run("all"),
        ["bench", part] if bench::PARTS.contains(part) => bench::run(part),
        ["bench", part] if bench::LARGE.contains(part) => bench::run_large(part),
        ["verify", host] if verify::HOSTS.contains(host) => verify::run(host),
        _ => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
    }
}
