//! One tick: follow schema changes, stage, merge, and park what cannot go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    Apply, ApplyError,
    cursor::{SchemaTask, TableWork, Work},
    files::LakeFiles,
};
use crate::{
    config::{self, KeyScope},
    metrics::{ErrorKind, Stage},
    model::{Column, ColumnDefault, Digest, Origin, Target},
    warehouse::{
        Deletes, Exception, ExceptionChange, ExceptionKind, Fence, Fill, KeyMode, LogPosition, Merge, Move, Outcome,
        StagedFile, TableMerge, TablePlan, TargetColumn, TickId, WarehouseError, join_types,
    },
};

/// What a session knows of targets, so that unchanged ones cost nothing per tick.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Schemas that the target is known to hold.
    ensured: BTreeMap<Target, BTreeSet<Digest>>,
    plans: BTreeMap<Target, TablePlan>,
}

/// A tick that is ready to be done.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) work: Work,
    pub(super) moves: Vec<Move>,
    /// Exceptions that end or move with the tick.
    pub(super) exceptions: Vec<ExceptionChange>,
    /// Where each shard stood before the tick: where a table that is parked now has to continue.
    pub(super) began: BTreeMap<crate::model::Shard, LogPosition>,
    /// Where an origin that catches up has to begin anew when it is parked; where it stands, unless set.
    pub(super) again_from: Option<LogPosition>,
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
            match self.attempt(&id, targets, &tick).await {
                Ok(()) => return Ok(parked),
                Err(ApplyError::Warehouse(WarehouseError::Table { target, reason })) => {
                    let group = &self.group;
                    tracing::error!(group, %target, reason, "table parked: it stays behind until it is mended and tailwater restarted");
                    self.metrics.error(Stage::Warehouse, ErrorKind::Table);
                    targets.forget(&target);
                    let origins = tick.park(&target, &reason);
                    if origins.is_empty() {
                        return Err(WarehouseError::Table { target, reason }.into());
                    }
                    parked.extend(origins);
                }
                Err(e) => return Err(e),
            }
        }
    }

    async fn attempt(&self, id: &TickId, targets: &mut Targets, tick: &Tick) -> Result<(), ApplyError> {
        let began = Instant::now();
        let mut fills: BTreeMap<&Target, Vec<Fill>> = BTreeMap::new();
        for task in &tick.work.schemas {
            let new = self.ensure(&id.fence, targets, &task.target, &task.origin, &task.schema, &task.added).await?;
            // A column that the target had before may hold values: of another shard's default, or from before it was dropped.
            let needed = task.fills().filter(|f| f.value != ColumnDefault::Null || !new.contains(&f.column));
            fills.entry(&task.target).or_default().extend(needed);
        }
        let reader = LakeFiles::new(&self.store, tick.work.tables.values().flat_map(|w| &w.files));
        let mut merges: BTreeMap<&Target, TableMerge> = BTreeMap::new();
        for (target, work) in &tick.work.tables {
            let files = self.staged_files(&id.fence, targets, target, work).await?;
            // Floors alone, before any row of this session: no schema says how the target is to be.
            let unknown = files.is_empty() && !targets.plans.contains_key(target);
            if unknown && !self.warehouse.recall_table(&id.fence, target).await? {
                continue;
            }
            let staged_rows =
                if files.is_empty() { 0 } else { self.warehouse.stage(id, target, &files, &reader).await?.rows };
            let floors = work.floors.values().cloned().collect();
            merges.insert(target, TableMerge { target: target.clone(), fills: Vec::new(), floors, staged_rows });
        }
        for (target, fills) in fills {
            if !fills.is_empty() {
                let empty =
                    || TableMerge { target: target.clone(), fills: Vec::new(), floors: Vec::new(), staged_rows: 0 };
                merges.entry(target).or_insert_with(empty).fills = fills;
            }
        }
        let merge = Merge {
            tick: id.clone(),
            tables: merges.into_values().collect(),
            moves: tick.moves.clone(),
            exceptions: tick.exceptions.clone(),
        };
        let staged = Instant::now();
        self.merge(&merge).await?;
        self.metrics.group(&self.group).ticked(staged - began, staged.elapsed());
        for (target, work) in &tick.work.tables {
            work.files.iter().for_each(|f| self.metrics.target(target).applied(f.ops));
        }
        Ok(())
    }

    /// Merges, and finds out what happened where the answer was lost.
    async fn merge(&self, merge: &Merge) -> Result<(), ApplyError> {
        let failed = match self.warehouse.merge(merge).await {
            Ok(_) => return Ok(()),
            Err(e @ WarehouseError::Transient { .. }) => e,
            Err(e) => return Err(e.into()),
        };
        let state = self.warehouse.group_state(&merge.tick.fence.group).await?.unwrap_or_default();
        match state.outcome(&merge.moves) {
            Outcome::Applied => Ok(()),
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
        let schema = self.schemas.load(target, id).await?;
        let plan = match targets.plans.get(target) {
            Some(plan) => plan.with(&schema.columns, added)?,
            None => self.plan(target, origin, &schema.columns, added)?,
        };
        let state = self.warehouse.ensure_table(fence, &plan).await?;
        if state.created || !state.added.is_empty() || !state.widened.is_empty() {
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
        let mut key: Vec<&Column> = columns.iter().filter(|c| c.key.is_some()).collect();
        key.sort_by_key(|c| c.key);
        let empty = TablePlan {
            target: target.clone(),
            columns: Vec::new(),
            key: key.into_iter().map(|c| c.name.clone()).collect(),
            key_mode: match rule.key {
                KeyScope::Origin => KeyMode::PerOrigin,
                KeyScope::Global => KeyMode::Global { updated_at: rule.updated_at.clone() },
            },
            deletes: match rule.deletes {
                config::Deletes::Hard => Deletes::Hard,
                config::Deletes::Soft => Deletes::Soft,
                config::Deletes::Ignore => Deletes::Ignore,
            },
        };
        empty.with(columns, added)
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
                schema: self.schemas.load(target, &file.schema).await?,
            });
        }
        Ok(files)
    }
}

impl Targets {
    fn forget(&mut self, target: &Target) {
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
            let again_from = self.again_from;
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

impl TablePlan {
    /// The plan with the columns of one more schema.
    fn with(&self, columns: &[Column], added: &BTreeMap<String, ColumnDefault>) -> Result<Self, WarehouseError> {
        let mut plan = self.clone();
        for column in columns {
            let Some(known) = plan.columns.iter_mut().find(|c| c.column.name == column.name) else {
                let default = added.get(&column.name).cloned().unwrap_or(ColumnDefault::Null);
                plan.columns.push(TargetColumn { column: column.clone(), default });
                continue;
            };
            known.column.ty = join_types(known.column.ty, column.ty).ok_or_else(|| WarehouseError::Table {
                target: self.target.clone(),
                reason: format!(
                    "column {} changed to {}, which its values so far cannot become; rebuild the table under a new target name",
                    column.name, column.source
                ),
            })?;
        }
        Ok(plan)
    }
}
