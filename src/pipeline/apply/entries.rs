//! Entries that were read, for origins that read them again from their own places.
//!
//! During a bootstrap every origin of a shard waits from the same entry on. What the group's cursor or one of them has read is kept
//! for the others, up to a bound, so that a log is not fetched once for every table.

use std::{collections::BTreeMap, sync::Arc};

use super::{Apply, ApplyError};
use crate::{
    lake::LogReader,
    model::{Entry, Shard},
    warehouse::{LogPosition, Watermark},
};

/// Steps that are kept in memory. A step with a file takes some 600 bytes.
const STEPS_MAX: usize = 50_000;

/// Entries by shard and number.
#[derive(Debug, Default)]
pub(super) struct Entries {
    kept: BTreeMap<(Shard, u64), Arc<Entry>>,
    steps: usize,
    readers: BTreeMap<Shard, LogReader>,
}

impl Entries {
    /// Keeps an entry that was read elsewhere.
    pub(super) fn keep(&mut self, entry: &Arc<Entry>) {
        let weight = |entry: &Entry| entry.steps.len() + 1;
        if self.kept.insert((entry.shard.clone(), entry.number), Arc::clone(entry)).is_none() {
            self.steps += weight(entry);
        }
        while self.steps > STEPS_MAX
            && let Some((_, oldest)) = self.kept.pop_first()
        {
            self.steps -= weight(&oldest);
        }
    }

    /// The entry with this number; `None` where the log does not have it yet.
    pub(super) async fn read(
        &mut self,
        apply: &Apply,
        shard: &Shard,
        log_id: &str,
        number: u64,
    ) -> Result<Option<Arc<Entry>>, ApplyError> {
        if let Some(entry) = self.kept.get(&(shard.clone(), number)) {
            return Ok(Some(Arc::clone(entry)));
        }
        let mut reader = match self.readers.remove(shard) {
            Some(reader) if reader.next_number() == number => reader,
            _ => {
                let position = LogPosition { entry: number, step: 0 };
                apply.read_log(shard, Some(&Watermark { log_id: log_id.to_owned(), position })).await?
            }
        };
        let read = reader.next().await?;
        self.readers.insert(shard.clone(), reader);
        let Some(read) = read else { return Ok(None) };
        let entry = Arc::new(read.entry);
        self.keep(&entry);
        Ok(Some(entry))
    }
}
