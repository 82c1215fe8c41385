//! Values that must never be seen: each is a type of its own, hides itself in
//! `Debug`, has no `Display` and is wiped from memory when it is dropped.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::Deserialize;
use zeroize::Zeroizing;

macro_rules! secrets {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Deserialize)]
        #[serde(from = "String")]
        pub struct $name(Zeroizing<String>);

        impl $name {
            /// Wraps a value that was received or generated.
            pub fn new(value: impl Into<String>) -> Self {
                Self(Zeroizing::new(value.into()))
            }

            /// The value itself, for the one place that sends or seals it.
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// Whether both are the same, in a time that does not tell where they differ.
            pub fn same_as(&self, other: &Self) -> bool {
                verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self::new(value)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    )*};
}

secrets! {
    /// RFC 6749 section 1.4.
    AccessToken;
    /// RFC 6749 section 1.5.
    RefreshToken;
    /// RFC 6749 section 1.3.1.
    AuthorizationCode;
    /// RFC 6749 section 2.3.1.
    ClientSecret;
    /// RFC 7636 section 4.1.
    CodeVerifier;
    /// RFC 6749 section 4.1.1: ties the callback to the request.
    State;
    /// OpenID Connect Core section 3.1.2.1: ties the id_token to the request.
    Nonce;
    /// OpenID Connect Core section 2.
    IdToken;
    /// A signed session, as a cookie or a bearer carries it.
    SessionToken;
    /// A sealed value that travels through the browser.
    SealedToken;
    /// Signs requests to AWS.
    AwsSecretAccessKey;
    /// Comes with temporary credentials of AWS.
    AwsSessionToken;
    /// What the platform's scheduler shows.
    CronSecret;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_every_secret_type() {
        let shown = [
            format!("{:?}", AccessToken::new("canary")),
            format!("{:?}", RefreshToken::new("canary")),
            format!("{:?}", AuthorizationCode::new("canary")),
            format!("{:?}", ClientSecret::new("canary")),
            format!("{:?}", CodeVerifier::new("canary")),
            format!("{:?}", State::new("canary")),
            format!("{:?}", Nonce::new("canary")),
            format!("{:?}", IdToken::new("canary")),
            format!("{:?}", SessionToken::new("canary")),
            format!("{:?}", SealedToken::new("canary")),
            format!("{:?}", AwsSecretAccessKey::new("canary")),
            format!("{:?}", AwsSessionToken::new("canary")),
            format!("{:?}", CronSecret::new("canary")),
        ];

        assert!(
            shown
                .iter()
                .all(|text| !text.contains("canary") && text.contains("[redacted]"))
        );
    }

    #[test]
    fn equal_values_are_the_same_and_others_are_not() {
        assert!(AccessToken::new("a").same_as(&AccessToken::new("a")));
        assert!(!AccessToken::new("a").same_as(&AccessToken::new("b")));
        assert!(!AccessToken::new("a").same_as(&AccessToken::new("ab")));
    }
}
