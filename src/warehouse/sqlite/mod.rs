//! SQLite: the warehouse that needs no server.
//!
//! One connection writes, in WAL mode, so other processes may read the file at any time and even write to tables of
//! their own; a foreign writer is waited for. Staging lies in temporary tables, which take no lock on the file. A target
//! `shop.orders` becomes table `shop_orders`: there are no schemas.

mod checksum;
mod client;
pub(in crate::warehouse) mod sql;
mod types;

use std::{collections::HashMap, fmt, path::PathBuf};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{Mutex, MutexGuard};

use crate::model::Target;

use super::{
    Checksums, Claim, Fence, Finding, GroupState, Merge, MergeReport, ReadFiles, RebuildChange, StageOutcome,
    StageReport, StagedFile, Swap, SwapReport, TableFiles, TablePlan, TableState, TargetColumn, TickId, Warehouse,
    WarehouseError,
    cell::{Cell, Cells, SystemCells},
    definition,
    error::Failure,
    merge,
    plan::Layout,
    session::Session,
    shadow,
    sql::TableSql,
    stage::{Cast, ColumnLists, StagedRows, casts, outcome},
    state, table,
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
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    session: Option<SqliteSession>,
    layouts: HashMap<Target, Layout>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// A session taken out of its place; it returns only when the call came to its end.
struct Lease<'a> {
    inner: MutexGuard<'a, Inner>,
    session: SqliteSession,
}

impl Lease<'_> {
    fn give_back(mut self) {
        if !self.session.broken {
            self.inner.session = Some(self.session);
        }
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
        Self { path, options, inner: Mutex::default() }
    }

    async fn lease(&self) -> Result<Lease<'_>, WarehouseError> {
        let mut inner = self.inner.lock().await;
        let session = match inner.session.take() {
            Some(session) => session,
            None => SqliteSession::connect(&self.options).await.map_err(|f| f.doing("open the database file"))?,
        };
        Ok(Lease { inner, session })
    }

    /// Creates the private state where it is missing.
    async fn create_state(session: &mut SqliteSession) -> Result<(), WarehouseError> {
        const WHAT: &str = "create the private tables";
        let doing = |f: Failure| f.doing(WHAT);
        if !session.query(&sql::state_exists()).await.map_err(doing)?.is_empty() {
            return Ok(());
        }
        session.begin().await.map_err(doing)?;
        let mut result = Ok(());
        for statement in state::sql::create(&SqliteDialect) {
            result = session.execute(&statement).await.map(|_| ());
            if result.is_err() {
                break;
            }
        }
        state::finish(session, result.map_err(doing), WHAT).await
    }

    /// Makes the temporary tables of a target be as its layout says.
    async fn prepare(session: &mut SqliteSession, layout: &Layout) -> Result<(), WarehouseError> {
        if session.prepared.get(&layout.target) == Some(layout) {
            return Ok(());
        }
        session.prepared.remove(&layout.target);
        session.staged.remove(&layout.target);
        for statement in TableSql::new(layout, &SqliteDialect).create_temporary() {
            session.execute(&statement).await.map_err(|f| f.in_table(&layout.target, "create staging"))?;
        }
        session.prepared.insert(layout.target.clone(), layout.clone());
        Ok(())
    }

    async fn load(
        session: &mut SqliteSession,
        tick: &TickId,
        layout: &Layout,
        files: &[StagedFile],
        reader: &dyn ReadFiles,
    ) -> Result<StageReport, WarehouseError> {
        let what = format!("stage rows of {}", layout.target);
        Self::prepare(session, layout).await?;
        session.staged.remove(&layout.target);
        session.begin_staging().await.map_err(|f| f.doing(&what))?;
        let result = Self::load_files(session, layout, files, reader).await;
        let (report, lists) = state::finish(session, result, &what).await?;
        let staged = StagedRows { tick: tick.clone(), rows: report.rows, column_lists: lists.0 };
        session.staged.insert(layout.target.clone(), staged);
        Ok(report)
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
impl Warehouse for Sqlite {
    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    async fn check(&self) -> Vec<Finding> {
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

    async fn open_group(&self, claim: &Claim) -> Result<(Fence, GroupState), WarehouseError> {
        let mut lease = self.lease().await?;
        let result = match Self::create_state(&mut lease.session).await {
            Ok(()) => state::open(&mut lease.session, &SqliteDialect, claim).await,
            Err(error) => Err(error),
        };
        lease.give_back();
        result
    }

    async fn close_group(&self, fence: &Fence) -> Result<(), WarehouseError> {
        let mut lease = self.lease().await?;
        let left = lease.session.execute(&state::sql::leave_fence(&SqliteDialect, &fence.group, fence.epoch)).await;
        lease.give_back();
        left.map(|_| ()).map_err(|f| f.doing("give the group's fence back"))
    }

    async fn group_state(&self, group: &str) -> Result<Option<GroupState>, WarehouseError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let mut lease = self.lease().await?;
        let result = match lease.session.query(&sql::state_exists()).await {
            Ok(rows) if rows.is_empty() => Ok(None),
            Ok(_) => state::read(&mut lease.session, &SqliteDialect, group).await,
            Err(failure) => Err(failure.doing("read the group's state")),
        };
        lease.give_back();
        result
    }

    async fn ensure_table(&self, fence: &Fence, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = table::ensure(&mut lease.session, &SqliteDialect, fence, plan).await;
        let result = result.map(|(layout, state)| {
            lease.inner.layouts.insert(plan.target.clone(), layout);
            state
        });
        lease.give_back();
        result
    }

    async fn preview_table(&self, group: &str, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        if !self.path.exists() {
            // Connecting would make it.
            let place = definition::place(&SqliteDialect, plan)?;
            return definition::preview(&SqliteDialect, group, plan, place, &definition::Found::default());
        }
        let mut lease = self.lease().await?;
        let registry = lease.session.query(&sql::state_exists()).await.map(|rows| !rows.is_empty());
        let result = match registry.map_err(|failure| failure.doing("look for the private tables")) {
            Ok(registry) => table::preview(&mut lease.session, &SqliteDialect, group, plan, registry).await,
            Err(e) => Err(e),
        };
        lease.give_back();
        result
    }

    async fn recall_table(&self, fence: &Fence, target: &Target) -> Result<bool, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = table::recall(&mut lease.session, &SqliteDialect, fence, target).await;
        let result = result.map(|layout| match layout {
            Some(layout) => {
                lease.inner.layouts.insert(target.clone(), layout);
                true
            }
            None => false,
        });
        lease.give_back();
        result
    }

    async fn stage(
        &self,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
    ) -> Result<Vec<StageOutcome>, WarehouseError> {
        let mut lease = self.lease().await?;
        let Lease { inner, session } = &mut lease;
        let mut outcomes = Vec::with_capacity(tables.len());
        let mut failed = None;
        for TableFiles { target, files, .. } in tables {
            let loaded = match inner.layouts.get(target) {
                Some(layout) => Self::load(session, tick, layout, files, reader).await,
                None => Err(WarehouseError::fatal(format!("stage rows of {target}, which was not ensured"))),
            };
            match outcome(loaded) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        lease.give_back();
        failed.map_or(Ok(outcomes), Err)
    }

    async fn merge(&self, merge: &Merge) -> Result<MergeReport, WarehouseError> {
        let mut lease = self.lease().await?;
        let Lease { inner, session } = &mut lease;
        let mut prepared = Ok(());
        for layout in merge.tables.iter().filter_map(|t| inner.layouts.get(&t.target)) {
            if prepared.is_ok() {
                prepared = Self::prepare(session, layout).await;
            }
        }
        // Rolled back with everything else when the merge fails, the staged rows can be merged again.
        let staged = std::mem::take(&mut session.staged);
        let context = merge::Context { dialect: &SqliteDialect, layouts: &inner.layouts, staged: &staged };
        let result = match prepared {
            Ok(()) => merge::merge(session, &context, merge).await,
            Err(error) => Err(error),
        };
        if result.is_err() {
            session.staged = staged;
        }
        lease.give_back();
        result
    }

    async fn columns(&self, fence: &Fence, target: &Target) -> Result<Option<Vec<TargetColumn>>, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = table::recall(&mut lease.session, &SqliteDialect, fence, target).await;
        lease.give_back();
        Ok(result?.map(|layout| layout.columns))
    }

    async fn drop_shadow(
        &self,
        fence: &Fence,
        target: &Target,
        rebuilds: &[RebuildChange],
    ) -> Result<(), WarehouseError> {
        let mut lease = self.lease().await?;
        let result = shadow::discard(&mut lease.session, &SqliteDialect, fence, target, rebuilds).await;
        lease.inner.layouts.remove(&target.shadow());
        lease.give_back();
        result
    }

    async fn swap(&self, swap: &Swap) -> Result<SwapReport, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = shadow::swap(&mut lease.session, &SqliteDialect, swap).await;
        let result = result.map(|(layout, report)| {
            lease.inner.layouts.remove(&swap.target.shadow());
            lease.inner.layouts.insert(swap.target.clone(), layout);
            report
        });
        lease.give_back();
        result
    }

    async fn checksums(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        let opened = checksum::SqliteChecksums::open(&self.options).await;
        Ok(Box::new(opened.map_err(|f| f.doing("open the database file"))?))
    }
}
