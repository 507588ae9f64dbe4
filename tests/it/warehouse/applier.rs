//! The least applier there can be: one group, one shard, one tick at a time.

use std::time::Duration;

use tailwater::{
    model::{Floor, FloorCause, Origin, Seq, Shard, Target},
    warehouse::{
        Claim, Fence, Fill, LogPosition, Merge, MergeReport, Move, StagedFile, TableFiles, TableMerge, TablePlan,
        TableState, TickId, Warehouse, WarehouseError, Watermark,
    },
};

use super::world::{Files, World};

pub(crate) const GROUP: &str = "main";
pub(crate) const SHARD: &str = "s1";

/// What a tick does to one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) target: String,
    pub(crate) files: Vec<StagedFile>,
    pub(crate) floors: Vec<Floor>,
    pub(crate) fills: Vec<Fill>,
}

impl Change {
    pub(crate) fn files(target: &str, files: Vec<StagedFile>) -> Self {
        Self { target: target.to_owned(), files, ..Self::default() }
    }

    pub(crate) fn floor(target: &str, origin: &Origin, seq: i64) -> Self {
        Self { target: target.to_owned(), floors: vec![floor(target, origin, seq)], ..Self::default() }
    }
}

pub(crate) fn floor(target: &str, origin: &Origin, seq: i64) -> Floor {
    Floor {
        origin: origin.clone(),
        target: Target::new(target),
        seq: Seq(seq),
        cause: FloorCause::Truncate,
        committed_at: seq * 1_000_000,
    }
}

pub(crate) fn at(entry: u64, step: u64) -> Watermark {
    Watermark { log_id: "log-1".to_owned(), position: LogPosition { entry, step } }
}

pub(crate) fn claim(writer: &str, quiet_seconds: u64) -> Claim {
    Claim { group: GROUP.to_owned(), writer: writer.to_owned(), quiet: Duration::from_secs(quiet_seconds) }
}

#[derive(Debug)]
pub(crate) struct Applier {
    pub(crate) warehouse: Box<dyn Warehouse>,
    pub(crate) fence: Fence,
    pub(crate) number: u64,
    /// Where the shard stands.
    pub(crate) at: Option<Watermark>,
}

impl Applier {
    /// Takes the group over and continues where it stands.
    pub(crate) async fn open(world: &dyn World, writer: &str) -> Self {
        Self::over(world.connect(), writer).await
    }

    pub(crate) async fn over(warehouse: Box<dyn Warehouse>, writer: &str) -> Self {
        let (fence, state) = warehouse.open_group(&claim(writer, 0)).await.unwrap();
        let at = state.watermarks.get(&Shard::new(SHARD)).cloned();
        Self { warehouse, fence, number: 0, at }
    }

    pub(crate) async fn ensure(&self, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        self.warehouse.ensure_table(&self.fence, plan).await
    }

    /// The next tick's id.
    pub(crate) fn tick(&mut self) -> TickId {
        self.number += 1;
        TickId { fence: self.fence.clone(), number: self.number }
    }

    /// Stages everything; answers the merge that is to follow.
    pub(crate) async fn stage(&mut self, files: &Files, changes: &[Change]) -> Result<Merge, WarehouseError> {
        let tick = self.tick();
        let staged: Vec<TableFiles> = changes
            .iter()
            .filter(|c| !c.files.is_empty())
            .map(|c| TableFiles { target: Target::new(&c.target), files: c.files.clone(), floors: c.floors.clone() })
            .collect();
        let mut outcomes = self.warehouse.stage(&tick, &staged, files).await?.into_iter();
        let mut tables = Vec::new();
        for change in changes {
            let staged_rows = match change.files.is_empty() {
                true => 0,
                false => outcomes.next().unwrap()?.rows,
            };
            let (floors, fills) = (change.floors.clone(), change.fills.clone());
            tables.push(TableMerge { target: Target::new(&change.target), fills, floors, staged_rows });
        }
        let entry = self.at.as_ref().map_or(0, |w| w.position.entry) + 1;
        let step = Move {
            shard: Shard::new(SHARD),
            from: self.at.clone(),
            to: at(entry, 0),
            committed_at: Some(entry as i64),
        };
        Ok(Merge { tick, tables, moves: vec![step], exceptions: Vec::new(), rebuilds: Vec::new() })
    }

    pub(crate) async fn merge(&mut self, merge: &Merge) -> Result<MergeReport, WarehouseError> {
        let report = self.warehouse.merge(merge).await?;
        self.at = Some(merge.moves[0].to.clone());
        Ok(report)
    }

    /// One tick.
    pub(crate) async fn apply(&mut self, files: &Files, changes: &[Change]) -> Result<MergeReport, WarehouseError> {
        let merge = self.stage(files, changes).await?;
        self.merge(&merge).await
    }
}
