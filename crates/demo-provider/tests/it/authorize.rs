//! The consent page and what comes back from it.

use grantkeep_demo_provider::client::DEMO_CLIENT_ID;

use crate::harness::{CALLBACK, Demo, READ, SEND, request, request_with, request_without};

async fn page(demo: &Demo, request: &[(&str, String)]) -> crate::harness::Answer {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(request)
        .finish();
    demo.get(&format!("/authorize?{query}")).await
}

#[tokio::test]
async fn the_consent_page_offers_accounts_and_a_box_per_scope() {
    let demo = Demo::start().await;

    let page = page(&demo, &request()).await;

    assert_eq!(page.status, 200);
    assert!(page.text.contains("Demo provider – not Google"));
    for account in grantkeep_demo_provider::ACCOUNTS {
        assert!(
            page.text
                .contains(&format!(r#"name="account" value="{}""#, account.email))
        );
    }
    for scope in [READ, SEND] {
        assert!(
            page.text
                .contains(&format!(r#"name="scope" value="{scope}" checked"#))
        );
    }
    assert_eq!(
        page.text.matches(r#"type="checkbox""#).count(),
        2,
        "sign-in scopes have no box"
    );
    assert!(!page.text.contains("<script"));
    assert!(page.headers["content-security-policy"].contains("frame-ancestors 'none'"));
}

#[tokio::test]
async fn the_consent_page_escapes_what_the_request_says() {
    let demo = Demo::start().await;
    let mut request = request_with("scope", r#"openid "><script>alert(1)</script>"#);
    request.push(("state", "<b>\"'".to_owned()));

    let page = page(&demo, &request).await;

    assert_eq!(page.status, 200);
    assert!(!page.text.contains("<script") && !page.text.contains("<b>"));
}

#[tokio::test]
async fn a_login_hint_chooses_the_account() {
    let demo = Demo::start().await;

    let page = page(&demo, &request_with("login_hint", "carol@example.test")).await;

    assert!(
        page.text
            .contains(r#"value="carol@example.test" required checked"#)
    );
    assert_eq!(page.text.matches("required checked").count(), 1);
}

#[tokio::test]
async fn the_hidden_request_survives_the_round_trip_through_the_page() {
    let demo = Demo::start().await;
    let page = page(&demo, &request()).await;
    let (_, rest) = page
        .text
        .split_once(r#"name="request" value=""#)
        .expect("a hidden request");
    let hidden = rest
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&");

    let form = [
        ("request", hidden.as_str()),
        ("account", "bob@example.test"),
        ("decision", "allow"),
    ];
    let http = demo.http.post(demo.url("/authorize")).form(&form);
    let (_, query) = crate::harness::Answer::of(http).await.redirect();

    assert_eq!(query["state"], "a state & more");
}

#[tokio::test]
async fn allowing_goes_back_with_code_state_scope_and_issuer() {
    let demo = Demo::start().await;

    let answer = demo.decide(&request(), &[READ], "allow").await;

    let (target, query) = answer.redirect();
    assert_eq!((answer.status, target.as_str()), (303, CALLBACK));
    assert!(query["code"].starts_with("4/0A"));
    assert_eq!(query["state"], "a state & more");
    assert_eq!(query["iss"], demo.provider.origin());
    assert!(query["scope"].contains(READ) && !query["scope"].contains(SEND));
}

#[tokio::test]
async fn a_query_in_the_redirect_uri_is_kept() {
    let demo = Demo::start().await;
    let request = request_with("redirect_uri", &format!("{CALLBACK}?tenant=a"));

    let (_, query) = demo.decide(&request, &[READ], "allow").await.redirect();

    assert_eq!(query["tenant"], "a");
    assert!(query.contains_key("code"));
}

#[tokio::test]
async fn denying_goes_back_with_access_denied_and_no_code() {
    let demo = Demo::start().await;

    let (target, query) = demo.decide(&request(), &[READ], "deny").await.redirect();

    assert_eq!(target, CALLBACK);
    assert_eq!(query["error"], "access_denied");
    assert_eq!(query["state"], "a state & more");
    assert!(!query.contains_key("code"));
}

#[tokio::test]
async fn form_post_answers_a_page_that_submits_itself() {
    let demo = Demo::start().await;
    let request = request_with("response_mode", "form_post");

    let answer = demo.decide(&request, &[READ], "allow").await;

    assert_eq!(answer.status, 200);
    assert!(
        answer
            .text
            .contains(&format!(r#"<form method="post" action="{CALLBACK}">"#))
    );
    assert!(answer.text.contains(r#"name="code" value="4/0A"#));
    assert!(
        answer
            .text
            .contains("<script>document.forms[0].submit()</script>")
    );
    // SHA-256 of the script, or the browser would refuse it.
    let policy = &answer.headers["content-security-policy"];
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"document.forms[0].submit()");
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash);
    assert!(policy.contains(&format!("script-src 'sha256-{hash}'")));
}

#[tokio::test]
async fn a_popup_gets_its_code_as_json() {
    let demo = Demo::start().await;
    let request = request_with("redirect_uri", "postmessage");

    let answer = demo.decide(&request, &[READ], "allow").await;

    let code = answer.json()["code"].as_str().expect("a code").to_owned();
    let exchanged = demo
        .token(&[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", "postmessage"),
            ("code_verifier", crate::harness::VERIFIER),
        ])
        .await;
    assert_eq!(exchanged.status, 200);
}

#[tokio::test]
async fn a_doubtful_client_or_redirect_uri_is_never_redirected_to() {
    let demo = Demo::start().await;
    let doubtful = [
        request_with("client_id", "unknown"),
        request_without("client_id"),
        request_with("redirect_uri", "javascript:alert(1)"),
        request_with("redirect_uri", "http://127.0.0.1:3000/#fragment"),
        request_without("redirect_uri"),
    ];

    for request in doubtful {
        for answer in [
            page(&demo, &request).await,
            demo.decide(&request, &[], "allow").await,
        ] {
            assert_eq!(answer.status, 400, "{request:?}");
            assert!(!answer.headers.contains_key("location"));
        }
    }
}

#[tokio::test]
async fn other_mistakes_in_the_request_are_told_to_the_client() {
    let demo = Demo::start().await;
    let mistakes = [
        (
            request_with("response_type", "token"),
            "unsupported_response_type",
        ),
        (
            request_with("code_challenge_method", "plain"),
            "invalid_request",
        ),
        (request_without("code_challenge_method"), "invalid_request"),
        (request_without("scope"), "invalid_scope"),
    ];

    for (request, error) in mistakes {
        for answer in [
            page(&demo, &request).await,
            demo.decide(&request, &[], "allow").await,
        ] {
            assert_eq!(answer.redirect().1["error"], error);
        }
    }
}

#[tokio::test]
async fn a_form_without_a_decision_or_a_known_account_is_refused() {
    let demo = Demo::start().await;
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(request())
        .finish();

    for (account, decision) in [
        ("alice@example.test", "perhaps"),
        ("mallory@example.test", "allow"),
    ] {
        let form = [
            ("request", query.as_str()),
            ("account", account),
            ("decision", decision),
        ];
        let http = demo.http.post(demo.url("/authorize")).form(&form);
        assert_eq!(crate::harness::Answer::of(http).await.status, 400);
    }
}

#[tokio::test]
async fn authorize_error_is_answered_instead_of_the_page_and_of_the_decision() {
    let demo = Demo::with(|knobs| knobs.authorize_error = Some("server_error".to_owned())).await;

    let shown = page(&demo, &request()).await;
    let decided = demo.decide(&request(), &[READ], "allow").await;

    assert_eq!(shown.redirect().1["error"], "server_error");
    assert_eq!(decided.redirect().1["error"], "server_error");
}

#[tokio::test]
async fn the_issuer_can_be_left_out_or_be_wrong() {
    let demo = Demo::with(|knobs| knobs.send_iss = false).await;
    let (_, query) = demo.decide(&request(), &[READ], "allow").await.redirect();
    assert!(!query.contains_key("iss"));

    demo.provider.update(|knobs| knobs.wrong_iss = true);
    let (_, query) = demo.decide(&request(), &[READ], "allow").await.redirect();
    assert_eq!(query["iss"], "https://another.example.test");
}

#[tokio::test]
async fn authorization_requests_are_recorded_with_their_query() {
    let demo = Demo::start().await;

    page(&demo, &request()).await;

    let recorded = demo.provider.requests();
    assert_eq!(
        (recorded[0].method.as_str(), recorded[0].endpoint.as_str()),
        ("GET", "/authorize")
    );
    assert_eq!(recorded[0].parameter("code_challenge_method"), Some("S256"));
    assert_eq!(recorded[0].parameter("client_id"), Some(DEMO_CLIENT_ID));
}
