//! Tables that are read again and again, because nobody can follow their binlog.
//!
//! A shard whose binlog is not followed has the same log, files and numbers as any other: its decode thread gets no events, and
//! begins *rounds* instead (`decoder/poll.rs`). A round over a table is one of three:
//!
//! - **All rows** ([`view`]): a snapshot in one read view. Its end is a floor that sweeps what it did not bring, and appliers take rows
//!   and floor in one transaction, so readers see one complete copy after another.
//! - **The first rows** of a table that is asked for what is new: a snapshot in chunks.
//! - **What is new** ([`round`]): the rows behind a mark, in the order of a column or the key, in chunks that each have a number of
//!   their own. What the log has already makes no change ([`seen`]).
//!
//! From where a round looks is computed in [`window`]; what outlives the process is [`state`].

mod first;
mod round;
mod seen;
mod state;
mod view;
mod window;

use bytes::Bytes;

pub(super) use first::{FirstLook, first_look};
pub(super) use round::{NUMBERS, Round};
pub(super) use state::PollState;

use crate::model::{FileStep, Seq};

/// What a round tells the decode thread.
#[derive(Debug)]
pub(super) struct RoundNews {
    pub(super) table: usize,
    /// First number of the round.
    pub(super) seq: Seq,
    pub(super) what: RoundStep,
}

/// How far a round is.
#[derive(Debug)]
pub(super) enum RoundStep {
    /// Rows are in the lake.
    Rows {
        files: Vec<FileStep>,
        /// Rows that were read.
        read: u64,
        /// The table's state with them.
        state: Bytes,
    },
    /// The round is complete, or has used up its numbers.
    Done {
        state: Bytes,
        /// When it began, by our clock; `None` where there is more to be read.
        began: Option<i64>,
    },
    /// It was interrupted, and tries again.
    Failed,
    /// The table is another one, or gone.
    Changed,
    /// It cannot be read.
    Refused(String),
}
