//! The connect page in a real browser: what people see, click and type, and what the
//! browser itself complains about.

use std::path::Path;

use grantkeep_devpg::Postgres;
use grantkeep_tests::api::session;
use grantkeep_tests::browser::{Browser, keys};
use grantkeep_tests::{Consent, TestApi, database};

use crate::support::{READONLY, count};

const CONNECT_GMAIL: &str = "a[data-provider=gmail]";
const ALLOW: &str = "button[value=allow]";

/// A browser at the connect page, as the default actor.
async fn at_connect_page(api: &TestApi) -> Browser {
    let browser = Browser::start().await;
    let session = session("default", "default");
    let address = format!("{}/connect?session={session}", api.origin);
    browser.open(&address).await;
    browser
}

/// Waits for the connect page with the notice of how something ended.
async fn ended(browser: &Browser, api: &TestApi, connection: &str) {
    let address = format!("{}/connect?connection={connection}", api.origin);
    browser.arrive(&address).await;
}

async fn consent_page(browser: &Browser, api: &TestApi) {
    browser.arrive(api.provider.origin()).await;
}

/// Presses Tab until this has the focus.
async fn tab_to(browser: &Browser, css: &str) {
    let there = format!("return document.activeElement.matches('{css}')");
    for _ in 0..30 {
        browser.press(keys::TAB).await;
        if browser.run(&there).await == true {
            return;
        }
    }
    panic!("Tab never reaches {css}");
}

#[tokio::test]
async fn the_keyboard_alone_connects_and_disconnects() {
    let api = TestApi::start().await;
    let browser = at_connect_page(&api).await;
    assert_eq!(browser.text(".state").await, "Not connected");

    tab_to(&browser, CONNECT_GMAIL).await;
    browser.press(keys::ENTER).await;
    consent_page(&browser, &api).await;
    tab_to(&browser, ALLOW).await;
    browser.press(keys::ENTER).await;
    ended(&browser, &api, "connected").await;

    assert_eq!(
        browser.text(".notice h2").await,
        "Gmail is connected as alice@example.test"
    );
    assert_eq!(browser.text(".state").await, "Connected");
    assert_eq!(api.token("gmail").await.status, 200);

    tab_to(&browser, "summary").await;
    browser.press(keys::ENTER).await;
    tab_to(&browser, ".danger").await;
    browser.press(keys::ENTER).await;
    ended(&browser, &api, "disconnected").await;

    assert_eq!(browser.text(".state").await, "Not connected");
    assert_eq!(api.token("gmail").await.code(), "not_connected");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_unticked_permission_is_named_until_reconnecting_grants_it() {
    let api = TestApi::start().await;
    let browser = at_connect_page(&api).await;

    browser.click(CONNECT_GMAIL).await;
    consent_page(&browser, &api).await;
    browser.click(&format!("input[value='{READONLY}']")).await;
    browser.click(ALLOW).await;
    ended(&browser, &api, "insufficient_scope").await;

    assert!(
        browser
            .text(".notice")
            .await
            .contains("not everything was allowed")
    );
    assert_eq!(browser.text(".state").await, "Permissions missing");
    assert_eq!(browser.text(".missing").await, "gmail: read only");

    browser.click("li .button.main").await;
    consent_page(&browser, &api).await;
    browser.click(ALLOW).await;
    ended(&browser, &api, "connected").await;

    assert_eq!(browser.text(".state").await, "Connected");
    assert!(!browser.has(".missing").await);
    assert_eq!(count(&api, "oauth_tokens").await, "1");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_no_at_the_provider_is_said_plainly_and_changes_nothing() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let before = api.token("gmail").await.json()["access_token"].clone();
    let browser = at_connect_page(&api).await;

    browser.click(CONNECT_GMAIL).await;
    consent_page(&browser, &api).await;
    browser.click("button[value=deny]").await;
    ended(&browser, &api, "error&error=access_denied").await;

    assert_eq!(browser.text(".notice h2").await, "Gmail was not connected");
    assert!(
        browser
            .text(".notice p")
            .await
            .contains("nothing was changed")
    );
    assert_eq!(browser.text(".state").await, "Connected");
    assert_eq!(api.token("gmail").await.json()["access_token"], before);
}

#[tokio::test]
async fn disconnecting_asks_first_and_says_what_became_of_the_access() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    api.provider.update(|knobs| knobs.revoke_status = Some(503));
    let browser = at_connect_page(&api).await;

    browser.click("summary").await;
    assert!(
        browser
            .text(".question")
            .await
            .starts_with("Disconnect alice@example.test?")
    );
    assert_eq!(count(&api, "oauth_tokens").await, "1");
    browser.click(".danger").await;
    ended(&browser, &api, "disconnected").await;

    let said = browser.text(".notice").await;
    assert!(said.contains("Gmail is disconnected"), "{said}");
    assert!(
        said.contains("Gmail does not answer right now: ending the access there is tried again"),
        "{said}"
    );
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

/// The failed callback's page: its own address still, a status of 503, no word of success.
async fn assert_nothing_was_saved(browser: &Browser, api: &TestApi) {
    let callback = format!("{}/api/oauth/gmail/callback", api.origin);
    browser.arrive(&callback).await;
    let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
    assert_eq!(browser.run(status).await, 503);
    assert_eq!(browser.title().await, "Gmail was not connected");
    let said = browser.text("main").await;
    assert!(
        said.contains("nothing was saved") && said.contains("storage_unavailable"),
        "{said}"
    );
    assert!(!said.contains("is connected"), "{said}");
}

#[tokio::test]
async fn a_database_that_refuses_to_save_is_an_error_page_and_nothing_is_stored() {
    let api = TestApi::start().await;
    api.connect("outlook").await;
    let refuse = "create function refuse() returns trigger language plpgsql
                  as $$ begin raise exception 'disk full'; end $$;
                  create trigger refuse before insert or update on oauth_tokens
                  for each row execute function refuse()";
    database::execute(&api.database_url, refuse).await;
    api.provider.reset_counts();
    let browser = at_connect_page(&api).await;

    browser.click(CONNECT_GMAIL).await;
    consent_page(&browser, &api).await;
    browser.click(ALLOW).await;

    assert_nothing_was_saved(&browser, &api).await;
    assert_eq!(api.provider.token_requests(), 1);
    assert_eq!(
        count(&api, "oauth_tokens where provider = 'gmail'").await,
        "0"
    );
    browser.click("a.main").await;
    browser.arrive(&format!("{}/connect", api.origin)).await;
    assert_eq!(browser.text(".state").await, "Not connected");
}

#[tokio::test]
async fn a_database_that_goes_down_during_consent_is_an_error_page_and_nothing_is_stored() {
    let start = || Postgres::start(&mut |_| {}).expect("a Postgres server");
    let mut postgres = tokio::task::spawn_blocking(start).await.expect("starts");
    let api = TestApi::builder()
        .variable("DATABASE_URL", &postgres.url())
        .start()
        .await;
    let browser = at_connect_page(&api).await;

    browser.click(CONNECT_GMAIL).await;
    consent_page(&browser, &api).await;
    postgres.stop();
    browser.click(ALLOW).await;

    assert_nothing_was_saved(&browser, &api).await;
    browser.click("a.main").await;
    browser.arrive(&format!("{}/connect", api.origin)).await;
    assert_eq!(
        browser.title().await,
        "Your connections cannot be shown right now"
    );
    postgres.restart().expect("starts again");
    browser.open(&format!("{}/connect", api.origin)).await;
    assert_eq!(browser.text(".state").await, "Not connected");
}

/// Every state that a connection can be in, each on the page.
async fn given_every_state(api: &TestApi) {
    let calendar = "https://www.googleapis.com/auth/calendar.readonly";
    api.connect("gmail").await;
    api.connect_with("gmail", &Consent::of("bob@example.test"))
        .await;
    api.connect_with("google_calendar", &Consent::without(calendar))
        .await;
    api.connect("outlook").await;
    let change = "update oauth_tokens set status = 'reauthorization_required'
                   where provider = 'outlook';
                  update oauth_tokens
                     set status = 'pending', pending_until = now() + interval '5 minutes'
                   where account = 'bob@example.test';
                  insert into oauth_tokens select (jsonb_populate_record(t, jsonb_build_object(
                         'id', gen_random_uuid(), 'provider', 'retired_files', 'account',
                         'a.rather.long.name.of.somebody@a.rather.long.domain.name.example.test'
                      ))).* from oauth_tokens t where provider = 'outlook'";
    database::execute(&api.database_url, change).await;
}

/// Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2, 1.4.3), controls
/// without a name or smaller than 24 pixels (2.5.8), ids used twice.
const BARRIERS: &str = r#"
const found = [];
const rgb = css => { const [r, g, b, a = 1] = css.match(/[\d.]+/g).map(Number); return {c: [r, g, b], a}; };
const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; };
const behind = e => { for (; e; e = e.parentElement) { const {c, a} = rgb(getComputedStyle(e).backgroundColor); if (a > 0) return c; }
  return [255, 255, 255]; };
for (const e of document.body.querySelectorAll('*')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  if (!own || !e.checkVisibility()) continue;
  const [x, y] = [light(rgb(getComputedStyle(e).color).c), light(behind(e))].sort((p, q) => q - p);
  const ratio = (x + .05) / (y + .05);
  if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${e.textContent.trim()}`);
}
for (const e of document.querySelectorAll('a, button, summary')) {
  if (!e.checkVisibility()) continue;
  const box = e.getBoundingClientRect();
  if (!e.textContent.trim()) found.push(`nameless ${e.outerHTML}`);
  if (box.height < 24 || box.width < 24) found.push(`small ${e.textContent.trim()}`);
}
const names = [...document.querySelectorAll('a, summary')].map(e => e.textContent.trim());
for (const [i, name] of names.entries()) if (names.indexOf(name) !== i) found.push(`twice the name ${name}`);
const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
for (const [i, id] of ids.entries()) if (ids.indexOf(id) !== i) found.push(`twice the id ${id}`);
if (document.querySelectorAll('h1').length !== 1) found.push('not one h1');
if (document.documentElement.scrollWidth > innerWidth) found.push(`${document.documentElement.scrollWidth} wide`);
return found;
"#;

#[tokio::test]
async fn every_state_can_be_read_at_320_pixels_and_in_the_dark() {
    let api = TestApi::start().await;
    given_every_state(&api).await;
    let browser = at_connect_page(&api).await;
    let pages = [
        ("states", "/connect?connection=pending&provider=gmail"),
        (
            "error",
            "/connect?connection=error&error=account_mismatch&provider=gmail",
        ),
        (
            "refused",
            "/api/oauth/gmail/callback?state=forged&code=forged",
        ),
        (
            "other",
            &format!("/connect?session={}", session("acme", "ada")),
        ),
    ];

    for (name, path) in pages {
        browser.open(&format!("{}{path}", api.origin)).await;
        browser
            .run("document.querySelectorAll('summary')[2]?.click()")
            .await;
        for (scheme, width) in [("light", 320), ("dark", 320), ("light", 900), ("dark", 900)] {
            browser.set_colour_scheme(scheme).await;
            browser.set_size(width, 700).await;
            let found = browser.run(BARRIERS).await;
            assert_eq!(found, serde_json::json!([]), "{name} {scheme} {width}");

            let height = browser.run("return document.body.offsetHeight").await;
            let height = height
                .as_u64()
                .and_then(|height| u32::try_from(height).ok());
            browser
                .set_size(width, height.unwrap_or(700).max(700))
                .await;
            let file = format!("connect-{name}-{scheme}-{width}.png");
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
            browser.save_picture(&file).await;
        }
    }
}

#[tokio::test]
async fn a_browser_of_somebody_else_says_so_and_can_be_signed_out() {
    let api = TestApi::start().await;
    let browser = at_connect_page(&api).await;
    let ada = format!("{}/connect?session={}", api.origin, session("acme", "ada"));

    browser.open(&ada).await;
    let said = browser.text("main").await;
    assert!(
        said.contains("You are signed in here as somebody else")
            && said.contains("as default in workspace default"),
        "{said}"
    );
    browser.click("main form button").await;
    ended(&browser, &api, "signed_out").await;
    browser.open(&ada).await;

    assert_eq!(
        browser.text(".who p").await,
        "Signed in as ada in workspace acme"
    );
}
