//! `users`: who signed in, known by issuer and subject.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError};

/// Somebody who signed in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// The actor of their connections.
    pub id: Uuid,
    /// For people; only an address that the issuer has verified, and never an identity.
    pub email: Option<String>,
}

/// The user of this issuer and subject, made with `id` at the first sign-in. The address is
/// the latest one.
pub async fn sign_in(
    store: &Store,
    id: Uuid,
    issuer: &str,
    subject: &str,
    email: Option<&str>,
) -> Result<User, StoreError> {
    let rows = store
        .write(
            "insert into users (id, iss, sub, email)
             values ($1, $2, $3, $4)
             on conflict (iss, sub) do update
                set email = excluded.email, signed_in_at = now()
             returning id",
            &[
                (&id, Type::UUID),
                (&issuer, Type::TEXT),
                (&subject, Type::TEXT),
                (&email, Type::TEXT),
            ],
        )
        .await?;
    let id = rows
        .first()
        .map(|row| row.get(0))
        .ok_or_else(|| StoreError::Unavailable("the user was not saved".to_owned()))?;
    Ok(User {
        id,
        email: email.map(str::to_owned),
    })
}
