//! SQLite: the warehouse that needs no server.
//!
//! One connection writes, in WAL mode, so other processes may read the file at any time and even write to tables of
//! their own; a foreign writer is waited for. Staging lies in temporary tables, which take no lock on the file. A target
//! `shop.orders` becomes table `shop_orders`: there are no schemas.

mod checksum;
mod client;
pub(in crate::warehouse) mod sql;
mod types;

use std::{fmt, path::PathBuf};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::Mutex;

use crate::model::Target;

use super::{
    Checksums, Finding, ReadFiles, StageReport, StagedFile, WarehouseError,
    cell::{Cell, Cells, SystemCells},
    error::Failure,
    one_connection::{Kept, OneConnection},
    plan::Layout,
    session::{Session, Statement},
    sql::{Dialect, TableSql},
    stage::{Cast, ColumnLists, casts},
    state,
};
use client::SqliteSession;
use sql::SqliteDialect;

/// SQLITE_MAX_VARIABLE_NUMBER's default since 3.32.
const VARIABLES_MAX: usize = 32_766;
/// More rows in a statement are no faster and cost memory.
const ROWS_PER_INSERT_MAX: usize = 128;
/// Columns before the table's own: row number, column list, origin, seq, op, commit time.
const FIXED: usize = 6;

/// How much a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: what is reported as applied stays applied.
    Full,
    /// Nothing but a clean exit. For tests.
    None,
}

/// A SQLite file.
pub struct Sqlite {
    path: PathBuf,
    options: SqliteConnectOptions,
    kept: Mutex<Kept<SqliteSession>>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Sqlite {
    /// The file at `path`, created when first used.
    pub fn new(path: impl Into<PathBuf>, durability: Durability) -> Self {
        let path = path.into();
        let synchronous = match durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::None => SqliteSynchronous::Off,
        };
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .busy_timeout(client::BUSY_MAX)
            // Constraints are not for us to check: rows of a tick arrive in no order.
            .foreign_keys(false);
        Self { path, options, kept: Mutex::default() }
    }

    async fn load_files(
        session: &mut SqliteSession,
        layout: &Layout,
        files: &[StagedFile],
        reader: &dyn ReadFiles,
    ) -> Result<(StageReport, ColumnLists), WarehouseError> {
        let sql = TableSql::new(layout, &SqliteDialect);
        let target = &layout.target;
        session.execute(&sql.clear_stage()).await.map_err(|f| f.in_table(target, "clear staging"))?;
        let mut report = StageReport::default();
        let mut lists = ColumnLists::default();
        for file in files {
            let casts = casts(layout, file)?;
            let list = lists.index(&casts);
            let mut loader = Loader { session, target, sql: &sql, casts: &casts, list, row: report.rows };
            let mut batches = reader.open(file).await.map_err(|e| e.of_table(target))?;
            while let Some(batch) = batches.try_next().await.map_err(|e| e.of_table(target))? {
                loader.load(&batch, file).await?;
            }
            let rows = loader.row - report.rows;
            if rows != file.rows {
                let reason = format!("{}: {rows} rows were loaded and the log names {}", file.path, file.rows);
                return Err(WarehouseError::table(target, reason));
            }
            report.rows += rows;
        }
        Ok((report, lists))
    }
}

/// Loads the rows of one file.
struct Loader<'a> {
    session: &'a mut SqliteSession,
    target: &'a Target,
    sql: &'a TableSql<'a>,
    casts: &'a [(String, Cast)],
    list: usize,
    /// Number of the next row in the tick.
    row: u64,
}

impl Loader<'_> {
    async fn load(&mut self, batch: &RecordBatch, file: &StagedFile) -> Result<(), WarehouseError> {
        let refuse = |why: String| WarehouseError::table(self.target, format!("{}: {why}", file.path));
        let names: Vec<String> = self.casts.iter().map(|(name, _)| name.clone()).collect();
        let names = self.sql.staged_columns(&names);
        let columns = self.casts.len() + FIXED;
        let per_insert = (VARIABLES_MAX / columns).clamp(1, ROWS_PER_INSERT_MAX);
        let system = SystemCells::of(batch).map_err(refuse)?;
        let cells: Vec<Cells<'_>> =
            self.casts.iter().map(|(n, c)| Cells::of(batch, n, *c)).collect::<Result<_, _>>().map_err(refuse)?;
        let mut from = 0;
        while from < batch.num_rows() {
            let rows = per_insert.min(batch.num_rows() - from);
            let text = sql::insert(&self.sql.stage, &names, columns, rows);
            // Only the full width comes again and again.
            let mut insert = sqlx::query(AssertSqlSafe(text)).persistent(rows == per_insert);
            for row in from..from + rows {
                let seq = system.seq.value(row);
                let unfit =
                    |name: &str, why: &str| refuse(format!("the value of column {name} with _tw_seq {seq} {why}"));
                let fixed = [
                    Cell::Int(i64::try_from(self.row).unwrap_or(i64::MAX)),
                    Cell::Int(i64::try_from(self.list).unwrap_or(i64::MAX)),
                    Cell::Text(system.origin.value(row)),
                    Cell::Int(seq),
                    Cell::Text(system.op.value(row)),
                    Cell::Timestamp(system.committed_at.value(row)),
                ];
                for cell in fixed {
                    insert = client::bind(insert, cell)
                        .ok_or_else(|| unfit("_tw_committed_at", "is outside the years 0 to 9999"))?;
                }
                for ((name, _), cells) in self.casts.iter().zip(&cells) {
                    let cell = cells.get(row).ok_or_else(|| unfit(name, "is out of the range of its type"))?;
                    if cell == Cell::Null && cells.key() {
                        return Err(unfit(name, "is NULL and part of the key"));
                    }
                    insert = client::bind(insert, cell).ok_or_else(|| unfit(name, "is outside the years 0 to 9999"))?;
                }
                self.row += 1;
            }
            self.session.insert(insert).await.map_err(|f| f.in_table(self.target, "stage rows"))?;
            from += rows;
        }
        Ok(())
    }
}

#[async_trait]
impl OneConnection for Sqlite {
    type Session = SqliteSession;

    fn kept(&self) -> &Mutex<Kept<SqliteSession>> {
        &self.kept
    }

    fn dialect(&self) -> &dyn Dialect {
        &SqliteDialect
    }

    fn exists(&self) -> bool {
        self.path.exists()
    }

    fn state_exists(&self) -> Statement {
        sql::state_exists()
    }

    fn shown(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    async fn problems(&self) -> Vec<Finding> {
        let found = |problem: String, mend: &str| vec![Finding { problem, mend: mend.to_owned() }];
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
        if folder.is_some_and(|p| !p.is_dir()) {
            return found(format!("the folder of {} does not exist", self.path.display()), "create it");
        }
        if !self.path.exists() {
            return Vec::new();
        }
        // A connection of its own: a check may come before there is any right to write.
        let mut session = match SqliteSession::connect(&self.options).await {
            Ok(session) => session,
            Err(failure) => {
                return found(
                    format!("{} cannot be opened: {failure}", self.path.display()),
                    "give this user the right to write it, or choose another file",
                );
            }
        };
        for statement in sql::probe() {
            if let Err(failure) = session.execute(&statement).await {
                return found(
                    format!("{} cannot be written: {failure}", self.path.display()),
                    "give this user the right to write the file and its folder, and end what keeps it locked",
                );
            }
        }
        Vec::new()
    }

    async fn reader(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        let opened = checksum::SqliteChecksums::open(&self.options).await;
        Ok(Box::new(opened.map_err(|f| f.doing("open the database file"))?))
    }

    async fn connect(&self) -> Result<SqliteSession, WarehouseError> {
        SqliteSession::connect(&self.options).await.map_err(|f| f.doing("open the database file"))
    }

    async fn create_state(&self, session: &mut SqliteSession) -> Result<(), Failure> {
        for statement in state::sql::create(&SqliteDialect) {
            session.execute(&statement).await?;
        }
        Ok(())
    }

    async fn load(
        &self,
        session: &mut SqliteSession,
        layout: &Layout,
        files: &[StagedFile],
        reader: &dyn ReadFiles,
    ) -> Result<(StageReport, ColumnLists), WarehouseError> {
        let what = format!("stage rows of {}", layout.target);
        session.begin_staging().await.map_err(|f| f.doing(&what))?;
        let result = Self::load_files(session, layout, files, reader).await;
        state::finish(session, result, &what).await
    }
}
