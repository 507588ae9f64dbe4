//! Checksums over a client that runs [`ChecksumSql`].

use std::{collections::HashMap, fmt};

use async_trait::async_trait;

use crate::{
    model::{
        Target,
        checksum::{Form, Group, Key, RowDigest, Selection},
    },
    warehouse::{
        error::{Failure, WarehouseError},
        plan::Layout,
        session::Value,
    },
};

use super::{
    Checksums, ComparedTarget, Part,
    sql::{ChecksumSql, Hashing, Tables},
};

/// Keys that one statement asks for.
const KEYS_MAX: usize = 500;

/// What an error says was attempted.
pub(crate) const WHAT: &str = "compute checksums";

/// A connection that answers queries of BIGINT and text. Their texts hold keys: no error may repeat them.
#[async_trait]
pub(crate) trait Ask: Send + fmt::Debug {
    /// Whether the product keeps JSON as text.
    const JSON_TEXT: bool;

    /// Runs a query.
    async fn ask(&mut self, sql: String) -> Result<Vec<Vec<Value>>, Failure>;

    /// Finds a target; `None` before anything was merged into it.
    async fn look(&mut self, target: &Target) -> Result<Option<Found>, WarehouseError>;
}

/// A target, and where its rows lie.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) layout: Layout,
    /// Quoted name of the target.
    pub(crate) table: String,
    /// Quoted name of its side table, whether it has one or not.
    pub(crate) side: String,
}

/// A connection that only reads, the targets that were asked for, and how the product hashes.
#[derive(Debug)]
pub(crate) struct Reader<A, H> {
    asked: A,
    hashing: H,
    tables: HashMap<Target, Tables>,
}

impl<A: Ask, H: Hashing> Reader<A, H> {
    pub(crate) fn new(asked: A, hashing: H) -> Self {
        Self { asked, hashing, tables: HashMap::new() }
    }

    async fn ask(
        &mut self,
        part: Part<'_>,
        statement: impl FnOnce(&ChecksumSql<'_>) -> String,
    ) -> Result<Vec<Vec<Value>>, WarehouseError> {
        let tables = self.tables.get(part.target).ok_or_else(|| unexpected(part.target))?;
        let statement = statement(&ChecksumSql { part, tables, hashing: &self.hashing });
        self.asked.ask(statement).await.map_err(|f| f.in_table(part.target, WHAT))
    }
}

#[async_trait]
impl<A: Ask, H: Hashing> Checksums for Reader<A, H> {
    async fn target(&mut self, target: &Target) -> Result<Option<ComparedTarget>, WarehouseError> {
        let Some(Found { layout, table, side }) = self.asked.look(target).await? else { return Ok(None) };
        self.tables.insert(layout.target.clone(), Tables::new(&layout, table, side));
        Ok(Some(ComparedTarget::of(&layout, A::JSON_TEXT, |ty| Form::of_key(ty).orders_alike())))
    }

    async fn groups(
        &mut self,
        part: Part<'_>,
        selection: &Selection,
        digits: u8,
    ) -> Result<Vec<Group>, WarehouseError> {
        let rows = self.ask(part, |sql| sql.groups(selection, digits)).await?;
        let group = |row: &Vec<Value>| match &row[..] {
            [Value::Text(bucket), Value::Int(rows), Value::Text(sum)] => {
                Some(Group { bucket: bucket.clone(), rows: u64::try_from(*rows).ok()?, sum: sum.parse().ok()? })
            }
            _ => None,
        };
        rows.iter().map(group).collect::<Option<_>>().ok_or_else(|| unexpected(part.target))
    }

    async fn rows(&mut self, part: Part<'_>, selection: &Selection) -> Result<Vec<RowDigest>, WarehouseError> {
        digests(part, self.ask(part, |sql| sql.rows(selection)).await?)
    }

    async fn rows_of(&mut self, part: Part<'_>, keys: &[Key]) -> Result<Vec<RowDigest>, WarehouseError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            found.extend(digests(part, self.ask(part, |sql| sql.rows_of(keys)).await?)?);
        }
        Ok(found)
    }

    async fn values_of(&mut self, part: Part<'_>, key: &Key) -> Result<Option<Vec<Option<String>>>, WarehouseError> {
        let rows = self.ask(part, |sql| sql.values_of(key)).await?;
        Ok(rows.into_iter().next().map(|row| row.iter().map(|value| value.text().map(str::to_owned)).collect()))
    }
}

fn digests(part: Part<'_>, rows: Vec<Vec<Value>>) -> Result<Vec<RowDigest>, WarehouseError> {
    let digest = |row: &Vec<Value>| match &row[..] {
        [Value::Int(content), Value::Int(seq), key @ ..] => Some(RowDigest {
            key: key.iter().map(|token| token.text().map(str::to_owned)).collect::<Option<_>>()?,
            content: u64::try_from(*content).ok()?,
            seq: Some(*seq),
        }),
        _ => None,
    };
    rows.iter().map(digest).collect::<Option<_>>().ok_or_else(|| unexpected(part.target))
}

fn unexpected(target: &Target) -> WarehouseError {
    WarehouseError::fatal(format!("understand its own checksums of {target}"))
}
