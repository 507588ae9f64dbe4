//! Which tables the kept part of a log cannot give back.

use std::collections::BTreeSet;

use super::{Gc, GcError, Outlook};
use crate::model::{Origin, Seq, Step};

/// Entries that are looked at: those that carry the catalog, one in a thousand and those with schemas and snapshots.
const LOOKED_MAX: usize = 4096;

/// Origins of which the kept log has no whole snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithoutSnapshot {
    /// They are older than the floor: only a new snapshot gives all their rows.
    pub origins: BTreeSet<Origin>,
    /// All origins that were known at the floor.
    pub known: BTreeSet<Origin>,
    /// Not all of the log was looked through.
    pub cut_short: bool,
}

impl Gc {
    /// Origins that cannot be rebuilt from the lake once the floor is where the outlook has it, because they have no whole
    /// snapshot behind it. One that was truncated since can; it is named all the same.
    ///
    /// # Errors
    /// When the lake fails or the log is damaged.
    pub async fn without_snapshot(&self, outlook: &Outlook) -> Result<WithoutSnapshot, GcError> {
        let floor = outlook.next;
        if floor <= 1 {
            return Ok(WithoutSnapshot::default());
        }
        // Steps that begin or end a snapshot change the catalog, so they lie in entries that carry it.
        let known = self.origins_at(floor).await?;
        let mut origins = known.clone();
        let mut ended: BTreeSet<(Origin, Seq)> = BTreeSet::new();
        let mut at = self.entry(outlook.head).await?.entry.catalog_at;
        for _ in 0..LOOKED_MAX {
            if at < floor || origins.is_empty() {
                return Ok(WithoutSnapshot { origins, known, cut_short: false });
            }
            let entry = self.entry(at).await?.entry;
            for step in entry.steps.iter().rev() {
                match step {
                    Step::SnapshotEnd { origin, seq, .. } => _ = ended.insert((origin.clone(), *seq)),
                    Step::SnapshotBegin { origin, seq, .. } if ended.contains(&(origin.clone(), *seq)) => {
                        origins.remove(origin);
                    }
                    _ => {}
                }
            }
            at = if at <= floor { 0 } else { self.entry(at - 1).await?.entry.catalog_at };
        }
        Ok(WithoutSnapshot { origins, known, cut_short: true })
    }
}
