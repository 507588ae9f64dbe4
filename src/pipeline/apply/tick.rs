//! One tick: follow schema changes, stage, merge, and park what cannot go on.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Apply, ApplyError,
    cursor::{SchemaTask, TableWork, Work},
    files::LakeFiles,
};
use crate::{
    config::KeyScope,
    model::{Column, ColumnDefault, Digest, Origin, Target},
    warehouse::{
        Exception, ExceptionChange, ExceptionKind, Fence, Fill, KeyMode, LogPosition, Merge, MergeReport, Move, Outcome,
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
}

/// Tables that were parked while a tick was done, by target.
pub(super) type ParkedTargets = BTreeMap<Target, String>;

impl Apply {
    /// Does the tick. Tables with definite errors are left out and answered, with the exceptions that the caller's state
    /// now has to have.
    ///
    /// # Errors
    /// Everything that concerns more than one table.
    pub(super) async fn perform(
        &self,
        fence: &Fence,
        number: &mut u64,
        targets: &mut Targets,
        mut tick: Tick,
    ) -> Result<(MergeReport, ParkedTargets), ApplyError> {
        let mut parked = ParkedTargets::new();
        loop {
            *number += 1;
            let id = TickId { fence: fence.clone(), number: *number };
            let failed = match self.attempt(&id, targets, &tick).await {
                Ok(report) => return Ok((report, parked)),
                Err(ApplyError::Warehouse(WarehouseError::Table { target, reason })) => (target, reason),
                Err(e) => return Err(e),
            };
            // The table leaves the tick; all others are tried again without it.
            let (target, reason) = failed;
            tracing::error!(group = self.group, %target, reason, "table parked: it stays behind until it is repaired and applied again");
            self.metrics.parked(&target);
            targets.forget(&target);
            tick.park(&target, &reason);
            parked.insert(target, reason);
        }
    }

    async fn attempt(&self, id: &TickId, targets: &mut Targets, tick: &Tick) -> Result<MergeReport, ApplyError> {
        let mut fills: BTreeMap<&Target, Vec<Fill>> = BTreeMap::new();
        for task in &tick.work.schemas {
            self.follow_schema(&id.fence, targets, task).await?;
            fills.entry(&task.target).or_default().extend(task.fills());
        }
        let reader = LakeFiles::new(&self.store);
        let mut merges: BTreeMap<&Target, TableMerge> = BTreeMap::new();
        for (target, work) in &tick.work.tables {
            let files = self.staged_files(&id.fence, targets, target, work).await?;
            let staged_rows = if files.is_empty() {
                0
            } else {
                let report = self.warehouse.stage(id, target, &files, &reader).await?;
                self.metrics.staged(target, &report);
                report.rows
            };
            let floors = work.floors.values().cloned().collect();
            merges.insert(target, TableMerge { target: target.clone(), fills: Vec::new(), floors, staged_rows });
        }
        for (target, fills) in fills {
            if !fills.is_empty() {
                let empty = || TableMerge { target: target.clone(), fills: Vec::new(), floors: Vec::new(), staged_rows: 0 };
                merges.entry(target).or_insert_with(empty).fills = fills;
            }
        }
        let merge = Merge {
            tick: id.clone(),
            tables: merges.into_values().collect(),
            moves: tick.moves.clone(),
            exceptions: tick.exceptions.clone(),
        };
        match self.warehouse.merge(&merge).await {
            Ok(report) => Ok(report),
            Err(WarehouseError::Transient { what, source }) => {
                let state = self.warehouse.group_state(&id.fence.group).await?.unwrap_or_default();
                match state.outcome(&merge.moves) {
                    Outcome::Applied => Ok(MergeReport::default()),
                    Outcome::NotApplied => Err(WarehouseError::Transient { what, source }.into()),
                    Outcome::Unexpected => Err(ApplyError::Undecided { group: self.group.clone() }),
                }
            }
            Err(e) => Err(e.into()),
        }
    }

    async fn follow_schema(&self, fence: &Fence, targets: &mut Targets, task: &SchemaTask) -> Result<(), ApplyError> {
        self.ensure(fence, targets, &task.target, &task.origin, &task.schema, &task.added).await
    }

    /// Makes the target hold rows of a schema.
    async fn ensure(
        &self,
        fence: &Fence,
        targets: &mut Targets,
        target: &Target,
        origin: &Origin,
        id: &Digest,
        added: &BTreeMap<String, ColumnDefault>,
    ) -> Result<(), ApplyError> {
        if targets.ensured.get(target).is_some_and(|known| known.contains(id)) {
            return Ok(());
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
        Ok(())
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
            deletes: rule.deletes.into(),
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
    fn park(&mut self, target: &Target, reason: &str) {
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
        for origin in origins {
            // An origin that was catching up stays where it was.
            if let Some(change) = self.exceptions.iter_mut().find(|c| c.origin == origin) {
                if let Some(position) = change.from {
                    change.to = Some(Exception { kind: ExceptionKind::Parked, position, reason: reason.to_owned() });
                }
                continue;
            }
            let Some(position) = self.began.get(&origin.shard).copied() else { continue };
            let to = Some(Exception { kind: ExceptionKind::Parked, position, reason: reason.to_owned() });
            self.exceptions.push(ExceptionChange { origin, from: None, to });
        }
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
