//! What a page with the popup does: gets a code, posts it.

use grantkeep_tests::http::send;
use grantkeep_tests::visitor::popup_code;
use grantkeep_tests::{Consent, Reply, TestApi, database};
use serde_json::{Value, json};

pub const READONLY: &str = "https://www.googleapis.com/auth/gmail.readonly";
pub const CALENDAR: &str = "https://www.googleapis.com/auth/calendar.readonly";
pub const PATH: &str = "/api/auth/google";
pub const MARK: (&str, &str) = ("x-requested-with", "XmlHttpRequest");

/// The code that the popup gives to the page.
pub async fn code(api: &TestApi, scope: &str, consent: &Consent) -> String {
    popup_code(&api.provider, scope, consent).await
}

/// The usual scopes of Gmail and who it is.
pub fn usual() -> String {
    format!("openid email {READONLY}")
}

/// The usual code of this account.
pub async fn code_of(api: &TestApi, account: &str) -> String {
    code(api, &usual(), &Consent::of(account)).await
}

/// Posts a body with the page's own origin.
pub async fn post(api: &TestApi, body: &Value) -> Reply {
    let origin = api.public_url().to_owned();
    post_with(api, body, &[MARK, ("origin", &origin)]).await
}

/// Posts a body with these headers.
pub async fn post_with(api: &TestApi, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(
        api.request("POST", PATH)
            .header("content-type", "application/json"),
        |request, (name, value)| request.header(*name, *value),
    );
    send(request.body(body.to_string())).await
}

/// Signs in as this account.
pub async fn sign_in(api: &TestApi, account: &str) -> Reply {
    let body = json!({"code": code_of(api, account).await});
    post(api, &body).await
}

/// The session cookie of an answer, as a browser sends it back.
pub fn cookie(reply: &Reply) -> String {
    let cookies = reply.cookies();
    let [cookie] = cookies.as_slice() else {
        panic!("{cookies:?} {}", reply.text);
    };
    cookie.split(';').next().unwrap_or_default().to_owned()
}

/// A GET with this cookie.
pub async fn get_with(api: &TestApi, path: &str, cookie: &str) -> Reply {
    send(api.request("GET", path).header("cookie", cookie)).await
}

/// How many rows a table has.
pub async fn count(api: &TestApi, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    let exists = format!("select to_regclass('{table}') is not null");
    let rows = database::query(&api.database_url, &exists, &[]).await;
    if !rows[0].get::<_, bool>(0) {
        return 0;
    }
    database::query(&api.database_url, &sql, &[]).await[0].get(0)
}

/// Status and code of a problem.
pub fn problem(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}
