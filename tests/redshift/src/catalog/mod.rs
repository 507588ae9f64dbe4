//! What the stand-in knows about tables beyond what PostgreSQL keeps.
//!
//! It lives in tables of the private database (schema `tw_catalog`), so that it follows
//! transactions: a CREATE TABLE rolled back leaves no trace here either.

mod names;
mod table;

pub use names::{Scope, quote_ident, quote_literal, sql_name};
pub use table::{Column, Table, table};
