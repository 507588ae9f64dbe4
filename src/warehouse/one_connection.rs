//! Warehouses that stage into temporary tables of one connection and merge on the same: what a call does there, whatever
//! the product. Nobody else sees such staging, a second applier cannot harm it, and it is gone with its connection.

use std::{collections::HashMap, fmt};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use crate::model::Target;

use super::{
    Checksums, Claim, Fence, Finding, GroupState, Merge, MergeReport, ReadFiles, RebuildChange, StageOutcome,
    StageReport, StagedFile, Swap, SwapReport, TableFiles, TablePlan, TableState, TargetColumn, TickId, Warehouse,
    WarehouseError, definition,
    error::Failure,
    layouts::Layouts,
    merge,
    plan::Layout,
    session::{Session, Statement},
    shadow,
    sql::{Dialect, TableSql},
    stage::{ColumnLists, StagedRows, outcome},
    state, table,
};

/// What lies in the temporary tables of a connection.
#[derive(Debug, Default)]
pub(crate) struct Staging {
    /// Tables that exist, as they were defined.
    prepared: HashMap<Target, Layout>,
    /// Rows in them.
    staged: HashMap<Target, StagedRows>,
}

/// A connection with temporary tables.
pub(crate) trait StagingSession: Session {
    /// What lies in them.
    fn staging(&mut self) -> &mut Staging;
    /// Whether the connection must not be used again.
    fn broken(&self) -> bool;
}

/// What outlasts a call: the connection, while none uses it, and the layouts of targets.
#[derive(Debug)]
pub(crate) struct Kept<S> {
    session: Option<S>,
    layouts: Layouts,
}

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self { session: None, layouts: Layouts::default() }
    }
}

/// A connection taken out of its place; it returns only when the call came to its end.
pub(crate) struct Lease<'a, S> {
    kept: MutexGuard<'a, Kept<S>>,
    pub(crate) session: S,
}

impl<S: StagingSession> Lease<'_, S> {
    pub(crate) fn give_back(mut self) {
        if !self.session.broken() {
            self.kept.session = Some(self.session);
        }
    }
}

/// What a product says in words of its own.
#[async_trait]
pub(crate) trait OneConnection: Send + Sync + fmt::Debug {
    type Session: StagingSession + 'static;

    fn kept(&self) -> &Mutex<Kept<Self::Session>>;
    fn dialect(&self) -> &dyn Dialect;
    /// Whether there is a database: where it is a file, connecting would make it.
    fn exists(&self) -> bool;
    /// Asks whether the private state was made (one row).
    fn state_exists(&self) -> Statement;
    /// [`Warehouse::describe`].
    fn shown(&self) -> String;
    /// [`Warehouse::check`].
    async fn problems(&self) -> Vec<Finding>;
    /// [`Warehouse::checksums`].
    async fn reader(&self) -> Result<Box<dyn Checksums>, WarehouseError>;
    async fn connect(&self) -> Result<Self::Session, WarehouseError>;
    /// Creates the private state in a transaction that has begun.
    async fn create_state(&self, session: &mut Self::Session) -> Result<(), Failure>;
    /// Puts the rows of files into the emptied staging of a target, and counts them.
    async fn load(
        &self,
        session: &mut Self::Session,
        layout: &Layout,
        files: &[StagedFile],
        reader: &dyn ReadFiles,
    ) -> Result<(StageReport, ColumnLists), WarehouseError>;
}

/// Takes the connection, or makes one.
pub(crate) async fn lease<D: OneConnection + ?Sized>(database: &D) -> Result<Lease<'_, D::Session>, WarehouseError> {
    let mut kept = database.kept().lock().await;
    let session = match kept.session.take() {
        Some(session) => session,
        None => database.connect().await?,
    };
    Ok(Lease { kept, session })
}

/// Whether the private state was made.
async fn has_state<D: OneConnection>(database: &D, session: &mut D::Session) -> Result<bool, Failure> {
    Ok(!session.query(&database.state_exists()).await?.is_empty())
}

/// Creates the private state where it is missing.
async fn ensure_state<D: OneConnection>(database: &D, session: &mut D::Session) -> Result<(), WarehouseError> {
    const WHAT: &str = "create the private tables";
    let doing = |f: Failure| f.doing(WHAT);
    if has_state(database, session).await.map_err(doing)? {
        return Ok(());
    }
    session.begin().await.map_err(doing)?;
    let result = database.create_state(session).await.map_err(doing);
    state::finish(session, result, WHAT).await
}

/// Makes the temporary tables of a target be as its layout says.
async fn prepare<S: StagingSession>(
    session: &mut S,
    dialect: &dyn Dialect,
    layout: &Layout,
) -> Result<(), WarehouseError> {
    let staging = session.staging();
    if staging.prepared.get(&layout.target) == Some(layout) {
        return Ok(());
    }
    staging.prepared.remove(&layout.target);
    staging.staged.remove(&layout.target);
    for statement in TableSql::new(layout, dialect).create_temporary() {
        session.execute(&statement).await.map_err(|f| f.in_table(&layout.target, "create staging"))?;
    }
    session.staging().prepared.insert(layout.target.clone(), layout.clone());
    Ok(())
}

/// Stages the files of one target.
async fn stage_table<D: OneConnection>(
    database: &D,
    session: &mut D::Session,
    tick: &TickId,
    layout: &Layout,
    files: &[StagedFile],
    reader: &dyn ReadFiles,
) -> Result<StageReport, WarehouseError> {
    prepare(session, database.dialect(), layout).await?;
    session.staging().staged.remove(&layout.target);
    let (report, lists) = database.load(session, layout, files, reader).await?;
    let staged = StagedRows { tick: tick.clone(), rows: report.rows, column_lists: lists.0 };
    session.staging().staged.insert(layout.target.clone(), staged);
    Ok(report)
}

/// Merges what lies in staging.
async fn merge_staged<S: StagingSession>(
    session: &mut S,
    dialect: &dyn Dialect,
    layouts: &Layouts,
    tick: &Merge,
) -> Result<MergeReport, WarehouseError> {
    for layout in tick.tables.iter().filter_map(|t| layouts.get(&t.target)) {
        prepare(session, dialect, layout).await?;
    }
    // Rolled back with everything else when the merge fails, the staged rows can be merged again.
    let staged = std::mem::take(&mut session.staging().staged);
    let context = merge::Context { dialect, layouts, staged: &staged };
    let result = merge::merge(session, &context, tick).await;
    if result.is_err() {
        session.staging().staged = staged;
    }
    result
}

#[async_trait]
impl<D: OneConnection> Warehouse for D {
    fn describe(&self) -> String {
        self.shown()
    }

    async fn check(&self) -> Vec<Finding> {
        self.problems().await
    }

    async fn open_group(&self, claim: &Claim) -> Result<(Fence, GroupState), WarehouseError> {
        let mut lease = lease(self).await?;
        let result = match ensure_state(self, &mut lease.session).await {
            Ok(()) => state::open(&mut lease.session, self.dialect(), claim).await,
            Err(error) => Err(error),
        };
        lease.give_back();
        result
    }

    async fn close_group(&self, fence: &Fence) -> Result<(), WarehouseError> {
        let mut lease = lease(self).await?;
        let left = lease.session.execute(&state::sql::leave_fence(self.dialect(), &fence.group, fence.epoch)).await;
        lease.give_back();
        left.map(|_| ()).map_err(|f| f.doing("give the group's fence back"))
    }

    async fn group_state(&self, group: &str) -> Result<Option<GroupState>, WarehouseError> {
        if !self.exists() {
            return Ok(None);
        }
        let mut lease = lease(self).await?;
        let result = match has_state(self, &mut lease.session).await {
            Ok(true) => state::read(&mut lease.session, self.dialect(), group).await,
            Ok(false) => Ok(None),
            Err(failure) => Err(failure.doing("read the group's state")),
        };
        lease.give_back();
        result
    }

    async fn ensure_table(&self, fence: &Fence, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let mut lease = lease(self).await?;
        let result = table::ensure(&mut lease.session, self.dialect(), fence, plan).await;
        let result = result.map(|(layout, state)| {
            lease.kept.layouts.keep(&plan.target, layout);
            state
        });
        lease.give_back();
        result
    }

    async fn preview_table(&self, group: &str, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let dialect = self.dialect();
        if !self.exists() {
            let place = definition::place(dialect, plan)?;
            return definition::preview(dialect, group, plan, place, &definition::Found::default());
        }
        let mut lease = lease(self).await?;
        let result = match has_state(self, &mut lease.session).await {
            Ok(registry) => table::preview(&mut lease.session, dialect, group, plan, registry).await,
            Err(failure) => Err(failure.doing("look for the private tables")),
        };
        lease.give_back();
        result
    }

    async fn recall_table(&self, fence: &Fence, target: &Target) -> Result<bool, WarehouseError> {
        let mut lease = lease(self).await?;
        let result = table::recall(&mut lease.session, self.dialect(), fence, target).await;
        let result = result.map(|layout| lease.kept.layouts.recalled(target, layout));
        lease.give_back();
        result
    }

    async fn stage(
        &self,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
    ) -> Result<Vec<StageOutcome>, WarehouseError> {
        let mut lease = lease(self).await?;
        let Lease { kept, session } = &mut lease;
        let mut outcomes = Vec::with_capacity(tables.len());
        let mut failed = None;
        for TableFiles { target, files, .. } in tables {
            let loaded = match kept.layouts.get(target) {
                Some(layout) => stage_table(self, session, tick, layout, files, reader).await,
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
        let mut lease = lease(self).await?;
        let Lease { kept, session } = &mut lease;
        let result = merge_staged(session, self.dialect(), &kept.layouts, merge).await;
        lease.give_back();
        result
    }

    async fn columns(&self, fence: &Fence, target: &Target) -> Result<Option<Vec<TargetColumn>>, WarehouseError> {
        let mut lease = lease(self).await?;
        let result = table::recall(&mut lease.session, self.dialect(), fence, target).await;
        lease.give_back();
        Ok(result?.map(|layout| layout.columns))
    }

    async fn drop_shadow(
        &self,
        fence: &Fence,
        target: &Target,
        rebuilds: &[RebuildChange],
    ) -> Result<(), WarehouseError> {
        let mut lease = lease(self).await?;
        let result = shadow::discard(&mut lease.session, self.dialect(), fence, target, rebuilds).await;
        lease.kept.layouts.without_shadow(target);
        lease.give_back();
        result
    }

    async fn swap(&self, swap: &Swap) -> Result<SwapReport, WarehouseError> {
        let mut lease = lease(self).await?;
        let result = shadow::swap(&mut lease.session, self.dialect(), swap).await;
        let result = result.map(|(layout, report)| {
            lease.kept.layouts.swapped(&swap.target, layout);
            report
        });
        lease.give_back();
        result
    }

    async fn checksums(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        self.reader().await
    }
}
