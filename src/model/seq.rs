//! `_tw_seq` and `_tw_op`: what orders the changes of one shard, and what each change is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Place of a row change or marker in one shard's history (`_tw_seq`).
///
/// Counts row changes and markers in binlog order and continues from the newest log entry, so a larger number is a
/// later change of the same shard. Numbers of different shards are not comparable. Int64 because Redshift's COPY
/// refuses unsigned integers; never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// Where a log that has no entry yet begins counting: `unix seconds << 30`.
    ///
    /// A lake that was wiped and started anew must never give new rows smaller numbers than rows the warehouse already
    /// holds; 2^30 changes a second are out of any shard's reach.
    pub fn origin_of_log(unix_seconds: u64) -> Self {
        // 33 bits of seconds reach the year 2242; the shift stays inside 63 bits.
        Self(((unix_seconds & 0x1_ffff_ffff) << 30) as i64)
    }

    /// The next number.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a change did to its row (`_tw_op`, in the lake and in staging only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// The row was inserted, or took a new primary key.
    Insert = b'i',
    /// The row was changed and kept its primary key.
    Update = b'u',
    /// The row was deleted, or left for a new primary key. Carries the last values: a tombstone.
    Delete = b'd',
    /// The row as a snapshot found it.
    Snapshot = b's',
}

impl Op {
    /// The one-letter text written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "i",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Snapshot => "s",
        }
    }
}
