//! Redshift's SQL: what is accepted, and the PostgreSQL it becomes.
//!
//! It is an allow-list. Data definition and session commands have a grammar of their own over
//! tokens ([`ddl`], [`command`]); queries and data manipulation are parsed by `sqlparser` and then
//! walked: every clause, function and type that is not known to be Redshift's is refused
//! ([`query`]).

mod command;
mod cursor;
mod ddl;
mod grant;
mod kind;
mod literal;
mod query;
mod reserved;
mod split;
mod types;

pub(crate) use command::{Command, Statement, parse};
pub(crate) use cursor::Cursor;
pub(crate) use ddl::{
    AlterAction, AlterTable, ColumnSpec, CreateTable, DistStyle, Key, KeyKind, Name, Shape, SortKind, TableAttributes,
};
pub use kind::Kind;
pub(crate) use query::{Parameters, Parsed, Values, parse as parse_query, rewrite};
pub(crate) use split::split;
pub(crate) use types::{sql_type, type_name_of_oid};

/// Longest statement, in bytes (D23, quotas).
pub(crate) const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
