//! `DATABASE_URL` with TLS: how far each `sslmode` checks the server, and logging in.

use grantkeep_devpg::Postgres;
use grantkeep_tests::{TestApi, database};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::{access_token, refusal};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"))
        .expect("a certificate")
}

/// A server for `localhost` that takes passwords over TLS only, but for the superuser.
struct Secured {
    server: Postgres,
    authority: Authority,
}

impl Secured {
    async fn start() -> Self {
        let authority = authority("authority of this test");
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(["localhost".to_owned()])
            .and_then(|params| params.signed_by(&key, &authority))
            .expect("a certificate");
        let server = Postgres::builder()
            .tls(certificate.pem(), key.serialize_pem())
            .setting("password_encryption", "scram-sha-256")
            .hba([
                "hostnossl all postgres 127.0.0.1/32 trust",
                "hostssl all all 127.0.0.1/32 scram-sha-256",
            ])
            .start(&mut |_| {})
            .expect("a Postgres server with TLS");
        let role = "create role app login password 'p@ss/word';
                    create database app owner app";
        let client = database::connect(&server.url()).await;
        for statement in role.split(';') {
            client.batch_execute(statement).await.expect("statement");
        }
        Self { server, authority }
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let port = self.server.port();
        format!("postgres://app:p%40ss%2Fword@{host}:{port}/app?{parameters}")
    }

    /// What a token read of an unknown connection answers: 404 where the database was
    /// reached.
    async fn answer(&self, host: &str, parameters: &str, authority: Option<&str>) -> (u16, String) {
        let api = TestApi::builder()
            .variable("DATABASE_URL", &self.url(host, parameters))
            .variable("DATABASE_CA_CERT", authority.unwrap_or_default())
            .start()
            .await;
        refusal(&api.token("gmail").await)
    }
}

fn reached() -> (u16, String) {
    (404, "not_connected".to_owned())
}

fn refused() -> (u16, String) {
    (503, "storage_unavailable".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn ls02_verify_full_needs_the_right_authority_and_the_right_name() {
    let secured = Secured::start().await;
    let own = secured.authority.pem();
    let foreign = authority("another authority").pem();
    let both = format!("{foreign}\n{own}");
    let mode = "sslmode=verify-full";

    assert_eq!(
        secured.answer("localhost", mode, Some(&own)).await,
        reached()
    );
    assert_eq!(
        secured.answer("localhost", mode, Some(&both)).await,
        reached()
    );
    let one_line = own.replace('\n', "\\n");
    assert_eq!(
        secured.answer("localhost", mode, Some(&one_line)).await,
        reached()
    );

    assert_eq!(
        secured.answer("127.0.0.1", mode, Some(&own)).await,
        refused()
    );
    assert_eq!(
        secured.answer("localhost", mode, Some(&foreign)).await,
        refused()
    );
    assert_eq!(secured.answer("localhost", mode, None).await, refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn ls02_verify_ca_needs_the_right_authority_and_takes_any_name() {
    let secured = Secured::start().await;
    let own = secured.authority.pem();
    let foreign = authority("another authority").pem();
    let mode = "sslmode=verify-ca";

    assert_eq!(
        secured.answer("localhost", mode, Some(&own)).await,
        reached()
    );
    assert_eq!(
        secured.answer("127.0.0.1", mode, Some(&own)).await,
        reached()
    );
    assert_eq!(
        secured.answer("127.0.0.1", mode, Some(&foreign)).await,
        refused()
    );
    assert_eq!(secured.answer("127.0.0.1", mode, None).await, refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn ls02_require_and_prefer_encrypt_and_disable_does_not() {
    let secured = Secured::start().await;
    for mode in ["sslmode=require", "sslmode=prefer", "sslmode=allow", ""] {
        assert_eq!(
            secured.answer("127.0.0.1", mode, None).await,
            reached(),
            "{mode}"
        );
    }
    assert_eq!(
        secured.answer("127.0.0.1", "sslmode=disable", None).await,
        refused()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ls02_require_does_not_fall_back_to_plain_text() {
    // The shared server has no TLS and would let anybody in.
    let plain = database::create().await;
    for (parameters, expected) in [
        ("?sslmode=require", refused()),
        ("?sslmode=verify-full", refused()),
        ("?sslmode=prefer", reached()),
    ] {
        let api = TestApi::builder()
            .variable("DATABASE_URL", &format!("{plain}{parameters}"))
            .start()
            .await;
        assert_eq!(refusal(&api.token("gmail").await), expected, "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ls02_a_password_is_proven_with_scram_bound_to_the_channel() {
    let secured = Secured::start().await;
    let mode = "sslmode=require&channel_binding=require";

    assert_eq!(secured.answer("127.0.0.1", mode, None).await, reached());
    let api = TestApi::builder()
        .variable(
            "DATABASE_URL",
            &secured
                .url("127.0.0.1", mode)
                .replace("p%40ss%2Fword", "wrong"),
        )
        .start()
        .await;
    let wrong = api.token("gmail").await;
    assert_eq!(refusal(&wrong), refused());
    assert!(!wrong.text.contains("wrong"), "{}", wrong.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn ls02_the_whole_flow_works_over_verified_tls() {
    let secured = Secured::start().await;
    let mut api = TestApi::builder()
        .variable(
            "DATABASE_URL",
            &secured.url("localhost", "sslmode=verify-full"),
        )
        .variable("DATABASE_CA_CERT", &secured.authority.pem())
        .start()
        .await;
    api.database_url = secured.server.database_url("app");

    api.connect("gmail").await;
    let before = access_token(&api.token("gmail").await);
    api.set_expiry("gmail", -1).await;

    assert_ne!(access_token(&api.token("gmail").await), before);
}
