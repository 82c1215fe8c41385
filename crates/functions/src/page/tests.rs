use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantkeep_core::disconnect::Disconnected;

use super::*;
use crate::page::notice::{Kind, access};

fn with_notice(title: &str) -> ConnectPage<'static> {
    ConnectPage {
        owner: None,
        notice: Some(Notice {
            kind: Kind::Error,
            title: title.to_owned(),
            text: String::new(),
        }),
        cards: &[],
    }
}

#[test]
fn the_policy_names_the_hash_of_the_sheet_in_the_page_and_allows_no_other() {
    let page = with_notice("");
    let response = html(StatusCode::OK, HeaderMap::new(), &page);
    let text = page.render().expect("renders");
    let (_, sheet) = text.split_once("<style>").expect("a sheet");
    let (sheet, rest) = sheet.split_once("</style>").expect("its end");

    let policy = response.headers()[CONTENT_SECURITY_POLICY]
        .to_str()
        .expect("ASCII");
    let hash = STANDARD.encode(digest(&SHA256, sheet.as_bytes()));
    assert!(
        policy.contains(&format!("style-src 'sha256-{hash}';")),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(
        !rest.contains("<style") && !text.contains(" style=") && !text.contains("<script"),
        "{text}"
    );
}

#[test]
fn what_others_wrote_is_text_on_the_page_and_not_markup() {
    let text = with_notice("<img src=x onerror='alert(1)'>\"&")
        .render()
        .expect("renders");

    assert!(!text.contains("<img"), "{text}");
    assert!(text.contains("&#60;img src=x"), "{text}");
}

const CODES: [Code; 17] = [
    Code::Unauthorized,
    Code::Forbidden,
    Code::UnknownProvider,
    Code::NotConnected,
    Code::AmbiguousAccount,
    Code::InsufficientScope,
    Code::ReauthorizationRequired,
    Code::AccountMismatch,
    Code::AccessDenied,
    Code::InvalidState,
    Code::InvalidRequest,
    Code::ReturnToNotAllowed,
    Code::ProviderError,
    Code::ProviderUnavailable,
    Code::StorageUnavailable,
    Code::Misconfigured,
    Code::Internal,
];

#[test]
fn no_error_speaks_to_people_in_the_words_of_the_protocol() {
    for code in CODES {
        for wanted in [
            Wanted::Connect { name: "Acme" },
            Wanted::Look,
            Wanted::Change,
        ] {
            let Words { title, text } = words(code, wanted);
            let all = format!("{title} {text}").to_lowercase();
            for jargon in [
                "oauth",
                "token",
                "scope",
                "provider",
                "session",
                "callback",
                "state",
                "consent",
                "actor",
                "request is",
                "null",
                "_",
            ] {
                assert!(
                    !all.contains(jargon),
                    "{code:?} {wanted:?}: {jargon}: {all}"
                );
            }
            assert!(text.ends_with('.') && !title.ends_with('.'), "{all}");
        }
    }
}

#[test]
fn only_what_the_provider_confirmed_is_called_ended() {
    let done = |revoked, reason| access(Disconnected { revoked, reason });

    assert_eq!(done(true, None), "ended");
    assert_eq!(done(false, Some("grant_already_dead")), "over");
    assert_eq!(
        done(false, Some("shared_with_another_connection")),
        "shared"
    );
    assert_eq!(
        done(false, Some("not_supported_by_provider")),
        "unsupported"
    );
    assert_eq!(done(false, Some("queued")), "later");
    for reason in [
        "provider_refused",
        "credentials_unreadable",
        "provider_not_configured",
        "a reason of tomorrow",
    ] {
        assert_eq!(done(false, Some(reason)), "failed");
    }
}
