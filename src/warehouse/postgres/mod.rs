//! PostgreSQL, version 12 and later.
//!
//! One connection stages and merges, because staging lies in temporary tables: nobody else sees them, a second applier
//! cannot harm them, they vanish with a crash, and they write no WAL. They are made once per connection and emptied by
//! DELETE and VACUUM, so that ticks do not grow the catalog. A pooler in front must pool sessions, not transactions.

mod checksum;
mod client;
mod copy;
pub(in crate::warehouse) mod sql;
mod types;

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Mutex;

use crate::model::table::system;

use super::{
    Checksums, Finding, ReadFiles, StageReport, StagedFile, WarehouseError,
    error::Failure,
    one_connection::{Kept, OneConnection, lease},
    plan::Layout,
    session::{Session, Statement, Value},
    sql::{Dialect, TableSql, list},
    stage::{ColumnLists, casts},
    state,
};
use client::PgSession;
use copy::Encoder;
use sql::PostgresDialect;

/// From this many staged rows on, statistics are worth their price to the planner.
const ANALYZE_ROWS_MIN: u64 = 20_000;
/// Oldest version the statements were written for: 12 (2019).
const VERSION_MIN: i64 = 120_000;

/// A PostgreSQL database.
pub struct Postgres {
    options: PgConnectOptions,
    dialect: PostgresDialect,
    kept: Mutex<Kept<PgSession>>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Postgres {
    /// A database by its URL (`postgres://user:password@host:port/database`). Targets without a schema of their own go
    /// to `schema`. Connects when first used.
    ///
    /// # Errors
    /// [`WarehouseError::Config`] when the URL cannot be read; it is not repeated in the error.
    pub fn new(url: &str, schema: &str) -> Result<Self, WarehouseError> {
        let options = PgConnectOptions::from_str(url).map_err(|_| WarehouseError::Config {
            what: "read the warehouse's URL".to_owned(),
            mend: "write it as postgres://user:password@host:5432/database".to_owned(),
            source: None,
        })?;
        Ok(Self {
            options: options.application_name("tailwater"),
            dialect: PostgresDialect { schema: schema.to_owned() },
            kept: Mutex::default(),
        })
    }
}

/// Loads one file; answers the rows that the server counted and the texts that were changed.
async fn copy_file(
    session: &mut PgSession,
    layout: &Layout,
    statement: &str,
    mut encoder: Encoder<'_>,
    file: &StagedFile,
    reader: &dyn ReadFiles,
) -> Result<(u64, u64), WarehouseError> {
    let target = &layout.target;
    let failed = |f: Failure| f.in_table(target, "stage rows");
    let mut batches = reader.open(file).await.map_err(|e| e.of_table(target))?;
    let PgSession { connection, broken, .. } = session;
    let mut copy = PgSession::answer(broken, connection.copy_in_raw(statement)).await.map_err(failed)?;
    let mut buffer = encoder.header().to_vec();
    let fed: Result<(), WarehouseError> = async {
        while let Some(batch) = batches.try_next().await.map_err(|e| e.of_table(target))? {
            for chunk in Encoder::chunks(&batch) {
                let encoded = encoder.encode(&chunk, &mut buffer);
                encoded.map_err(|why| WarehouseError::table(target, format!("{}: {why}", file.path)))?;
                PgSession::answer(broken, copy.send(&buffer[..])).await.map_err(failed)?;
                buffer.clear();
            }
        }
        buffer.extend(encoder.trailer());
        PgSession::answer(broken, copy.send(&buffer[..])).await.map_err(failed)?;
        Ok(())
    }
    .await;
    if let Err(error) = fed {
        // The server answers an aborted COPY with an error, which sqlx takes; anything else ends the connection.
        let aborted = PgSession::answer(broken, copy.abort("given up")).await;
        *broken |= aborted.is_err();
        return Err(error);
    }
    let rows = PgSession::answer(broken, copy.finish()).await.map_err(failed)?;
    Ok((rows, encoder.replaced))
}

#[async_trait]
impl OneConnection for Postgres {
    type Session = PgSession;

    fn kept(&self) -> &Mutex<Kept<PgSession>> {
        &self.kept
    }

    fn dialect(&self) -> &dyn Dialect {
        &self.dialect
    }

    fn exists(&self) -> bool {
        true
    }

    fn state_exists(&self) -> Statement {
        sql::state_exists()
    }

    fn shown(&self) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!("postgres://{host}:{port}/{}", self.options.get_database().unwrap_or(self.options.get_username()))
    }

    async fn problems(&self) -> Vec<Finding> {
        let found = |problem: String, mend: &str| vec![Finding { problem, mend: mend.to_owned() }];
        let mut lease = match lease(self).await {
            Ok(lease) => lease,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
                return found(format!("no connection to {}{cause}", self.shown()), "mend the URL or the server");
            }
        };
        let facts = lease.session.query(&sql::facts(&self.dialect.schema)).await;
        lease.give_back();
        match facts {
            Ok(rows) => rows.first().map(|row| judge(row, &self.dialect.schema)).unwrap_or_default(),
            Err(failure) => {
                found(format!("the catalog cannot be read: {failure}"), "grant the role access to pg_catalog")
            }
        }
    }

    async fn reader(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        let opened = checksum::open(&self.options, &self.dialect.schema).await;
        Ok(Box::new(opened.map_err(|f| f.doing("connect"))?))
    }

    async fn connect(&self) -> Result<PgSession, WarehouseError> {
        PgSession::connect(&self.options).await.map_err(|f| f.doing("connect"))
    }

    async fn create_state(&self, session: &mut PgSession) -> Result<(), Failure> {
        session.execute(&sql::lock_creation()).await?;
        let (exists, create) = sql::private_schema();
        // Asked first: creating takes a right on the database even where it would do nothing.
        if session.query(&exists).await?.is_empty() {
            session.execute(&create).await?;
        }
        for statement in state::sql::create(&self.dialect) {
            session.execute(&statement).await?;
        }
        Ok(())
    }

    async fn load(
        &self,
        session: &mut PgSession,
        layout: &Layout,
        files: &[StagedFile],
        reader: &dyn ReadFiles,
    ) -> Result<(StageReport, ColumnLists), WarehouseError> {
        let failed = |f: Failure| f.in_table(&layout.target, "stage rows");
        let sql = TableSql::new(layout, &self.dialect);
        if session.execute(&sql.clear_stage()).await.map_err(failed)? > 0 {
            session.execute(&sql::vacuum(&sql.stage)).await.map_err(failed)?;
        }
        let mut report = StageReport::default();
        let mut lists = ColumnLists::default();
        for file in files {
            let casts = casts(layout, file)?;
            let list = lists.index(&casts);
            let refuse = |why: String| WarehouseError::table(&layout.target, format!("{}: {why}", file.path));
            let row = i64::try_from(report.rows).unwrap_or(i64::MAX);
            let encoder = Encoder::new(&casts, list, row).map_err(refuse)?;
            let names: Vec<String> = casts.iter().map(|(name, _)| name.clone()).collect();
            let statement = sql::copy(&sql.stage, &sql.staged_columns(&names));
            let (rows, replaced) = copy_file(session, layout, &statement, encoder, file, reader).await?;
            if rows != file.rows {
                return Err(refuse(format!("{rows} rows were loaded and the log names {}", file.rows)));
            }
            report.rows += rows;
            report.replaced_zero_bytes += replaced;
        }
        if report.rows >= ANALYZE_ROWS_MIN && !layout.append_only() {
            let key = list([system::ORIGIN, system::SEQ].into_iter().chain(layout.key.iter().map(String::as_str)));
            session.execute(&sql::analyze(&sql.stage, &key)).await.map_err(failed)?;
        }
        Ok((report, lists))
    }
}

/// What is wrong with a server of these [facts](sql::facts).
fn judge(facts: &[Value], schema: &str) -> Vec<Finding> {
    let [version, encoding, read_only, temporary, create, private, public, user, database] = facts else {
        return Vec::new();
    };
    let (user, database) = (user.text().unwrap_or("?"), database.text().unwrap_or("?"));
    let yes = |v: &Value| v.int() == Some(1);
    let mut findings = Vec::new();
    let mut found = |wrong: bool, problem: String, mend: String| {
        if wrong {
            findings.push(Finding { problem, mend });
        }
    };
    let version = version.int().unwrap_or_default();
    found(
        version < VERSION_MIN,
        format!("server version {version} is too old"),
        "use PostgreSQL 12 or later".to_owned(),
    );
    found(
        encoding.text() != Some("UTF8"),
        format!("database {database} is not encoded in UTF-8"),
        "create the database with ENCODING 'UTF8'".to_owned(),
    );
    found(yes(read_only), "the server is read-only".to_owned(), "connect to the primary".to_owned());
    found(
        !yes(temporary),
        format!("{user} may not create temporary tables"),
        format!("GRANT TEMPORARY ON DATABASE {} TO {}", super::sql::quote(database), super::sql::quote(user)),
    );
    for (name, right) in [(sql::PRIVATE, private), (schema, public)] {
        let (name, user) = (super::sql::quote(name), super::sql::quote(user));
        match right {
            Value::Null => found(
                !yes(create),
                format!("schema {name} is missing and {user} may not create it"),
                format!("CREATE SCHEMA {name} AUTHORIZATION {user}"),
            ),
            right => found(
                !yes(right),
                format!("{user} may not create tables in schema {name}"),
                format!("GRANT USAGE, CREATE ON SCHEMA {name} TO {user}"),
            ),
        }
    }
    findings
}
