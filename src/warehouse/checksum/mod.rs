//! Checksums of a target's rows of one origin, computed by the warehouse itself; see [`crate::model::checksum`] for what is computed.
//!
//! The rows of an origin are those in the target and, with a global key, those that wait in the side table because another origin's
//! row is shown: together they are what the source has. Deleted rows that stay are left out.

pub(crate) mod session;
pub(crate) mod sql;

use std::fmt;

use async_trait::async_trait;

use crate::model::{
    ColumnType, Origin, Target,
    checksum::{Comparison, Group, Key, RowDigest, Selection},
};

use super::{
    error::WarehouseError,
    plan::{Deletes, Layout},
};

/// What a comparison needs to know of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedTarget {
    /// Columns with the types they have become.
    pub columns: Vec<(String, ColumnType)>,
    /// Key columns in key order; empty for an append-only target.
    pub key: Vec<String>,
    /// What a deleted row becomes.
    pub deletes: Deletes,
    /// Whether JSON is kept as text.
    pub json_text: bool,
    /// How many leading key columns can be cut into ranges here: their order is the source's, and the target's key finds them.
    pub ordered: usize,
}

impl ComparedTarget {
    pub(crate) fn of(layout: &Layout, json_text: bool, ordered: impl Fn(ColumnType) -> bool) -> Self {
        let ty = |name: &String| layout.column(name).map(|c| c.column.ty);
        Self {
            columns: layout.columns.iter().map(|c| (c.column.name.clone(), c.column.ty)).collect(),
            key: layout.key.clone(),
            deletes: layout.deletes,
            json_text,
            ordered: layout.key.iter().map_while(ty).take_while(|ty| ordered(*ty)).count(),
        }
    }
}

/// The rows that are compared: one origin's in one target.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Where they lie.
    pub target: &'a Target,
    /// Whose they are.
    pub origin: &'a Origin,
    /// What of them is compared.
    pub comparison: &'a Comparison,
}

/// A connection that only reads, beside the one that merges: reading must not make a tick wait.
///
/// After an error the connection may be unusable; open another one.
#[async_trait]
pub trait Checksums: Send + fmt::Debug {
    /// What the target is; `None` when nothing was merged into it yet.
    ///
    /// # Errors
    /// [`Transient`](WarehouseError::Transient), or [`Table`](WarehouseError::Table) when its registration cannot be read.
    async fn target(&mut self, target: &Target) -> Result<Option<ComparedTarget>, WarehouseError>;

    /// Counts and sums of the selected rows by bucket of `digits` digits, in no order; without digits one group of all.
    ///
    /// # Errors
    /// [`Transient`](WarehouseError::Transient), or [`Table`](WarehouseError::Table).
    async fn groups(&mut self, part: Part<'_>, selection: &Selection, digits: u8)
    -> Result<Vec<Group>, WarehouseError>;

    /// The selected rows, one by one.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    async fn rows(&mut self, part: Part<'_>, selection: &Selection) -> Result<Vec<RowDigest>, WarehouseError>;

    /// The rows of the keys that exist.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    async fn rows_of(&mut self, part: Part<'_>, keys: &[Key]) -> Result<Vec<RowDigest>, WarehouseError>;

    /// The compared columns of a key's row: hexadecimal digits of texts and bytes, tokens of the rest, `None` for NULL.
    ///
    /// # Errors
    /// As [`groups`](Self::groups).
    async fn values_of(&mut self, part: Part<'_>, key: &Key) -> Result<Option<Vec<Option<String>>>, WarehouseError>;
}
