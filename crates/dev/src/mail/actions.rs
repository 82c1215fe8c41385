//! What the page's buttons do.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use grantkeep_core::connection::Owner;
use grantkeep_functions::caller::{browser_session, require_same_origin};
use serde_json::json;
use url::form_urlencoded;

use super::look::{Connection, connections};
use super::page::Notice;
use super::{Mail, PATH, render, see_other};
use crate::client::send_as;

/// Does what a button says and comes back to the page, with what happened.
pub async fn act(State(mail): State<Mail>, headers: HeaderMap, body: Bytes) -> Response {
    let session = match browser_session(&mail.0.app, &headers).await {
        Ok(Some(session)) => session,
        Ok(None) => return see_other(HeaderValue::from_static("/connect")),
        Err(problem) => return problem.into_response(),
    };
    if let Err(problem) = require_same_origin(&mail.0.app, &Method::POST, &headers) {
        return problem.into_response();
    }
    let form = Form(form_urlencoded::parse(&body).into_owned().collect());
    match done(&mail, &session.owner, &form).await {
        // The address bar then shows a page that can be loaded again.
        Ok(done) => match HeaderValue::from_str(&format!("{PATH}?{done}")) {
            Ok(location) => see_other(location),
            Err(_) => see_other(HeaderValue::from_static(PATH)),
        },
        Err(error) => render(&mail, &headers, Some(Notice::of_error(error))).await,
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    fn text(&self, name: &str) -> &str {
        let mut pairs = self.0.iter();
        pairs
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value.trim())
    }
}

/// The query that says what happened.
async fn done(mail: &Mail, owner: &Owner, form: &Form) -> Result<String, String> {
    let id = form.text("connection");
    let own = connections(mail, owner).await?;
    let connection = own
        .into_iter()
        .find(|connection| connection.id == id)
        .ok_or("there is no such connection of yours")?;
    match form.text("do") {
        "send" => send(mail, owner, form, &connection).await,
        "watch" => watch(mail, form, &connection).await,
        "unwatch" => unwatch(mail, form).await,
        "look" => look(mail).await,
        "arrive" => arrive(mail, form, &connection).await,
        _ => Err("this button is not known".to_owned()),
    }
}

async fn send(
    mail: &Mail,
    owner: &Owner,
    form: &Form,
    connection: &Connection,
) -> Result<String, String> {
    let message = json!({
        "provider": connection.provider,
        "workspace": owner.workspace,
        "actor": owner.actor,
        "account": connection.account,
        "to": [connection.account],
        "subject": form.text("subject"),
        "text": form.text("text"),
        "idempotency_key": form.text("key"),
    });
    let api = &mail.0.api;
    api.send(Method::POST, "/api/gmail/send", &message).await?;
    Ok("done=sent".to_owned())
}

async fn watch(mail: &Mail, form: &Form, connection: &Connection) -> Result<String, String> {
    let watch = json!({"connection_id": connection.id, "sender": form.text("sender")});
    let api = &mail.0.api;
    api.send(Method::POST, "/api/gmail/watches", &watch).await?;
    look(mail).await?;
    Ok("done=watched".to_owned())
}

async fn unwatch(mail: &Mail, form: &Form) -> Result<String, String> {
    let query = [("id", form.text("watch"))];
    mail.0.api.delete("/api/gmail/watches", &query).await?;
    Ok("done=unwatched".to_owned())
}

/// Polls at once, although mailboxes would be due only some minutes from now.
async fn look(mail: &Mail) -> Result<String, String> {
    let store = &mail.0.app.store;
    store
        .write("update gmail_mailboxes set poll_at = now()", &[])
        .await
        .map_err(|error| error.to_string())?;
    let counts = mail.0.api.run("poll").await?;
    Ok(format!("done=looked&messages={}", counts["messages"]))
}

/// Lets somebody write to the mailbox, at the demo provider.
async fn arrive(mail: &Mail, form: &Form, connection: &Connection) -> Result<String, String> {
    let demo = mail.0.demo.as_deref();
    let demo = demo.ok_or("the demo provider is not running")?;
    let message = json!({
        "account": connection.account,
        "from": form.text("from"),
        "subject": "Your offer",
        "text": "Here is what we talked about. Please answer by Friday.",
    });
    let url = format!("{demo}/control/messages");
    // The demo provider asks for no credentials.
    let answer = send_as("none", Method::POST, &url, &message).await?;
    match answer.status {
        200 => Ok("done=arrived".to_owned()),
        _ => Err(format!("the demo provider answered {}", answer.summary())),
    }
}
