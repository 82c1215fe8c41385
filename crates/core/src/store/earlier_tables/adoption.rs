//! Earlier tables under the names that are needed here: moved aside with their indexes in
//! the transaction that creates ours, and moved back again. Nothing is dropped, ever.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_postgres::types::Type;

use super::quoted;
use crate::store::{Store, StoreError, schema};

/// Behind the name of a table that was moved aside.
const BEFORE: &str = "_before_grantkeep";
/// Behind the name of one of ours that an undo moved aside.
const UNDONE: &str = "_of_grantkeep";

/// A table that moves, with what moves with it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Move {
    /// Its schema.
    pub schema: String,
    /// The name that it had.
    pub from: String,
    /// The name that it gets.
    pub to: String,
    /// Indexes, old and new name; their constraints follow.
    indexes: Vec<(String, String)>,
}

impl Move {
    fn sql(&self, back: bool) -> String {
        let schema = quoted(&self.schema);
        let rename = |kind: &str, (from, to): (&str, &str)| {
            let (from, to) = if back { (to, from) } else { (from, to) };
            format!(
                "alter {kind} {schema}.{} rename to {};\n",
                quoted(from),
                quoted(to)
            )
        };
        let mut sql = rename("table", (&self.from, &self.to));
        for (from, to) in &self.indexes {
            sql.push_str(&rename("index", (from, to)));
        }
        sql
    }
}

/// A table that was moved aside.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// How it moved.
    pub theirs: Move,
    /// How ours moved when that was undone; absent while ours is in use.
    ours: Option<Move>,
}

impl Adopted {
    /// Whether it is back where it was.
    pub fn is_undone(&self) -> bool {
        self.ours.is_some()
    }
}

/// What was moved aside, by the name that it had.
pub async fn adopted(store: &Store) -> Result<Vec<Adopted>, StoreError> {
    let rows = store
        .read(
            "select theirs, ours from grantkeep_adopted_tables order by name",
            &[],
        )
        .await?;
    let read = |value: Value| serde_json::from_value(value).ok();
    Ok(rows
        .iter()
        .filter_map(|row| {
            Some(Adopted {
                theirs: read(row.get(0))?,
                ours: row.get::<_, Option<Value>>(1).and_then(read),
            })
        })
        .collect())
}

/// What has to move before our tables can be made.
#[derive(Clone, Debug)]
pub struct InTheWay {
    /// Tables of others under names that migrations which are still to be applied need.
    pub moves: Vec<Move>,
    /// The last migration that was applied when this was found.
    seen: Option<i32>,
}

/// Looks for tables of others under names that are needed here.
pub async fn in_the_way(store: &Store) -> Result<InTheWay, StoreError> {
    let applied = schema::state(store).await?;
    let seen = applied
        .iter()
        .filter(|one| one.applied_at.is_some())
        .map(|one| one.version)
        .max();
    let names: Vec<String> = schema::MIGRATIONS
        .iter()
        .filter(|own| {
            !applied
                .iter()
                .any(|one| one.version == own.version && one.applied_at.is_some())
        })
        .flat_map(|migration| schema::tables_of(migration.sql))
        .collect();
    let moves = moves(store, &names, BEFORE).await?;
    Ok(InTheWay { moves, seen })
}

async fn moves(store: &Store, names: &[String], suffix: &str) -> Result<Vec<Move>, StoreError> {
    let rows = store
        .read(
            "select n.nspname::text, c.relname::text,
                    array(select i.relname::text from pg_index x
                            join pg_class i on i.oid = x.indexrelid
                           where x.indrelid = c.oid order by i.relname)
               from pg_class c join pg_namespace n on n.oid = c.relnamespace
              where n.nspname = current_schema() and c.relname = any($1)
                and c.relkind in ('r', 'p')
              order by c.relname",
            &[(&names, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let from: String = row.get(1);
            let indexes: Vec<String> = row.get(2);
            Move {
                schema: row.get(0),
                to: format!("{from}{suffix}"),
                indexes: indexes
                    .into_iter()
                    .enumerate()
                    .map(|(number, index)| {
                        // Names have at most 63 bytes; the number keeps cut ones apart.
                        let short: String = index.chars().take(40).collect();
                        (index, format!("{short}_{number}{suffix}"))
                    })
                    .collect(),
                from,
            }
        })
        .collect())
}

/// Moves these aside and creates our tables, or takes them back from an undo, in one
/// transaction: whoever looks sees either all of it or nothing. An error, and nothing done,
/// if our tables were made by somebody else since that was found: they would be moved.
pub async fn adopt(store: &Store, found: &InTheWay) -> Result<(), StoreError> {
    let before = adopted(store).await?;
    let seen = found
        .seen
        .map_or("null".to_owned(), |seen| seen.to_string());
    let mut sql = format!(
        "set local lock_timeout = '10s';
         do $guard$
         declare applied integer;
         begin
             select max(version) into applied from grantkeep_migrations;
             if applied is distinct from {seen} then
                 raise exception 'changed' using errcode = '{}';
             end if;
         end $guard$;
         create table if not exists grantkeep_adopted_tables (
             name       text        primary key,
             theirs     jsonb       not null,
             ours       jsonb,
             adopted_at timestamptz not null default now());\n",
        schema::MEANWHILE
    );
    for one in &found.moves {
        sql.push_str(&one.sql(false));
        sql.push_str(&format!(
            "insert into grantkeep_adopted_tables (name, theirs) values ({}, {});\n",
            text(&one.from),
            json(one)
        ));
    }
    for one in &before {
        if let Some(ours) = &one.ours {
            sql.push_str(&one.theirs.sql(false));
            sql.push_str(&ours.sql(true));
        }
    }
    sql.push_str("update grantkeep_adopted_tables set ours = null;\n");
    schema::ensure_after(store, &sql).await
}

/// Moves ours aside and the earlier ones back, in one transaction. Ours keep their rows.
pub async fn undo(store: &Store) -> Result<Vec<Move>, StoreError> {
    let adopted = adopted(store).await?;
    let names: Vec<String> = adopted
        .iter()
        .filter(|one| !one.is_undone())
        .map(|one| one.theirs.from.clone())
        .collect();
    let ours = moves(store, &names, UNDONE).await?;
    let mut sql = String::from("set local lock_timeout = '10s';\n");
    let mut back = Vec::new();
    for one in &ours {
        let Some(adopted) = adopted.iter().find(|it| it.theirs.from == one.from) else {
            continue;
        };
        sql.push_str(&one.sql(false));
        sql.push_str(&adopted.theirs.sql(true));
        sql.push_str(&format!(
            "update grantkeep_adopted_tables set ours = {} where name = {};\n",
            json(one),
            text(&one.from)
        ));
        back.push(adopted.theirs.clone());
    }
    store.batch(&sql).await?;
    Ok(back)
}

/// A string as SQL.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn json(value: &Move) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    // A backslash means nothing special there (standard_conforming_strings).
    format!("{}::jsonb", text(&json))
}
