//! Files that a crash left between upload and commit.

use std::sync::Arc;

use crate::{
    lake::{DataName, ObjectPath, Store, StoreError, WriterMark, paths},
    model::{Seq, Shard},
};

/// Removes files that no entry names and none ever will.
///
/// A file is removed when its name says all of this:
/// - it is of this shard and of a process of *this writer's name* (never another's);
/// - its writer's claim is older than ours, so the writer is fenced and cannot commit it any more;
/// - its first seq is not below that of our claim. Every file that an entry names has a first seq below the entry's
///   `next_seq` ([`super::LogWriter::append`] refuses others), and all entries of fenced writers lie before our claim.
///
/// So the names decide alone, however late the sweep runs and whatever runs beside it. What it leaves (a snapshot's
/// files, whose seq is that of the snapshot's beginning; files of other names) costs space and goes with `gc`, which
/// reads the log.
#[derive(Clone, Debug)]
pub struct OrphanSweep {
    store: Arc<dyn Store>,
    shard: Shard,
    mark: WriterMark,
    claim_seq: Seq,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files removed.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
}

impl OrphanSweep {
    pub(super) fn new(store: Arc<dyn Store>, shard: Shard, mark: WriterMark, claim_seq: Seq) -> Self {
        Self { store, shard, mark, claim_seq }
    }

    /// Lists the data files, a page at a time, and removes the orphans. Takes a request per thousand files in the lake,
    /// so it belongs beside the work, not before it. Cancel safe.
    ///
    /// # Errors
    /// When the store fails; what is left goes with the next sweep.
    pub async fn run(&self) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let mut after: Option<ObjectPath> = None;
        loop {
            let page = self.store.list(paths::DATA, after.as_ref()).await?;
            for object in page.objects {
                if DataName::parse(&object.path).is_some_and(|name| self.is_orphan(&name)) {
                    self.store.delete(&object.path).await?;
                    tracing::info!(path = %object.path, bytes = object.bytes, "removed a file that was never committed");
                    swept.files += 1;
                    swept.bytes += object.bytes;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(swept);
            }
        }
    }

    fn is_orphan(&self, name: &DataName) -> bool {
        name.is_of(&self.shard)
            && name.writer.tag == self.mark.tag
            && name.writer.claim < self.mark.claim
            && name.first_seq >= self.claim_seq
    }
}
