//! What can go wrong with a commit log.

use crate::{
    lake::{ObjectPath, StoreError},
    model::Shard,
};

/// A commit log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The store failed; nothing was committed, and the writer can go on once the store can.
    #[error("the store of the commit log failed")]
    Store(#[from] StoreError),

    /// Another writer took over. This one must stop: nothing it does counts any more.
    #[error(
        "fenced: entry {number} of shard {shard} belongs to writer {by}, made at {written_at} (UTC microseconds); this \
         writer stops, and only one process may extract a shard"
    )]
    Fenced {
        /// The log.
        shard: Shard,
        /// The entry that this writer wanted to make.
        number: u64,
        /// Who made it; `(unknown, its entries are already removed)` when gc was faster.
        by: String,
        /// When, by the other's clock; 0 when unknown.
        written_at: i64,
    },

    /// Another writer is at work.
    #[error(
        "writer {by} is still extracting shard {shard} (it made entry {number}): stop it, or pass --take-over to fence it"
    )]
    Busy {
        /// The log.
        shard: Shard,
        /// Newest entry seen.
        number: u64,
        /// Who made it.
        by: String,
    },

    /// The store did not say whether entry `number` was created. The writer must be opened anew, which finds out.
    #[error(
        "whether entry {number} of shard {shard} was committed is unknown: reopen the log and resume from its head"
    )]
    Undecided {
        /// The log.
        shard: Shard,
        /// The entry.
        number: u64,
        /// What the store answered last.
        #[source]
        source: Option<Box<StoreError>>,
    },

    /// The entry was removed by gc.
    #[error(
        "entry {number} of shard {shard} was removed by gc (the oldest kept is {floor}): whoever is so far behind begins anew, \
         with an empty database or schema as its warehouse and `tailwater snapshot` of its tables"
    )]
    Collected {
        /// The log.
        shard: Shard,
        /// The entry asked for.
        number: u64,
        /// The oldest entry that is kept.
        floor: u64,
    },

    /// An object of the log is not what it must be.
    #[error("{path} is damaged: {problem}; restore it from a version or a copy of the lake")]
    Damaged {
        /// The object.
        path: ObjectPath,
        /// What is wrong.
        problem: String,
    },

    /// The entry was written by a newer version.
    #[error("{path} needs {what}, which this version does not know: upgrade tailwater here")]
    Unsupported {
        /// The object.
        path: ObjectPath,
        /// A format version or a feature.
        what: String,
    },

    /// The log is not the one that was read before.
    #[error(
        "the log of shard {shard} is another one than before ({problem}): the lake was replaced; point to the old lake, \
         or rebuild the warehouse's tables from this one"
    )]
    OtherLog {
        /// The log.
        shard: Shard,
        /// How it differs.
        problem: String,
    },

    /// The caller asked for an entry that must not exist. A defect, not an operator's problem.
    #[error("refused to commit entry {number} of shard {shard}: {problem} (a defect of tailwater)")]
    Invalid {
        /// The log.
        shard: Shard,
        /// The entry.
        number: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl LogError {
    /// Whether a new session may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(e) => e.is_transient(),
            // A new session reads what became of it. Only writers meet it.
            Self::Undecided { .. } => true,
            _ => false,
        }
    }
}
