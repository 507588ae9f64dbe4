//! What the stand-in knows about tables beyond what PostgreSQL keeps.
//!
//! It lives in comments of the private database, as JSON (`views.sql` says which), so that it follows transactions,
//! takes part in no conflict of serializable transactions, and goes away with its table.

mod describe;
mod names;
mod table;

pub(crate) use describe::{ColumnNote, describe_column, describe_schema, describe_table};
pub(crate) use names::IDENTIFIER_BYTES_MAX;
pub(crate) use names::is_shortened;
pub use names::{Scope, quote_ident, quote_literal, sql_name};
pub use table::{Column, Table, table};

/// What every private database gets when it is made.
pub(crate) const INSTALL: &[&str] = &[include_str!("functions.sql"), include_str!("views.sql")];
