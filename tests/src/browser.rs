//! Headless Chromium, driven through chromedriver's WebDriver protocol (W3C).

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::client;

/// Member under which WebDriver names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The keys that people use who use no mouse, as WebDriver writes them.
pub mod keys {
    /// Enter.
    pub const ENTER: &str = "\u{e007}";
    /// Tab.
    pub const TAB: &str = "\u{e004}";
}

/// A browser with a profile of its own; dropping it closes it.
pub struct Browser {
    driver: Driver,
    session: String,
}

impl Browser {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// Without Chromium or its driver, with the command that installs them.
    pub async fn start() -> Self {
        let driver = tokio::task::spawn_blocking(Driver::start);
        let mut browser = Self {
            driver: driver.await.expect("chromedriver"),
            session: String::new(),
        };
        // As root Chromium refuses its sandbox; in containers /dev/shm is small.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,900",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser
            .ask(reqwest::Method::POST, "/session", Some(&wanted))
            .await;
        let answer = answer.unwrap_or_else(|error| panic!("{INSTALL}: {error}"));
        browser.session = answer["sessionId"].as_str().expect("sessionId").to_owned();
        browser
    }

    /// Goes to an address and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Where it is.
    pub async fn address(&self) -> String {
        text_of(&self.get("/url").await)
    }

    /// Waits until it is at an address that begins like this, and has loaded it.
    ///
    /// # Panics
    ///
    /// After ten seconds, with where it is instead.
    pub async fn arrive(&self, address: &str) {
        let mut seen = String::new();
        for _ in 0..200 {
            // Between two pages there is nothing to ask; then the next look will tell.
            let script =
                json!({"args": [], "script": "return [location.href, document.readyState]"});
            let path = format!("/session/{}/execute/sync", self.session);
            match self.ask(reqwest::Method::POST, &path, Some(&script)).await {
                Ok(answer) if answer[1] == "complete" => seen = text_of(&answer[0]),
                Ok(_) => continue,
                Err(error) => seen = error,
            }
            if seen.starts_with(address) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("still at {seen}, not at {address}");
    }

    /// The page's title.
    pub async fn title(&self) -> String {
        text_of(&self.get("/title").await)
    }

    /// What can be read on the page, inside the first element of a CSS selector.
    pub async fn text(&self, css: &str) -> String {
        let element = self.find(css).await;
        text_of(&self.get(&format!("/element/{element}/text")).await)
    }

    /// Whether anything matches a CSS selector.
    pub async fn has(&self, css: &str) -> bool {
        let found = self
            .post("/elements", json!({"using": "css selector", "value": css}))
            .await;
        found.as_array().is_some_and(|found| !found.is_empty())
    }

    /// Clicks the first element of a CSS selector; [`arrive`](Self::arrive) waits for the page
    /// that follows.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        self.post(&format!("/element/{element}/click"), json!({}))
            .await;
    }

    /// Types keys into whatever has the focus.
    pub async fn press(&self, key: &str) {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]});
        self.post("/actions", actions).await;
    }

    /// What a script returns; the page's own policy does not apply to it.
    pub async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []}))
            .await
    }

    /// Lets the window be so many CSS pixels wide and high; 320 wide is a small phone.
    pub async fn set_size(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// Prefers `light` or `dark`.
    pub async fn set_colour_scheme(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// What the console has said since it was last asked: script errors, blocked styles,
    /// answers that were errors.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| text_of(&entry["message"]))
            .collect()
    }

    /// Writes a picture of the window (PNG) for people to look at.
    pub async fn save_picture(&self, file: &Path) {
        let encoded = text_of(&self.get("/screenshot").await);
        let picture = STANDARD.decode(encoded).expect("base64");
        std::fs::write(file, picture).expect("the picture can be written");
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        self.post(
            "/goog/cdp/execute",
            json!({"cmd": command, "params": parameters}),
        )
        .await;
    }

    async fn find(&self, css: &str) -> String {
        let body = json!({"using": "css selector", "value": css});
        text_of(&self.post("/element", body).await[ELEMENT])
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let answer = self.ask(reqwest::Method::GET, &path, None).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let answer = self.ask(reqwest::Method::POST, &path, Some(&body)).await;
        answer.unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let mut request = client()
            .request(
                method,
                format!("http://127.0.0.1:{}{path}", self.driver.port),
            )
            .timeout(Duration::from_secs(60));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match status.is_success() {
            true => Ok(answer["value"].take()),
            false => Err(text_of(&answer["value"]["message"])),
        }
    }
}

const INSTALL: &str =
    "Chromium and its driver are needed: apt-get install chromium chromium-driver";

/// chromedriver looks for a free port and then binds it, so two that start at once can get in
/// each other's way; the one that loses ends at once.
const ATTEMPTS: u32 = 5;

/// chromedriver with the browser that it starts: a process group and a directory of its own.
struct Driver {
    port: u16,
    process: Child,
    /// Kept open: chromedriver ends when it writes and nobody can read.
    output: BufReader<ChildStdout>,
    guard: Child,
}

impl Driver {
    fn start() -> Self {
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            let directory = scratch();
            let mut process = Command::new("chromedriver")
                .arg("--port=0")
                .env("TMPDIR", &directory)
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| {
                    let _ = std::fs::remove_dir(&directory);
                    panic!("{INSTALL} ({error})")
                });
            let mut driver = Self {
                port: 0,
                output: BufReader::new(process.stdout.take().expect("piped")),
                guard: guard(process.id(), &directory),
                process,
            };
            said.clear();
            while driver.output.read_line(&mut said).expect("its output") > 0 {
                if let Some(port) = port_in(&said) {
                    driver.port = port;
                    return driver;
                }
            }
        }
        panic!("{INSTALL} (chromedriver ended: {said})");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        // The guard has done so already; a wait for one that lives would not end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ends a process group and removes its directory once this process lets go of the guard's
/// input, which it also does when it is killed.
fn guard(group: u32, directory: &Path) -> Child {
    Command::new("sh")
        .arg("-c")
        .arg("cat; kill -KILL \"-$0\"; rm -rf \"$1\"")
        .arg(group.to_string())
        .arg(directory)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh")
}

fn scratch() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("grantkeep-browser-{}-{next}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a directory for the browser");
    directory
}

fn port_in(said: &str) -> Option<u16> {
    let (_, port) = said.split_once("successfully on port ")?;
    port.trim_end().trim_end_matches('.').parse().ok()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
