//! Whole tables of earlier systems: row by row into connections, in batches that are each
//! saved and noted in the ledger by one statement, so that it can be stopped anywhere.

use std::collections::{BTreeMap, HashSet};

use super::candidate::Candidate;
use super::save::{Order, check, fingerprint};
use super::{Imported, read_members};
use crate::app::App;
use crate::connect::row_for;
use crate::connection::Owner;
use crate::provider::Provider;
use crate::store::earlier_tables::{self, EarlierRow, EarlierTable, ledger};
use crate::store::oauth_tokens::import::{ImportedRow, save};
use crate::store::{Store, StoreError};

/// How to import a table.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// For every row, whatever it says.
    pub provider: Option<String>,
    /// What providers were called, and what they are called here.
    pub renamed: BTreeMap<String, String>,
    /// For every row, whatever it says.
    pub workspace: Option<String>,
    /// For every row, whatever it says.
    pub actor: Option<String>,
    /// Rows for one statement.
    pub batch: i64,
    /// Change nothing.
    pub dry_run: bool,
}

/// A row that was not imported.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skipped {
    /// The row's key.
    pub key: String,
    /// Why, and what to do. No value of the row.
    pub reason: String,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Imported, or to be imported.
    pub imported: u64,
    /// Imported by an earlier run.
    pub before: u64,
    /// Left where they are.
    pub skipped: Vec<Skipped>,
}

/// An import of one table that goes on batch by batch.
pub struct TableImport<'a> {
    /// Where the connections go.
    pub app: &'a App,
    /// Where the table is.
    pub from: &'a Store,
    /// The table.
    pub table: &'a EarlierTable,
    /// Names the table in the ledger, wherever it is moved.
    pub source: &'a str,
    /// How.
    pub plan: &'a Plan,
    after: Option<Vec<String>>,
}

impl<'a> TableImport<'a> {
    /// From the beginning; what was imported before is passed over.
    pub fn new(
        app: &'a App,
        from: &'a Store,
        table: &'a EarlierTable,
        source: &'a str,
        plan: &'a Plan,
    ) -> Self {
        Self {
            app,
            from,
            table,
            source,
            plan,
            after: None,
        }
    }

    /// Imports the next batch; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        let after = self.after.as_deref();
        let rows = earlier_tables::page(self.from, self.table, after, self.plan.batch).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.after = Some(last.mark.clone());

        let before = self
            .imported(rows.iter().map(|row| row.key.as_str()))
            .await?;
        let mut batch = Batch {
            before: before.len() as u64,
            ..Batch::default()
        };
        let mut ready = Vec::with_capacity(rows.len());
        let mut places = HashSet::new();
        for row in rows.into_iter().filter(|row| !before.contains(&row.key)) {
            match self.prepare(row, &mut places) {
                Ok(row) => ready.push(row),
                Err(skipped) => batch.skipped.push(skipped),
            }
        }
        if self.plan.dry_run {
            batch.imported = ready.len() as u64;
            return Ok(Some(batch));
        }
        if !ready.is_empty() {
            self.save(&ready, &mut batch).await?;
        }
        Ok(Some(batch))
    }

    async fn save(&self, ready: &[ImportedRow], batch: &mut Batch) -> Result<(), StoreError> {
        let saved = save(&self.app.store, ready, Some(self.source)).await?;
        batch.imported = saved.len() as u64;
        if saved.len() == ready.len() {
            return Ok(());
        }
        let saved: HashSet<_> = saved.into_iter().collect();
        let left: Vec<&str> = ready
            .iter()
            .filter(|row| !saved.contains(&row.place.id()))
            .filter_map(|row| row.source_key.as_deref())
            .collect();
        // Another run beside this one may have been faster.
        let meanwhile = self.imported(left.iter().copied()).await?;
        batch.before += meanwhile.len() as u64;
        let left = left.into_iter().filter(|key| !meanwhile.contains(*key));
        batch.skipped.extend(left.map(|key| {
            Skipped {
                key: key.to_owned(),
                reason:
                    "there is a connection of the same provider, workspace, actor and account, \
                     made by another row or otherwise: it stays as it is"
                        .to_owned(),
            }
        }));
        Ok(())
    }

    async fn imported<'k>(
        &self,
        keys: impl Iterator<Item = &'k str>,
    ) -> Result<HashSet<String>, StoreError> {
        let keys: Vec<&str> = keys.collect();
        let found = ledger::imported(&self.app.store, self.source, &keys).await?;
        Ok(found.into_iter().collect())
    }

    /// A row as it is saved. `places` are the connections of this batch so far.
    fn prepare(
        &self,
        row: EarlierRow,
        places: &mut HashSet<(String, Owner, String)>,
    ) -> Result<ImportedRow, Skipped> {
        let key = row.key.clone();
        let skipped = |reason: String| Skipped {
            key: key.clone(),
            reason,
        };
        let serde_json::Value::Object(members) = row.row else {
            return Err(skipped("is no row".to_owned()));
        };
        let imported = read_members(members, &self.app.settings.keys)
            .map_err(|refused| skipped(refused.to_string()))?;
        let provider = self.provider(&imported).map_err(&skipped)?;
        check(provider, &imported).map_err(|refused| skipped(refused.to_string()))?;
        let whose = &imported.whose;
        let owner = Owner::new(
            self.plan
                .workspace
                .as_deref()
                .or(whose.workspace.as_deref()),
            self.plan
                .actor
                .as_deref()
                .or(whose.actor.as_deref())
                .or(whose.user.as_deref()),
        )
        .map_err(|error| skipped(error.to_string()))?;
        let order = Order {
            owner: owner.clone(),
            account: None,
            verify: false,
            replace: false,
            keep_dead: false,
        };
        let candidate = Candidate::new(provider, &imported, &order, None)
            .map_err(|refused| skipped(refused.to_string()))?;
        let (place, _) = row_for(self.app, &provider.name, &owner, &candidate.identity, &[]);
        if !places.insert((provider.name.clone(), owner, place.account.clone())) {
            return Err(skipped(
                "is of the same provider, workspace, actor and account as a newer row".to_owned(),
            ));
        }
        Ok(ImportedRow {
            format: imported.format.as_str(),
            fingerprint: fingerprint(&imported),
            created_at: whose.created_at,
            source_key: Some(row.key),
            ..candidate.row(self.app, &place, None)
        })
    }

    fn provider(&self, imported: &Imported) -> Result<&'a Provider, String> {
        let said = self.plan.provider.as_ref().or_else(|| {
            let said = imported.whose.provider.as_ref()?;
            Some(self.plan.renamed.get(said).unwrap_or(said))
        });
        let name = said.ok_or("names no provider: give one with --provider")?;
        self.app.settings.providers.find(name).ok_or_else(|| {
            let shown: String = name
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c))
                .take(50)
                .collect();
            format!(
                "there is no provider {shown}, or no client for it: say what it is called here \
                 with --map-provider {shown}=NAME"
            )
        })
    }
}
