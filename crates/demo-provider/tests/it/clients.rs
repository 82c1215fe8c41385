//! Client authentication at the token endpoint.

use grantkeep_demo_provider::client::{ClientAuth, DEMO_CLIENT_ID, DEMO_CLIENT_SECRET};
use serde_json::json;

use crate::harness::{Answer, Demo};

struct Refresh<'a> {
    demo: &'a Demo,
    refresh_token: String,
}

impl<'a> Refresh<'a> {
    fn of(demo: &'a Demo) -> Refresh<'a> {
        Refresh {
            demo,
            refresh_token: demo.issued().refresh_token,
        }
    }

    fn fields(&self) -> Vec<(&str, &str)> {
        vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", &self.refresh_token),
        ]
    }

    async fn basic(&self, id: &str, secret: &str) -> Answer {
        let http = self.demo.http.post(self.demo.url("/token"));
        Answer::of(http.basic_auth(id, Some(secret)).form(&self.fields())).await
    }

    async fn post(&self, id: &str, secret: Option<&str>) -> Answer {
        let mut form = self.fields();
        form.push(("client_id", id));
        form.extend(secret.map(|secret| ("client_secret", secret)));
        Answer::of(self.demo.http.post(self.demo.url("/token")).form(&form)).await
    }
}

fn seen(demo: &Demo) -> ClientAuth {
    demo.provider
        .requests()
        .last()
        .expect("a request")
        .client_auth
}

#[tokio::test]
async fn basic_and_post_are_both_welcome_and_told_apart() {
    let demo = Demo::start().await;
    let refresh = Refresh::of(&demo);

    assert_eq!(
        refresh
            .basic(DEMO_CLIENT_ID, DEMO_CLIENT_SECRET)
            .await
            .status,
        200
    );
    assert_eq!(seen(&demo), ClientAuth::Basic);
    assert_eq!(
        refresh
            .post(DEMO_CLIENT_ID, Some(DEMO_CLIENT_SECRET))
            .await
            .status,
        200
    );
    assert_eq!(seen(&demo), ClientAuth::Post);
}

#[tokio::test]
async fn wrong_secrets_and_unknown_clients_are_invalid_client() {
    let demo = Demo::start().await;
    let refresh = Refresh::of(&demo);

    for answer in [
        refresh.basic(DEMO_CLIENT_ID, "wrong").await,
        refresh.post(DEMO_CLIENT_ID, Some("wrong")).await,
        refresh.post(DEMO_CLIENT_ID, None).await,
        refresh.post("unknown", Some(DEMO_CLIENT_SECRET)).await,
    ] {
        assert_eq!(answer.refusal(), (401, "invalid_client".to_owned()));
        assert!(answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn two_methods_at_once_are_refused() {
    let demo = Demo::start().await;
    let refresh = Refresh::of(&demo);
    let mut form = refresh.fields();
    form.push(("client_secret", DEMO_CLIENT_SECRET));

    let http = demo.http.post(demo.url("/token"));
    let both = http
        .basic_auth(DEMO_CLIENT_ID, Some(DEMO_CLIENT_SECRET))
        .form(&form);

    assert_eq!(
        Answer::of(both).await.refusal(),
        (400, "invalid_request".to_owned())
    );
    assert_eq!(seen(&demo), ClientAuth::Both);
}

#[tokio::test]
async fn one_method_can_be_required() {
    let demo = Demo::with(|knobs| knobs.require_basic_auth = true).await;
    let refresh = Refresh::of(&demo);
    assert_eq!(
        refresh
            .post(DEMO_CLIENT_ID, Some(DEMO_CLIENT_SECRET))
            .await
            .status,
        401
    );
    assert_eq!(
        refresh
            .basic(DEMO_CLIENT_ID, DEMO_CLIENT_SECRET)
            .await
            .status,
        200
    );

    demo.provider.update(|knobs| {
        knobs.require_basic_auth = false;
        knobs.require_post_auth = true;
    });
    assert_eq!(
        refresh
            .basic(DEMO_CLIENT_ID, DEMO_CLIENT_SECRET)
            .await
            .status,
        401
    );
    assert_eq!(
        refresh
            .post(DEMO_CLIENT_ID, Some(DEMO_CLIENT_SECRET))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn other_clients_are_registered_by_knob_and_basic_is_form_decoded() {
    let demo = Demo::with(|knobs| {
        knobs
            .clients
            .insert("42-b:c d".to_owned(), "s%+&= e".to_owned());
        knobs.clients.insert("43-public".to_owned(), String::new());
    })
    .await;
    let scope = crate::harness::READ;
    let confidential = demo
        .provider
        .issue("bob@example.test", "42-b:c d", scope)
        .unwrap();
    let public = demo
        .provider
        .issue("bob@example.test", "43-public", scope)
        .unwrap();

    let refresh = Refresh {
        demo: &demo,
        refresh_token: confidential.refresh_token,
    };
    assert_eq!(
        refresh.basic("42-b%3Ac+d", "s%25%2B%26%3D+e").await.status,
        200
    );
    assert_eq!(refresh.post("42-b:c d", Some("s%+&= e")).await.status, 200);
    let refresh = Refresh {
        demo: &demo,
        refresh_token: public.refresh_token,
    };
    assert_eq!(refresh.post("43-public", None).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_is_bound_to_its_client() {
    let demo = Demo::with(|knobs| {
        knobs.clients.insert("42-other".to_owned(), "s".to_owned());
    })
    .await;

    let answer = Refresh::of(&demo).post("42-other", Some("s")).await;

    assert_eq!(answer.refusal(), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn json_bodies_are_read_and_can_be_required() {
    let demo = Demo::with(|knobs| knobs.require_json_body = true).await;
    let refresh = Refresh::of(&demo);

    let form = refresh.basic(DEMO_CLIENT_ID, DEMO_CLIENT_SECRET).await;
    let body = json!({"grant_type": "refresh_token", "refresh_token": refresh.refresh_token});
    let http = demo.http.post(demo.url("/token")).json(&body);
    let json = Answer::of(http.basic_auth(DEMO_CLIENT_ID, Some(DEMO_CLIENT_SECRET))).await;

    assert_eq!(form.refusal(), (400, "invalid_request".to_owned()));
    assert_eq!(json.status, 200);
    assert_eq!(demo.provider.refresh_requests(), 2);
}

#[tokio::test]
async fn grant_types_that_are_missing_or_unknown_are_refused() {
    let demo = Demo::start().await;

    assert_eq!(demo.token(&[]).await.refusal().1, "invalid_request");
    let other = demo.token(&[("grant_type", "password")]).await;
    assert_eq!(other.refusal(), (400, "unsupported_grant_type".to_owned()));
}
