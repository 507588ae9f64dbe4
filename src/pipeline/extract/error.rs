//! Why a session of extraction ended.

use crate::{
    batch::SealError,
    lake::{LogError, SchemaError, StoreError, parquet::ParquetError},
    metrics::Stage,
    model::Shard,
    source::mysql::{
        assembler::AssemblerError,
        catalog::CatalogError,
        connect::ConnectError,
        preflight::UnfitError,
        snapshot::SnapshotError,
        start::StartError,
        stream::{Remedy, StreamError},
    },
};

/// Extraction of a shard failed.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// No connection to the source.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The source is not set up for reading.
    #[error(transparent)]
    Unfit(#[from] UnfitError),
    /// The source cannot serve the position.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Reading the binlog failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The binlog is not understood.
    #[error(transparent)]
    Assembler(#[from] AssemblerError),
    /// The source's catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A table cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The commit log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A schema document failed.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The lake failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file could not be made or read.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Rows could not be assembled.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The connection broke inside a transaction.
    #[error("the connection broke inside a transaction; its rows are read again")]
    Interrupted,
    /// The reader ended without saying why.
    #[error("the binlog reader ended")]
    StreamEnded,
    /// The committer ended; its error is the one to look at.
    #[error("the committer ended")]
    CommitterGone,
    /// A transaction with row events ended in ROLLBACK.
    #[error(
        "shard {shard}: a transaction with row events ended in ROLLBACK, which happens when it mixed tables with and without \
         transactions; what the tables without transactions kept cannot be told from the binlog. Convert them to InnoDB, then \
         start the shard behind this transaction and read its tables anew"
    )]
    RolledBackRows {
        /// The shard.
        shard: Shard,
    },
    /// Rows were changed by a logged statement, and no table can be named.
    #[error(
        "shard {shard}: the binlog has a statement instead of its row changes, and which tables it changed cannot be told; set \
         binlog_format = ROW for all sessions, then start the shard behind this transaction and read its tables anew"
    )]
    StatementDml {
        /// The shard.
        shard: Shard,
    },
    /// The log has no place in the binlog, because its tables were read without following it, or because it was given up.
    #[error(
        "shard {shard}: its log was written with mode = \"full\" or \"incremental\", or reanchored, and has no place in the binlog to \
         go on from; set start = \"snapshot\", which reads all its tables anew, or give the shard another name"
    )]
    Unfollowed {
        /// The shard.
        shard: Shard,
    },
    /// A part of Tailwater panicked.
    #[error("{what} failed by a defect of tailwater: {cause}")]
    Panicked {
        /// What was being done.
        what: String,
        /// The panic's own words.
        cause: String,
    },
}

impl ExtractError {
    /// Whether a new session may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(e) | Self::Unfit(UnfitError::Connect(e)) => !e.is_definite(),
            Self::Unfit(UnfitError::Query(_)) => true,
            Self::Unfit(UnfitError::Unfit { .. }) => false,
            Self::Start(e) | Self::Catalog(CatalogError::Start(e)) => e.remedy() != Remedy::Operator,
            // What comes here has been retried inside, or is the operator's.
            Self::Stream(_) | Self::Snapshot(_) => false,
            Self::Catalog(CatalogError::Connect(e)) => !e.is_definite(),
            Self::Log(e) => e.is_transient(),
            Self::Store(e) => e.is_transient(),
            Self::Schema(e) => e.is_transient(),
            Self::Catalog(CatalogError::Query { .. }) | Self::Interrupted | Self::StreamEnded => true,
            Self::CommitterGone => true,
            Self::Parquet(_)
            | Self::Seal(_)
            | Self::Assembler(_)
            | Self::RolledBackRows { .. }
            | Self::StatementDml { .. }
            | Self::Unfollowed { .. }
            | Self::Panicked { .. } => false,
        }
    }

    /// Whether only a few new sessions are worthwhile.
    pub fn is_suspect(&self) -> bool {
        matches!(self, Self::Start(e) if e.remedy() == Remedy::RetrySome)
    }

    /// Where it went wrong.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Connect(_) | Self::Unfit(_) | Self::Start(_) | Self::Stream(_) | Self::Catalog(_) => Stage::Source,
            Self::Snapshot(_) => Stage::Source,
            Self::Interrupted | Self::StreamEnded | Self::StatementDml { .. } | Self::Unfollowed { .. } => {
                Stage::Source
            }
            Self::Log(_) | Self::Schema(_) | Self::Store(_) | Self::CommitterGone => Stage::Lake,
            Self::Assembler(_)
            | Self::Parquet(_)
            | Self::Seal(_)
            | Self::RolledBackRows { .. }
            | Self::Panicked { .. } => Stage::Decode,
        }
    }
}
