//! Just enough of the wire protocol to ask a question, and the launcher as a process of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs one query as superuser; the first column of its first row, or the server's error.
pub fn query(port: u16, sql: &str) -> Result<String, String> {
    ask(port, sql).unwrap_or_else(|error| Err(format!("connection: {error}")))
}

/// What the server answers to a request for TLS: `S` or `N`.
pub fn tls_offer(port: u16) -> char {
    let mut stream = connect(port).unwrap();
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    char::from(answer[0])
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

fn ask(port: u16, sql: &str) -> io::Result<Result<String, String>> {
    let mut stream = connect(port)?;
    let startup = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    stream.write_all(&framed(startup))?;
    let mut value = String::new();
    let mut asked = false;
    loop {
        let (kind, body) = message(&mut stream)?;
        match kind {
            b'E' => return Ok(Err(String::from_utf8_lossy(&body).replace('\0', " "))),
            b'Z' if asked => return Ok(Ok(value)),
            b'Z' => {
                asked = true;
                stream.write_all(b"Q")?;
                stream.write_all(&framed(format!("{sql}\0").as_bytes()))?;
            }
            // Two bytes for the number of columns, four for the length of the first.
            b'D' => value = String::from_utf8_lossy(&body[6..]).into_owned(),
            _ => {}
        }
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes(), body].concat()
}

fn message(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body)?;
    Ok((head[0], body))
}

/// The launcher's program, to be killed in place of the test.
pub struct Launcher {
    pub process: Child,
    pub port: u16,
    pub directory: PathBuf,
}

/// The command of the launcher's program, with a pipe for each of its streams.
pub fn launcher() -> Command {
    piped(Command::new(env!("CARGO_BIN_EXE_grantkeep-devpg")))
}

pub fn piped(mut command: Command) -> Command {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Launcher {
    pub fn start(mut command: Command) -> Launcher {
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let Some(Ok(url)) = lines.next() else {
            let output = process.wait_with_output().unwrap();
            panic!("no server: {}", String::from_utf8_lossy(&output.stderr));
        };
        let directory = PathBuf::from(lines.next().unwrap().unwrap());
        let port = url
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        Launcher {
            process,
            port,
            directory,
        }
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Polls for at most 20 s.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < patience, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The ids of the processes whose command line names `directory`.
pub fn processes_naming(directory: &Path) -> Vec<u32> {
    let output = Command::new("ps")
        .args(["-Aww", "-o", "pid=,command="])
        .output()
        .unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    listing
        .lines()
        .filter(|line| line.contains(directory.to_str().unwrap()))
        .map(|line| line.split_whitespace().next().unwrap().parse().unwrap())
        .collect()
}

/// Sends a signal by its name, to a process or (negative) a group.
pub fn signal(name: &str, target: i64) {
    let status = Command::new("kill")
        .args(["-s", name, "--", &target.to_string()])
        .status();
    assert!(status.unwrap().success());
}
