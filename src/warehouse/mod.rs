//! Merging the lake into a warehouse, exactly once.
//!
//! # Why a batch is applied once or not at all
//! The watermarks of a group live in the warehouse and move in the transaction that changes the rows, by compare-and-set
//! from where the tick began. A tick that is repeated after its commit finds the watermark moved and changes nothing; a
//! tick whose commit failed left nothing. Two appliers cannot interleave: every writing transaction locks the group's
//! fence first and finds its own epoch there, or stops.
//!
//! # Why the rows come out right
//! State is the last row per (origin, key), by `_tw_seq` alone, whatever the order of arrival between shards. A staged
//! row replaces its own origin's row only when its seq is greater. With [`KeyMode::Global`] all rows of one key compete:
//! the target shows the winner and a private side table holds the others, so that a row which moves between shards ends
//! right in any order and with any clock. The rules are those of an executable model, and the tests run the model's
//! random histories against every implementation.
//!
//! # Staging
//! Rows are loaded into private staging tables outside of the merge transaction, identified by the tick, and counted
//! there. A definite error parks one table and leaves the others alone.

mod cell;
mod checksum;
mod ddl;
mod definition;
mod error;
mod group;
mod layouts;
mod merge;
mod one_connection;
mod physical;
mod plan;
mod session;
mod shadow;
mod sql;
mod stage;
mod state;
mod table;
mod text;

pub mod postgres;
pub mod redshift;
pub mod sqlite;

use std::fmt;

use async_trait::async_trait;

pub use checksum::{Checksums, ComparedTarget, Part};
pub use ddl::{Product, TargetDdl};
pub use error::{Cause, WarehouseError};
pub use group::{
    Claim, Exception, ExceptionChange, ExceptionKind, Fence, Fill, GroupState, LogPosition, Merge, MergeReport, Move,
    Outcome, RebuildChange, Swap, SwapReport, TableMerge, TableReport, TickId, Watermark,
};
pub use physical::{DistKey, Physical, can_be_physical_key, encodes};
pub use plan::{Deletes, KeyMode, TablePlan, TargetColumn, join_types};
pub use stage::{BatchStream, ReadError, ReadFiles, StageOutcome, StageReport, StagedFile, TableFiles};

use crate::model::Target;

/// A place where targets live. One implementation per product, all held to the same contract suite.
///
/// Calls of one warehouse value are serialised by it. Every call is cancel safe: dropping its future leaves the
/// warehouse as after a lost connection. Errors carry no row values and no secrets.
#[async_trait]
pub trait Warehouse: Send + Sync + fmt::Debug {
    /// Product, host and database for people; never a secret.
    fn describe(&self) -> String;

    /// Everything that would keep this warehouse from being written, each with its mend. Empty when all is well.
    /// Changes nothing that stays.
    async fn check(&self) -> Vec<Finding>;

    /// Most targets that one [`merge`](Self::merge) should have; `None`: any number. May change from tick to tick.
    fn targets_max(&self) -> Option<usize> {
        None
    }

    /// Takes the next epoch of the group's fence, creating the private state where it is missing, and answers the
    /// group's state. Whoever held an earlier epoch is fenced from now on.
    ///
    /// # Errors
    /// [`Busy`](WarehouseError::Busy) when another writer used the group within `claim.quiet`.
    async fn open_group(&self, claim: &Claim) -> Result<(Fence, GroupState), WarehouseError>;

    /// Gives the fence back, so that the next writer need not wait for quiet. Does nothing when it was lost.
    async fn close_group(&self, fence: &Fence) -> Result<(), WarehouseError>;

    /// The group's state, for people and to decide an ambiguous merge. Takes no fence; `None` before the first claim.
    async fn group_state(&self, group: &str) -> Result<Option<GroupState>, WarehouseError>;

    /// Makes the target be as the plan says: creates it, adds columns (with their literal default), widens types.
    /// Idempotent. Must be called once per process before [`stage`](Self::stage) and [`merge`](Self::merge) of the
    /// target, and again after each schema step. Never drops or narrows anything, never touches a table that
    /// Tailwater did not make.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) for a foreign or altered table, an incompatible type, colliding names, a changed
    /// key; [`Fenced`](WarehouseError::Fenced).
    async fn ensure_table(&self, fence: &Fence, plan: &TablePlan) -> Result<TableState, WarehouseError>;

    /// What [`ensure_table`](Self::ensure_table) would do for the group, without a fence. Changes nothing.
    ///
    /// # Errors
    /// Those of [`ensure_table`](Self::ensure_table), but for what only the change itself would meet.
    async fn preview_table(&self, group: &str, plan: &TablePlan) -> Result<TableState, WarehouseError>;

    /// Makes a target ready for a [`merge`](Self::merge) without rows, which needs no schema: a floor. Answers whether the
    /// target exists; where it does not, nothing can be below the floor.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) for a table of another group.
    async fn recall_table(&self, fence: &Fence, target: &Target) -> Result<bool, WarehouseError>;

    /// Replaces the staged rows of each target by those of its files, which belong to `tick`, and proves that as many rows were
    /// loaded as the files are said to have. The files of a target may have different schemas; columns that a file lacks
    /// take the target's default when merged. Repeatable. What was staged lasts until the next call for its target or until the
    /// connection is lost.
    ///
    /// Answers one outcome per table, in order: a [`Table`](WarehouseError::Table) error (counts differ, a value does not fit,
    /// a column is unknown, a file is missing) leaves the other tables staged.
    ///
    /// # Errors
    /// Whatever concerns more than one table; then nothing can be said of any.
    async fn stage(
        &self,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
    ) -> Result<Vec<StageOutcome>, WarehouseError>;

    /// Applies one tick in one transaction: checks the fence, then fills, floors and staged rows of every table, then
    /// exceptions and watermarks by compare-and-set.
    ///
    /// # Errors
    /// Nothing is applied with any error but an ambiguous [`Transient`](WarehouseError::Transient) one, which
    /// [`GroupState::outcome`] decides. Staged rows that are gone are `Transient` too: the tick begins anew with
    /// staging. [`Table`](WarehouseError::Table) names the table to leave out of the repeated tick.
    async fn merge(&self, merge: &Merge) -> Result<MergeReport, WarehouseError>;

    /// Columns of a target as they were registered; `None` where the group has no such target.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) for a table of another group.
    async fn columns(&self, fence: &Fence, target: &Target) -> Result<Option<Vec<TargetColumn>>, WarehouseError>;

    /// Drops the [shadow](Target::shadow) of a target, where there is one, and changes places in its rebuild, in one
    /// transaction. Between, a shadow is a target like any other for [`ensure_table`](Self::ensure_table),
    /// [`stage`](Self::stage) and [`merge`](Self::merge), but it is private.
    ///
    /// # Errors
    /// As of [`merge`](Self::merge).
    async fn drop_shadow(
        &self,
        fence: &Fence,
        target: &Target,
        rebuilds: &[RebuildChange],
    ) -> Result<(), WarehouseError>;

    /// Puts the rows of a target's shadow in place of its own, in one transaction, and drops the shadow. A target that is
    /// missing, or lacks columns, or has another key or other types than its shadow, becomes as the shadow is. It is never
    /// dropped where others may refer to it, and what refers to it is never dropped.
    ///
    /// # Errors
    /// As of [`merge`](Self::merge); [`Table`](WarehouseError::Table) also where the product cannot change the target so.
    async fn swap(&self, swap: &Swap) -> Result<SwapReport, WarehouseError>;

    /// Opens a connection that computes checksums of targets, beside the one that merges.
    ///
    /// # Errors
    /// [`Transient`](WarehouseError::Transient) and [`Config`](WarehouseError::Config).
    async fn checksums(&self) -> Result<Box<dyn Checksums>, WarehouseError>;
}

/// Something that `check` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// The statement or setting that mends it.
    pub mend: String,
}

/// What [`Warehouse::ensure_table`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    /// Schema and name in the warehouse.
    pub place: String,
    /// The table was created by this call.
    pub created: bool,
    /// Columns added by this call.
    pub added: Vec<String>,
    /// Columns whose type was widened by this call.
    pub widened: Vec<String>,
}
