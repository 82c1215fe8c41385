//! Who may call: service keys, sessions, origins, and what is refused before anything is read.

use grantkeep_tests::api::{ACME_KEY, KEY, READ_KEY, SESSION_SECRET, hash, session};
use grantkeep_tests::http::send;
use grantkeep_tests::{Reply, TestApi};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{connection_id, count, problem};

fn unauthorized() -> (u16, String) {
    (401, "unauthorized".to_owned())
}

fn forbidden() -> (u16, String) {
    (403, "forbidden".to_owned())
}

fn invalid() -> (u16, String) {
    (400, "invalid_request".to_owned())
}

/// A request with these headers and nothing else.
async fn with_headers(api: &TestApi, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers
        .iter()
        .fold(api.request(method, path), |request, (name, value)| {
            request.header(*name, *value)
        });
    send(request).await
}

#[tokio::test]
async fn tk01_a_key_reads_only_its_workspace_and_only_with_the_permission() {
    let writer = "gk_test_writer";
    let keys = [
        format!("all:*:read+write:{}", hash(KEY)),
        format!("acme:acme:read:{}", hash(ACME_KEY)),
        format!("writer:*:write:{}", hash(writer)),
    ];
    let api = TestApi::builder()
        .variable("SERVICE_KEYS", &keys.join(", "))
        .start()
        .await;
    api.connect("gmail").await;
    let token = "/api/token?provider=gmail";

    let other = api.get_as(ACME_KEY, token).await;
    let own = api
        .get_as(ACME_KEY, &format!("{token}&workspace=acme"))
        .await;
    let no_read = api.get_as(writer, token).await;
    let no_list = api.get_as(writer, "/api/connections").await;
    let other_list = api.get_as(ACME_KEY, "/api/connections").await;

    assert_eq!(problem(&other), forbidden());
    assert_eq!(problem(&own), (404, "not_connected".to_owned()));
    assert_eq!(
        (problem(&no_read), problem(&no_list)),
        (forbidden(), forbidden())
    );
    assert_eq!(problem(&other_list), forbidden());
}

#[tokio::test]
async fn tk03_a_key_in_the_url_is_refused_and_called_leaked() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    for name in ["access_token", "api_key", "apikey", "service_key"] {
        for path in [
            format!("/api/token?provider=gmail&{name}={KEY}"),
            format!("/api/connections?{name}={KEY}"),
        ] {
            for headers in [vec![], vec![("authorization", format!("Bearer {KEY}"))]] {
                let headers: Vec<(&str, &str)> = headers
                    .iter()
                    .map(|(name, value)| (*name, &**value))
                    .collect();

                let reply = with_headers(&api, "GET", &path, &headers).await;

                assert_eq!(problem(&reply), invalid(), "{path}");
                assert!(reply.text.contains("replace it"), "{}", reply.text);
                assert!(!reply.text.contains(KEY));
            }
        }
    }
}

#[tokio::test]
async fn tk03_only_the_hash_of_a_key_is_configured_and_it_is_no_key() {
    let api = TestApi::start().await;

    let with_hash = api.get_as(&hash(KEY), "/api/token?provider=gmail").await;
    let almost = api
        .get_as(&format!("{KEY}x"), "/api/token?provider=gmail")
        .await;

    assert!(!api.variables["SERVICE_KEYS"].contains(KEY));
    assert_eq!(
        (problem(&with_hash), problem(&almost)),
        (unauthorized(), unauthorized())
    );
}

#[tokio::test]
async fn tk04_a_missing_key_looks_like_a_wrong_one() {
    let api = TestApi::start().await;
    let post = ("content-type", "application/json");

    for (method, path) in [
        ("GET", "/api/token?provider=gmail"),
        ("POST", "/api/token"),
        ("POST", "/api/connect-links"),
        ("GET", "/api/connections"),
        (
            "DELETE",
            "/api/connections/00000000-0000-4000-8000-000000000000",
        ),
        (
            "PATCH",
            "/api/connections/00000000-0000-4000-8000-000000000000",
        ),
    ] {
        let missing = with_headers(&api, method, path, &[post]).await;
        let wrong = with_headers(
            &api,
            method,
            path,
            &[post, ("authorization", "Bearer gk_wrong")],
        )
        .await;

        assert_eq!(problem(&missing), unauthorized(), "{method} {path}");
        assert_eq!((missing.status, &missing.text), (wrong.status, &wrong.text));
        assert_eq!(missing.header("www-authenticate"), "Bearer");
        assert_eq!(wrong.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn tk04_other_schemes_and_empty_bearers_are_refused() {
    let api = TestApi::start().await;

    for value in [
        "Basic dTpw",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        KEY,
        "bearer gk_wrong",
    ] {
        let headers = [("authorization", value)];
        let reply = with_headers(&api, "GET", "/api/token?provider=gmail", &headers).await;

        assert_eq!(problem(&reply), unauthorized(), "{value:?}");
    }
}

#[tokio::test]
async fn tk04_a_scope_that_is_missing_is_named_in_the_challenge() {
    let api = TestApi::start().await;
    api.connect("gmail").await;

    let reply = api.get("/api/token?provider=gmail&scope=x").await;

    assert_eq!(problem(&reply), (403, "insufficient_scope".to_owned()));
    assert_eq!(
        reply.header("www-authenticate"),
        "Bearer error=\"insufficient_scope\""
    );
}

#[tokio::test]
async fn tk05_two_credentials_in_one_request_are_refused() {
    let api = TestApi::start().await;
    let bearer = format!("Bearer {KEY}");
    let cookie = format!("grantkeep_session={}", session("default", "default"));
    let authorization = ("authorization", &*bearer);

    let twice = [authorization, authorization];
    let twice = with_headers(&api, "GET", "/api/token?provider=gmail", &twice).await;
    let both = [authorization, ("cookie", &*cookie)];
    let both = with_headers(&api, "GET", "/api/connections", &both).await;

    assert_eq!((problem(&twice), problem(&both)), (invalid(), invalid()));
}

fn signed(header: &Header, claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(header, claims, &key).expect("signs")
}

fn in_seconds(seconds: i64) -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    i64::try_from(since.as_secs()).expect("a time") + seconds
}

fn claims() -> Value {
    json!({"sub": "ada", "workspace": "acme", "aud": "grantkeep", "exp": in_seconds(600)})
}

/// The sessions that must not be believed, with what is wrong with each.
fn bad_sessions() -> Vec<(String, String)> {
    use base64::Engine as _;
    let encode = |text: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let good = Header::new(Algorithm::HS256);
    let mut bad = Vec::new();
    for (name, value) in [
        ("aud", json!("other")),
        ("aud", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("a\u{0}b")),
        ("workspace", json!("")),
        ("workspace", json!(["acme"])),
        ("exp", json!(in_seconds(-120))),
        ("exp", json!("9999999999")),
        ("exp", json!(in_seconds(400 * 86_400))),
        ("nbf", json!(in_seconds(300))),
        ("iat", json!(in_seconds(300))),
    ] {
        let mut claims = claims();
        claims[name] = value.clone();
        bad.push((
            format!("{name}={value}"),
            signed(&good, &claims, SESSION_SECRET),
        ));
    }
    for name in ["aud", "exp", "sub"] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        bad.push((format!("no {name}"), signed(&good, &claims, SESSION_SECRET)));
    }
    for alg in ["none", "None", "HS256", "RS256"] {
        let header = encode(json!({"alg": alg, "typ": "JWT"}).to_string());
        bad.push((
            format!("alg {alg} unsigned"),
            format!("{header}.{}.", encode(claims().to_string())),
        ));
    }
    let hs512 = Header::new(Algorithm::HS512);
    bad.push((
        "HS512".to_owned(),
        signed(&hs512, &claims(), SESSION_SECRET),
    ));
    bad.push((
        "another secret".to_owned(),
        signed(&good, &claims(), "another-secret-of-32-bytes-or-more"),
    ));
    for kid in ["../../../dev/null", "x' union select 'k'--"] {
        let header = Header {
            kid: Some(kid.to_owned()),
            ..good.clone()
        };
        bad.push((format!("kid {kid}"), signed(&header, &claims(), "")));
    }
    let critical = Header {
        crit: Some(vec!["exp".to_owned()]),
        ..good
    };
    bad.push((
        "crit".to_owned(),
        signed(&critical, &claims(), SESSION_SECRET),
    ));
    bad.push(("garbage".to_owned(), "a.b.c".to_owned()));
    bad
}

#[tokio::test]
async fn jw01_sessions_that_are_not_ours_are_refused_everywhere() {
    let api = TestApi::start().await;

    for (wrong, token) in bad_sessions() {
        let begun = api
            .visitor()
            .get(&format!("/api/oauth/gmail/authorize?session={token}"))
            .await;
        let listed = api.get_as(&token, "/api/connections").await;
        let page = api
            .visitor()
            .get(&format!("/connect?session={token}"))
            .await;

        for reply in [&begun, &listed, &page] {
            assert_eq!(problem(reply), unauthorized(), "{wrong}");
            assert!(reply.cookies().is_empty(), "{wrong}");
        }
    }
}

#[tokio::test]
async fn jw01_a_session_is_believed_within_a_minute_of_its_end_and_without_a_workspace() {
    let api = TestApi::start().await;
    let header = Header::new(Algorithm::HS256);
    let mut late = claims();
    late["exp"] = json!(in_seconds(-30));
    late["nbf"] = json!(in_seconds(30));
    let mut plain = claims();
    plain
        .as_object_mut()
        .expect("an object")
        .remove("workspace");

    for claims in [claims(), late, plain] {
        let token = signed(&header, &claims, SESSION_SECRET);
        let listed = api.get_as(&token, "/api/connections").await;

        assert_eq!(listed.status, 200, "{claims}: {}", listed.text);
    }
}

#[tokio::test]
async fn cs01_a_cookie_alone_changes_nothing_from_another_page() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    let cookie = format!("grantkeep_session={}", session("default", "default"));
    let path = format!("/api/connections/{id}");

    for origin in [
        None,
        Some("https://evil.test"),
        Some("null"),
        Some("https://app.test.evil.test"),
    ] {
        let mut headers = vec![("cookie", &*cookie)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let refused = with_headers(&api, "DELETE", &path, &headers).await;
        assert_eq!(problem(&refused), forbidden(), "{origin:?}");

        headers.push(("content-type", "application/x-www-form-urlencoded"));
        for form in [format!("disconnect={id}"), "sign_out=1".to_owned()] {
            let request = headers
                .iter()
                .fold(api.request("POST", "/connect"), |request, (name, value)| {
                    request.header(*name, *value)
                });
            let refused = send(request.body(form)).await;
            assert_eq!(problem(&refused), forbidden(), "{origin:?}");
        }
    }
    assert_eq!(count(&api, "oauth_tokens").await, "1");
    for origin in ["https://app.test", &api.origin] {
        let headers = [("cookie", &*cookie), ("origin", origin)];
        let accepted = with_headers(&api, "DELETE", &path, &headers).await;
        assert!([200, 404].contains(&accepted.status), "{}", accepted.text);
    }
    assert_eq!(count(&api, "oauth_tokens").await, "0");
}

#[tokio::test]
async fn cs01_json_in_plain_text_is_refused() {
    let api = TestApi::start().await;
    let bearer = format!("Bearer {KEY}");
    for kind in [
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        None,
    ] {
        for path in ["/api/token", "/api/connect-links"] {
            let mut request = api
                .request("POST", path)
                .header("authorization", &bearer)
                .body("{\"provider\":\"gmail\"}");
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            assert_eq!(send(request).await.status, 415, "{kind:?} {path}");
        }
    }
}

#[tokio::test]
async fn cs02_a_get_never_connects_disconnects_or_refreshes() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let id = connection_id(&api, "gmail").await;
    api.set_expiry("gmail", -1).await;
    let before = api
        .text("select row_to_json(o)::text from oauth_tokens o")
        .await;
    let mut browser = api.visitor();
    let own = session("default", "default");
    browser.get(&format!("/connect?session={own}")).await;
    api.provider.reset_counts();

    for path in [
        "/connect".to_owned(),
        format!("/connect?disconnect={id}"),
        format!("/connect?connection=connected&disconnect={id}&sign_out=1"),
        "/api/connections".to_owned(),
        format!("/api/connections/{id}"),
        format!("/api/connections/{id}?_method=DELETE"),
    ] {
        let reply = browser.get(&path).await;
        assert_eq!(reply.status, 200, "{path}");
    }
    api.get("/api/health").await;

    let after = api
        .text("select row_to_json(o)::text from oauth_tokens o")
        .await;
    assert_eq!(after, before);
    assert_eq!(api.provider.requests(), []);
}

#[tokio::test]
async fn cors_lets_our_pages_read_answers_and_errors_and_nobody_else() {
    let api = TestApi::start().await;
    let id = "00000000-0000-4000-8000-000000000000";
    let cookie = format!("grantkeep_session={}", session("default", "default"));

    for path in [
        "/api/connections".to_owned(),
        format!("/api/connections/{id}"),
    ] {
        for headers in [vec![("cookie", &*cookie)], vec![]] {
            for (origin, allowed) in [("https://app.test", true), ("https://evil.test", false)] {
                let mut headers = headers.clone();
                headers.push(("origin", origin));
                let reply = with_headers(&api, "GET", &path, &headers).await;

                let granted = reply.header("access-control-allow-origin");
                assert_eq!(granted, if allowed { origin } else { "" }, "{path}");
                let credentials = reply.header("access-control-allow-credentials");
                assert_eq!(credentials, if allowed { "true" } else { "" }, "{path}");
                assert_eq!(reply.header("vary").to_ascii_lowercase(), "origin");
            }
        }
        let asked = [
            ("origin", "https://app.test"),
            ("access-control-request-method", "DELETE"),
        ];
        let preflight = with_headers(&api, "OPTIONS", &path, &asked).await;
        assert_eq!(preflight.status, 204);
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            "https://app.test"
        );
        assert!(
            preflight
                .header("access-control-allow-methods")
                .contains("DELETE")
        );
    }
}

#[tokio::test]
async fn cors_is_not_for_the_routes_of_service_keys() {
    let api = TestApi::start().await;
    for path in [
        "/api/token?provider=gmail",
        "/api/connect-links",
        "/api/health",
    ] {
        for method in ["GET", "OPTIONS"] {
            let headers = [("origin", "https://app.test")];
            let reply = with_headers(&api, method, path, &headers).await;

            assert_eq!(
                reply.header("access-control-allow-origin"),
                "",
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn a_read_key_neither_links_nor_confirms_nor_disconnects() {
    let api = TestApi::start().await;
    api.connect("gmail").await;
    let path = format!("/api/connections/{}", connection_id(&api, "gmail").await);
    let bearer = format!("Bearer {READ_KEY}");
    for (method, path, body) in [
        ("POST", "/api/connect-links", "{\"provider\":\"gmail\"}"),
        ("PATCH", &*path, "{\"status\":\"active\"}"),
        ("DELETE", &*path, ""),
    ] {
        let request = api
            .request(method, path)
            .header("authorization", &bearer)
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(problem(&send(request).await), forbidden(), "{method}");
    }
    assert_eq!(count(&api, "oauth_tokens").await, "1");
}
