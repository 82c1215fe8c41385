//! A PgBouncer before Postgres, as hosted databases have it: transaction mode, few
//! server connections, and other clients that swap them all the time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

/// A running PgBouncer; dropping it ends it and removes its directory.
pub struct PgBouncer {
    port: u16,
    directory: PathBuf,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl PgBouncer {
    /// Starts one before the Postgres on this port, with so many server connections per
    /// database.
    ///
    /// # Panics
    /// Says what to install when there is no PgBouncer.
    pub fn start(postgres_port: u16, pool_size: u16) -> Self {
        let program = program();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        let directory =
            std::env::temp_dir().join(format!("pgbouncer-{}-{port}", std::process::id()));
        fs::create_dir(&directory).expect("a directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("permissions");
        let file = directory.join("pgbouncer.ini");
        // Round robin and short lives: two statements of one client seldom meet the same
        // server connection.
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={postgres_port} user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {pool_size}\n\
             max_client_conn = 1000\nserver_round_robin = 1\nserver_lifetime = 1\n\
             ignore_startup_parameters = extra_float_digits\n"
        );
        fs::write(&file, settings).expect("settings");

        let (stop, stopped) = mpsc::channel();
        let (started, starting) = mpsc::channel();
        // The thread that starts it stays as long as it: the kernel ends it with that thread.
        let keeper = std::thread::spawn(move || {
            let mut child = command(&program)
                .arg(&file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("setpriv starts");
            started.send(()).expect("somebody waits");
            let _ = stopped.recv();
            child.kill().expect("a child of ours");
            child.wait().expect("a child of ours");
        });
        starting.recv().expect("a start");
        let this = Self {
            port,
            directory,
            stop: Some(stop),
            keeper: Some(keeper),
        };
        let patience = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < patience, "PgBouncer never listened");
            std::thread::sleep(Duration::from_millis(5));
        }
        this
    }

    /// A database's URL through it.
    pub fn url(&self, database_url: &str) -> String {
        let mut url = url::Url::parse(database_url).expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// Other clients of this database: short transactions without end, until dropped.
    pub fn churn(&self, database_url: &str, clients: usize) -> Churn {
        let url = self.url(database_url);
        let tasks = (0..clients).map(|number| {
            let url = url.clone();
            tokio::spawn(async move {
                let (client, connection) = tokio_postgres::connect(&url, NoTls)
                    .await
                    .expect("connects");
                tokio::spawn(connection);
                let pause = Duration::from_millis(1 + number as u64 % 5);
                loop {
                    let busy = "begin; select pg_sleep(0.002); commit";
                    client.batch_execute(busy).await.expect("a transaction");
                    tokio::time::sleep(pause).await;
                }
            })
        });
        Churn(tasks.collect())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Clients that keep server connections moving.
pub struct Churn(Vec<tokio::task::JoinHandle<()>>);

impl Churn {
    /// Whether all of them are still at it.
    pub fn goes_on(&self) -> bool {
        self.0.iter().all(|task| !task.is_finished())
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Debian has it outside the usual search path of users.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join("pgbouncer"))
        .find(|program| program.is_file())
        .expect("PgBouncer is needed: apt-get install pgbouncer")
}

/// It refuses root, and must not outlive this process.
fn command(program: &PathBuf) -> Command {
    let id = Command::new("id").arg("-u").output().expect("id");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if id.stdout == b"0\n" {
        let user = ["postgres", "nobody"].into_iter().find(|user| {
            let known = Command::new("id").arg("-u").arg(user).output();
            known.is_ok_and(|output| output.status.success())
        });
        let user = user.expect("a user postgres or nobody");
        command.args(["--reuid", user, "--clear-groups"]);
    }
    command.arg(program);
    command
}
