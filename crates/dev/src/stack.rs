//! Everything that `cargo dev` runs, and its end: the functions on one port, Postgres
//! and the demo provider beside them.

use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::SERVER;
use axum::middleware;
use axum::response::Response;
use axum::serve::ListenerExt as _;
use grantkeep_core::App;
use grantkeep_core::settings::{Need, Settings};
use grantkeep_demo_provider::DemoProvider;
use grantkeep_devpg::Postgres;
use grantkeep_functions::{routes, service};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::mail::Mail;
use crate::port::MARKER;
use crate::screen::{progress, warn};
use crate::today;
use crate::variables::Variables;

/// How long requests in flight may take once it is to stop.
const DRAIN: Duration = Duration::from_secs(2);

/// A running system. Dropping it ends Postgres and the demo provider.
pub struct Stack {
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    /// What the functions share.
    pub app: App,
    /// A service key for every workspace that may do everything.
    pub service_key: String,
    /// What the scheduler shows.
    pub cron_secret: Option<String>,
    /// `SESSION_SECRET` and `CRON_SECRET`, as far as they were made here.
    pub secrets: Vec<(&'static str, String)>,
    /// The providers that the demo provider stands in for.
    pub stands_in_for: Vec<&'static str>,
    /// Absent when every provider has a client.
    pub demo: Option<DemoProvider>,
    /// Absent with a database from outside.
    pub postgres: Option<Postgres>,
    server: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Stack {
    /// Starts what `variables` does not bring; the error says what to do.
    pub async fn start(listener: TcpListener, mut variables: Variables) -> Result<Self, String> {
        let port = listener
            .local_addr()
            .map_err(|error| format!("the port is not known: {error}"))?
            .port();
        let origin = format!("http://127.0.0.1:{port}");

        if variables.see_to_encryption_key()? {
            warn(match variables.database_url() {
                Some(_) => {
                    "OAUTH_ENCRYPTION_KEY is not set: tokens that are saved now cannot be read \
                     after this stops, and older ones cannot be read now"
                }
                None => {
                    "OAUTH_ENCRYPTION_KEY is not set: a fresh key is used, and tokens do not \
                     survive a restart"
                }
            });
        }
        let postgres = match variables.database_url() {
            Some(_) => None,
            None => Some(start_postgres()?),
        };
        if let Some(postgres) = &postgres {
            variables.use_database(postgres.url());
        }
        let without_client = variables.without_client();
        let demo = match without_client.is_empty() {
            true => None,
            false => Some(start_demo_provider().await?),
        };
        let stands_in_for = demo.as_ref().map_or_else(Vec::new, |demo| {
            variables.stand_in(&without_client, &demo.settings())
        });
        let service_key = variables.add_service_key("dev", "*", "read+write+export+send+proxy");
        variables.see_to_the_rest(&origin);

        let secrets = ["SESSION_SECRET", "CRON_SECRET"]
            .into_iter()
            .filter_map(|name| Some((name, variables.made(name)?.to_owned())))
            .collect();

        let needs = [Need::Sessions, Need::ServiceKeys, Need::CronSecret];
        let app = Settings::read(&needs, &|name| variables.get(name))
            .and_then(App::new)
            .map_err(|error| error.to_string())?;
        if let Some(demo) = &demo {
            today::fill(demo, app.now());
        }
        // Said now rather than by the first page that is opened.
        app.store
            .read("select 1", &[])
            .await
            .map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel();
        let cron_secret = variables.get("CRON_SECRET");
        let mail = Mail::new(
            app.clone(),
            &origin,
            &service_key,
            cron_secret.clone(),
            demo.as_ref().map(|demo| demo.origin().to_owned()),
        );
        let router = mail
            .beside(service::all(&routes::FUNCTIONS, app.clone()))
            .layer(middleware::map_response(mark));
        let server = tokio::spawn(serve(listener, router, stopped));
        Ok(Self {
            origin,
            app,
            service_key,
            cron_secret,
            secrets,
            stands_in_for,
            demo,
            postgres,
            server,
            stop,
        })
    }

    /// Finishes requests in flight, then ends everything.
    pub async fn stop(self) {
        // Fails only when the server has ended already.
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(DRAIN, self.server).await;
    }
}

fn start_postgres() -> Result<Postgres, String> {
    // Blocks the one thread; nothing else runs on it yet.
    Postgres::start(&mut |step| progress(step)).map_err(|error| {
        format!("no database: {error}. Or set DATABASE_URL to a Postgres on this machine")
    })
}

async fn start_demo_provider() -> Result<DemoProvider, String> {
    progress("starting the demo provider");
    DemoProvider::start()
        .await
        .map_err(|error| format!("the demo provider did not start: {error}"))
}

async fn mark(mut response: Response) -> Response {
    response
        .headers_mut()
        .insert(SERVER, HeaderValue::from_static(MARKER));
    response
}

async fn serve(listener: TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let listener = listener.tap_io(|stream| {
        // Fails only on a connection that is already gone.
        let _ = stream.set_nodelay(true);
    });
    let until = async {
        // A sender that was dropped means the same.
        let _ = stopped.await;
    };
    // Its error type is never produced: failed accepts are tried again.
    let _ = axum::serve(listener, router)
        .with_graceful_shutdown(until)
        .await;
}
