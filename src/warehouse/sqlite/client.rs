//! The connection: statements, bulk inserts, errors by what to do about them.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Row, TypeInfo, ValueRef,
    query::Query,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow},
};

use crate::warehouse::{
    cell::Cell,
    error::{Failure, FailureKind},
    one_connection::{Staging, StagingSession},
    session::{Session, Statement, Value},
    text,
};

use super::sql;

/// Longest wait for another process that writes into the file.
pub(crate) const BUSY_MAX: Duration = Duration::from_secs(30);

/// One connection with what lies in its temporary tables.
#[derive(Debug)]
pub(crate) struct SqliteSession {
    connection: SqliteConnection,
    staging: Staging,
    /// The connection must not be used again.
    pub(crate) broken: bool,
}

impl SqliteSession {
    pub(crate) async fn connect(options: &SqliteConnectOptions) -> Result<Self, Failure> {
        let connection = options.connect().await.map_err(|e| classify(&e))?;
        Ok(Self { connection, staging: Staging::default(), broken: false })
    }

    /// Runs an insert whose text is used again and again.
    pub(crate) async fn insert(&mut self, insert: Query<'_, sqlx::Sqlite, SqliteArguments>) -> Result<u64, Failure> {
        let done = insert.execute(&mut self.connection).await.map_err(|e| classify(&e))?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn begin_staging(&mut self) -> Result<(), Failure> {
        self.execute(&sql::begin_staging()).await?;
        Ok(())
    }
}

/// Binds a value in its stored form; `None` when it has none.
pub(crate) fn bind<'q>(
    query: Query<'q, sqlx::Sqlite, SqliteArguments>,
    cell: Cell<'_>,
) -> Option<Query<'q, sqlx::Sqlite, SqliteArguments>> {
    Some(match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Bool(v) => query.bind(v),
        Cell::Int(v) => query.bind(v),
        Cell::Float32(v) => query.bind(f64::from(v)),
        Cell::Float64(v) => query.bind(v),
        Cell::Decimal(unscaled, scale) => query.bind(text::decimal(unscaled, scale)),
        Cell::Date(days) => query.bind(text::date(days.into())?),
        Cell::Timestamp(micros) => query.bind(text::timestamp(micros)?),
        Cell::Text(text) => query.bind(text.to_owned()),
        Cell::Bytes(bytes) => query.bind(bytes.to_vec()),
    })
}

/// Texts that name tables and column lists are not kept prepared: there is no end to them.
fn query(statement: &Statement) -> Query<'_, sqlx::Sqlite, SqliteArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
    for parameter in &statement.parameters {
        query = match parameter {
            Value::Null => query.bind(None::<i64>),
            Value::Int(value) => query.bind(*value),
            Value::Text(text) => query.bind(text.clone()),
        };
    }
    query
}

#[async_trait]
impl Session for SqliteSession {
    async fn execute(&mut self, statement: &Statement) -> Result<u64, Failure> {
        let done = query(statement).execute(&mut self.connection).await.map_err(|e| classify(&e))?;
        Ok(done.rows_affected())
    }

    async fn query(&mut self, statement: &Statement) -> Result<Vec<Vec<Value>>, Failure> {
        let rows = query(statement).fetch_all(&mut self.connection).await.map_err(|e| classify(&e))?;
        rows.iter().map(values).collect::<Result<_, _>>().map_err(|e| classify(&e))
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        self.execute(&sql::begin()).await?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let done = self.execute(&Statement::new("COMMIT")).await;
        self.broken |= done.is_err();
        done.map(|_| ())
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        let done = self.execute(&Statement::new("ROLLBACK")).await;
        self.broken |= done.is_err();
        done.map(|_| ())
    }
}

impl StagingSession for SqliteSession {
    fn staging(&mut self) -> &mut Staging {
        &mut self.staging
    }

    fn broken(&self) -> bool {
        self.broken
    }
}

fn values(row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
    row.columns()
        .iter()
        .map(|column| {
            let raw = row.try_get_raw(column.ordinal())?;
            Ok(if raw.is_null() {
                Value::Null
            } else if raw.type_info().name() == "INTEGER" {
                row.try_get::<i64, _>(column.ordinal())?.into()
            } else {
                row.try_get::<String, _>(column.ordinal())?.into()
            })
        })
        .collect()
}

/// Kind of an error by its primary result code (SQLite documentation, "Result and Error Codes"). Messages name tables
/// and columns, never values.
pub(crate) fn classify(error: &sqlx::Error) -> Failure {
    let kind = match error {
        sqlx::Error::Database(db) => {
            let extended: i64 = db.code().and_then(|c| c.parse().ok()).unwrap_or_default();
            match extended & 0xff {
                // NOMEM, BUSY, LOCKED, INTERRUPT, IOERR, FULL, PROTOCOL, SCHEMA
                5 | 6 | 7 | 9 | 10 | 13 | 15 | 17 => FailureKind::Transient,
                // PERM, READONLY, CANTOPEN, AUTH
                3 | 8 | 14 | 23 => FailureKind::Denied,
                // ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE
                1 | 18 | 19 | 20 | 25 => FailureKind::Data,
                // CORRUPT, NOTADB and what should not happen
                _ => FailureKind::Fatal,
            }
        }
        sqlx::Error::Configuration(_) => FailureKind::Denied,
        sqlx::Error::Io(_) => FailureKind::Transient,
        _ => FailureKind::Fatal,
    };
    Failure::new(kind, error.to_string())
}
