//! The rows of a table on one shard.

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};

use super::Table;
use super::value::Kind;
use crate::workload::{Shard, connect};

/// The columns of a source table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SourceTable {
    pub(super) columns: Vec<SourceColumn>,
    /// Places of the key's columns.
    key: Vec<usize>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SourceColumn {
    pub(super) name: String,
    pub(super) kind: Kind,
}

impl SourceTable {
    /// The key's values out of a row.
    pub(super) fn key_of(&self, values: &[Option<String>]) -> Vec<Option<String>> {
        self.key.iter().map(|place| values.get(*place).cloned().flatten()).collect()
    }
}

/// Reads a whole table in the normal form.
pub(super) async fn read(shard: &Shard, table: &Table) -> Result<(SourceTable, Vec<Vec<Option<String>>>)> {
    let mut conn = connect(&shard.url).await?;
    let layout = layout(&mut conn, table).await?;
    let expressions: Vec<String> =
        layout.columns.iter().map(|column| column.kind.source_expression(&column.name)).collect();
    let sql = format!("SELECT {} FROM `{}`.`{}`", expressions.join(", "), table.database, table.name);
    let raw: Vec<Row> = conn.query(sql).await.with_context(|| format!("reading from {}", shard.name))?;
    conn.disconnect().await?;
    let mut rows = Vec::with_capacity(raw.len());
    for row in raw {
        let values = row.unwrap().into_iter().zip(&layout.columns).map(|(value, column)| match value {
            Value::NULL => Ok(None),
            Value::Bytes(bytes) => Ok(Some(column.kind.normal(String::from_utf8(bytes)?))),
            other => bail!("the text protocol gave {other:?} for column {}", column.name),
        });
        rows.push(values.collect::<Result<_>>()?);
    }
    Ok((layout, rows))
}

async fn layout(conn: &mut Conn, table: &Table) -> Result<SourceTable> {
    let columns: Vec<(String, String, String)> = conn
        .exec(
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION",
            (&table.database, &table.name),
        )
        .await?;
    // Without a primary key MySQL takes the first unique key whose columns are all NOT NULL.
    let indexes: Vec<(String, String, String)> = conn
        .exec(
            "SELECT INDEX_NAME, COLUMN_NAME, NULLABLE FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 \
             ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX",
            (&table.database, &table.name),
        )
        .await?;
    let usable = |index: &str| indexes.iter().all(|(name, _, nullable)| name != index || nullable.is_empty());
    let chosen = indexes.iter().map(|(name, ..)| name).find(|name| usable(name)).cloned().unwrap_or_default();
    let key: Vec<String> =
        indexes.iter().filter(|(name, ..)| *name == chosen).map(|(_, column, _)| column.clone()).collect();
    if columns.is_empty() || key.is_empty() {
        bail!("the table is missing or has no key");
    }
    let key = key.iter().filter_map(|name| columns.iter().position(|column| column.0 == *name)).collect();
    let columns =
        columns.into_iter().map(|(name, data, full)| SourceColumn { kind: Kind::of(&data, &full), name }).collect();
    Ok(SourceTable { columns, key })
}
