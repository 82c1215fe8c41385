//! The one stylesheet, inlined, and the policy that lets a browser apply it and nothing else.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands between `<style>` and `</style>`.
pub const SHEET: &str = include_str!("../../templates/style.css");

/// A key, as a `data:` URL: without an icon of its own a browser asks for `/favicon.ico`.
pub const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%230b5f4b'/%3E%3Cpath \
    d='M6 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 2.6-1.8H10v1.6h2V9h1V7H8.6A2.8 2.8 0 0 0 6 \
    5.2Z' fill='%23fff'/%3E%3Ccircle cx='6' cy='8' r='1.1' fill='%230b5f4b'/%3E%3C/svg%3E";

/// `Content-Security-Policy` of our pages.
pub static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| policy(SHEET));

/// The policy of a page with this sheet: the sheet by its hash, so that no other style applies
/// even if one were smuggled in; no script; nothing from elsewhere; nobody may frame the page.
pub fn policy(sheet: &str) -> HeaderValue {
    let hash = STANDARD.encode(digest(&SHA256, sheet.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 and fixed words are visible ASCII")
}
