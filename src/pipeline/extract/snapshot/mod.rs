//! Snapshots: tables read by SELECT while the binlog is followed.
//!
//! Why the rows come out right is told in [`crate::source::mysql::snapshot`]. Here is who does what:
//!
//! - The **decode thread** owns the order. It begins snapshots between transactions (`decoder/snapshot.rs`), takes their
//!   number, and writes their end when the stream has passed everything that the chunks saw.
//! - A **job** per table ([`table`]) cuts it into chunks ([`chunk`]), whose rows become files in the way of all rows. Few
//!   connections read for all tables of a shard ([`readers`]).
//! - **News** of a job go to the decode thread, which puts the files into its next cut. When the entry is committed, the
//!   table's [`progress`] is saved. A new process reads the pieces that are not in it.
//!
//! Jobs are part of the session: when it ends they end, and the next one resumes from the log.

pub(super) mod chunk;
pub(super) mod progress;
pub(super) mod readers;
pub(super) mod table;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use self::progress::Progress;
use super::{ExtractError, poll::RoundNews};
use crate::{
    model::{FileStep, Seq},
    source::mysql::start::Visible,
};

/// Rows between two looks at a batch's memory.
const LOOK_ROWS: u64 = 64;

/// Average size from which a table's rows are looked at one by one.
const WIDE_ROW_BYTES: u64 = 16 << 10;

/// News on their way to the decode thread. Each holds the descriptions of a chunk's files; the jobs wait when it is busy.
pub(super) const NEWS: usize = 32;

/// How tables are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOptions {
    /// Take snapshots of captured tables that the log does not know.
    pub of_unknown: bool,
    /// Connections that read at the same time.
    pub connections: usize,
    /// Most rows of one chunk.
    pub chunk_rows_max: u64,
    /// Rows a second, of all tables of the shard.
    pub rows_per_second: Option<u64>,
    /// Pause while more threads than this work on the source.
    pub threads_running_max: Option<u64>,
    /// Pause while the source, itself a replica, is further behind than this.
    pub replica_lag_max: Option<Duration>,
}

/// What a job tells the decode thread.
#[derive(Debug)]
pub(super) enum News {
    /// A chunk is in the lake.
    Chunk {
        table: usize,
        seq: Seq,
        files: Vec<FileStep>,
        /// With this chunk.
        progress: Box<Progress>,
    },
    /// All chunks are.
    Complete {
        table: usize,
        seq: Seq,
        /// The place that the stream must have passed before the table is as it was at one moment.
        until: Visible,
    },
    /// The table's definition is another one: it has to be read anew.
    Changed { table: usize, seq: Seq },
    /// It has to be read anew, because its one read view is gone.
    Again { table: usize, seq: Seq, error: Box<ExtractError> },
    /// What a round over a table says.
    Round(RoundNews),
    /// It cannot be read.
    Refused { table: usize, seq: Seq, reason: String },
    /// The session must end.
    Failed(Box<ExtractError>),
}

/// Counts files of chunks: they all begin with their snapshot's number, so this makes their names differ.
#[derive(Clone, Debug, Default)]
pub struct Parts(Arc<AtomicU32>);

impl Parts {
    pub(super) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
