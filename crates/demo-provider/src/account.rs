//! The people who can give consent, and any number of others for tests with many mailboxes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// A demo account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Account {
    /// Its e-mail address, which is how the rest of this crate's interface names it.
    pub email: &'static str,
    /// The name a person would recognise.
    pub name: &'static str,
    /// Its stable identifier, the `sub` of id_tokens and userinfo.
    pub sub: &'static str,
}

/// The accounts that the consent page offers.
pub const ACCOUNTS: [Account; 3] = [
    Account {
        email: "alice@example.test",
        name: "Alice Moreau",
        sub: "108360271940385126604",
    },
    Account {
        email: "bob@example.test",
        name: "Bob Tanaka",
        sub: "113907745210663048817",
    },
    Account {
        email: "carol@example.test",
        name: "Carol Okafor",
        sub: "101586230977412950238",
    },
];

/// The account with this e-mail address or `sub`. `user0@example.test`, `user1@example.test` and
/// so on exist too, without being offered on a page.
pub(crate) fn find(hint: &str) -> Option<&'static Account> {
    let offered = ACCOUNTS
        .iter()
        .find(|account| account.email == hint || account.sub == hint);
    offered.or_else(|| {
        let number = hint
            .strip_prefix("user")
            .and_then(|rest| rest.strip_suffix("@example.test"))
            .or_else(|| hint.strip_prefix(NUMBERED_SUB))?;
        let written = number.parse::<u32>().ok()?;
        (written.to_string() == number).then(|| numbered(written))
    })
}

/// The beginning of the `sub` of numbered accounts.
const NUMBERED_SUB: &str = "2000000000";

/// The account `user{number}@example.test`.
pub(crate) fn numbered(number: u32) -> &'static Account {
    static KNOWN: Mutex<Option<HashMap<u32, &'static Account>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known
        .get_or_insert_default()
        .entry(number)
        // Never freed: one for each number in use, as long as the process lives.
        .or_insert_with(|| {
            let text = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
            Box::leak(Box::new(Account {
                email: text(format!("user{number}@example.test")),
                name: text(format!("User {number}")),
                sub: text(format!("{NUMBERED_SUB}{number}")),
            }))
        })
}
