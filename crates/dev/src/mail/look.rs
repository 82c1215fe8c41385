//! What there is to see: a user's mailboxes with their watches and messages, and their calendars
//! with today's events.

use chrono::{DateTime, Days, NaiveTime, SecondsFormat, Utc};
use grantkeep_core::connection::Owner;
use grantkeep_core::gmail;
use grantkeep_core::scope::{Mode, ScopeSet};
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::{Mail, PATH};

/// The provider whose API lists events.
const CALENDAR: &str = "google_calendar";
/// Its events, below the provider's API base.
const EVENTS: &str = "calendars/primary/events";
/// Messages that are shown of what watches found.
const MESSAGES: &str = "10";
/// The mail API, below the provider's API base.
const MAILBOX: &str = "gmail/v1/users/me/messages";
/// Messages that are shown of the mailbox itself: each takes a call.
const NEWEST: &str = "5";

/// Everything, or why not.
pub struct Seen {
    pub mailboxes: Vec<Mailbox>,
    pub calendars: Vec<Calendar>,
    /// What could not be read, in the API's words.
    pub trouble: Vec<String>,
}

/// A connection with a mailbox.
pub struct Mailbox {
    pub id: String,
    pub name: String,
    pub account: String,
    /// Names one submission of the form, so that a second click sends nothing.
    pub key: String,
    /// Where the user allows sending, if that is missing.
    pub allow_sending: Option<String>,
    /// Where the user allows reading, if that is missing.
    pub allow_reading: Option<String>,
    pub watches: Vec<Watch>,
    /// What watches found.
    pub messages: Vec<Message>,
    /// The newest of the mailbox itself, where reading is allowed.
    pub newest: Vec<Message>,
}

/// Something that is looked for.
pub struct Watch {
    pub id: String,
    pub query: String,
    /// When it was last looked for, for people.
    pub polled: Option<String>,
    pub error: Option<String>,
}

/// Something that was found.
pub struct Message {
    pub sender: String,
    pub subject: String,
    pub snippet: String,
    pub received: String,
}

/// A connection with a calendar.
pub struct Calendar {
    pub name: String,
    pub account: String,
    pub events: Vec<Event>,
}

/// An event of today.
pub struct Event {
    pub time: String,
    pub summary: String,
}

/// Looks at everything that a user connected.
pub async fn at(mail: &Mail, owner: &Owner) -> Seen {
    let mut seen = Seen {
        mailboxes: Vec::new(),
        calendars: Vec::new(),
        trouble: Vec::new(),
    };
    let connections = match connections(mail, owner).await {
        Ok(connections) => connections,
        Err(error) => {
            seen.trouble.push(error);
            return seen;
        }
    };
    for connection in connections {
        let provider = mail.0.app.settings.providers.find(&connection.provider);
        let Some(provider) = provider else { continue };
        if let Some(api) = gmail::Api::of(provider) {
            let mailbox = mailbox(mail, owner, &api, connection, &mut seen.trouble).await;
            seen.mailboxes.push(mailbox);
        } else if provider.name == CALENDAR {
            match events(mail, owner, &connection.account).await {
                Ok(events) => seen.calendars.push(Calendar {
                    name: provider.display_name().to_owned(),
                    account: connection.account,
                    events,
                }),
                Err(error) => seen.trouble.push(error),
            }
        }
    }
    seen
}

/// A connection that works.
pub struct Connection {
    pub id: String,
    pub provider: String,
    pub account: String,
    scopes: ScopeSet,
}

/// Those of a user that work.
pub async fn connections(mail: &Mail, owner: &Owner) -> Result<Vec<Connection>, String> {
    let query = [
        ("workspace", owner.workspace.as_str()),
        ("actor", owner.actor.as_str()),
    ];
    let page = mail.0.api.get("/api/connections", &query).await?;
    let rows = page["connections"].as_array().into_iter().flatten();
    Ok(rows
        .filter(|row| row["status"] == "active")
        .map(|row| Connection {
            id: text(&row["id"]),
            provider: text(&row["provider"]),
            account: text(&row["account"]),
            scopes: texts(&row["scopes"]).into(),
        })
        .collect())
}

async fn mailbox(
    mail: &Mail,
    owner: &Owner,
    api: &gmail::Api<'_>,
    connection: Connection,
    trouble: &mut Vec<String>,
) -> Mailbox {
    let provider = api.provider;
    let missing = |needed: ScopeSet| {
        let rules = provider.scope_rules();
        let missing = connection.scopes.missing(&needed, rules, Mode::Effective);
        (!missing.is_empty()).then(|| authorize(&connection, &missing))
    };
    let query = [
        ("connection_id", connection.id.as_str()),
        ("limit", MESSAGES),
    ];
    let watches = mail.0.api.get("/api/gmail/watches", &query[..1]).await;
    let messages = mail.0.api.get("/api/gmail/messages", &query).await;
    let mut rows = |page: Result<Value, String>, name: &str| match page {
        Ok(page) => page[name].as_array().cloned().unwrap_or_default(),
        Err(error) => {
            trouble.push(error);
            Vec::new()
        }
    };
    let watches = rows(watches, "watches");
    let messages = rows(messages, "messages");
    let allow_reading = missing(api.read_scope());
    let newest = match allow_reading {
        None => newest(mail, owner, &connection).await,
        Some(_) => Ok(Vec::new()),
    };
    let mut noted = |found: Result<Vec<Message>, String>| {
        found.unwrap_or_else(|error| {
            trouble.push(error);
            Vec::new()
        })
    };
    Mailbox {
        newest: noted(newest),
        name: provider.display_name().to_owned(),
        key: mail.0.app.new_id().to_string(),
        allow_sending: missing(api.send_scope()),
        allow_reading,
        watches: watches.iter().map(watch).collect(),
        messages: messages.iter().map(message).collect(),
        id: connection.id,
        account: connection.account,
    }
}

/// Where more is allowed, and the way back.
fn authorize(connection: &Connection, scopes: &ScopeSet) -> String {
    let query = Serializer::new(String::new())
        .append_pair("scope", &scopes.join(" "))
        .append_pair("account", &connection.account)
        .append_pair("return_to", PATH)
        .finish();
    format!("/api/oauth/{}/authorize?{query}", connection.provider)
}

fn watch(row: &Value) -> Watch {
    Watch {
        id: text(&row["id"]),
        query: text(&row["query"]),
        polled: row["last_polled_at"].as_str().map(moment),
        error: row["error"].as_str().map(str::to_owned),
    }
}

fn message(row: &Value) -> Message {
    Message {
        sender: text(&row["sender"]),
        subject: text(&row["subject"]),
        snippet: text(&row["snippet"]),
        received: moment(row["received_at"].as_str().unwrap_or_default()),
    }
}

/// The newest messages of a mailbox, through the proxy.
async fn newest(
    mail: &Mail,
    owner: &Owner,
    connection: &Connection,
) -> Result<Vec<Message>, String> {
    let (api, account) = (&mail.0.api, connection.account.as_str());
    let base = format!("/api/proxy/{}/{MAILBOX}", connection.provider);
    let query = [("maxResults", NEWEST)];
    let listed = api.proxied(&base, &query, owner, account).await?;
    let mut newest = Vec::new();
    for row in listed["messages"].as_array().into_iter().flatten() {
        let path = format!("{base}/{}", text(&row["id"]));
        let query = [
            ("format", "metadata"),
            ("metadataHeaders", "From"),
            ("metadataHeaders", "Subject"),
        ];
        newest.push(shown(&api.proxied(&path, &query, owner, account).await?));
    }
    Ok(newest)
}

/// A message as the mail API shows it.
fn shown(message: &Value) -> Message {
    let header = |name: &str| {
        let headers = message["payload"]["headers"].as_array();
        let mut named = headers.into_iter().flatten();
        named
            .find(|header| header["name"] == name)
            .map(|header| text(&header["value"]))
            .unwrap_or_default()
    };
    let at = message["internalDate"].as_str().unwrap_or_default();
    let at = at.parse().ok().and_then(DateTime::from_timestamp_millis);
    Message {
        sender: header("From"),
        subject: header("Subject"),
        snippet: String::new(),
        received: at.map_or_else(String::new, |at: DateTime<Utc>| moment(&at.to_rfc3339())),
    }
}

/// What is on today, through the proxy.
async fn events(mail: &Mail, owner: &Owner, account: &str) -> Result<Vec<Event>, String> {
    let today = mail.0.app.now().date_naive();
    let midnight = |days| {
        let day = today.checked_add_days(Days::new(days)).unwrap_or(today);
        let at = day.and_time(NaiveTime::MIN).and_utc();
        at.to_rfc3339_opts(SecondsFormat::Secs, true)
    };
    let query = [
        ("timeMin", midnight(0)),
        ("timeMax", midnight(1)),
        ("singleEvents", "true".to_owned()),
        ("orderBy", "startTime".to_owned()),
    ];
    let query: Vec<(&str, &str)> = query.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let path = format!("/api/proxy/{CALENDAR}/{EVENTS}");
    let listed = mail.0.api.proxied(&path, &query, owner, account).await?;
    let items = listed["items"].as_array().into_iter().flatten();
    Ok(items
        .map(|item| Event {
            time: match item["start"]["dateTime"].as_str() {
                Some(at) => clock(at),
                None => "all day".to_owned(),
            },
            summary: text(&item["summary"]),
        })
        .collect())
}

/// An instant for people, in UTC.
fn moment(at: &str) -> String {
    written(at, "%Y-%m-%d %H:%M UTC")
}

fn clock(at: &str) -> String {
    written(at, "%H:%M UTC")
}

fn written(at: &str, form: &str) -> String {
    DateTime::parse_from_rfc3339(at).map_or_else(
        |_| at.to_owned(),
        |at| at.with_timezone(&Utc).format(form).to_string(),
    )
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(text).collect()
}
