//! Writing the comments that the catalog views read.

use serde_json::json;

use super::names::{quote_ident, quote_literal, sql_name};
use crate::ColumnType;
use crate::sql::{DistStyle, SortKind};

/// What is said about a column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnNote<'a> {
    pub(crate) name: &'a str,
    pub(crate) column_type: ColumnType,
    pub(crate) identity: bool,
    pub(crate) encoding: &'a str,
    pub(crate) distkey: bool,
    /// From 1; 0 when it is not in the sort key.
    pub(crate) sortkey: usize,
    pub(crate) in_key: bool,
    pub(crate) constrained: bool,
}

/// A statement that describes a column of `table`, PostgreSQL's name of it.
pub(crate) fn describe_column(table: &str, note: &ColumnNote<'_>) -> String {
    let (kind, size, scale) = note.column_type.to_catalog();
    let about = json!({
        "n": note.name, "t": kind, "s": size, "c": scale, "i": note.identity, "e": note.encoding, "d": note.distkey,
        "k": note.sortkey, "p": note.in_key, "u": note.constrained,
    });
    let column = quote_ident(&sql_name(note.name));
    format!("COMMENT ON COLUMN {table}.{column} IS {}", quote_literal(&about.to_string()))
}

/// A statement that describes a table.
pub(crate) fn describe_table(table: &str, name: &str, style: DistStyle, sort: SortKind) -> String {
    let style = match style {
        DistStyle::Auto => "auto",
        DistStyle::Even => "even",
        DistStyle::Key => "key",
        DistStyle::All => "all",
    };
    let sort = match sort {
        SortKind::Auto => "auto",
        SortKind::Compound => "compound",
        SortKind::Interleaved => "interleaved",
    };
    let about = json!({ "name": name, "diststyle": style, "sortkind": sort });
    format!("COMMENT ON TABLE {table} IS {}", quote_literal(&about.to_string()))
}

/// A statement that keeps the whole name of a schema.
pub(crate) fn describe_schema(name: &str) -> String {
    let about = json!({ "name": name }).to_string();
    format!("COMMENT ON SCHEMA {} IS {}", quote_ident(&sql_name(name)), quote_literal(&about))
}
