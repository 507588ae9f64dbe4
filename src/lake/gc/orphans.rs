//! Files that no entry names: what crashed and fenced writers uploaded and never committed.
//!
//! A writer that claimed the log before the one that made the entry at the floor was fenced by a claim that is not above the
//! floor. So every entry it ever made lies below, and is deleted; and of its files a kept entry can name only those of XA
//! transactions that are undecided at the floor. All its others are garbage, however late they were uploaded. What the names
//! say is enough: nothing is compared with a list of what exists.

use super::{DELETES, Gc, GcError, Outlook, Removed, delete_all};
use crate::{
    lake::{DataName, ObjectPath, log::read_entry, paths},
    model::{EntryKind, Step},
};

/// Entries behind the floor that are searched for a file, whose name tells the claim of its writer. A writer that
/// makes so many without a row leaves the sweep to the next floor.
const LOOKED_MAX: u64 = 256;

/// Where a round over all data files is; it begins again at the end.
#[derive(Clone, Debug, Default)]
pub struct Round {
    after: Option<ObjectPath>,
}

impl Gc {
    /// Looks through the next pages of data files and removes what no entry names and none ever will. Each page is a request
    /// for a thousand files of all shards. Answers what was removed, and whether the round came to its end.
    ///
    /// # Errors
    /// When the lake fails; the round goes on from where it was.
    pub async fn sweep(&self, outlook: &Outlook, round: &mut Round, pages: usize) -> Result<(Removed, bool), GcError> {
        let mut removed = Removed::default();
        // Below a floor that is not due, entries still name what looks like garbage.
        let claim = if outlook.due { self.claim_at(outlook).await? } else { None };
        let Some(claim) = claim else { return Ok((removed, true)) };
        for _ in 0..pages {
            let page = self.store.list(paths::DATA, round.after.as_ref()).await?;
            let is_garbage = |path: &ObjectPath| {
                let name = DataName::parse(path);
                let fenced = name.is_some_and(|name| name.is_of(&self.shard) && name.writer.claim < claim);
                fenced && !outlook.keeps.contains(path.as_str())
            };
            let garbage: Vec<_> = page.objects.into_iter().filter(|object| is_garbage(&object.path)).collect();
            removed.files += garbage.len() as u64;
            removed.bytes += garbage.iter().map(|object| object.bytes).sum::<u64>();
            delete_all(&*self.store, garbage.into_iter().map(|object| object.path).collect()).await?;
            round.after = page.next;
            if round.after.is_none() {
                return Ok((removed, true));
            }
        }
        Ok((removed, false))
    }

    /// The claim of the writer that made the entry at the floor; `None` where it cannot be told cheaply.
    async fn claim_at(&self, outlook: &Outlook) -> Result<Option<u64>, GcError> {
        use futures::{StreamExt as _, TryStreamExt as _, stream};
        let first = &outlook.first.entry;
        if first.kind == EntryKind::Claim {
            return Ok(Some(first.number));
        }
        let numbers = first.number..outlook.head.min(first.number + LOOKED_MAX);
        let reads = numbers.map(|number| read_entry(&*self.store, &self.shard, number));
        let mut entries = stream::iter(reads).buffered(DELETES);
        while let Some(Some(entry)) = entries.try_next().await? {
            if entry.entry.writer != first.writer || (entry.entry.kind == EntryKind::Claim) {
                // Another one took over: all before it are fenced, but that is for the next floor.
                return Ok(None);
            }
            // A file of an XA transaction may be of an earlier writer's, but those are in `open_xa` alone.
            let claim = entry.entry.steps.iter().find_map(|step| {
                let Step::File(file) = step else { return None };
                Some(DataName::parse(&ObjectPath::parse(&file.path).ok()?)?.writer.claim)
            });
            if claim.is_some() {
                return Ok(claim.filter(|claim| *claim <= first.number));
            }
        }
        Ok(None)
    }
}
