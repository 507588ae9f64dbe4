//! COPY.
//!
//! The session recognises that a statement begins with COPY and hands its text over; everything
//! about it is read here. The rows go into the session's own transaction by one binary COPY of PostgreSQL, so a load
//! is there as a whole or not at all.

mod files;
mod manifest;
mod parquet;
mod relax;
mod rows;
mod scan_error;
mod statement;
mod store;
mod target;

use sqlx::PgConnection;

use self::parquet::Plan;
use self::scan_error::{NULL_ERROR, OTHER_ERROR, ScanError};
use self::statement::Statement;
use self::store::Store;
use crate::catalog::{self, Scope, Table};
use crate::{ColumnType, Loader, Refusal};

pub use relax::{Relax, Unverified};

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
    /// Its number.
    pub table_id: i64,
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
pub async fn run(text: &str, context: Context<'_>) -> Result<Loaded, Refusal> {
    let statement = statement::parse(text, context.scope.case_sensitive)?;
    let Context { connection, scope, loader, query, load_errors, .. } = context;
    let found = catalog::table(connection, scope, statement.schema.as_deref(), &statement.table).await;
    let table = found.map_err(|refusal| match refusal.code.as_str() {
        "42P01" => Refusal::new("42P01", format!("Cannot COPY into nonexistent table {}", statement.table)),
        _ => refusal,
    })?;
    match load(&statement, &table, connection, loader).await {
        Ok(rows) => {
            let notice = format!("Load into table '{}' completed, {rows} record(s) loaded successfully.", table.name);
            Ok(Loaded { rows, notices: vec![notice] })
        }
        Err(Failure::Refused(refusal)) => Err(refusal),
        Err(Failure::Scan(error)) => {
            load_errors.push(error.row(&table.name, table.oid));
            Err(error.refusal(query))
        }
    }
}

/// Why a COPY loads nothing.
#[derive(Debug)]
enum Failure {
    /// The statement is not as it must be.
    Refused(Refusal),
    /// What it names is not; the system views tell.
    Scan(Box<ScanError>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ScanError> for Failure {
    fn from(error: ScanError) -> Self {
        Self::Scan(Box::new(error))
    }
}

async fn load(
    statement: &Statement,
    table: &Table,
    connection: &mut PgConnection,
    loader: &Loader,
) -> Result<u64, Failure> {
    let columns = target::columns(statement, table)?;
    if columns.iter().any(|column| column.column_type == ColumnType::Super) && !statement.serialize_to_json {
        let text = "SUPER column in COPY query requires SERIALIZETOJSON option";
        return Err(ScanError::new(text, OTHER_ERROR, "").into());
    }
    let store = Store::new(loader, &statement.authorization)?;
    let files = files::find(&store, statement, &loader.region).await?;
    if let Some(column) = target::omitted_null(&columns, table).filter(|_| !files.is_empty()) {
        let text = format!("Cannot insert a NULL value into column {}", column.name);
        return Err(ScanError::new(text, NULL_ERROR, "").into());
    }
    let plan = Plan {
        targets: target::targets(connection, &columns).await?,
        fill_record: statement.fill_record,
        accept_invalid: statement.accept_invalid,
        relax: loader.relax.clone(),
        strict_names: loader.strict_names,
    };
    let names: Vec<&str> = columns.iter().map(|column| column.sql_name.as_str()).collect();
    let sql = format!("COPY {} ({}) FROM STDIN (FORMAT binary)", table.sql_name, names.join(", "));
    rows::stream(connection, &sql, &store, files, plan, &loader.region).await
}
