//! Checksums over a client that runs [`ChecksumSql`].

use std::collections::HashMap;

use async_trait::async_trait;

use crate::{
    model::{
        Target,
        checksum::{Group, Key, RowDigest, Selection},
    },
    warehouse::{
        error::{Failure, WarehouseError},
        plan::Layout,
        session::Value,
    },
};

use super::{
    Part,
    sql::{ChecksumSql, Hashing, Tables},
};

/// Keys that one statement asks for.
const KEYS_MAX: usize = 500;

/// A connection that answers queries of BIGINT and text. Their texts hold keys: no error may repeat them.
#[async_trait]
pub(crate) trait Ask: Send {
    /// Runs a query.
    async fn ask(&mut self, sql: String) -> Result<Vec<Vec<Value>>, Failure>;
}

/// Targets that were asked for, and how this product hashes.
#[derive(Debug)]
pub(crate) struct Reader<H> {
    hashing: H,
    tables: HashMap<Target, Tables>,
}

impl<H: Hashing> Reader<H> {
    pub(crate) fn new(hashing: H) -> Self {
        Self { hashing, tables: HashMap::new() }
    }

    /// Remembers where the rows of a target lie: its quoted name and that of its side table.
    pub(crate) fn learn(&mut self, layout: &Layout, target: String, side: String) {
        self.tables.insert(layout.target.clone(), Tables::new(layout, target, side));
    }

    async fn ask(
        &self,
        session: &mut dyn Ask,
        part: Part<'_>,
        statement: impl FnOnce(&ChecksumSql<'_>) -> String,
    ) -> Result<Vec<Vec<Value>>, WarehouseError> {
        const WHAT: &str = "compute checksums";
        let tables = self.tables.get(part.target).ok_or_else(|| unexpected(part.target))?;
        let statement = statement(&ChecksumSql { part, tables, hashing: &self.hashing });
        session.ask(statement).await.map_err(|f| f.in_table(part.target, WHAT))
    }

    pub(crate) async fn groups(
        &self,
        session: &mut dyn Ask,
        part: Part<'_>,
        selection: &Selection,
        digits: u8,
    ) -> Result<Vec<Group>, WarehouseError> {
        let rows = self.ask(session, part, |sql| sql.groups(selection, digits)).await?;
        let group = |row: &Vec<Value>| match &row[..] {
            [Value::Text(bucket), Value::Int(rows), Value::Text(sum)] => {
                Some(Group { bucket: bucket.clone(), rows: u64::try_from(*rows).ok()?, sum: sum.parse().ok()? })
            }
            _ => None,
        };
        rows.iter().map(group).collect::<Option<_>>().ok_or_else(|| unexpected(part.target))
    }

    pub(crate) async fn rows(
        &self,
        session: &mut dyn Ask,
        part: Part<'_>,
        selection: &Selection,
    ) -> Result<Vec<RowDigest>, WarehouseError> {
        digests(part, self.ask(session, part, |sql| sql.rows(selection)).await?)
    }

    pub(crate) async fn rows_of(
        &self,
        session: &mut dyn Ask,
        part: Part<'_>,
        keys: &[Key],
    ) -> Result<Vec<RowDigest>, WarehouseError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            found.extend(digests(part, self.ask(session, part, |sql| sql.rows_of(keys)).await?)?);
        }
        Ok(found)
    }

    pub(crate) async fn values_of(
        &self,
        session: &mut dyn Ask,
        part: Part<'_>,
        key: &Key,
    ) -> Result<Option<Vec<Option<String>>>, WarehouseError> {
        let rows = self.ask(session, part, |sql| sql.values_of(key)).await?;
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
