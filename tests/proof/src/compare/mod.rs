//! Whether a warehouse holds what its sources hold.
//!
//! An oracle: it reads every row of both sides through other ways than Tailwater does, brings the
//! values to one text form by the type that MySQL declares, and compares row for row and column for
//! column, `_tw_origin` included. The sources must be quiet and the warehouse caught up.

mod log;
mod report;
mod source;
mod target;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use anyhow::{Context, Result};

pub use log::{LogReport, check_log, count_entries};
pub use report::{Report, Rows, TableReport};
pub(crate) use target::Target;

use crate::workload::Shard;
use source::SourceTable;
use target::TargetRow;

/// A table to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Database on the sources.
    pub database: String,
    /// Name on the sources.
    pub name: String,
    /// The pipeline keeps one row per primary key over all shards (`key = "global"`).
    pub global_key: bool,
}

/// Where the targets are.
#[derive(Debug, Clone)]
pub enum Warehouse {
    /// A SQLite database file.
    Sqlite(PathBuf),
    /// URL of a PostgreSQL database.
    Postgres(String),
    /// URL of a Redshift database, beginning with `postgres://`.
    Redshift(String),
}

impl Warehouse {
    /// Lines of Tailwater's configuration that belong into `[warehouse]`. Begins with what has no table of its own.
    #[must_use]
    pub fn configuration(&self) -> String {
        match self {
            Self::Sqlite(path) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("url = \"sqlite:{name}\"")
            }
            Self::Postgres(url) => format!("url = \"{url}\""),
            Self::Redshift(url) => {
                let url = url.replacen("postgres://", "redshift://", 1);
                format!("url = \"{url}?sslmode=disable\"\n[warehouse.redshift]\niam_role = \"{COPY_ROLE}\"")
            }
        }
    }
}

/// A role for COPY, by which a stand-in lets nobody in or out.
const COPY_ROLE: &str = "arn:aws:iam::123456789012:role/copy";

/// Compares `tables` of all shards with their targets.
///
/// # Errors
/// When a side cannot be read. Differences are no errors; the report has them.
pub async fn compare(shards: &[Shard], warehouse: &Warehouse, tables: &[Table]) -> Result<Report> {
    let mut target = Target::open(warehouse).await?;
    let mut report = Report::default();
    for table in tables {
        let compared = compare_table(shards, &mut target, table)
            .await
            .with_context(|| format!("comparing {}.{}", table.database, table.name))?;
        report.tables.push(compared);
    }
    Ok(report)
}

/// The greatest `_tw_seq` of a target: grows with every merge of new rows. `None` while there is no
/// such target or no row in it.
///
/// # Errors
/// When the warehouse cannot be read.
pub async fn newest_seq(warehouse: &Warehouse, table: &Table) -> Result<Option<i64>> {
    Target::open(warehouse).await?.number(table, "MAX(_tw_seq)").await
}

/// The rows of a target, of all origins; 0 while there is no such target.
///
/// # Errors
/// When the warehouse cannot be read.
pub async fn row_count(warehouse: &Warehouse, table: &Table) -> Result<u64> {
    let rows = Target::open(warehouse).await?.number(table, "COUNT(*)").await?;
    Ok(rows.unwrap_or(0).try_into()?)
}

/// Separates the parts of a key; no text of the shop has it.
const KEY_SEPARATOR: char = '\u{1f}';

fn key(origin: &str, parts: &[Option<String>], global: bool) -> String {
    let mut key = if global { String::new() } else { origin.to_owned() };
    for part in parts {
        key.push(KEY_SEPARATOR);
        key.push_str(part.as_deref().unwrap_or("NULL"));
    }
    key
}

/// A name as a part of an origin.
fn encoded(name: &str) -> String {
    let byte = |b: u8| match b {
        b'%' | b':' | b'.' | 0..=31 | 127.. => format!("%{b:02X}"),
        _ => char::from(b).to_string(),
    };
    name.bytes().map(byte).collect()
}

struct SourceRow {
    origin: String,
    values: Vec<Option<String>>,
}

async fn compare_table(shards: &[Shard], target: &mut Target, table: &Table) -> Result<TableReport> {
    let mut report = TableReport::new(table);
    let mut expected: HashMap<String, SourceRow> = HashMap::new();
    let mut layout: Option<SourceTable> = None;
    for shard in shards {
        let origin = format!("{}:{}.{}", shard.name, encoded(&table.database), encoded(&table.name));
        let (columns, rows) = source::read(shard, table).await?;
        report.rows.insert(shard.name.clone(), Rows { source: rows.len(), target: 0 });
        for values in rows {
            let key = key(&origin, &columns.key_of(&values), table.global_key);
            let row = SourceRow { origin: origin.clone(), values };
            if expected.insert(key.clone(), row).is_some() {
                report.found(|r| &mut r.duplicates, || format!("the sources have key {key} twice"));
            }
        }
        match &layout {
            None => layout = Some(columns),
            Some(first) if *first != columns => {
                report.note(format!("{} has other columns than the first shard", shard.name))
            }
            Some(_) => {}
        }
    }
    let layout = layout.context("no shard to compare")?;
    let Some(rows) = target.read(table, &layout).await? else {
        // Without a row, past or present, nobody knows of the table.
        if !expected.is_empty() {
            report.note("there is no such target".to_owned());
            report.missing += expected.len();
        }
        return Ok(report);
    };
    for column in &rows.absent {
        report.note(format!("the target has no column {column}"));
    }
    let mut seen = HashSet::new();
    for row in rows.rows {
        check_row(&mut report, table, &layout, target, &mut expected, &mut seen, row);
    }
    for key in expected.keys() {
        report.found(|r| &mut r.missing, || format!("missing: {}", shown(key)));
    }
    Ok(report)
}

fn check_row(
    report: &mut TableReport,
    table: &Table,
    layout: &SourceTable,
    target: &Target,
    expected: &mut HashMap<String, SourceRow>,
    seen: &mut HashSet<String>,
    row: TargetRow,
) {
    let key = key(&row.origin, &layout.key_of(&row.values), table.global_key);
    let shard = row.origin.split(':').next().unwrap_or_default().to_owned();
    report.rows.entry(shard).or_default().target += 1;
    if !seen.insert(key.clone()) {
        report.found(|r| &mut r.duplicates, || format!("twice in the target: {}", shown(&key)));
        return;
    }
    let Some(source) = expected.remove(&key) else {
        report.found(|r| &mut r.extra, || format!("not in the source: {} (_tw_seq {})", shown(&key), row.seq));
        return;
    };
    let differs: Vec<String> = layout
        .columns
        .iter()
        .zip(source.values.iter().zip(&row.values))
        .filter(|(column, (left, right))| left != right && !target.holds(column.kind, left, right))
        .map(|(column, (left, right))| format!("{}: source {left:?}, target {right:?}", column.name))
        .collect();
    if source.origin != row.origin {
        report.found(
            |r| &mut r.differing,
            || format!("{}: lies on {}, the target says {}", shown(&key), source.origin, row.origin),
        );
    } else if !differs.is_empty() {
        report.found(|r| &mut r.differing, || format!("{} (_tw_seq {}): {}", shown(&key), row.seq, differs.join("; ")));
    }
}

fn shown(key: &str) -> String {
    key.replace(KEY_SEPARATOR, " ").trim().to_owned()
}
