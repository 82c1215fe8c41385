//! Sessions and pages: which sessions are believed, what a cookie alone can do, and which
//! pages may read answers.

use grantkeep_tests::TestApi;
use grantkeep_tests::api::{KEY, SESSION_SECRET, session};
use grantkeep_tests::http::send;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{connection_id, count, problem, with_headers};

fn unauthorized() -> (u16, String) {
    (401, "unauthorized".to_owned())
}

fn forbidden() -> (u16, String) {
    (403, "forbidden".to_owned())
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
async fn cs01_the_session_cookie_is_host_only_secure_and_lax() {
    let secure = TestApi::builder()
        .variable("PUBLIC_URL", "https://auth.example")
        .start()
        .await;
    let local = TestApi::start().await;
    let token = session("default", "ada");

    for (api, name, end) in [
        (
            &secure,
            "__Host-grantkeep_session",
            "; HttpOnly; SameSite=Lax; Secure",
        ),
        (&local, "grantkeep_session", "; HttpOnly; SameSite=Lax"),
    ] {
        let mut browser = api.visitor();
        let signed_in = browser.get(&format!("/connect?session={token}")).await;
        let cookie = signed_in.cookies()[0];
        assert!(
            cookie.starts_with(&format!("{name}={token}; Path=/; Max-Age=")),
            "{cookie}"
        );
        assert!(cookie.ends_with(end), "{cookie}");
        assert!(!cookie.contains("Domain"), "{cookie}");
        assert!(!signed_in.header("location").contains(&token));
        assert_eq!(browser.get("/api/connections").await.status, 200);

        let out = browser.post_form("/connect", &[("sign_out", "1")]).await;
        assert_eq!(out.status, 303, "{}", out.text);
        assert!(browser.cookies.is_empty());
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
