//! Why a table could not be compared.

use std::time::Duration;

use crate::{
    lake::{LogError, SchemaError, StoreError},
    source::mysql::{checksum::ChecksumError, gtid::BadGtidSet},
    warehouse::WarehouseError,
};

/// Comparing a table stopped. Nothing is known of what was not compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The source.
    #[error(transparent)]
    Source(#[from] ChecksumError),
    /// The warehouse.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// The commit log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A schema document of the lake.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A position that is none.
    #[error(transparent)]
    Position(#[from] BadGtidSet),
    /// The warehouse does not follow.
    #[error(
        "the warehouse did not reach the source's position {wanted} within {patience:?}; it stands at entry {entry}: \
         is `tailwater run` at work?"
    )]
    Behind {
        /// What the source had committed.
        wanted: String,
        /// Entry that is applied.
        entry: u64,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The table's rows do not arrive.
    #[error("{0}")]
    NotFollowed(String),
    /// It was asked to stop.
    #[error("stopped before the comparison ended")]
    Stopped,
}

impl VerifyError {
    /// Whether the same may succeed over new connections.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Source(e) => e.is_transient(),
            Self::Warehouse(e) => matches!(e, WarehouseError::Transient { .. }),
            Self::Log(e) => e.is_transient(),
            Self::Store(e) => e.is_transient(),
            Self::Schema(e) => e.is_transient(),
            _ => false,
        }
    }

    /// Whether other tables of the shard would fail for the same reason.
    pub fn ends_shard(&self) -> bool {
        match self {
            Self::Source(ChecksumError::Query { .. } | ChecksumError::Answer { .. })
            | Self::Warehouse(WarehouseError::Table { .. })
            | Self::Schema(_)
            | Self::NotFollowed(_) => false,
            Self::Source(_)
            | Self::Warehouse(_)
            | Self::Log(_)
            | Self::Store(_)
            | Self::Position(_)
            | Self::Behind { .. }
            | Self::Stopped => true,
        }
    }
}
