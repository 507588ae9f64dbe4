//! What the decode thread hands to the committer: one log entry in the making.

use tokio::task::JoinHandle;

use super::ExtractError;
use crate::{
    lake::ObjectPath,
    model::{FileStep, Position, Seq, Step},
};

/// A log entry whose files may still be on their way to the lake.
#[derive(Debug)]
pub(super) struct Cut {
    /// Steps in order.
    pub(super) steps: Vec<Pending>,
    /// Position after the entry, at a transaction's end.
    pub(super) position: Position,
    /// First number of the next entry.
    pub(super) next_seq: Seq,
    /// Earliest and latest commit time covered, UTC microseconds.
    pub(super) committed_at: Option<(i64, i64)>,
    /// To be done once the entry is committed.
    pub(super) after: Vec<After>,
}

/// A consequence of a committed entry. When it gets lost, a little work is done twice.
#[derive(Debug)]
pub(super) enum After {
    /// Replaces an object.
    Put(ObjectPath, Vec<u8>),
    /// Removes an object.
    Delete(ObjectPath),
}

/// A step that may not be complete yet. Dropping a file's handle leaves an unlisted object, which the next start removes.
#[derive(Debug)]
pub(super) enum Pending {
    /// Complete.
    Ready(Box<Step>),
    /// A file being encoded and uploaded.
    File(JoinHandle<Result<FileStep, ExtractError>>),
    /// An XA transaction was prepared: its files are listed by every entry until the outcome is known.
    XaPrepared {
        /// Identity of the transaction.
        xid: String,
        /// Files with provisional numbers counted from 0.
        files: Vec<JoinHandle<Result<FileStep, ExtractError>>>,
    },
    /// An XA transaction was committed: its rows get their numbers now.
    XaCommitted {
        /// Identity of the transaction.
        xid: String,
        /// Number of its first row.
        base: Seq,
        /// Commit time of XA COMMIT, UTC microseconds.
        committed_at: i64,
    },
    /// An XA transaction was rolled back: its files are forgotten.
    XaRolledBack {
        /// Identity of the transaction.
        xid: String,
    },
}
