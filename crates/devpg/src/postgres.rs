//! The server itself: a fresh data directory, one postmaster, and their end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::builder::{Builder, Tls};
use crate::error::{Doing, Error};
use crate::guard::Guard;
use crate::identity::Identity;
use crate::install::{self, Install, Rung, Search};
use crate::keeper;
use crate::scratch::{self, Scratch};
use crate::sys::{self, Signal};

/// How long a start may take: half a second is usual, a busy machine needs more.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How many free ports to try: another process can take one between our look and the server's bind.
const PORTS: u32 = 10;

/// Speed for safety: nobody will miss this data. Shared memory lives in the data directory, so that it goes with it,
/// and there is no Unix socket, whose path would have to be short.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "dynamic_shared_memory_type=mmap",
];

/// A running Postgres. Dropping it ends the server and removes its directory; if this process ends without dropping
/// it, however it ends, the same happens a moment later.
#[derive(Debug)]
pub struct Postgres {
    identity: Identity,
    install: Install,
    settings: Vec<(String, String)>,
    port: u16,
    server: Option<Child>,
    // Dropped in this order: the guard ends when it finds nothing left to clean up.
    directory: Scratch,
    _guard: Guard,
}

impl Postgres {
    /// Starts a server with the usual settings: superuser `postgres` without password, UTF-8, C locale, UTC.
    ///
    /// # Errors
    ///
    /// See [`Error`]; nothing is left behind.
    pub fn start(progress: &mut dyn FnMut(&str)) -> Result<Postgres, Error> {
        Postgres::builder().start(progress)
    }

    /// Starts from other settings.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start_with(
        builder: Builder,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Postgres, Error> {
        let identity = Identity::choose()?;
        let install = install::find(
            &Search::here(),
            Rung::from_environment()?,
            identity,
            progress,
        )?;
        progress(&format!(
            "starting PostgreSQL {} from {}",
            install.version,
            install.bin.display()
        ));

        let directory = make_directory(identity)?;
        let guard = Guard::over(directory.path()).doing(|| "starting the guard".into())?;
        let settings = builder.settings;
        let mut postgres = Postgres {
            identity,
            install,
            settings,
            port: 0,
            server: None,
            directory,
            _guard: guard,
        };
        postgres.initialise()?;
        if let Some(tls) = &builder.tls {
            postgres.install_tls(tls)?;
            postgres.settings.push(("ssl".into(), "on".into()));
        }
        if let Some(lines) = &builder.hba {
            let content = lines.join("\n") + "\n";
            let file = postgres.data().join("pg_hba.conf");
            fs::write(&file, content).doing(|| format!("writing {}", file.display()))?;
        }
        postgres.launch_on_free_port()?;
        Ok(postgres)
    }

    /// The superuser's URL of the database `postgres`: `postgres://postgres@127.0.0.1:PORT/postgres`.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// The superuser's URL of the database `name`, which need not exist yet.
    pub fn database_url(&self, name: &str) -> String {
        let mut url = format!("postgres://postgres@127.0.0.1:{}/", self.port);
        for byte in name.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    url.push(char::from(byte));
                }
                other => url.push_str(&format!("%{other:02X}")),
            }
        }
        url
    }

    /// The TCP port on 127.0.0.1; stays the same over [`restart`](Self::restart).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory with everything of this server: `data`, and `server.log`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the server's programs are. `psql` and `pgbench` are there if PostgreSQL is installed; the npm package
    /// has neither.
    pub fn bin_dir(&self) -> &Path {
        &self.install.bin
    }

    /// Ends the server, disconnecting its clients, and keeps the data for [`restart`](Self::restart). Does nothing if
    /// it is stopped already.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let steps = [
            (Signal::Fast, 10),
            (Signal::Immediate, 5),
            (Signal::Kill, 5),
        ];
        for (signal, seconds) in steps {
            sys::signal(server.id(), signal);
            if ended_within(&mut server, Duration::from_secs(seconds)) {
                return;
            }
        }
    }

    /// Stops the server if it runs, and starts it again on the same port and data.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] when something else has taken the port meanwhile; it may be tried again.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        self.launch(self.port)
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    fn initialise(&self) -> Result<(), Error> {
        let data = self.data();
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&data)
            .and_then(|()| self.identity.own(&data))
            .doing(|| format!("making {}", data.display()))?;

        let mut initdb = self.identity.command(&self.install.bin.join("initdb"));
        initdb.args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        initdb
            .arg("-D")
            .arg(&data)
            .current_dir(self.directory.path());
        initdb
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // initdb puts off any gentler signal; its own children end with their input.
        let output = keeper::spawn(initdb, Signal::Kill)
            .and_then(Child::wait_with_output)
            .doing(|| "running initdb".into())?;
        if output.status.success() {
            Ok(())
        } else {
            Err(Error::Initdb(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ))
        }
    }

    /// Puts certificate and key where the server looks for them by default.
    fn install_tls(&self, tls: &Tls) -> Result<(), Error> {
        for (name, content) in [("server.crt", &tls.certificate), ("server.key", &tls.key)] {
            let path = self.data().join(name);
            // The server refuses a key that others could read.
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| file.write_all(content.as_bytes()))
                .and_then(|()| self.identity.own(&path))
                .doing(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }

    fn launch_on_free_port(&mut self) -> Result<(), Error> {
        let mut left = PORTS;
        loop {
            left -= 1;
            self.port = free_port().doing(|| "looking for a free port".into())?;
            match self.launch(self.port) {
                Err(Error::Ended(log)) if left > 0 && log.contains("could not bind") => {}
                other => return other,
            }
        }
    }

    fn launch(&mut self, port: u16) -> Result<(), Error> {
        let log = self.log();
        let (for_output, for_errors, written) = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&log)
            .and_then(|file: File| {
                Ok((file.try_clone()?, file.try_clone()?, file.metadata()?.len()))
            })
            .doing(|| format!("opening {}", log.display()))?;

        let mut command = self.identity.command(&self.install.bin.join("postgres"));
        command
            .arg("-D")
            .arg(self.data())
            .current_dir(self.directory.path());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.arg("-c").arg(format!("port={port}"));
        command
            .stdin(Stdio::null())
            .stdout(for_output)
            .stderr(for_errors);
        let server =
            keeper::spawn(command, Signal::Immediate).doing(|| "starting the server".into())?;
        let server = self.server.insert(server);

        let patience = Instant::now() + READY_WITHIN;
        let lock_file = self.directory.path().join("data/postmaster.pid");
        let error = loop {
            if is_ready(&lock_file, server.id()) {
                return Ok(());
            }
            if server
                .try_wait()
                .doing(|| "waiting for the server".into())?
                .is_some()
            {
                break Error::Ended(tail(&log, written));
            }
            if Instant::now() > patience {
                let seconds = READY_WITHIN.as_secs();
                break Error::NotReady {
                    seconds,
                    log: tail(&log, written),
                };
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.stop();
        Err(error)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A directory the server's user can pass through, in the first place for temporary files that allows it; what dead
/// processes have left in these places is removed on the way.
fn make_directory(identity: Identity) -> Result<Scratch, Error> {
    let mut refused = None;
    for parent in [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()] {
        scratch::sweep(&parent);
        let made = identity
            .can_enter(&parent)
            .and_then(|()| Scratch::create_in(&parent));
        match made.doing(|| format!("making a directory in {}", parent.display())) {
            Ok(directory) => return Ok(directory),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.expect("the list of places is not empty"))
}

/// A port nobody listens on at this moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Line 1 is the postmaster's pid (a file of its predecessor does not count), line 8 its state.
fn is_ready(lock_file: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(lock_file) else {
        return false;
    };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(&*pid.to_string()) && lines.nth(6) == Some("ready")
}

fn ended_within(server: &mut Child, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        // An error means that it is not ours to wait for: nothing is left to end.
        if !matches!(server.try_wait(), Ok(None)) {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The last lines of what was logged after the first `from` bytes.
fn tail(log: &Path, from: u64) -> String {
    let content = fs::read(log).unwrap_or_default();
    let start = usize::try_from(from)
        .unwrap_or(usize::MAX)
        .min(content.len());
    let text = String::from_utf8_lossy(&content[start..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
