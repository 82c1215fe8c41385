//! What the demo provider knows: codes, grants and tokens, all in memory.
//! It decides what is alive; how that is said over HTTP is left to the endpoints.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::account::Account;
use crate::calendar::Calendars;
use crate::client::project;
use crate::id_token::SigningKey;
use crate::knobs::{ApiFault, Knobs, RefreshTokens};
use crate::mail::Mail;
use crate::recorded::Recorded;

/// One server: its address, its key and its world, shared by every connection and the handle.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Server>);

struct Server {
    origin: String,
    key: SigningKey,
    world: Mutex<World>,
}

impl Shared {
    pub(crate) fn new(origin: String, key: SigningKey) -> Shared {
        Shared(Arc::new(Server {
            origin,
            key,
            world: Mutex::default(),
        }))
    }

    pub(crate) fn origin(&self) -> &str {
        &self.0.origin
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.0.key
    }

    /// The world, locked; never held while waiting.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // A panic in an assertion of a test's `update` closure must not take the server down.
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything that changes.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) knobs: Knobs,
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) mail: Mail,
    pub(crate) calendars: Calendars,
    calls: BTreeMap<&'static str, usize>,
    codes: HashMap<String, (Consent, Instant)>,
    grants: Vec<Grant>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, RefreshToken>,
}

/// What a user agreed to, waiting for its code to be exchanged.
pub(crate) struct Consent {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) account: &'static Account,
    pub(crate) scopes: Vec<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) code_challenge: Option<String>,
    pub(crate) offline: bool,
}

/// A consent that was exchanged: the family that all its tokens belong to.
#[derive(Clone)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) account: &'static Account,
    pub(crate) scopes: Vec<String>,
    alive: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct GrantId(usize);

struct AccessToken {
    grant: GrantId,
    scopes: Vec<String>,
    expires_at: Instant,
}

struct RefreshToken {
    grant: GrantId,
    used_at: Option<Instant>,
}

impl World {
    /// The knobs for a token request that arrives now, and whether their faults apply to it.
    pub(crate) fn begin_token_request(&mut self) -> (Knobs, bool) {
        let faulty = match &mut self.knobs.fail_next_n {
            None => self.knobs.has_token_fault(),
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        };
        (self.knobs.clone(), faulty)
    }

    /// The fault that hits an API call of this account, which arrives now.
    pub(crate) fn begin_api_call(&mut self, account: Option<&Account>) -> Option<ApiFault> {
        let knobs = &mut self.knobs;
        let fault = knobs.api_fault?;
        let named = |email: &String| account.is_some_and(|account| account.email == email);
        if !knobs.api_fault_accounts.is_empty() && !knobs.api_fault_accounts.iter().any(named) {
            return None;
        }
        match &mut knobs.api_fail_next_n {
            None => Some(fault),
            Some(0) => None,
            Some(left) => {
                *left -= 1;
                Some(fault)
            }
        }
    }

    /// Counts a call of an API's method.
    pub(crate) fn count_call(&mut self, method: &'static str) {
        *self.calls.entry(method).or_default() += 1;
    }

    /// How often each method was called, those excepted that never were.
    pub(crate) fn calls(&self) -> &BTreeMap<&'static str, usize> {
        &self.calls
    }

    /// Forgets what was asked so far, and how often.
    pub(crate) fn forget_requests(&mut self) {
        self.recorded.clear();
        self.calls.clear();
    }

    pub(crate) fn save_code(&mut self, consent: Consent, expires_at: Instant) -> String {
        let code = random("4/0A");
        self.codes.insert(code.clone(), (consent, expires_at));
        code
    }

    /// The consent behind a code, once and until it expires.
    pub(crate) fn take_code(&mut self, code: &str) -> Option<Consent> {
        let (consent, expires_at) = self.codes.remove(code)?;
        (Instant::now() < expires_at).then_some(consent)
    }

    pub(crate) fn open_grant(
        &mut self,
        client_id: &str,
        account: &'static Account,
        scopes: Vec<String>,
    ) -> GrantId {
        self.grants.push(Grant {
            client_id: client_id.to_owned(),
            account,
            scopes,
            alive: true,
        });
        GrantId(self.grants.len() - 1)
    }

    pub(crate) fn grant(&self, id: GrantId) -> &Grant {
        &self.grants[id.0]
    }

    /// What an account has granted to any client of a project so far.
    pub(crate) fn granted_to_project(&self, client_id: &str, account: &Account) -> Vec<String> {
        let grants = self.grants.iter().filter(|grant| {
            grant.alive
                && grant.account == account
                && project(&grant.client_id) == project(client_id)
        });
        grants
            .flat_map(|grant| grant.scopes.iter().cloned())
            .collect()
    }

    pub(crate) fn mint_access_token(&mut self, grant: GrantId, scopes: Vec<String>) -> String {
        let token = random("ya29.");
        let lifetime = Duration::from_secs(self.knobs.access_token_lifetime_s);
        let expires_at = Instant::now() + lifetime;
        self.access_tokens.insert(
            token.clone(),
            AccessToken {
                grant,
                scopes,
                expires_at,
            },
        );
        token
    }

    pub(crate) fn mint_refresh_token(&mut self, grant: GrantId) -> String {
        let token = random("1//0");
        self.refresh_tokens.insert(
            token.clone(),
            RefreshToken {
                grant,
                used_at: None,
            },
        );
        token
    }

    /// The grant a refresh token belongs to, dead or alive.
    pub(crate) fn grant_behind(&self, refresh_token: &str) -> Option<&Grant> {
        self.refresh_tokens
            .get(refresh_token)
            .map(|known| self.grant(known.grant))
    }

    /// Uses a refresh token of this client: its grant, and the token that comes in its place if the
    /// provider rotates. `None` when it is dead; a second use of a single-use one kills the family.
    pub(crate) fn use_refresh_token(
        &mut self,
        token: &str,
        client_id: &str,
    ) -> Option<(GrantId, Option<String>)> {
        let now = Instant::now();
        let leeway = Duration::from_millis(self.knobs.reuse_leeway_ms);
        let rotation = self.knobs.refresh_tokens;

        let known = self.refresh_tokens.get_mut(token)?;
        let id = known.grant;
        let grant = &mut self.grants[id.0];
        if !grant.alive || grant.client_id != client_id {
            return None;
        }
        let replayed = known
            .used_at
            .is_some_and(|used_at| now.duration_since(used_at) >= leeway);
        if replayed && rotation == RefreshTokens::SingleUse {
            grant.alive = false;
            return None;
        }
        known.used_at.get_or_insert(now);

        if self.knobs.old_access_token_dies_on_refresh {
            self.access_tokens
                .retain(|_, access_token| access_token.grant != id);
        }
        let next = match rotation {
            RefreshTokens::Keep => None,
            RefreshTokens::Rotate | RefreshTokens::SingleUse => Some(self.mint_refresh_token(id)),
        };
        Some((id, next))
    }

    /// Whose access token this is and what it opens, while it works.
    pub(crate) fn live_access_token(&self, token: &str) -> Option<(&'static Account, &[String])> {
        let known = self.access_tokens.get(token)?;
        let grant = self.grant(known.grant);
        (grant.alive && known.expires_at > Instant::now())
            .then_some((grant.account, known.scopes.as_slice()))
    }

    /// Revokes whatever the token's account granted to the token's project; false for an unknown token.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let id = match (
            self.refresh_tokens.get(token),
            self.access_tokens.get(token),
        ) {
            (Some(refresh_token), _) => refresh_token.grant,
            (None, Some(access_token)) => access_token.grant,
            (None, None) => return false,
        };
        let revoked = self.grant(id).clone();
        if !revoked.alive {
            return false;
        }
        self.kill_grants(|grant| {
            grant.account == revoked.account
                && project(&grant.client_id) == project(&revoked.client_id)
        });
        true
    }

    pub(crate) fn kill_grants(&mut self, doomed: impl Fn(&Grant) -> bool) {
        for grant in self.grants.iter_mut().filter(|grant| doomed(grant)) {
            grant.alive = false;
        }
    }

    pub(crate) fn expire_access_tokens(&mut self) {
        self.access_tokens.clear();
    }
}

/// A fresh unguessable value, shaped like Google's.
fn random(prefix: &str) -> String {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).expect("the system's random source works");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::ACCOUNTS;

    fn consent() -> Consent {
        Consent {
            client_id: "1-a".to_owned(),
            redirect_uri: "postmessage".to_owned(),
            account: &ACCOUNTS[0],
            scopes: vec!["openid".to_owned()],
            nonce: None,
            code_challenge: None,
            offline: true,
        }
    }

    #[test]
    fn a_code_works_until_it_expires() {
        let mut world = World::default();
        let now = Instant::now();

        let expired = world.save_code(consent(), now);
        let fresh = world.save_code(consent(), now + Duration::from_secs(60));

        assert!(world.take_code(&expired).is_none());
        assert!(world.take_code(&fresh).is_some());
    }
}
