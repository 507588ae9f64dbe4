//! COPY.
//!
//! The session recognises that a statement begins with COPY and hands its text over; everything
//! about it is read here.

use sqlx::PgConnection;

use crate::catalog::Scope;
use crate::{Loader, Refusal};

/// What COPY gets from the session that runs it.
#[derive(Debug)]
pub struct Context<'a> {
    /// The session's connection, inside the transaction that the rows belong to. The caller ends it.
    pub connection: &'a mut PgConnection,
    /// How names are folded and in which schemas they are looked for; see [`crate::catalog::table`].
    pub scope: &'a Scope,
    /// Where objects are read from.
    pub loader: &'a Loader,
    /// Who runs it; always the owner of everything unless the server has more users.
    pub user: &'a str,
    /// Number of the query, as `pg_last_copy_id()` tells.
    pub query: i64,
    /// What to write to `sys_load_error_detail`, `stl_load_errors` and `svl_s3log`. The session writes it in a
    /// transaction of its own, so it is there after the rollback.
    pub load_errors: &'a mut Vec<LoadError>,
}

/// One row about something that COPY could not load.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadError {
    /// Name of the table, as in the catalog.
    pub table: String,
    /// `s3://…` of the file.
    pub file: String,
    /// Row of the file, from 1; 0 when the error is about the whole file.
    pub line: i64,
    /// Column of the table, or empty.
    pub column: String,
    /// Its type without the length, or empty.
    pub column_type: String,
    /// Its length as the view prints it, or empty.
    pub column_length: String,
    /// Redshift's number of the error: 15007, 1204, 1224 …
    pub code: i32,
    /// The whole message, which the client's DETAIL may cut.
    pub message: String,
}

/// What COPY did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Rows, as `pg_last_copy_count()` tells.
    pub rows: u64,
    /// Messages of severity INFO, in their order.
    pub notices: Vec<String>,
}

/// Runs one COPY statement.
///
/// # Errors
/// What Redshift answers.
#[allow(clippy::unused_async)] // the loader awaits
pub async fn run(_statement: &str, _context: Context<'_>) -> Result<Loaded, Refusal> {
    Err(Refusal::new("0A000", "COPY is not served by this build"))
}
