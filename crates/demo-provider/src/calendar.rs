//! A corner of Calendar: the events of each account's `primary` calendar. None of them recurs.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Utc};
use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::gate::{self, Caller, Method, Refusal};
use crate::parameters::Parameters;
use crate::scopes;
use crate::world::Shared;

const PAGE: usize = 250;
const MAX_PAGE: usize = 2500;
const MAX_TEXT: usize = 8192;

/// Every calendar.
#[derive(Default)]
pub(crate) struct Calendars {
    events: HashMap<&'static str, Vec<Event>>,
    created: u64,
}

struct Event {
    id: String,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    shown: Value,
}

/// Every route of the calendar API.
pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route(
            "/calendar/v3/calendars/{calendar}/events",
            get(list).post(insert),
        )
        .route(
            "/calendar/v3/calendars/{calendar}/events/{id}",
            get(show).delete(delete),
        )
}

fn require_own(calendar: &str, caller: &Caller) -> Result<(), Refusal> {
    match calendar == "primary" || calendar == caller.account.email {
        true => Ok(()),
        false => Err(not_found()),
    }
}

fn not_found() -> Refusal {
    let mut refusal = Refusal::not_found();
    refusal.message = "Not Found".to_owned();
    refusal
}

fn required(message: &str) -> Refusal {
    let mut refusal = Refusal::invalid(message);
    refusal.reason = "required";
    refusal
}

async fn list(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "calendar.events.list",
        scopes: scopes::CALENDAR_READ,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&calendar, caller)?;
        let asked = Parameters::from_form(uri.query().unwrap_or_default().as_bytes());
        world.calendars.listed(caller, &asked)
    })
    .await
}

async fn insert(
    State(shared): State<Shared>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    const METHOD: Method = Method {
        name: "calendar.events.insert",
        scopes: scopes::CALENDAR_WRITE,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&calendar, caller)?;
        let event = serde_json::from_slice(&body).map_err(|_| Refusal::invalid("Parse Error"))?;
        let origin = shared.origin();
        world.calendars.insert(caller.account, event, origin)
    })
    .await
}

async fn show(
    State(shared): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "calendar.events.get",
        scopes: scopes::CALENDAR_READ,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&calendar, caller)?;
        let events = world.calendars.of(caller.account);
        let found = events.iter().find(|event| event.id == id);
        Ok(found.ok_or_else(not_found)?.shown.clone())
    })
    .await
}

async fn delete(
    State(shared): State<Shared>,
    Path((calendar, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    const METHOD: Method = Method {
        name: "calendar.events.delete",
        scopes: scopes::CALENDAR_WRITE,
    };
    gate::call(&shared, &headers, &METHOD, |world, caller| {
        require_own(&calendar, caller)?;
        let events = world.calendars.of(caller.account);
        let at = events.iter().position(|event| event.id == id);
        events.remove(at.ok_or_else(not_found)?);
        Ok(Value::Null)
    })
    .await
}

impl Calendars {
    fn of(&mut self, account: &Account) -> &mut Vec<Event> {
        self.events.entry(account.email).or_default()
    }

    /// Adds an event as `events.insert` takes it; `origin` is where its page would be.
    pub(crate) fn insert(
        &mut self,
        account: &Account,
        mut event: Map<String, Value>,
        origin: &str,
    ) -> Result<Value, Refusal> {
        if event.contains_key("recurrence") {
            return Err(Refusal::invalid("Events that recur are not kept here"));
        }
        let start = moment(&event, "start")?;
        let end = moment(&event, "end")?;
        if end < start {
            let mut refusal = Refusal::invalid("The specified time range is empty.");
            refusal.reason = "timeRangeEmpty";
            return Err(refusal);
        }
        let texts = ["summary", "description", "location"];
        let long = |name: &&str| event.get(*name).and_then(Value::as_str).map_or(0, str::len);
        if texts.iter().any(|name| long(name) > MAX_TEXT) {
            return Err(Refusal::invalid("A text is too long"));
        }

        self.created += 1;
        let id = format!("demo{:022}", self.created);
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let person = json!({"email": account.email, "self": true});
        for (name, value) in [
            ("kind", json!("calendar#event")),
            ("etag", json!(format!("\"{}\"", self.created))),
            ("id", json!(id)),
            ("status", json!("confirmed")),
            (
                "htmlLink",
                json!(format!("{origin}/calendar/event?eid={id}")),
            ),
            ("created", json!(now)),
            ("updated", json!(now)),
            ("creator", person.clone()),
            ("organizer", person),
            ("iCalUID", json!(format!("{id}@example.test"))),
            ("sequence", json!(0)),
            ("eventType", json!("default")),
        ] {
            event.insert(name.to_owned(), value);
        }
        let shown = Value::Object(event);
        self.of(account).push(Event {
            id,
            start,
            end,
            shown: shown.clone(),
        });
        Ok(shown)
    }

    fn listed(&mut self, caller: &Caller, asked: &Parameters) -> Result<Value, Refusal> {
        let bound = |name: &str| match asked.get(name).map(DateTime::parse_from_rfc3339) {
            None => Ok(None),
            Some(Ok(at)) => Ok(Some(at.to_utc())),
            Some(Err(_)) => Err(Refusal::invalid(format!("Bad Request: {name}"))),
        };
        let (min, max) = (bound("timeMin")?, bound("timeMax")?);
        let by_start = match asked.get("orderBy") {
            None | Some("updated") => false,
            Some("startTime") if asked.get("singleEvents") == Some("true") => true,
            Some("startTime") => {
                return Err(Refusal::invalid(
                    "The requested ordering is not available for the particular query.",
                ));
            }
            Some(_) => return Err(Refusal::invalid("Invalid value for orderBy")),
        };
        let size = match asked.get("maxResults").map(str::parse::<usize>) {
            None => PAGE,
            Some(Ok(size @ 1..)) => size.min(MAX_PAGE),
            Some(_) => return Err(Refusal::invalid("Invalid value for maxResults")),
        };
        let skipped = match asked.get("pageToken").map(str::parse::<usize>) {
            None => 0,
            Some(Ok(skipped)) => skipped,
            Some(Err(_)) => return Err(Refusal::invalid("Invalid page token value.")),
        };
        let wanted = asked.get("q").map(str::to_lowercase);
        let words = |event: &Event| event.shown.to_string().to_lowercase();
        let account = caller.account;
        let mut found: Vec<&Event> = self
            .of(account)
            .iter()
            .filter(|event| min.is_none_or(|min| event.end > min))
            .filter(|event| max.is_none_or(|max| event.start < max))
            .filter(|event| wanted.as_ref().is_none_or(|q| words(event).contains(q)))
            .collect();
        if by_start {
            found.sort_by_key(|event| event.start);
        }
        let total = found.len();
        let items: Vec<&Value> = found
            .into_iter()
            .skip(skipped)
            .take(size)
            .map(|event| &event.shown)
            .collect();
        let mut answer = json!({
            "kind": "calendar#events", "summary": account.email, "timeZone": "UTC",
            "accessRole": "owner", "defaultReminders": [], "items": items,
        });
        if skipped + size < total {
            answer["nextPageToken"] = (skipped + size).to_string().into();
        }
        Ok(answer)
    }
}

/// `{"dateTime", "timeZone"}` or `{"date"}`. A time without an offset counts as UTC, the time
/// zone of every calendar here.
fn moment(event: &Map<String, Value>, name: &str) -> Result<DateTime<Utc>, Refusal> {
    let missing = || required(&format!("Missing {name} time."));
    let given = event.get(name).ok_or_else(missing)?;
    let read = match (given["dateTime"].as_str(), given["date"].as_str()) {
        (Some(at), None) => DateTime::parse_from_rfc3339(at)
            .map(|at| at.to_utc())
            .or_else(|_| {
                NaiveDateTime::parse_from_str(at, "%Y-%m-%dT%H:%M:%S").map(|at| at.and_utc())
            })
            .ok(),
        (None, Some(day)) => NaiveDate::parse_from_str(day, "%Y-%m-%d")
            .map(|day| day.and_time(NaiveTime::MIN).and_utc())
            .ok(),
        _ => return Err(missing()),
    };
    read.ok_or_else(|| Refusal::invalid(format!("Invalid value for: {name}")))
}
