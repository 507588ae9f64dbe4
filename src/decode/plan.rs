//! The compiled form of a TABLE_MAP: one small operation per column.

mod mapping;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use super::{
    charset::Charset,
    long,
    policy::{Bounds, Policies, TinyInt1, ValuePolicy},
    value::{Losses, Read, Width},
};
use crate::{
    model::{Column, TableSchema, table::system},
    source::mysql::table_map::{ColumnMap, Flavor, MysqlType, TableMap},
};
use mapping::Mapped;

/// What the catalog knows and a TABLE_MAP does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Columns declared TINYINT(1).
    pub booleans: HashSet<String>,
    /// Columns, in key order, of a UNIQUE key without NULL, for tables that have no primary key.
    pub unique_key: Vec<String>,
}

/// Why a table's rows cannot be decoded: the reason to park it, with the statement that mends it where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The TABLE_MAP has no names.
    #[error(
        "{table}: the table map has no column names; run SET PERSIST binlog_row_metadata = FULL (MariaDB: SET GLOBAL, and the configuration file), then take a new snapshot of the table"
    )]
    Minimal {
        /// `database.table`.
        table: String,
    },
    /// The TABLE_MAP has no columns.
    #[error("{table}: the table map has no columns")]
    Empty {
        /// `database.table`.
        table: String,
    },
    /// A column cannot be decoded with certainty.
    #[error("{table}: column {column}: {reason}")]
    Column {
        /// `database.table`.
        table: String,
        /// Name of the column.
        column: String,
        /// Why, and what to do.
        reason: Unsupported,
    },
}

/// Why a column cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// A type code without a decoder.
    #[error("type code {0} is not supported; exclude the table, or change the column's type and take a new snapshot")]
    Type(u8),
    /// Metadata outside what the server can declare.
    #[error("{0} is not a declaration that MySQL allows; the table map is corrupt")]
    Declaration(String),
    /// A character set without a table.
    #[error("collation {0} is not supported; convert the column to utf8mb4 and take a new snapshot")]
    Collation(u16),
    /// Text or labels without character set.
    #[error("the table map names no collation for it")]
    NoCollation,
    /// ENUM or SET without labels.
    #[error("the table map has no labels for it")]
    NoLabels,
    /// A label that is not in its character set.
    #[error("a label is not in its character set; declare the labels anew and take a new snapshot")]
    Label,
    /// MariaDB does not say how many fractional digits such a column has.
    #[error(
        "its storage format has no precision in the binlog; run ALTER TABLE ... FORCE with mysql56_temporal_format = ON and take a new snapshot"
    )]
    OldTemporal,
    /// The name belongs to Tailwater.
    #[error("names beginning with _tw_ are reserved; rename the column and take a new snapshot")]
    Reserved,
}

/// What to do with one column of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnOp {
    /// How to decode it; `None` for columns that the server hides, which no snapshot could read.
    pub(super) read: Option<Read>,
    pub(super) width: Width,
    pub(super) key: bool,
    pub(super) losses: Losses,
    /// Index into the schema's columns; of the next stored column where `read` is `None`.
    slot: u16,
}

/// How to decode the rows that one TABLE_MAP describes.
#[derive(Debug)]
pub struct Plan {
    schema: Arc<TableSchema>,
    /// One per column of the images.
    pub(super) ops: Vec<ColumnOp>,
    /// Columns up to and including the last one of the key.
    pub(super) key_end: usize,
    /// Most bytes of a string inside of a JSON document.
    pub(super) json_string_max: usize,
    /// Most bytes of a row's values together.
    pub(super) row_bytes_max: usize,
    charsets: Vec<Charset>,
    labels: Vec<Vec<Box<str>>>,
}

impl Plan {
    /// Compiles a plan, or says why the rows cannot be decoded with certainty.
    pub fn compile(map: &TableMap, declared: &Declared, policies: &Policies) -> Result<Self, PlanError> {
        let table = || format!("{}.{}", map.database, map.table);
        if !map.full_metadata {
            return Err(PlanError::Minimal { table: table() });
        }
        if map.columns.is_empty() {
            return Err(PlanError::Empty { table: table() });
        }
        let key = key(map, declared);
        let key_end = key.iter().max().map_or(0, |last| last + 1);
        let mut plan = Self {
            schema: Arc::new(TableSchema { columns: Vec::new() }),
            ops: Vec::with_capacity(map.columns.len()),
            key_end,
            json_string_max: policies.bounds.json_string.map_or(usize::MAX, |bytes| bytes as usize),
            row_bytes_max: policies.bounds.row.map_or(usize::MAX, |bytes| bytes as usize),
            charsets: Vec::new(),
            labels: Vec::new(),
        };
        let mut columns = Vec::with_capacity(map.columns.len());
        for (index, source) in map.columns.iter().enumerate() {
            let name = source.name.as_deref().unwrap_or_default();
            let place = key.iter().position(|k| *k == index).map(|place| place as u16);
            plan.add(&mut columns, source, name, place, map.flavor, declared, policies)
                .map_err(|reason| PlanError::Column { table: table(), column: name.to_owned(), reason })?;
        }
        plan.schema = Arc::new(TableSchema { columns });
        Ok(plan)
    }

    /// Schema of the rows.
    pub fn schema(&self) -> &Arc<TableSchema> {
        &self.schema
    }

    /// Whether rows have an identity: a primary key, or a UNIQUE key without NULL.
    pub fn has_key(&self) -> bool {
        self.key_end > 0
    }

    pub(super) fn charset(&self, index: u16) -> Option<&Charset> {
        self.charsets.get(usize::from(index))
    }

    pub(super) fn labels(&self, index: u16) -> &[Box<str>] {
        self.labels.get(usize::from(index)).map_or(&[], Vec::as_slice)
    }

    /// Name and MySQL type of a column, for errors.
    pub(super) fn describe(&self, op: &ColumnOp) -> (String, String) {
        match self.schema.columns.get(usize::from(op.slot)) {
            Some(column) if op.read.is_some() => (column.name.clone(), column.source.clone()),
            _ => ("(hidden)".to_owned(), "hidden".to_owned()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call, inside compile")]
    fn add(
        &mut self,
        columns: &mut Vec<Column>,
        source: &ColumnMap,
        name: &str,
        key: Option<u16>,
        flavor: Flavor,
        declared: &Declared,
        policies: &Policies,
    ) -> Result<(), Unsupported> {
        let policy = policies.of(name);
        let hidden = is_hidden(name, flavor);
        if !hidden && name.get(..system::PREFIX.len()).is_some_and(|p| p.eq_ignore_ascii_case(system::PREFIX)) {
            return Err(Unsupported::Reserved);
        }
        let boolean = declared.booleans.contains(name) && policy.tinyint1 == TinyInt1::Boolean && key.is_none();
        let losses = losses(policy, bytes_max(&source.kind, source.collation, policy, policies.bounds), key.is_some());
        let Mapped { read, ty, source: source_type } = self.map(source, flavor, boolean, losses)?;
        let (read, ty) = long::bounded(read, ty, policy.text_bytes_max, losses);
        self.ops.push(ColumnOp {
            read: (!hidden).then_some(read),
            width: read.width(),
            key: key.is_some(),
            losses,
            slot: columns.len() as u16,
        });
        if !hidden {
            let nullable = source.nullable && key.is_none();
            columns.push(Column { name: name.to_owned(), ty, nullable, key, source: source_type });
        }
        Ok(())
    }
}

/// What the values of a column may lose. Keys may not lose anything.
fn losses(policy: ValuePolicy, bytes_max: u32, key: bool) -> Losses {
    if key {
        return Losses::of_key(bytes_max);
    }
    let ValuePolicy { zero_dates, invalid_text, long_values, .. } = policy;
    Losses { zero_dates, invalid_text, long_values, bytes_max }
}

/// Most bytes of a value of the column, `u32::MAX` where nothing bounds it.
fn bytes_max(kind: &MysqlType, collation: Option<u16>, policy: ValuePolicy, bounds: Bounds) -> u32 {
    let bound = match kind {
        MysqlType::Json { .. } => bounds.json,
        MysqlType::Geometry { .. } | MysqlType::Vector { .. } => bounds.binary,
        MysqlType::Char { .. } | MysqlType::VarChar { .. } | MysqlType::Blob { .. } => match collation {
            Some(mapping::BINARY) => bounds.binary,
            _ => policy.text_bytes_max,
        },
        _ => None,
    };
    bound.unwrap_or(u32::MAX)
}

/// Columns that are in the images and in no catalog: MariaDB's hash of a long UNIQUE key and the columns behind
/// functional indexes of early MySQL 8.0.
fn is_hidden(name: &str, flavor: Flavor) -> bool {
    match flavor {
        Flavor::MariaDb => name.strip_prefix("DB_ROW_HASH_").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())),
        Flavor::MySql => name.starts_with("!hidden!"),
    }
}

/// Column indexes of the key in key order: the primary key, else the declared unique key if this shape of the table
/// still has all of it without NULL.
fn key(map: &TableMap, declared: &Declared) -> Vec<usize> {
    if !map.primary_key.is_empty() {
        return map.primary_key.iter().map(|part| part.column).collect();
    }
    let find = |name: &String| map.columns.iter().position(|c| c.name.as_ref() == Some(name) && !c.nullable);
    declared.unique_key.iter().map(find).collect::<Option<Vec<_>>>().unwrap_or_default()
}
