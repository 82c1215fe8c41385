//! The binaries that are measured: built once, then run as an operator would run them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::database::{ACCOUNT, Database, PROVIDER};
use super::{Error, note};

const SERVICE_KEY: &str = "gk_benchmark";

/// Release builds of our function and of the references.
pub struct Builds {
    /// The token function.
    pub token: PathBuf,
    /// A function that does nothing.
    pub hello: PathBuf,
    /// A function that connects to Postgres and asks it something.
    pub bare_postgres: PathBuf,
}

impl Builds {
    /// Builds what is missing, with the profile that is deployed.
    pub fn make() -> Result<Self, Error> {
        let token = Self::token()?;
        Ok(Self {
            token,
            hello: build(&["--package", "grantkeep-runtime", "--example", "hello"])?,
            bare_postgres: build(&["--package", "xtask", "--example", "bare_postgres"])?,
        })
    }

    /// The token function alone: the one that GRANTKEEP_BENCH_TOKEN names, or built.
    pub fn token() -> Result<PathBuf, Error> {
        match std::env::var_os("GRANTKEEP_BENCH_TOKEN") {
            Some(other) => Ok(other.into()),
            None => build(&["--package", "grantkeep", "--bin", "token"]),
        }
    }
}

/// Builds one with the profile that is deployed; where it is.
pub fn build(target: &[&str]) -> Result<PathBuf, Error> {
    note(&format!("cargo build --release {}", target.join(" ")));
    let output = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--message-format=json"])
        .args(target)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo build {} failed", target.join(" ")).into());
    }
    let executable = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back();
    executable.ok_or_else(|| format!("cargo built no executable for {}", target.join(" ")).into())
}

/// One running function on a plain port; dropping it ends the process.
pub struct Function {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Function {
    /// Starts a binary with nothing but these variables. Its log goes nowhere, as reading it
    /// would take time from what is measured.
    pub fn start(binary: &Path, variables: &[(&str, String)]) -> Result<Self, Error> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = spawn(binary, variables, address.port())?;
        let function = Self { child, address };
        let tries = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            TcpStream::connect(address).is_ok()
        });
        match tries {
            true => Ok(function),
            false => Err(format!("{} did not listen", binary.display()).into()),
        }
    }

    /// The token function on this database.
    pub fn token(builds: &Builds, database: &Database, url: &str) -> Result<Self, Error> {
        Self::start(&builds.token, &token_variables(database, url))
    }

    /// The most memory that it ever had in use, in MB (10^6 bytes).
    pub fn peak_memory(&self) -> Result<f64, Error> {
        peak_memory(self.child.id())
    }
}

/// The same of any process.
pub fn peak_memory(process: u32) -> Result<f64, Error> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok())
        .ok_or("no VmHWM")?;
    Ok(kibibytes * 1024.0 / 1e6)
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(binary: &Path, variables: &[(&str, String)], port: u16) -> std::io::Result<Child> {
    Command::new(binary)
        .env_clear()
        .env("PORT", port.to_string())
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .spawn()
}

/// Everything that the token function needs.
pub fn token_variables(database: &Database, url: &str) -> Vec<(&'static str, String)> {
    let hash: String = digest(&SHA256, SERVICE_KEY.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    vec![
        ("DATABASE_URL", url.to_owned()),
        ("OAUTH_ENCRYPTION_KEY", database.encryption_key.clone()),
        ("PUBLIC_URL", "https://app.example".to_owned()),
        ("SERVICE_KEYS", format!("bench:*:read:{hash}")),
        (
            "GOOGLE_CLIENT_ID",
            "000000000000-bench.apps.googleusercontent.com".to_owned(),
        ),
        ("GOOGLE_CLIENT_SECRET", "not-a-real-secret".to_owned()),
    ]
}

/// Where the one token is read, by provider and account, and the `Authorization` for it.
pub fn token_target() -> (String, String) {
    (
        format!("/api/token?provider={PROVIDER}&account={ACCOUNT}"),
        format!("Bearer {SERVICE_KEY}"),
    )
}

/// The same as a request.
pub fn token_request() -> Vec<u8> {
    request_of(ACCOUNT)
}

/// A read that names the account so.
pub fn request_of(account: &str) -> Vec<u8> {
    let (_, authorization) = token_target();
    let path = format!("/api/token?provider={PROVIDER}&account={account}");
    format!("GET {path} HTTP/1.1\r\nhost: app.example\r\nauthorization: {authorization}\r\n\r\n")
        .into_bytes()
}

/// The request that the references answer.
pub fn hello_request() -> Vec<u8> {
    b"GET / HTTP/1.1\r\nhost: app.example\r\n\r\n".to_vec()
}
