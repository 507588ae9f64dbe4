//! SQL that only SQLite understands.

use crate::{
    model::{ColumnType, Target},
    warehouse::{
        definition::{NOT_A_PLACE, Naming},
        plan::{Layout, Place},
        session::Statement,
        sql::{Dialect, TableSql, private_name, quote, text_literal},
    },
};

use super::types;

/// Prefix of the private state's tables.
const PRIVATE: &str = "_tailwater_";
/// SQLite has no limit; every other tool that reads the file has one.
const IDENTIFIER_BYTES_MAX: usize = 255;

#[derive(Debug)]
pub(crate) struct SqliteDialect;

impl Naming for SqliteDialect {
    fn place(&self, target: &Target) -> Result<Place, String> {
        if let Some(target) = target.shadowed() {
            return Ok(Place { schema: None, table: format!("{PRIVATE}{}", private_name("rebuild", &target)) });
        }
        let table = target.as_str().replacen('.', "_", 1);
        if table.is_empty() || table.contains(['.', '\0']) {
            return Err(NOT_A_PLACE.to_owned());
        }
        let folded = table.to_ascii_lowercase();
        if folded.starts_with("sqlite_") || folded.starts_with(PRIVATE) {
            return Err(format!("table names cannot begin with sqlite_ or {PRIVATE}; rename it"));
        }
        Ok(Place { schema: None, table })
    }

    fn folded(&self, place: &Place) -> String {
        place.table.to_ascii_lowercase()
    }

    fn folded_column(&self, name: &str) -> String {
        name.to_owned()
    }

    fn identifier_bytes_max(&self) -> usize {
        IDENTIFIER_BYTES_MAX
    }

    fn reserved_columns(&self) -> &'static [&'static str] {
        &[]
    }

    fn literal(&self, ty: ColumnType, text: &str) -> Result<String, String> {
        types::literal(ty, text)
    }
}

impl Dialect for SqliteDialect {
    fn private(&self, name: &str) -> String {
        quote(&format!("{PRIVATE}{name}"))
    }

    fn temporary(&self, name: &str) -> String {
        format!("temp.{}", quote(name))
    }

    fn now(&self) -> &'static str {
        // Milliseconds are what SQLite's clock has.
        "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"
    }

    fn for_update(&self) -> &'static str {
        // BEGIN IMMEDIATE holds the one write lock there is.
        ""
    }

    fn instant(&self, column: &str, _: ColumnType) -> String {
        // All instants are UTC text of one width.
        column.to_owned()
    }

    fn column_type(&self, ty: ColumnType, _key: bool) -> String {
        types::column_type(ty).to_owned()
    }

    fn system_type(&self, name: &str) -> &'static str {
        types::system_type(name)
    }

    fn comparable(&self, _: ColumnType) -> bool {
        true
    }

    fn schema(&self, _: &Place) -> Option<(Statement, Statement)> {
        None
    }

    fn columns_of(&self, place: &Place) -> Statement {
        Statement::new("SELECT name FROM pragma_table_info($1) ORDER BY cid").bind(place.table.as_str())
    }

    fn key_of(&self, place: &Place) -> Statement {
        Statement::new("SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk").bind(place.table.as_str())
    }

    fn widen(&self, _: &str, _: &str, from: ColumnType, to: ColumnType) -> Result<Option<Statement>, String> {
        if types::column_type(from) != types::column_type(to) {
            return Err("SQLite cannot change a column's type".to_owned());
        }
        if let (ColumnType::Decimal { scale: a, .. }, ColumnType::Decimal { scale: b, .. }) = (from, to)
            && a != b
        {
            return Err("decimals are text there, and their number of decimals changed".to_owned());
        }
        Ok(None)
    }

    fn limit_lock_wait(&self) -> Option<Statement> {
        None
    }

    fn attached(&self, place: &Place) -> Statement {
        // Indexes and triggers of others; what belongs to a constraint has no text.
        Statement::new(
            "SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND tbl_name = $1 COLLATE NOCASE \
             AND sql IS NOT NULL",
        )
        .bind(place.table.as_str())
    }

    /// A table's key and types are fixed here, so it is made anew under its name, with the indexes and triggers that it had.
    /// Views refer to it by its name.
    fn reshape(
        &self,
        sql: &TableSql<'_>,
        _: &Layout,
        _: &[Statement],
        attached: &[String],
    ) -> (Vec<Statement>, Vec<Statement>) {
        let before = vec![Statement::new(format!("DROP TABLE {}", sql.target)), sql.create(false)];
        (before, attached.iter().map(Statement::new).collect())
    }
}

/// Whether the newest table of the private state exists (one row).
pub(crate) fn state_exists() -> Statement {
    Statement::new("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_tailwater_target'")
}

/// Takes the write lock at once, so that no transaction fails in its middle for want of it.
pub(crate) fn begin() -> Statement {
    Statement::new("BEGIN IMMEDIATE")
}

/// Begins a transaction over temporary tables: the file is neither locked nor read.
pub(crate) fn begin_staging() -> Statement {
    Statement::new("BEGIN DEFERRED")
}

/// Whether the file is a database and no other process keeps it locked.
pub(crate) fn probe() -> [Statement; 2] {
    [begin(), Statement::new("ROLLBACK")]
}

/// Inserts `rows` rows of `columns` columns.
pub(crate) fn insert(stage: &str, names: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("INSERT INTO {stage} ({names}) VALUES {}", vec![row.as_str(); rows].join(","))
}

/// Text as a literal.
pub(crate) fn text(text: &str) -> String {
    text_literal(text)
}
