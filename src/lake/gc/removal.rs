//! Deleting what lies below the floor.

use std::{collections::BTreeSet, ops::AddAssign};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{DELETES, Gc, GcError, delete_all};
use crate::{
    lake::{
        DataName, ObjectPath, Store,
        log::{LogEntry, read_entry},
        paths,
    },
    model::{Entry, FileStep, Shard, Step},
};

/// Entries that are removed in one piece, with the files that they name: what is between two looks at whether to stop.
pub const PIECE_ENTRIES: usize = 64;

/// What was removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removed {
    /// Entries.
    pub entries: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of files and entries.
    pub bytes: u64,
}

impl AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.entries += other.entries;
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

impl Removed {
    fn add(&mut self, entry: &LogEntry, files: &[FileStep]) {
        self.entries += 1;
        self.files += files.len() as u64;
        self.bytes += files.iter().map(|file| file.bytes).sum::<u64>() + entry.bytes() as u64;
    }
}

impl Gc {
    /// What would be removed if the floor were at `first` and all below it were deleted.
    ///
    /// # Errors
    /// When the lake fails or the log is damaged.
    pub async fn estimate(&self, first: u64) -> Result<Removed, GcError> {
        let mut removed = Removed::default();
        let mut keeps = self.entry(first).await?.entry.open_xa.into_values().flatten().map(|file| file.path).collect();
        let (prefix, mut after) = (paths::entry_prefix(&self.shard), None);
        loop {
            let page = self.store.list(&prefix, after.as_ref()).await?;
            let below = page.objects.iter().filter_map(|o| paths::entry_number(&self.shard, &o.path));
            let below: Vec<u64> = below.take_while(|number| *number < first).collect();
            let whole = below.len() == page.objects.len();
            let mut entries =
                stream::iter(below).map(|number| read_entry(&*self.store, &self.shard, number)).buffered(DELETES);
            while let Some(entry) = entries.try_next().await? {
                entry.iter().for_each(|entry| removed.add(entry, &doomed(&entry.entry, &mut keeps)));
            }
            after = page.next.filter(|_| whole);
            if after.is_none() {
                return Ok(removed);
            }
        }
    }
}

/// Numbers of the oldest entries below `floor` that are still there.
async fn left(store: &dyn Store, shard: &Shard, floor: u64) -> Result<Vec<u64>, GcError> {
    let page = store.list(&paths::entry_prefix(shard), None).await?;
    let numbers = page.objects.iter().filter_map(|object| paths::entry_number(shard, &object.path));
    Ok(numbers.take_while(|number| *number < floor).take(PIECE_ENTRIES + 1).collect())
}

/// Whether an entry below `floor` is still there.
pub(super) async fn is_left(store: &dyn Store, shard: &Shard, floor: u64) -> Result<bool, GcError> {
    Ok(!left(store, shard, floor).await?.is_empty())
}

/// Deletes the oldest entries below `floor`, each behind the files that it names, but for those in `keeps`. Answers whether
/// more are left.
pub(super) async fn piece(
    store: &dyn Store,
    shard: &Shard,
    floor: u64,
    keeps: &BTreeSet<String>,
) -> Result<(Removed, bool), GcError> {
    let mut numbers = left(store, shard, floor).await?;
    let more = numbers.len() > PIECE_ENTRIES;
    numbers.truncate(PIECE_ENTRIES);
    let (mut removed, mut keeps) = (Removed::default(), keeps.clone());
    let mut entries = stream::iter(numbers).map(|number| read_entry(store, shard, number)).buffered(DELETES);
    while let Some(entry) = entries.try_next().await? {
        // Another gc may be at it, too.
        let Some(entry) = entry else { continue };
        let files = doomed(&entry.entry, &mut keeps);
        delete_all(store, files.iter().filter_map(|file| ObjectPath::parse(&file.path).ok()).collect()).await?;
        removed.add(&entry, &files);
        store.delete(&paths::entry(shard, entry.entry.number)).await?;
    }
    Ok((removed, more))
}

/// Files that go with an entry: those it names that no kept entry does. A file of rows is named by one entry alone, one of an
/// undecided XA transaction by all entries from the prepare to the outcome; so what the entry at the floor does not name any
/// more, no later one does. What is answered once counts as kept from then on: it is deleted, and counted, once.
fn doomed(entry: &Entry, keeps: &mut BTreeSet<String>) -> Vec<FileStep> {
    let steps = entry.steps.iter().filter_map(|step| if let Step::File(file) = step { Some(file) } else { None });
    let named = steps.chain(entry.open_xa.values().flatten());
    // Nothing but data files of this shard is ever deleted by what an entry says.
    let is_ours = |file: &&FileStep| {
        let name = ObjectPath::parse(&file.path).ok().and_then(|path| DataName::parse(&path));
        name.is_some_and(|name| name.is_of(&entry.shard))
    };
    named.filter(is_ours).filter(|file| keeps.insert(file.path.clone())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        lake::{Partition, WriterMark},
        model::{Digest, EntryKind, OpCounts, Origin, Position, Seq, Target, entry::FORMAT},
    };

    fn file(shard: &Shard, seq: i64) -> FileStep {
        let (target, mark) =
            (Target::new("t"), WriterMark { claim: 1, tag: "0123abcd".into(), nonce: "00000001".into() });
        let path = paths::data(&target, &Partition::day(0), &DataName::new(shard, Seq(seq), 0, mark)).to_string();
        FileStep {
            origin: Origin::new(shard, "db", "t"),
            target,
            path,
            rows: 1,
            bytes: 10,
            ops: OpCounts { i: 1, ..OpCounts::default() },
            schema: Digest::of(b"schema"),
            seqs: (Seq(seq), Seq(seq)),
            committed_at: (0, 0),
            net: false,
            partition: None,
        }
    }

    #[test]
    fn files_that_a_kept_entry_names_stay_and_so_does_what_is_no_file_of_the_shard() {
        let shard = Shard::new("s1");
        let (rows, open, decided) = (file(&shard, 1), file(&shard, 2), file(&shard, 3));
        let foreign = FileStep { path: "requests/1.json".into(), ..rows.clone() };
        let other = file(&Shard::new("s2"), 4);
        let steps = [&rows, &foreign, &other].map(|f| Step::File(f.clone())).into();
        let entry = Entry {
            format: FORMAT,
            features: Vec::new(),
            log_id: "log".into(),
            writer: "w/00000001".into(),
            previous: None,
            config: Digest::of(b"config"),
            shard,
            number: 2,
            kind: EntryKind::Changes,
            first_seq: Seq(1),
            next_seq: Seq(5),
            position: Position::default(),
            committed_at: None,
            written_at: 0,
            open_xa: BTreeMap::from([("a".into(), vec![open.clone()]), ("b".into(), vec![decided.clone()])]),
            steps,
            catalog: None,
            catalog_at: 1,
        };
        let mut keeps = BTreeSet::from([open.path]);
        let paths: Vec<String> = doomed(&entry, &mut keeps).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, [rows.path, decided.path]);
        assert!(doomed(&entry, &mut keeps).is_empty(), "the same again");
    }
}
