//! Credentials: the decrypted token set of a connection.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use grantkeep_providers::Definition;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::oauth::TokenSet;
use crate::provider::Client;
use crate::scope::ScopeSet;
use crate::secret::{AccessToken, RefreshToken};

/// Refresh this long before expiry, unless the definition says otherwise.
const MARGIN: TimeDelta = TimeDelta::seconds(300);
/// Where no expiry is known, refresh a token that is older than this.
const UNKNOWN_EXPIRY_AGE: TimeDelta = TimeDelta::hours(1);
/// A token that ends sooner than this is not handed out as valid.
const USABLE: TimeDelta = TimeDelta::seconds(10);

/// A token of this age is not replaced because it is short-lived.
const JUST_ISSUED: TimeDelta = TimeDelta::seconds(60);

/// The token set that is sealed into `token_data`.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// RFC 6749 section 1.4.
    pub access_token: AccessToken,
    /// RFC 6749 section 1.5; absent where the provider gave none.
    pub refresh_token: Option<RefreshToken>,
    /// How long the access token was issued for, in seconds.
    pub lifetime: Option<u64>,
    /// Members of the token answer that API calls need, such as an instance's address.
    pub metadata: Map<String, Value>,
}

/// How the sealed bytes are written; the only place where tokens are serialised.
#[derive(Serialize)]
struct Written<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: &'a Map<String, Value>,
}

#[derive(Deserialize)]
struct Read {
    access_token: AccessToken,
    refresh_token: Option<RefreshToken>,
    lifetime: Option<u64>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

impl Credentials {
    /// What a first exchange gave.
    pub fn issued(tokens: TokenSet) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            lifetime: tokens.expires_in,
            metadata: tokens.metadata,
        }
    }

    /// These after a refresh: what the answer leaves out stays (RFC 6749 section 6).
    pub fn refreshed(&self, tokens: TokenSet) -> Self {
        let mut metadata = self.metadata.clone();
        metadata.extend(tokens.metadata);
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.or_else(|| self.refresh_token.clone()),
            lifetime: tokens.expires_in,
            metadata,
        }
    }

    /// The plaintext to seal.
    pub fn to_plaintext(&self) -> Zeroizing<Vec<u8>> {
        let written = Written {
            access_token: self.access_token.expose(),
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::expose),
            lifetime: self.lifetime,
            metadata: &self.metadata,
        };
        Zeroizing::new(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// Reads what [`Self::to_plaintext`] wrote; `None` for anything else.
    pub fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let read: Read = serde_json::from_slice(plaintext).ok()?;
        Some(Self {
            access_token: read.access_token,
            refresh_token: read.refresh_token,
            lifetime: read.lifetime,
            metadata: read.metadata,
        })
    }

    /// Whether the access token should be refreshed before it is used. The margin is
    /// never more than half the token's life, or short-lived tokens would always be stale.
    pub fn is_stale(&self, times: &Times, definition: &Definition) -> bool {
        let margin = definition
            .refresh_margin
            .map_or(MARGIN, |s| TimeDelta::seconds(s.into()));
        let margin = self.lifetime.map_or(margin, |life| {
            margin.min(TimeDelta::milliseconds(
                i64::try_from(life).unwrap_or(i64::MAX / 1000) * 500,
            ))
        });
        let stale = match times.expires_at {
            Some(expires_at) => expires_at - margin <= times.now,
            None => times.issued_at + UNKNOWN_EXPIRY_AGE <= times.now,
        };
        let too_soon = definition.min_refresh_interval.is_some_and(|interval| {
            times.is_usable() && times.issued_at + TimeDelta::seconds(interval.into()) > times.now
        });
        stale && !too_soon
    }

    /// google-auth's `authorized_user` JSON. Without `secrets` it holds neither refresh
    /// token nor client secret and works until `expiry`.
    pub fn authorized_user(
        &self,
        definition: &Definition,
        client: &Client,
        times: &Times,
        granted: &ScopeSet,
        account: &str,
        secrets: bool,
    ) -> Value {
        let mut json = json!({
            "type": "authorized_user",
            "token": self.access_token.expose(),
            "token_uri": definition.token_endpoint,
            "client_id": client.id,
            "scopes": granted.as_slice(),
            "universe_domain": "googleapis.com",
            "account": account,
        });
        if let Some(expires_at) = times.expires_at {
            // The one form that every version of google-auth's reader takes.
            json["expiry"] = expires_at
                .to_rfc3339_opts(SecondsFormat::Micros, true)
                .into();
        }
        if secrets {
            json["refresh_token"] = self
                .refresh_token
                .as_ref()
                .map_or(Value::Null, |token| token.expose().into());
            json["client_secret"] = client
                .secret
                .as_ref()
                .map_or(Value::Null, |secret| secret.expose().into());
        }
        json
    }
}

/// When a token set was issued and ends, and what time it is, all by the database's clock.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Absent means unknown, not "never".
    pub expires_at: Option<DateTime<Utc>>,
    /// When the current access token came.
    pub issued_at: DateTime<Utc>,
    /// The database's time.
    pub now: DateTime<Utc>,
}

impl Times {
    /// Whether the access token still works for at least some seconds.
    pub fn is_usable(&self) -> bool {
        self.expires_at
            .is_none_or(|expires_at| expires_at - USABLE > self.now)
    }

    /// Whether it ends within `seconds` and a newer one could last longer: one that has
    /// just come is as good as it gets.
    pub fn is_short_of(&self, seconds: i64) -> bool {
        self.expires_in().is_some_and(|left| left < seconds)
            && self.now - self.issued_at > JUST_ISSUED
    }

    /// Seconds until the access token ends; never negative.
    pub fn expires_in(&self) -> Option<i64> {
        self.expires_at
            .map(|expires_at| (expires_at - self.now).num_seconds().max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(lifetime: Option<u64>) -> Credentials {
        Credentials {
            access_token: AccessToken::new("access"),
            refresh_token: Some(RefreshToken::new("refresh")),
            lifetime,
            metadata: Map::new(),
        }
    }

    fn times(seconds_left: Option<i64>, age: i64) -> Times {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        Times {
            expires_at: seconds_left.map(|left| now + TimeDelta::seconds(left)),
            issued_at: now - TimeDelta::seconds(age),
            now,
        }
    }

    fn definition(json: Value) -> Definition {
        let mut value = json!({"display_name": "Test"});
        value
            .as_object_mut()
            .expect("object")
            .extend(json.as_object().expect("object").clone());
        serde_json::from_value(value).expect("definition")
    }

    #[test]
    fn rf09_the_margin_is_300_seconds_but_never_more_than_half_the_life() {
        let plain = definition(json!({}));

        assert!(credentials(Some(3600)).is_stale(&times(Some(299), 0), &plain));
        assert!(!credentials(Some(3600)).is_stale(&times(Some(301), 0), &plain));
        assert!(!credentials(Some(300)).is_stale(&times(Some(200), 100), &plain));
        assert!(credentials(Some(300)).is_stale(&times(Some(149), 151), &plain));
    }

    #[test]
    fn rf10_a_short_token_is_replaced_unless_it_has_just_come() {
        assert!(times(Some(600), 3000).is_short_of(900));
        assert!(!times(Some(1200), 2400).is_short_of(900));
        assert!(!times(Some(600), 10).is_short_of(900));
        assert!(!times(None, 3000).is_short_of(900));
    }

    #[test]
    fn rf12_an_unknown_expiry_is_neither_never_nor_always_stale() {
        let plain = definition(json!({}));

        assert!(!credentials(None).is_stale(&times(None, 60), &plain));
        assert!(credentials(None).is_stale(&times(None, 3601), &plain));
        assert!(times(None, 3601).is_usable());
    }

    #[test]
    fn rf11_a_provider_that_limits_refreshes_is_not_asked_sooner() {
        let daily = definition(json!({"min_refresh_interval": 86400}));

        assert!(!credentials(Some(3600)).is_stale(&times(Some(200), 3400), &daily));
        assert!(credentials(Some(3600)).is_stale(&times(Some(0), 3600), &daily));
    }

    #[test]
    fn rf04_a_refresh_answer_without_a_refresh_token_keeps_the_old_one() {
        let tokens = TokenSet {
            access_token: AccessToken::new("new"),
            refresh_token: None,
            expires_in: Some(60),
            refresh_token_expires_in: None,
            scope: None,
            id_token: None,
            metadata: Map::new(),
            requested_at: DateTime::UNIX_EPOCH,
        };

        let refreshed = credentials(Some(3600)).refreshed(tokens);

        assert_eq!(refreshed.access_token.expose(), "new");
        assert_eq!(
            refreshed.refresh_token.as_ref().map(RefreshToken::expose),
            Some("refresh")
        );
    }

    #[test]
    fn the_sealed_form_reads_back_what_was_written() {
        let mut before = credentials(Some(3600));
        before
            .metadata
            .insert("instance_url".to_owned(), "https://x.example".into());

        let after = Credentials::from_plaintext(&before.to_plaintext()).expect("reads");

        assert_eq!(after.access_token.expose(), "access");
        assert_eq!(
            after.refresh_token.as_ref().map(RefreshToken::expose),
            Some("refresh")
        );
        assert_eq!(
            (after.lifetime, after.metadata),
            (before.lifetime, before.metadata)
        );
    }
}
