//! The people who can give consent.

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

/// Every account there is.
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

/// The account with this e-mail address or `sub`.
pub(crate) fn find(hint: &str) -> Option<&'static Account> {
    ACCOUNTS
        .iter()
        .find(|account| account.email == hint || account.sub == hint)
}
