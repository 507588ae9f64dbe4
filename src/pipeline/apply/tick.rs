//! One tick: follow schema changes, stage, merge, and park what cannot go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use tracing::Instrument as _;

use super::{
    Apply, ApplyError,
    cursor::{SchemaTask, TableWork, Work},
    files::LakeFiles,
};
use crate::{
    lake::{Clock as _, SystemClock},
    metrics::{ErrorKind, Stage, TickTimes},
    model::{Column, ColumnDefault, Digest, Origin, Target},
    spans,
    warehouse::{
        Exception, ExceptionChange, ExceptionKind, Fence, Fill, LogPosition, Merge, MergeReport, Move, Outcome,
        RebuildChange, StagedFile, TableFiles, TableMerge, TablePlan, TickId, WarehouseError,
    },
};

/// What a session knows of targets, so that unchanged ones cost nothing per tick.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Schemas that the target is known to hold.
    ensured: BTreeMap<Target, BTreeSet<Digest>>,
    pub(super) plans: BTreeMap<Target, TablePlan>,
}

/// A tick that is ready to be done.
#[derive(Debug, Default)]
pub(super) struct Tick {
    pub(super) work: Work,
    pub(super) moves: Vec<Move>,
    /// Exceptions that end or move with the tick.
    pub(super) exceptions: Vec<ExceptionChange>,
    /// Places in a rebuild that move with the tick.
    pub(super) rebuilds: Vec<RebuildChange>,
    /// Where each shard stood before the tick: where a table that is parked now has to continue.
    pub(super) began: BTreeMap<crate::model::Shard, LogPosition>,
    /// Where origins that catch up have to begin anew when they are parked; where they stand, unless named.
    pub(super) again_from: BTreeMap<Origin, LogPosition>,
}

impl Apply {
    /// Does the tick. Tables with definite errors are left out: the answer names their origins, which have exceptions from
    /// now on.
    ///
    /// # Errors
    /// Everything that concerns more than one table.
    pub(super) async fn perform(
        &self,
        fence: &Fence,
        number: &mut u64,
        targets: &mut Targets,
        mut tick: Tick,
    ) -> Result<BTreeSet<Origin>, ApplyError> {
        let mut parked = BTreeSet::new();
        loop {
            *number += 1;
            let id = TickId { fence: fence.clone(), number: *number };
            let attempt = self.attempt(&id, targets, &mut tick, &mut parked);
            match attempt.instrument(spans::tick(*number)).await {
                Ok(()) => return Ok(parked),
                Err(ApplyError::Warehouse(WarehouseError::Table { target, reason })) => {
                    self.park(targets, &mut tick, &mut parked, target, reason)?;
                }
                Err(e) => return Err(e),
            }
        }
    }

    /// Takes a table out of the tick.
    ///
    /// # Errors
    /// Its own error, when the tick has nothing of the table: then it is not what it says.
    fn park(
        &self,
        targets: &mut Targets,
        tick: &mut Tick,
        parked: &mut BTreeSet<Origin>,
        target: Target,
        reason: String,
    ) -> Result<(), ApplyError> {
        if target.shadowed().is_some() {
            // The rebuild ends, and nobody waits for it.
            return Err(WarehouseError::Table { target, reason }.into());
        }
        let group = &self.group;
        tracing::error!(group, %target, reason, "table parked: it stays behind until it is mended and tailwater restarted");
        self.metrics.error(Stage::Warehouse, ErrorKind::Table);
        targets.forget(&target);
        let origins = tick.park(&target, &reason);
        if origins.is_empty() {
            return Err(WarehouseError::Table { target, reason }.into());
        }
        self.metrics.live().group(&self.group).parked(&target, &reason, &origins);
        parked.extend(origins);
        Ok(())
    }

    async fn attempt(
        &self,
        id: &TickId,
        targets: &mut Targets,
        tick: &mut Tick,
        parked: &mut BTreeSet<Origin>,
    ) -> Result<(), ApplyError> {
        let began = Instant::now();
        let fills = self.follow(&id.fence, targets, tick).await?;
        let followed = Instant::now();
        let merges = self.stage(id, targets, tick, parked).await?;
        let mut merges: BTreeMap<Target, TableMerge> =
            merges.into_iter().map(|table| (table.target.clone(), table)).collect();
        for (target, fills) in fills {
            // What was parked while staging has left the tick with its schema changes.
            if fills.is_empty() || !tick.work.schemas.iter().any(|task| task.target == target) {
                continue;
            }
            let empty = || TableMerge { target: target.clone(), fills: Vec::new(), floors: Vec::new(), staged_rows: 0 };
            merges.entry(target.clone()).or_insert_with(empty).fills = fills;
        }
        let merge = Merge {
            tick: id.clone(),
            tables: merges.into_values().collect(),
            moves: tick.moves.clone(),
            exceptions: tick.exceptions.clone(),
            rebuilds: tick.rebuilds.clone(),
        };
        let staged = Instant::now();
        let report = self.merge(&merge).await?;
        let times = TickTimes { schema: followed - began, stage: staged - followed, merge: staged.elapsed() };
        self.count(tick, times, &report);
        Ok(())
    }

    fn count(&self, tick: &Tick, times: TickTimes, report: &MergeReport) {
        let figures = self.metrics.group(&self.group);
        let rows = tick.work.rows.values().sum();
        figures.ticked(times, rows, tick.work.bytes, SystemClock::new().unix_micros());
        let live = self.metrics.live();
        live.group(&self.group).ticked(times.schema + times.stage, times.merge, rows);
        for table in report.tables.values() {
            figures.changed_rows(table.inserted, table.deleted);
        }
        for (target, work) in tick.work.tables.iter().filter(|(target, _)| target.shadowed().is_none()) {
            live.applied(target, work.files.iter().map(|file| file.rows).sum());
            let target = self.metrics.target(target);
            work.files.iter().for_each(|f| target.applied(f.ops));
        }
    }

    /// Makes the targets follow the tick's schema changes; answers what older rows have in added columns.
    async fn follow(
        &self,
        fence: &Fence,
        targets: &mut Targets,
        tick: &Tick,
    ) -> Result<BTreeMap<Target, Vec<Fill>>, ApplyError> {
        let mut fills: BTreeMap<Target, Vec<Fill>> = BTreeMap::new();
        for task in &tick.work.schemas {
            let new = self.ensure(fence, targets, &task.target, &task.origin, &task.schema, &task.added).await?;
            // A column that the target had before may hold values: of another shard's default, or from before it was dropped.
            let needed = task.fills().filter(|f| f.value != ColumnDefault::Null || !new.contains(&f.column));
            fills.entry(task.target.clone()).or_default().extend(needed);
        }
        Ok(fills)
    }

    /// Stages the rows of all tables, parks those that fail, and answers what is to be merged.
    async fn stage(
        &self,
        id: &TickId,
        targets: &mut Targets,
        tick: &mut Tick,
        parked: &mut BTreeSet<Origin>,
    ) -> Result<Vec<TableMerge>, ApplyError> {
        let reader = LakeFiles::new(&self.store, tick.work.tables.values().flat_map(|w| &w.files));
        let (mut merges, mut staged) = (Vec::new(), Vec::new());
        for (target, work) in &tick.work.tables {
            let files = self.staged_files(&id.fence, targets, target, work).await?;
            // Floors alone, before any row of this session: no schema says how the target is to be.
            let unknown = files.is_empty() && !targets.plans.contains_key(target);
            if unknown && !self.warehouse.recall_table(&id.fence, target).await? {
                continue;
            }
            let (target, floors) = (target.clone(), work.floors.values().cloned().collect::<Vec<_>>());
            if files.is_empty() {
                merges.push(TableMerge { target, fills: Vec::new(), floors, staged_rows: 0 });
            } else {
                staged.push(TableFiles { target, files, floors });
            }
        }
        if staged.is_empty() {
            return Ok(merges);
        }
        let outcomes = self.warehouse.stage(id, &staged, &reader).await?;
        for (table, outcome) in staged.into_iter().zip(outcomes) {
            match outcome {
                Ok(report) => {
                    let TableFiles { target, floors, .. } = table;
                    merges.push(TableMerge { target, fills: Vec::new(), floors, staged_rows: report.rows });
                }
                Err(WarehouseError::Table { target, reason }) => self.park(targets, tick, parked, target, reason)?,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(merges)
    }

    /// Merges, and finds out what happened where the answer was lost.
    async fn merge(&self, merge: &Merge) -> Result<MergeReport, ApplyError> {
        let failed = match self.warehouse.merge(merge).await {
            Ok(report) => return Ok(report),
            Err(e @ WarehouseError::Transient { .. }) => e,
            Err(e) => return Err(e.into()),
        };
        let state = self.warehouse.group_state(&merge.tick.fence.group).await?.unwrap_or_default();
        match state.outcome(&merge.moves) {
            // What it did to rows was in the answer that was lost.
            Outcome::Applied => Ok(MergeReport::default()),
            // A tick without moves is one of an origin that catches up; the session begins anew and finds out.
            Outcome::NotApplied => Err(failed.into()),
            Outcome::Unexpected if merge.moves.is_empty() => Err(failed.into()),
            Outcome::Unexpected => Err(ApplyError::Undecided { group: self.group.clone() }),
        }
    }

    /// Makes the target hold rows of a schema. Returns the columns that it did not have before.
    async fn ensure(
        &self,
        fence: &Fence,
        targets: &mut Targets,
        target: &Target,
        origin: &Origin,
        id: &Digest,
        added: &BTreeMap<String, ColumnDefault>,
    ) -> Result<Vec<String>, ApplyError> {
        if targets.ensured.get(target).is_some_and(|known| known.contains(id)) {
            return Ok(Vec::new());
        }
        let schema = self.schemas.load(&in_lake(target), id).await?;
        let plan = match targets.plans.get(target) {
            Some(plan) => plan.with(&schema.columns, added)?,
            None => self.plan(target, origin, &schema.columns, added)?,
        };
        let state = self.warehouse.ensure_table(fence, &plan).await?;
        if state.created || !state.added.is_empty() || !state.widened.is_empty() {
            self.metrics.group(&self.group).altered();
            let (place, created) = (&state.place, state.created);
            tracing::info!(group = self.group, %target, place, created, added = ?state.added, widened = ?state.widened, "target follows its source");
        }
        targets.plans.insert(target.clone(), plan);
        targets.ensured.entry(target.clone()).or_default().insert(id.clone());
        Ok(state.added)
    }

    /// The plan of a target that this session meets for the first time.
    fn plan(
        &self,
        target: &Target,
        origin: &Origin,
        columns: &[Column],
        added: &BTreeMap<String, ColumnDefault>,
    ) -> Result<TablePlan, WarehouseError> {
        let rule = self.rules.resolve(&origin.database, &origin.table).ok_or_else(|| WarehouseError::Table {
            target: target.clone(),
            reason: format!("no [[table]] rule matches {origin} any more; its rows are in the lake and wait for one"),
        })?;
        Ok(TablePlan { target: target.clone(), ..TablePlan::begin(&rule, columns, added)? })
    }

    async fn staged_files(
        &self,
        fence: &Fence,
        targets: &mut Targets,
        target: &Target,
        work: &TableWork,
    ) -> Result<Vec<StagedFile>, ApplyError> {
        let none = BTreeMap::new();
        let mut files = Vec::with_capacity(work.files.len());
        for file in &work.files {
            self.ensure(fence, targets, target, &file.origin, &file.schema, &none).await?;
            files.push(StagedFile {
                path: file.path.clone(),
                rows: file.rows,
                bytes: file.bytes,
                schema: self.schemas.load(&in_lake(target), &file.schema).await?,
            });
        }
        Ok(files)
    }
}

/// Under which name the lake has what a target or its shadow takes from there.
fn in_lake(target: &Target) -> Target {
    target.shadowed().unwrap_or_else(|| target.clone())
}

impl Targets {
    pub(super) fn forget(&mut self, target: &Target) {
        self.ensured.remove(target);
        self.plans.remove(target);
    }
}

impl SchemaTask {
    fn fills(&self) -> impl Iterator<Item = Fill> {
        self.added.iter().map(|(column, value)| Fill {
            origin: self.origin.clone(),
            column: column.clone(),
            value: value.clone(),
            below: self.seq,
        })
    }
}

impl Tick {
    /// Takes a target out of the tick: its origins continue later from where their shards stood before it.
    fn park(&mut self, target: &Target, reason: &str) -> BTreeSet<Origin> {
        let mut origins = BTreeSet::new();
        if let Some(work) = self.work.tables.remove(target) {
            origins.extend(work.files.into_iter().map(|f| f.origin));
            origins.extend(work.floors.into_keys());
        }
        self.work.schemas.retain(|task| {
            let mine = task.target == *target;
            if mine {
                origins.insert(task.origin.clone());
            }
            !mine
        });
        for origin in origins.clone() {
            let again_from = self.again_from.get(&origin).copied();
            let change = self.exceptions.iter_mut().find(|c| c.origin == origin);
            let known = change.as_ref().and_then(|c| c.from);
            let began = self.began.get(&origin.shard).copied();
            let Some(position) = again_from.or(known).or(began) else { continue };
            let to = Some(Exception { kind: ExceptionKind::Parked, position, reason: reason.to_owned() });
            match change {
                // An origin that was catching up, or that is held from this tick on.
                Some(change) => change.to = to,
                None => self.exceptions.push(ExceptionChange { origin, from: None, to }),
            }
        }
        origins
    }
}
