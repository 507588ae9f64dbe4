//! Groups: who applies them, how far they are, and what one tick asks for. Plain data.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::model::{ColumnDefault, Floor, Origin, Seq, Shard, Target};

/// A place in a shard's log: every step before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Number of the entry.
    pub entry: u64,
    /// Steps of `entry` that are applied; its number of steps when all of it is.
    pub step: u64,
}

/// How far a shard is applied in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// The log that `position` belongs to. A position means nothing in another log.
    pub log_id: String,
    /// The place.
    pub position: LogPosition,
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} step {} of log {}", self.position.entry, self.position.step, self.log_id)
    }
}

/// Why an origin is not where its shard's watermark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionKind {
    /// A snapshot of it is under way; its steps wait for the end.
    Held,
    /// It could not be applied; its steps replay from its own position once it is repaired.
    Parked,
    /// It is being replayed towards the watermark.
    CatchingUp,
}

/// An origin whose steps are applied up to a place of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Why.
    pub kind: ExceptionKind,
    /// The place from which its steps are still to be applied.
    pub position: LogPosition,
    /// For the operator; of an origin whose snapshot is under way also how far its rows are loaded, which is read back.
    pub reason: String,
}

/// A wish to apply a group.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The group. Names must be unique among everything that writes into the warehouse.
    pub group: String,
    /// This process, for people and for other appliers.
    pub writer: String,
    /// Refuse while another writer gave a sign of life within this time; zero takes over at once.
    pub quiet: Duration,
}

/// The right to apply a group, until somebody takes a later epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The group.
    pub group: String,
    /// Epoch that was taken.
    pub epoch: i64,
}

/// What the warehouse knows of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupState {
    /// Epoch of the newest claim.
    pub epoch: i64,
    /// Who made it.
    pub writer: String,
    /// Per shard, how far it is applied.
    pub watermarks: BTreeMap<Shard, Watermark>,
    /// Origins that are somewhere else.
    pub exceptions: BTreeMap<Origin, Exception>,
    /// Targets that are being rebuilt: where each of their origins stands in the shadow.
    pub rebuilds: BTreeMap<Target, BTreeMap<Origin, Exception>>,
    /// Latest source commit time applied per shard, UTC microseconds, where known.
    pub committed_at: BTreeMap<Shard, i64>,
}

/// What became of a merge whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was committed; go on after it.
    Applied,
    /// It was not; repeat it.
    NotApplied,
    /// The state is of neither side: somebody else moved it.
    Unexpected,
}

impl GroupState {
    /// Decides an ambiguous [`merge`](super::Warehouse::merge) of `moves`: all of them stand at their end, or all at
    /// their start. A merge without moves cannot be told apart and is [`Outcome::Unexpected`].
    pub fn outcome(&self, moves: &[Move]) -> Outcome {
        let stands = |at: fn(&Move) -> Option<&Watermark>| {
            !moves.is_empty() && moves.iter().all(|m| self.watermarks.get(&m.shard) == at(m))
        };
        if stands(|m| Some(&m.to)) {
            Outcome::Applied
        } else if stands(|m| m.from.as_ref()) {
            Outcome::NotApplied
        } else {
            Outcome::Unexpected
        }
    }
}

/// Identity of one tick's staged rows. Rows staged for another tick are never merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TickId {
    /// Under which right.
    pub fence: Fence,
    /// Counts the attempts of a process: a repeated tick takes a new number.
    pub number: u64,
}

/// Older rows of an origin take the value of a column that was added behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Whose rows.
    pub origin: Origin,
    /// The added column.
    pub column: String,
    /// Its value in rows written before. [`ColumnDefault::Unknown`] changes nothing: only a snapshot knows.
    pub value: ColumnDefault,
    /// Rows with a smaller seq are older than the schema step.
    pub below: Seq,
}

/// What one tick does to one table, in this order: fills, floors, staged rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableMerge {
    /// The table, made known by [`ensure_table`](super::Warehouse::ensure_table).
    pub target: Target,
    /// Consequences of a schema step. A tick that has some stages no rows of the same origin.
    pub fills: Vec<Fill>,
    /// Floors of the tick; of several for one origin the greatest counts.
    pub floors: Vec<Floor>,
    /// Rows that [`stage`](super::Warehouse::stage) reported for this tick; 0 when nothing was staged.
    pub staged_rows: u64,
}

/// A watermark's step, by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The shard.
    pub shard: Shard,
    /// Where it must stand; `None` for the first move. Whether a changed log id is accepted is the caller's decision.
    pub from: Option<Watermark>,
    /// Where it stands afterwards.
    pub to: Watermark,
    /// Latest source commit time that the move covers, UTC microseconds; `None` keeps the known one.
    pub committed_at: Option<i64>,
}

/// A change of an origin's exception, by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionChange {
    /// Whose.
    pub origin: Origin,
    /// The position it must have; `None` where there must be none.
    pub from: Option<LogPosition>,
    /// What it becomes; `None` removes it.
    pub to: Option<Exception>,
}

/// A change of where an origin stands in the rebuild of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildChange {
    /// The target, not its shadow.
    pub target: Target,
    /// What changes.
    pub change: ExceptionChange,
}

/// The end of a rebuild: what lies in the shadow is what the target shows from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Under which right.
    pub fence: Fence,
    /// The target that was rebuilt.
    pub target: Target,
    /// Exceptions that end with it: the origins stand where the group does.
    pub exceptions: Vec<ExceptionChange>,
    /// The places of all origins in the rebuild, which end with it.
    pub rebuilds: Vec<RebuildChange>,
}

/// What a swap did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwapReport {
    /// Rows that the target showed before.
    pub rows_before: u64,
    /// Rows that it shows now.
    pub rows: u64,
}

/// One tick: everything in it becomes visible together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The tick whose staged rows are meant, with the right to write.
    pub tick: TickId,
    /// The tables it changes, each at most once.
    pub tables: Vec<TableMerge>,
    /// Watermarks it moves, each shard at most once.
    pub moves: Vec<Move>,
    /// Exceptions it opens, moves and closes.
    pub exceptions: Vec<ExceptionChange>,
    /// Places in rebuilds that it opens, moves and closes.
    pub rebuilds: Vec<RebuildChange>,
}

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MergeReport {
    /// Per table.
    pub tables: BTreeMap<Target, TableReport>,
}

/// What a merge did to one table. Counts are of physical rows: an update is one of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableReport {
    /// Rows written to the target.
    pub inserted: u64,
    /// Rows removed from the target, floors included.
    pub deleted: u64,
    /// Rows marked as deleted by floors.
    pub marked: u64,
    /// Keys whose winner had to be elected among several origins.
    pub elected: u64,
}
