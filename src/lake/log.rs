//! The commit log of one shard: entries 1, 2, 3 … and nothing else says what exists in the lake.
//!
//! **Commit.** Entry N+1 is created if absent, so of all writers that resumed from N exactly one succeeds. A writer that
//! finds N+1 taken reads it: its own bytes mean that the answer to its own request was lost; anything else means that it
//! is *fenced* and must stop. Nothing depends on clocks or leases.
//!
//! **Take-over.** A writer begins with a `claim` entry. From then on older writers can commit nothing, because their
//! N+1 is taken. The claim's number goes into the names of the writer's files, so names of two writers never collide and
//! a file tells whether its writer has been fenced ([`crate::lake::WriterMark`]). Watching the head before the claim is
//! a courtesy against two processes started by mistake; safety never depends on it.
//!
//! **Floor.** Once entries may be removed, "N+1 is absent" no longer means "N is the newest": a writer that slept while
//! others committed and `gc` removed could create an old number anew. So `gc` first raises the floor, waits
//! [`GC_GRACE`], then deletes; writers and readers look at the floor at least every [`FLOOR_AGE_MAX`] of their activity,
//! and entries below it do not exist for anybody. A commit whose request took longer than that looks again before it
//! counts. `tests/it/lake/simulation.rs` runs this with crashes, lost answers, sleepers and removal.

mod chain;
mod error;
mod floor;
mod head;
mod look;
mod orphans;
mod reader;
mod writer;

use std::{fmt, time::Duration};

pub use chain::{CATALOG_EVERY, ENTRY_BYTES_MAX, LogEntry};
pub use error::LogError;
pub(in crate::lake) use floor::forget_floors_below;
pub use floor::{LogFloor, newest_floor, raise_floor, read_floor};
pub use head::{read_entry, shards};
pub use look::{Head, read_head};
pub use orphans::{OrphanSweep, Swept};
pub use reader::{LogReader, ReadFrom};
pub use writer::{Appended, Draft, LogWriter, OpenOptions};

/// Longest time for which a look at the floor is believed.
pub const FLOOR_AGE_MAX: Duration = Duration::from_secs(60);

/// Shortest time between raising the floor and the first deletion below it. Ten times [`FLOOR_AGE_MAX`], so that
/// whoever could be misled by a deleted entry has looked at the raised floor before.
pub const GC_GRACE: Duration = Duration::from_secs(600);

/// Who writes: a configured name and the process.
///
/// One process at a time uses a name (by default the machine's, with the pipeline's): the next process of that name is
/// its successor after a crash, so it neither waits for the predecessor nor leaves its unfinished files behind. Where
/// two processes use one name by mistake, the younger fences the older; no data is harmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterId {
    /// Stable name.
    pub name: String,
    /// Drawn by each process.
    pub nonce: u32,
}

impl WriterId {
    /// The name in an entry's `writer`.
    pub fn name_in(writer: &str) -> &str {
        writer.rsplit_once('/').map_or(writer, |(name, _)| name)
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:08x}", self.name, self.nonce)
    }
}
