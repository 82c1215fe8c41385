//! The handle by which the process that started a server steers it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread::JoinHandle;

use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::account;
use crate::discovery;
use crate::id_token::SigningKey;
use crate::knobs::Knobs;
use crate::mail::{Delivery, Message};
use crate::recorded::Recorded;
use crate::scopes;
use crate::server;
use crate::world::Shared;

/// A running demo provider on 127.0.0.1; dropping it stops the server and closes its connections.
pub struct DemoProvider {
    shared: Shared,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Tokens made without a consent page.
#[derive(Clone, Debug)]
pub struct IssuedTokens {
    /// Works for [`Knobs::access_token_lifetime_s`] seconds.
    pub access_token: String,
    /// Good at the token endpoint for the client it was issued to.
    pub refresh_token: String,
}

impl DemoProvider {
    /// Starts a server on a free port.
    pub async fn start() -> io::Result<DemoProvider> {
        Self::start_on(0).await
    }

    /// Starts a server on this port; an error of kind `AddrInUse` if somebody has it.
    pub async fn start_on(port: u16) -> io::Result<DemoProvider> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let origin = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let shared = Shared::new(origin, SigningKey::generate());
        let (stop, stopped) = oneshot::channel();
        let thread = server::spawn(listener, shared.clone(), stopped)?;
        Ok(DemoProvider {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT`, which is also the issuer.
    pub fn origin(&self) -> &str {
        self.shared.origin()
    }

    /// The knobs as they are now, `fail_next_n` counted down.
    pub fn knobs(&self) -> Knobs {
        self.shared.world().knobs.clone()
    }

    /// Replaces every knob.
    pub fn set(&self, knobs: Knobs) {
        self.shared.world().knobs = knobs;
    }

    /// Turns some of the knobs.
    pub fn update(&self, turn: impl FnOnce(&mut Knobs)) {
        turn(&mut self.shared.world().knobs);
    }

    /// How many token requests of any kind arrived.
    pub fn token_requests(&self) -> usize {
        self.count(|request| request.endpoint == "/token")
    }

    /// How many token requests with `grant_type=refresh_token` arrived.
    pub fn refresh_requests(&self) -> usize {
        self.count(|request| {
            request.endpoint == "/token" && request.grant_type.as_deref() == Some("refresh_token")
        })
    }

    /// Every request since the start or the last reset, oldest first, `/control` excepted.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.world().recorded.clone()
    }

    /// Forgets the requests, and with them the counts.
    pub fn reset_counts(&self) {
        self.shared.world().forget_requests();
    }

    /// How often each method of the mail and calendar APIs was called, under names such as
    /// `gmail.users.messages.list`.
    pub fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.shared.world().calls().clone()
    }

    /// How often one of those methods was called.
    pub fn calls_of(&self, method: &str) -> usize {
        let world = self.shared.world();
        world.calls().get(method).copied().unwrap_or_default()
    }

    /// Puts messages into mailboxes as if they came from outside, in order, and answers their
    /// ids; all of them or none. The error is an address that no account has.
    pub fn deliver(&self, deliveries: &[Delivery]) -> Result<Vec<String>, String> {
        deliver(&self.shared, deliveries)
    }

    /// The messages of a mailbox, oldest first, as `messages.get` shows them in full, with the
    /// bytes of each as `raw`; none for an account that does not exist.
    pub fn mailbox(&self, account: &str) -> Vec<Value> {
        let Some(account) = account::find(account) else {
            return Vec::new();
        };
        let mut world = self.shared.world();
        let messages = world.mail.mailbox(account).messages.iter();
        messages.map(Message::shown_with_raw).collect()
    }

    /// Makes every history id so far too old.
    pub fn forget_history(&self) {
        self.shared.world().mail.forget_history();
    }

    /// Adds an event to an account's calendar, as `events.insert` takes it; answers its id.
    /// `None` for an account that does not exist or an event that the API would refuse.
    pub fn add_event(&self, account: &str, event: Map<String, Value>) -> Option<String> {
        let account = account::find(account)?;
        let origin = self.shared.origin();
        let mut world = self.shared.world();
        let added = world.calendars.insert(account, event, origin).ok()?;
        added["id"].as_str().map(str::to_owned)
    }

    /// Tokens for an account (e-mail address or `sub`) as if it had allowed the client these
    /// space-separated scopes. `None` if there is no such account. Besides [`ACCOUNTS`](crate::ACCOUNTS)
    /// there is `user{n}@example.test` for every number.
    pub fn issue(&self, account: &str, client_id: &str, scope: &str) -> Option<IssuedTokens> {
        let account = account::find(account)?;
        let scopes = scopes::requested(scope);
        let mut world = self.shared.world();
        let grant = world.open_grant(client_id, account, scopes.clone());
        let access_token = world.mint_access_token(grant, scopes);
        let refresh_token = world.mint_refresh_token(grant);
        Some(IssuedTokens {
            access_token,
            refresh_token,
        })
    }

    /// Ends every grant: refresh tokens become `invalid_grant`, access tokens stop working.
    pub fn kill_grants(&self) {
        self.shared.world().kill_grants(|_| true);
    }

    /// Ends the grants of one account (e-mail address), as when its user removes the app.
    pub fn kill_grants_of(&self, account: &str) {
        self.shared
            .world()
            .kill_grants(|grant| grant.account.email == account);
    }

    /// Ends every access token; refresh tokens stay good.
    pub fn expire_access_tokens(&self) {
        self.shared.world().expire_access_tokens();
    }

    /// An `OAUTH_PROVIDERS` object that points `gmail`, `google_calendar` and `outlook` here.
    pub fn settings(&self) -> Value {
        discovery::settings(self.origin())
    }

    fn count(&self, wanted: impl Fn(&Recorded) -> bool) -> usize {
        self.shared
            .world()
            .recorded
            .iter()
            .filter(|request| wanted(request))
            .count()
    }
}

/// Puts messages into mailboxes: all of them or none.
pub(crate) fn deliver(shared: &Shared, deliveries: &[Delivery]) -> Result<Vec<String>, String> {
    let accounts = deliveries
        .iter()
        .map(|delivery| account::find(&delivery.account).ok_or_else(|| delivery.account.clone()))
        .collect::<Result<Vec<_>, _>>()?;
    let mail = &mut shared.world().mail;
    let pairs = accounts.into_iter().zip(deliveries);
    Ok(pairs
        .map(|(account, delivery)| mail.deliver(account, delivery).0)
        .collect())
}

impl Drop for DemoProvider {
    fn drop(&mut self) {
        // Dropping the sender ends the server's loop; joining means the port is free again.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread has been printed already.
            let _ = thread.join();
        }
    }
}
