//! The connection as it is in Postgres, and time that passes there.

use super::{PROVIDER, Tour, expect, listed, shown, user};

/// What the tour looks at in a row of `oauth_tokens`.
pub(super) struct SealedRow {
    /// The connection's id.
    pub id: String,
    /// How many token sets it has had.
    pub version: i64,
    /// The sealed token set.
    pub token_data: Vec<u8>,
}

impl SealedRow {
    /// Whether a text can be found in the sealed token set.
    pub(super) fn shows(&self, text: &str) -> bool {
        self.token_data
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

impl Tour {
    /// Shows the row that the callback wrote.
    pub(super) async fn sealed_row(&self) -> Result<SealedRow, String> {
        let rows = self
            .stack
            .app
            .store
            .read(
                "select id::text as id, provider, workspace_id, actor_id, account, status, key_id,
                        version, token_data, encode(substring(token_data from 1 for 24), 'hex') as start
                   from oauth_tokens",
                &[],
            )
            .await
            .map_err(|error| error.to_string())?;
        let [row] = rows.as_slice() else {
            return Err(format!(
                "expected one row of oauth_tokens, saw {}",
                rows.len()
            ));
        };
        let text = |column: &str| row.get::<_, String>(column);
        let sealed = SealedRow {
            id: text("id"),
            version: row.get("version"),
            token_data: row.get("token_data"),
        };

        shown("select … from oauth_tokens");
        for column in [
            "id",
            "provider",
            "workspace_id",
            "actor_id",
            "account",
            "status",
            "key_id",
        ] {
            listed(column, &text(column));
        }
        listed("version", &sealed.version.to_string());
        listed(
            "token_data",
            &format!("{}… ({} bytes)", text("start"), sealed.token_data.len()),
        );
        for (column, wanted) in [
            ("provider", PROVIDER),
            ("account", user().email),
            ("status", "active"),
        ] {
            expect(
                text(column) == wanted,
                &format!("{column} {wanted}"),
                text(column),
            )?;
        }
        expect(sealed.version == 1, "version 1", sealed.version)?;
        Ok(sealed)
    }

    /// Lets the access token's hour pass, here and at the provider.
    pub(super) async fn expire(&self) -> Result<(), String> {
        self.demo()?.expire_access_tokens();
        self.stack
            .app
            .store
            .write(
                "update oauth_tokens set expires_at = now() - interval '1 minute'",
                &[],
            )
            .await
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// How many token sets the connection has had.
    pub(super) async fn version(&self) -> Result<i64, String> {
        let rows = self
            .stack
            .app
            .store
            .read("select version from oauth_tokens", &[])
            .await
            .map_err(|error| error.to_string())?;
        let row = rows.first().ok_or("expected a row, saw none")?;
        Ok(row.get("version"))
    }
}
