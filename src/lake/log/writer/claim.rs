//! Taking over a log.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{LogWriter, OpenOptions, commit, commit::Outcome};
use crate::{
    lake::{
        Clock, Store, WriterMark,
        clock::Moment,
        log::{
            LogEntry, LogError, WriterId,
            chain::damaged,
            floor::read_floor,
            head::{find_head, read_entry},
        },
        paths::{self, writer_tag},
    },
    model::{Catalog, Digest, Entry, EntryKind, Position, Seq, Shard, entry::FORMAT},
};

/// How often the head of another writer is looked at while it is watched.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Tries of a claim against a writer that keeps committing. It commits once in seconds and a try takes milliseconds.
const CLAIMS_MAX: u32 = 32;

impl LogWriter {
    /// Takes over the log of `shard`: finds its head, makes sure that nobody else is at work, and commits a claim.
    ///
    /// Begins a new log where there is none. Does not wait when the last writer released the log, has the same name, or
    /// made its last entry longer than `watch` ago by its clock (a wrong clock only loses the courtesy of waiting).
    ///
    /// # Errors
    /// [`LogError::Busy`] when another writer is at work and `take_over` is off; [`LogError::Damaged`] and
    /// [`LogError::Unsupported`] for a log that must not be continued.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        shard: Shard,
        options: OpenOptions,
    ) -> Result<Self, LogError> {
        for _ in 0..CLAIMS_MAX {
            let floor_read = Moment::now(&*clock);
            let newest = find_head(&*store, &shard).await?;
            let insist = may_insist(newest.as_ref(), &options);
            if let (false, Some(newest)) = (insist, &newest) {
                watch(&*store, &*clock, newest, options.watch).await?;
            }
            // Removed meanwhile: the head is not where it was found.
            let Some(catalog) = load_catalog(&*store, newest.as_ref()).await? else { continue };
            let sealed = LogEntry::seal(claim(&*clock, &shard, &options, newest.as_ref(), &catalog))?;
            match commit::commit(&*store, &*clock, &sealed).await? {
                Outcome::Ours => {
                    let mut writer = Self::claimed(store, clock, options, &sealed, catalog, floor_read);
                    // The search and the watch may have taken long.
                    writer.look_at_floor(sealed.entry.number).await?;
                    writer.hint().await;
                    return Ok(writer);
                }
                Outcome::Theirs(_) if insist => {}
                Outcome::Theirs(other) => return Err(busy(&shard, sealed.entry.number, other.as_deref())),
            }
        }
        let problem = format!("the head moved or lost its catalog {CLAIMS_MAX} times in a row");
        Err(damaged(paths::head(&shard), problem))
    }

    fn claimed(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: OpenOptions,
        claim: &LogEntry,
        catalog: Catalog,
        floor_read: Moment,
    ) -> Self {
        let mark = WriterMark {
            claim: claim.entry.number,
            tag: writer_tag(&options.writer.name),
            nonce: format!("{:08x}", options.writer.nonce),
        };
        Self {
            store,
            clock,
            shard: claim.entry.shard.clone(),
            options,
            mark,
            link: claim.link(),
            claim_seq: claim.entry.next_seq,
            position: claim.entry.position.clone(),
            open_xa: claim.entry.open_xa.clone(),
            catalog,
            catalog_at: claim.entry.catalog_at,
            floor_read,
            hint_written: None,
            undecided: false,
        }
    }
}

/// Whether the claim needs no watching and is repeated when somebody else is faster.
fn may_insist(newest: Option<&LogEntry>, options: &OpenOptions) -> bool {
    let same_name = |e: &LogEntry| WriterId::name_in(&e.entry.writer) == options.writer.name;
    options.take_over || newest.is_some_and(same_name)
}

/// Makes sure that nothing follows `newest` until it is `patience` old.
async fn watch(store: &dyn Store, clock: &dyn Clock, newest: &LogEntry, patience: Duration) -> Result<(), LogError> {
    let Entry { shard, number, kind, written_at, .. } = &newest.entry;
    if *kind == EntryKind::Release {
        return Ok(());
    }
    // A negative age is a clock that is ahead of ours: watch for the whole time.
    let age = Duration::from_micros(u64::try_from(clock.unix_micros().saturating_sub(*written_at)).unwrap_or(0));
    let until = clock.monotonic() + patience.saturating_sub(age);
    loop {
        if let Some(next) = read_entry(store, shard, number + 1).await? {
            return Err(busy(shard, number + 1, Some(&next)));
        }
        let left = until.saturating_sub(clock.monotonic());
        if left.is_zero() {
            return Ok(());
        }
        clock.sleep(left.min(WATCH_EVERY)).await;
    }
}

fn busy(shard: &Shard, number: u64, by: Option<&LogEntry>) -> LogError {
    let by = by.map_or_else(|| "(unknown)".to_owned(), |e| e.entry.writer.clone());
    LogError::Busy { shard: shard.clone(), number, by }
}

/// What is known of each origin at the head. `None` when gc removed that since the head was found, which it does only
/// after a newer entry repeated it.
async fn load_catalog(store: &dyn Store, newest: Option<&LogEntry>) -> Result<Option<Catalog>, LogError> {
    let Some(newest) = newest else { return Ok(Some(Catalog::default())) };
    let Entry { shard, number, catalog, catalog_at, .. } = &newest.entry;
    if let Some(catalog) = catalog {
        return Ok(Some(catalog.clone()));
    }
    let path = paths::entry(shard, *number);
    if catalog_at >= number {
        return Err(damaged(path, format!("it says that entry {catalog_at} has its catalog")));
    }
    let found = read_entry(store, shard, *catalog_at).await?.and_then(|e| e.entry.catalog);
    if found.is_none() && read_floor(store, shard).await? <= *catalog_at {
        return Err(damaged(path, format!("entry {catalog_at}, which has its catalog, is not there")));
    }
    Ok(found)
}

fn claim(
    clock: &dyn Clock,
    shard: &Shard,
    options: &OpenOptions,
    newest: Option<&LogEntry>,
    catalog: &Catalog,
) -> Entry {
    let written_at = clock.unix_micros();
    let number = newest.map_or(1, |e| e.entry.number + 1);
    let new_seq = || Seq::origin_of_log(u64::try_from(written_at / 1_000_000).unwrap_or(0));
    let next_seq = newest.map_or_else(new_seq, |e| e.entry.next_seq);
    let new_log = || Digest::of(format!("{shard} {} {written_at}", options.writer).as_bytes()).short().to_owned();
    Entry {
        format: FORMAT,
        features: Vec::new(),
        log_id: newest.map_or_else(new_log, |e| e.entry.log_id.clone()),
        writer: options.writer.to_string(),
        previous: newest.map(|e| e.digest.clone()),
        config: options.config.clone(),
        shard: shard.clone(),
        number,
        kind: EntryKind::Claim,
        first_seq: next_seq,
        next_seq,
        position: newest.map_or_else(Position::default, |e| e.entry.position.clone()),
        committed_at: None,
        written_at,
        open_xa: newest.map_or_else(BTreeMap::new, |e| e.entry.open_xa.clone()),
        steps: Vec::new(),
        catalog: Some(catalog.clone()),
        catalog_at: number,
    }
}
