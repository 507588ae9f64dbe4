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

use std::{collections::HashMap, fmt, str::FromStr};

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Mutex, MutexGuard};

use crate::model::{Target, table::system};

use super::{
    Checksums, Claim, Fence, Finding, GroupState, Merge, MergeReport, ReadFiles, RebuildChange, StageOutcome,
    StageReport, StagedFile, Swap, SwapReport, TableFiles, TablePlan, TableState, TargetColumn, TickId, Warehouse,
    WarehouseError,
    error::Failure,
    merge,
    plan::Layout,
    session::{Session, Value},
    shadow,
    sql::{TableSql, list},
    stage::{ColumnLists, StagedRows, casts, outcome},
    state, table,
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
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    session: Option<PgSession>,
    layouts: HashMap<Target, Layout>,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// A session taken out of its place; it returns only when the call came to its end.
struct Lease<'a> {
    inner: MutexGuard<'a, Inner>,
    session: PgSession,
}

impl Lease<'_> {
    fn give_back(mut self) {
        if !self.session.broken {
            self.inner.session = Some(self.session);
        }
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
            inner: Mutex::default(),
        })
    }

    async fn lease(&self) -> Result<Lease<'_>, WarehouseError> {
        let mut inner = self.inner.lock().await;
        let session = match inner.session.take() {
            Some(session) => session,
            None => PgSession::connect(&self.options).await.map_err(|f| f.doing("connect"))?,
        };
        Ok(Lease { inner, session })
    }

    /// Creates the private state where it is missing.
    async fn create_state(&self, session: &mut PgSession) -> Result<(), WarehouseError> {
        const WHAT: &str = "create the schema _tailwater";
        let doing = |f: Failure| f.doing(WHAT);
        if !session.query(&sql::state_exists()).await.map_err(doing)?.is_empty() {
            return Ok(());
        }
        session.begin().await.map_err(doing)?;
        let result = self.create_in_transaction(session).await.map_err(doing);
        state::finish(session, result, WHAT).await
    }

    async fn create_in_transaction(&self, session: &mut PgSession) -> Result<(), Failure> {
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

    /// Makes the temporary tables of a target be as its layout says.
    async fn prepare(&self, session: &mut PgSession, layout: &Layout) -> Result<(), WarehouseError> {
        if session.prepared.get(&layout.target) == Some(layout) {
            return Ok(());
        }
        session.prepared.remove(&layout.target);
        session.staged.remove(&layout.target);
        for statement in TableSql::new(layout, &self.dialect).create_temporary() {
            session.execute(&statement).await.map_err(|f| f.in_table(&layout.target, "create staging"))?;
        }
        session.prepared.insert(layout.target.clone(), layout.clone());
        Ok(())
    }

    async fn load(
        &self,
        session: &mut PgSession,
        tick: &TickId,
        layout: &Layout,
        files: &[StagedFile],
        reader: &dyn ReadFiles,
    ) -> Result<StageReport, WarehouseError> {
        let failed = |f: Failure| f.in_table(&layout.target, "stage rows");
        self.prepare(session, layout).await?;
        session.staged.remove(&layout.target);
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
        let staged = StagedRows { tick: tick.clone(), rows: report.rows, column_lists: lists.0 };
        session.staged.insert(layout.target.clone(), staged);
        Ok(report)
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
impl Warehouse for Postgres {
    fn describe(&self) -> String {
        let (host, port) = (self.options.get_host(), self.options.get_port());
        format!("postgres://{host}:{port}/{}", self.options.get_database().unwrap_or(self.options.get_username()))
    }

    async fn check(&self) -> Vec<Finding> {
        let found = |problem: String, mend: &str| vec![Finding { problem, mend: mend.to_owned() }];
        let mut lease = match self.lease().await {
            Ok(lease) => lease,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
                return found(format!("no connection to {}{cause}", self.describe()), "mend the URL or the server");
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

    async fn open_group(&self, claim: &Claim) -> Result<(Fence, GroupState), WarehouseError> {
        let mut lease = self.lease().await?;
        let result = match self.create_state(&mut lease.session).await {
            Ok(()) => state::open(&mut lease.session, &self.dialect, claim).await,
            Err(error) => Err(error),
        };
        lease.give_back();
        result
    }

    async fn close_group(&self, fence: &Fence) -> Result<(), WarehouseError> {
        let mut lease = self.lease().await?;
        let left = lease.session.execute(&state::sql::leave_fence(&self.dialect, &fence.group, fence.epoch)).await;
        lease.give_back();
        left.map(|_| ()).map_err(|f| f.doing("give the group's fence back"))
    }

    async fn group_state(&self, group: &str) -> Result<Option<GroupState>, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = match lease.session.query(&sql::state_exists()).await {
            Ok(rows) if rows.is_empty() => Ok(None),
            Ok(_) => state::read(&mut lease.session, &self.dialect, group).await,
            Err(failure) => Err(failure.doing("read the group's state")),
        };
        lease.give_back();
        result
    }

    async fn ensure_table(&self, fence: &Fence, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = table::ensure(&mut lease.session, &self.dialect, fence, plan).await;
        let result = result.map(|(layout, state)| {
            lease.inner.layouts.insert(plan.target.clone(), layout);
            state
        });
        lease.give_back();
        result
    }

    async fn preview_table(&self, group: &str, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let mut lease = self.lease().await?;
        let registry = lease.session.query(&sql::state_exists()).await.map(|rows| !rows.is_empty());
        let result = match registry.map_err(|failure| failure.doing("look for the private tables")) {
            Ok(registry) => table::preview(&mut lease.session, &self.dialect, group, plan, registry).await,
            Err(e) => Err(e),
        };
        lease.give_back();
        result
    }

    async fn recall_table(&self, fence: &Fence, target: &Target) -> Result<bool, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = table::recall(&mut lease.session, &self.dialect, fence, target).await;
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
                Some(layout) => self.load(session, tick, layout, files, reader).await,
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
                prepared = self.prepare(session, layout).await;
            }
        }
        // Rolled back with everything else when the merge fails, the staged rows can be merged again.
        let staged = std::mem::take(&mut session.staged);
        let context = merge::Context { dialect: &self.dialect, layouts: &inner.layouts, staged: &staged };
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
        let result = table::recall(&mut lease.session, &self.dialect, fence, target).await;
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
        let result = shadow::discard(&mut lease.session, &self.dialect, fence, target, rebuilds).await;
        lease.inner.layouts.remove(&target.shadow());
        lease.give_back();
        result
    }

    async fn swap(&self, swap: &Swap) -> Result<SwapReport, WarehouseError> {
        let mut lease = self.lease().await?;
        let result = shadow::swap(&mut lease.session, &self.dialect, swap).await;
        let result = result.map(|(layout, report)| {
            lease.inner.layouts.remove(&swap.target.shadow());
            lease.inner.layouts.insert(swap.target.clone(), layout);
            report
        });
        lease.give_back();
        result
    }

    async fn checksums(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        let opened = checksum::open(&self.options, &self.dialect.schema).await;
        Ok(Box::new(opened.map_err(|f| f.doing("connect"))?))
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
