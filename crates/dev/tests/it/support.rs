//! The program as a process with an environment of its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use url::Url;

/// The last line that is printed when everything runs.
const READY: &str = "Stop with Ctrl-C";

/// The program, on a free port, with nothing of this process's environment but what it
/// takes to find programs and places.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeep-dev"));
    command.env_clear();
    for name in [
        "PATH",
        "HOME",
        "TMPDIR",
        "XDG_CACHE_HOME",
        "GRANTKEEP_DEVPG",
    ] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("PORT", "0").stdin(Stdio::null());
    command
}

/// What a program that has ended left on the screen.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    let output = command.output().expect("it starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A program that serves; dropping it stops it.
pub struct Dev {
    pub process: Child,
    /// Standard output until it was ready.
    pub said: String,
    errors: Receiver<String>,
}

impl Dev {
    /// Starts it with further variables and waits until it is ready.
    pub fn start(variables: &[(&str, &str)]) -> Dev {
        let mut command = program();
        command
            .envs(variables.iter().copied())
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let lines = lines_of(process.stdout.take().expect("a pipe"));
        let errors = lines_of(process.stderr.take().expect("a pipe"));

        let patience = Instant::now() + Duration::from_secs(60);
        let mut said = String::new();
        while !said.contains(READY) {
            match lines.recv_timeout(patience.saturating_duration_since(Instant::now())) {
                Ok(line) => said += &(line + "\n"),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let _ = process.kill();
                    let errors: Vec<String> = errors.iter().collect();
                    panic!("it is not ready: {said}{}", errors.join("\n"));
                }
            }
        }
        Dev {
            process,
            said,
            errors,
        }
    }

    /// The first line of standard output with this in it, without spaces around.
    pub fn line(&self, part: &str) -> &str {
        let line = self.said.lines().find(|line| line.contains(part));
        line.unwrap_or_else(|| panic!("no {part:?} in {}", self.said))
            .trim()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> &str {
        let page = self.line("/connect?session=");
        &page[..page.find("/connect").expect("the page's path")]
    }

    /// The one port.
    pub fn port(&self) -> u16 {
        let (_, port) = self.origin().rsplit_once(':').expect("a port");
        port.parse().expect("a number")
    }

    /// Sends a signal to its whole process group, as a terminal does, and waits.
    pub fn end_by(&mut self, signal: &str) -> ExitStatus {
        let group = format!("-{}", self.process.id());
        let sent = Command::new("kill")
            .args(["-s", signal, "--", &group])
            .status();
        assert!(sent.expect("kill runs").success());
        let patience = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.process.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(Instant::now() < patience, "not ended 20 s after {signal}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Standard error; call it when the program has ended.
    pub fn errors(&self) -> String {
        self.errors.iter().map(|line| line + "\n").collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.end_by("TERM");
        }
    }
}

/// Reads on in the background, so that the program never waits for a full pipe.
fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            // Nobody may be listening any more; the pipe is emptied all the same.
            let _ = sender.send(line);
        }
    });
    receiver
}

/// Runs a line as somebody who pastes it; its standard output and whether it succeeded.
pub fn paste(line: &str) -> (bool, String) {
    let output = Command::new("sh").args(["-c", line]).output();
    let output = output.expect("sh runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.success(), text)
}

/// A browser made of curl, with its cookies in a file of its own; signed in at the connect page.
pub struct Visitor<'a> {
    dev: &'a Dev,
    jar: String,
}

impl<'a> Visitor<'a> {
    /// Opens the printed address.
    pub fn new(dev: &'a Dev) -> Visitor<'a> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("grantkeep-dev-test-{}-{number}.cookies", dev.process.id());
        let jar = std::env::temp_dir().join(name);
        let visitor = Visitor {
            dev,
            jar: jar.to_string_lossy().into_owned(),
        };
        let page = visitor.open(dev.line("/connect?session="), "");
        assert!(page.ends_with("/connect"), "{page}");
        visitor
    }

    /// Opens an address; where it redirects to.
    pub fn open(&self, address: &str, further: &str) -> String {
        self.curl(&format!(
            "{further} -w '%{{redirect_url}}' -o /dev/null '{address}'"
        ))
    }

    /// The status of a request made with this browser's cookies.
    pub fn status(&self, address: &str, further: &str) -> String {
        self.curl(&format!(
            "{further} -w '%{{http_code}}' -o /dev/null '{address}'"
        ))
    }

    /// The page at a path.
    pub fn page(&self, path: &str) -> String {
        self.curl(&format!("'{}{path}'", self.dev.origin()))
    }

    /// Submits a form of a page at this origin; where that leads to, or else the page.
    pub fn submit(&self, path: &str, form: &[(&str, &str)]) -> String {
        let fields: String = form
            .iter()
            .map(|(name, value)| format!("--data-urlencode '{name}={value}' "))
            .collect();
        let origin = self.dev.origin();
        let answer = self.curl(&format!(
            "{fields} -H 'Origin: {origin}' -w '\n%{{redirect_url}}' '{origin}{path}'"
        ));
        let (body, target) = answer.rsplit_once('\n').expect("both");
        match target {
            "" => body.to_owned(),
            target => target.to_owned(),
        }
    }

    /// Connects bob's account with these scopes allowed, all of which are asked for.
    pub fn connect(&self, provider: &str, scopes: &[&str]) {
        let mut authorize = format!("{}/api/oauth/{provider}/authorize", self.dev.origin());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("scope", &scopes.join(" "))
            .finish();
        authorize.push_str(&format!("?{query}"));
        let asked = Url::parse(&self.open(&authorize, "")).expect("the provider's address");
        let mut form = format!(
            "--data-urlencode 'request={}' -d account=bob@example.test -d decision=allow",
            asked.query().expect("a query")
        );
        for scope in scopes {
            form.push_str(&format!(" --data-urlencode 'scope={scope}'"));
        }
        let mut target = asked.clone();
        target.set_query(None);
        let callback = self.open(target.as_str(), &form);
        let done = self.open(&callback, "");
        assert!(done.contains("connection="), "{done}");
    }

    fn curl(&self, further: &str) -> String {
        let jar = &self.jar;
        let line = format!("curl -sS -b '{jar}' -c '{jar}' {further}");
        let (worked, output) = paste(&line);
        assert!(worked, "{line}");
        output
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.jar);
    }
}
