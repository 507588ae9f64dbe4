//! Amazon Redshift, provisioned or serverless.
//!
//! A tick takes few and large statements, because at Redshift each costs the better part of a second and commits queue up
//! behind one another for the whole cluster:
//!
//! - **Staging** runs on several connections, each with the tables that fell to it in one transaction ([`load`]): a COPY per
//!   distinct schema, or INSERT where there are few rows, and all that can be found out about them. Staging tables are
//!   permanent and private, of this process and this epoch by their names, made anew each tick, so that their transaction
//!   commits once; a TRUNCATE would be a commit of its own.
//! - **The merge** is one transaction whatever the number of shards ([`merge`]). Every transaction that writes begins by
//!   locking the group's fence, before it has a snapshot, so two appliers of a group never meet in a serialization
//!   failure; those that remain are met by readers and are tried again in place.
//!
//! Statements go over the PostgreSQL protocol ([`client`]) or through the Data API ([`data_api`]), which is why transactions
//! are values ([`script`]).

mod check;
mod checksum;
mod client;
mod credentials;
mod data_api;
mod define;
mod errors;
mod group;
mod load;
mod manifest;
mod merge;
mod options;
mod pool;
mod rows;
mod script;
mod shadow;
pub(in crate::warehouse) mod sql;
mod stage;
mod types;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::sleep,
};

use crate::{lake::Store, model::Target};

use super::{
    Checksums, Claim, Fence, Finding, GroupState, Merge, MergeReport, ReadFiles, RebuildChange, StageOutcome, Swap,
    SwapReport, TableFiles, TableMerge, TablePlan, TableState, TargetColumn, TickId, Warehouse, WarehouseError,
    error::{Failure, FailureKind},
    layouts::Layouts,
};
use errors::{Class, Trouble};
pub use options::{CopyAccess, DataApiTarget, Login, RedshiftOptions, TlsMode};
use pool::{Connector, Idle};
use script::{About, Channel, Halt, Script, Sql};
use sql::{Names, catalog, stage::drop_table, state::GroupTables};

/// Pause before a transaction that crossed another one is tried again; a little random time is added.
pub(crate) const CONFLICT_PAUSE: Duration = Duration::from_millis(100);
/// Tries of a transaction that crossed others. Its staged rows are still there, so that each costs what a merge costs.
const CONFLICT_TRIES_MAX: u32 = 8;
/// Longest wait for a staging table of an earlier epoch that somebody still holds.
const SWEEP_MAX: Duration = Duration::from_secs(10);
/// Failures in a row of one table, of a kind that nobody foresaw, until they are held against the table.
const UNKNOWN_MAX: u32 = 3;

/// A Redshift database.
pub struct Redshift {
    connector: Connector,
    names: Names,
    store: Arc<dyn Store>,
    /// Tells the staging tables of this process from others'.
    nonce: String,
    serial: AtomicU64,
    /// Targets that fit one batch of the Data API, by what the last ticks took.
    targets_max: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    idle: Idle,
    layouts: Layouts,
    staged: HashMap<Target, merge::Staged>,
    /// Private tables that nothing needs any more, by target.
    litter: HashMap<Target, Vec<String>>,
    /// Unforeseen failures in a row.
    unknown: HashMap<Target, u32>,
}

impl fmt::Debug for Redshift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// A channel taken out of its place; it returns only when the call came to its end.
struct Lease<'a> {
    inner: MutexGuard<'a, Inner>,
    channel: Box<dyn Channel>,
}

impl Lease<'_> {
    fn give_back(mut self) {
        self.inner.idle.give(self.channel);
    }
}

impl Redshift {
    /// A database that reads its rows from the lake in `store`. Connects when first used.
    ///
    /// # Errors
    /// [`WarehouseError::Config`] when the lake is not in S3, the only place that COPY reads.
    pub fn new(options: RedshiftOptions, store: Arc<dyn Store>) -> Result<Self, WarehouseError> {
        if !store.describe().starts_with("s3://") {
            return Err(WarehouseError::Config {
                what: "load a lake that is a folder into Redshift".to_owned(),
                mend: "put the lake into S3: COPY reads nothing else".to_owned(),
                source: None,
            });
        }
        Ok(Self {
            names: Names { schema: options.schema.clone(), private: options.private_schema.clone() },
            connector: Connector::new(options),
            store,
            nonce: format!("{:08x}", rand::random::<u32>()),
            serial: AtomicU64::new(0),
            targets_max: AtomicUsize::new(data_api::TARGETS_MAX),
            inner: Mutex::default(),
        })
    }

    async fn lease(&self) -> Result<Lease<'_>, WarehouseError> {
        let mut inner = self.inner.lock().await;
        let channel = match inner.idle.take() {
            Some(channel) => channel,
            None => self.connector.open().await.map_err(|t| t.failure.doing("connect"))?,
        };
        Ok(Lease { inner, channel })
    }

    /// A name for a staging table: the group, the epoch and the process that fill it, and a number.
    fn stage_name(&self, fence: &Fence) -> String {
        let tag = GroupTables::new(&self.names, &fence.group).tag;
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("{}{}_{}_{serial}", stage_prefix(&tag), fence.epoch, self.nonce)
    }

    /// Removes what earlier epochs of the group left behind: tables that a crash kept from being dropped, and manifests. A
    /// fenced applier that still runs loses its staging, which it could not merge anyway.
    async fn sweep(&self, channel: &mut dyn Channel, fence: &Fence) -> Result<(), Trouble> {
        stage::remove_manifests(&*self.store, fence).await;
        let prefix = stage_prefix(&GroupTables::new(&self.names, &fence.group).tag);
        for row in script::query(channel, catalog::tables_of(&self.names.private, &prefix)).await? {
            let Some(table) = row.first().and_then(|v| v.text()) else { continue };
            let epoch = table.strip_prefix(&prefix).and_then(|rest| rest.split('_').next()?.parse::<i64>().ok());
            if epoch.is_some_and(|epoch| epoch < fence.epoch) {
                // One that is still being used is waited for a moment only.
                let mut script = Script { statement_max: Some(SWEEP_MAX), ..Script::default() };
                script.push(&About::Fence, drop_table(&self.names.private(table)));
                match channel.transact(&script).await {
                    Ok(_) | Err(Halt::Unmet { .. }) => {}
                    Err(Halt::Failed { trouble, .. } | Halt::Transaction { trouble, .. }) => return Err(trouble),
                }
            }
        }
        Ok(())
    }

    /// Puts the merge's transaction together.
    async fn prepare(&self, inner: &mut Inner, merge: &Merge) -> Result<Script, WarehouseError> {
        let mut looks: Vec<TableMerge> = Vec::new();
        for table in &merge.tables {
            if inner.context(&self.names).needs_a_look(merge, table)? {
                looks.push(table.clone());
            }
        }
        self.look_below_floors(inner, &merge.tick, &looks).await?;
        inner.context(&self.names).script(merge)
    }

    /// Runs the merge's transaction, again and again where it crosses others.
    async fn apply(
        &self,
        channel: &mut dyn Channel,
        context: &merge::Context<'_>,
        merge: &Merge,
        script: &Script,
    ) -> Result<MergeReport, (WarehouseError, Option<Target>)> {
        const WHAT: &str = "merge a tick";
        let mut tries = 0;
        loop {
            tries += 1;
            let trouble = match channel.transact(script).await {
                Ok(answers) => return Ok(context.report(merge, script, &answers)),
                Err(Halt::Unmet { about: About::Fence, .. }) => {
                    return Err((self.fenced(channel, &merge.tick.fence).await, None));
                }
                Err(Halt::Unmet { about: About::Position, .. }) => {
                    return Err((self.moved(channel, merge).await, None));
                }
                Err(Halt::Unmet { about: About::Table(target), otherwise, .. }) => {
                    return Err((WarehouseError::table(&target, otherwise), None));
                }
                Err(Halt::Failed { about: About::Table(target), trouble }) if trouble.class != Class::Conflict => {
                    let unknown = (trouble.class == Class::Unknown).then(|| target.clone());
                    return Err((trouble.failure.in_table(&target, "merge rows"), unknown));
                }
                Err(Halt::Transaction { trouble, undecided: true }) => {
                    return Err((trouble.failure.doing("commit a tick (outcome unknown)"), None));
                }
                Err(Halt::Failed { trouble, .. } | Halt::Transaction { trouble, .. }) => trouble,
            };
            if trouble.class != Class::Conflict || tries >= CONFLICT_TRIES_MAX {
                return Err((trouble.failure.doing(WHAT), None));
            }
            tracing::debug!(tries, cause = %trouble.failure, "a merge crossed another transaction; trying again");
            sleep(conflict_pause(tries)).await;
        }
    }

    /// A tick has more statements than the channel takes at once: the next ones have fewer targets.
    fn too_many(&self, merge: &Merge, script: &Script) -> WarehouseError {
        let (targets, statements) = (merge.tables.len(), script.steps.len());
        self.targets_max.store((targets / 2).max(1), Ordering::Relaxed);
        let text = format!("the {targets} tables of the tick take {statements} statements; fewer are merged at a time");
        Failure::new(FailureKind::Transient, text).doing("merge a tick in one batch of the Data API")
    }

    /// A tick of so many targets fitted: where that was the most, the next one may have one more.
    fn fitted(&self, targets: usize) {
        let max = self.targets_max.load(Ordering::Relaxed);
        if targets >= max && max < data_api::TARGETS_MAX {
            self.targets_max.store(max + 1, Ordering::Relaxed);
        }
    }

    async fn fenced(&self, channel: &mut dyn Channel, fence: &Fence) -> WarehouseError {
        match group::look(channel, &self.names, fence).await {
            Err(error) => error,
            Ok(()) => WarehouseError::fatal("agree with itself about who holds the fence"),
        }
    }

    /// Which shard stands elsewhere.
    async fn moved(&self, channel: &mut dyn Channel, merge: &Merge) -> WarehouseError {
        let group = &merge.tick.fence.group;
        let state = match group::read(channel, &self.names, group).await {
            Ok(state) => state.unwrap_or_default(),
            Err(error) => return error,
        };
        let wrong = merge.moves.iter().find(|m| state.watermarks.get(&m.shard) != m.from.as_ref()).map(|m| &m.shard);
        let other = merge
            .exceptions
            .iter()
            .find(|c| state.exceptions.get(&c.origin).map(|e| e.position) != c.from)
            .map(|c| &c.origin.shard);
        let rebuilt = merge.rebuilds.iter().find(|r| {
            let places = state.rebuilds.get(&r.target);
            places.and_then(|places| places.get(&r.change.origin)).map(|e| e.position) != r.change.from
        });
        let other = other.or(rebuilt.map(|r| &r.change.origin.shard));
        let Some(shard) = wrong.or(other) else {
            return WarehouseError::fatal("agree with itself about where a shard stands");
        };
        let found = state.watermarks.get(shard).cloned();
        WarehouseError::Moved { group: group.clone(), shard: shard.clone(), found }
    }
}

/// What the names of a group's staging tables begin with.
fn stage_prefix(tag: &str) -> String {
    format!("stage_{tag}_")
}

/// Longer with every try, and not the same for two who crossed each other.
fn conflict_pause(tries: u32) -> Duration {
    CONFLICT_PAUSE * tries + CONFLICT_PAUSE.mul_f64(rand::random::<f64>())
}

impl Inner {
    /// Counts an unforeseen failure; from a few in a row on it is the table's own.
    fn unforeseen(&mut self, target: &Target, error: WarehouseError) -> WarehouseError {
        let count = self.unknown.entry(target.clone()).or_default();
        *count += 1;
        if *count < UNKNOWN_MAX {
            return error;
        }
        self.unknown.remove(target);
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        WarehouseError::table(target, format!("{error}, {UNKNOWN_MAX} times in a row: {cause}"))
    }
}

#[async_trait]
impl Warehouse for Redshift {
    fn describe(&self) -> String {
        let RedshiftOptions { host, port, database, .. } = &self.connector.options;
        match &self.connector.options.data_api {
            Some(DataApiTarget::Cluster { cluster, .. }) => format!("redshift data api: {cluster}/{database}"),
            Some(DataApiTarget::Workgroup { workgroup }) => format!("redshift data api: {workgroup}/{database}"),
            None => format!("redshift://{host}:{port}/{database}"),
        }
    }

    fn targets_max(&self) -> Option<usize> {
        self.connector.options.data_api.as_ref().map(|_| self.targets_max.load(Ordering::Relaxed))
    }

    async fn check(&self) -> Vec<Finding> {
        let mut lease = match self.lease().await {
            Ok(lease) => lease,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
                return vec![Finding {
                    problem: format!("no connection to {}{cause}", self.describe()),
                    mend: "mend the address, the login or the network path to the cluster".to_owned(),
                }];
            }
        };
        let findings = check::findings(lease.channel.as_mut(), &self.names, &self.connector, &*self.store).await;
        lease.give_back();
        findings
    }

    async fn open_group(&self, claim: &Claim) -> Result<(Fence, GroupState), WarehouseError> {
        let mut lease = self.lease().await?;
        let channel = lease.channel.as_mut();
        let opened = match group::create(channel, &self.names, &claim.group).await {
            Ok(()) => group::open(channel, &self.names, claim).await,
            Err(error) => Err(error),
        };
        if let Ok((fence, _)) = &opened
            && let Err(trouble) = self.sweep(channel, fence).await
        {
            // What was left behind takes room and nothing else; the next claim tries again.
            tracing::debug!(cause = %trouble.failure, "staging of earlier epochs was not removed");
        }
        lease.give_back();
        opened
    }

    async fn close_group(&self, fence: &Fence) -> Result<(), WarehouseError> {
        let mut lease = self.lease().await?;
        let Lease { inner, channel } = &mut lease;
        let mut left = group::close(channel.as_mut(), &self.names, fence).await;
        inner.staged.clear();
        for table in inner.litter.drain().flat_map(|(_, tables)| tables) {
            if left.is_ok() {
                left = channel.run(&Sql::new(drop_table(&table))).await.map(|_| ());
            }
        }
        lease.give_back();
        left.map_err(|t| t.failure.doing("give the group's fence back"))
    }

    async fn group_state(&self, group: &str) -> Result<Option<GroupState>, WarehouseError> {
        let mut lease = self.lease().await?;
        let state = group::read(lease.channel.as_mut(), &self.names, group).await;
        lease.give_back();
        state
    }

    async fn ensure_table(&self, fence: &Fence, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let mut lease = self.lease().await?;
        let ensured = define::ensure(lease.channel.as_mut(), &self.names, fence, plan).await;
        let state = ensured.map(|(layout, state)| {
            lease.inner.layouts.keep(&plan.target, layout);
            state
        });
        lease.give_back();
        state
    }

    async fn preview_table(&self, group: &str, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        let mut lease = self.lease().await?;
        let state = define::preview(lease.channel.as_mut(), &self.names, group, plan).await;
        lease.give_back();
        state
    }

    async fn recall_table(&self, fence: &Fence, target: &Target) -> Result<bool, WarehouseError> {
        let mut lease = self.lease().await?;
        let recalled = define::recall(lease.channel.as_mut(), &self.names, fence, target).await;
        let known = recalled.map(|layout| lease.inner.layouts.recalled(target, layout));
        lease.give_back();
        known
    }

    async fn stage(
        &self,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
    ) -> Result<Vec<StageOutcome>, WarehouseError> {
        let mut inner = self.inner.lock().await;
        self.stage_tables(&mut inner, tick, tables, reader).await
    }

    async fn merge(&self, merge: &Merge) -> Result<MergeReport, WarehouseError> {
        let mut inner = self.inner.lock().await;
        let prepared = self.prepare(&mut inner, merge).await;
        let mut channel = match inner.idle.take() {
            Some(channel) => channel,
            None => self.connector.open().await.map_err(|t| t.failure.doing("connect"))?,
        };
        let applied = match prepared {
            Ok(script) if merge.tables.len() > 1 && script.steps.len() > channel.steps_max() => {
                Err((self.too_many(merge, &script), None))
            }
            Ok(script) => self.apply(channel.as_mut(), &inner.context(&self.names), merge, &script).await,
            // Whoever was fenced is told that first: what he staged is nobody's business any more.
            Err(error) => match group::look(channel.as_mut(), &self.names, &merge.tick.fence).await {
                Ok(()) => Err((error, None)),
                Err(fenced) => Err((fenced, None)),
            },
        };
        inner.idle.give(channel);
        match applied {
            Ok(report) => {
                self.fitted(merge.tables.len());
                inner.staged.clear();
                for table in &merge.tables {
                    inner.unknown.remove(&table.target);
                }
                Ok(report)
            }
            Err((error, Some(target))) => Err(inner.unforeseen(&target, error)),
            Err((error, None)) => Err(error),
        }
    }

    async fn columns(&self, fence: &Fence, target: &Target) -> Result<Option<Vec<TargetColumn>>, WarehouseError> {
        let mut lease = self.lease().await?;
        let recalled = define::recall(lease.channel.as_mut(), &self.names, fence, target).await;
        lease.give_back();
        Ok(recalled?.map(|layout| layout.columns))
    }

    async fn drop_shadow(
        &self,
        fence: &Fence,
        target: &Target,
        rebuilds: &[RebuildChange],
    ) -> Result<(), WarehouseError> {
        let mut lease = self.lease().await?;
        let dropped = shadow::discard(lease.channel.as_mut(), &self.names, fence, target, rebuilds).await;
        lease.inner.layouts.without_shadow(target);
        lease.give_back();
        dropped
    }

    async fn swap(&self, swap: &Swap) -> Result<SwapReport, WarehouseError> {
        let mut lease = self.lease().await?;
        let swapped = shadow::swap(lease.channel.as_mut(), &self.names, swap).await;
        let report = swapped.map(|(layout, report)| {
            lease.inner.layouts.swapped(&swap.target, layout);
            report
        });
        lease.give_back();
        report
    }

    async fn checksums(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        let channel = self.connector.open().await.map_err(|t| t.failure.doing("connect"))?;
        Ok(Box::new(checksum::over(channel, self.names.clone())))
    }
}

impl Inner {
    fn context<'a>(&'a self, names: &'a Names) -> merge::Context<'a> {
        merge::Context { names, layouts: &self.layouts, staged: &self.staged }
    }
}
