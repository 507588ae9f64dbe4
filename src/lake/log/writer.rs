//! The one writer of a shard's log.

mod claim;
mod commit;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    CATALOG_EVERY, FLOOR_AGE_MAX, LogEntry, LogError, OrphanSweep, WriterId, chain::Link, floor::read_floor,
    head::write_hint,
};
use crate::{
    lake::{Clock, DataName, ObjectPath, Store, WriterMark, clock::Moment},
    model::{Catalog, Digest, Entry, EntryKind, FileStep, Position, Seq, Shard, Step, entry::FORMAT},
};
use commit::Outcome;

/// How often the hint is replaced at most. A stale hint costs a few probes at the next start; a PUT per entry would
/// double the log's price.
const HINT_EVERY: Duration = Duration::from_secs(10);

/// How a writer takes over a log.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Who writes.
    pub writer: WriterId,
    /// Whether a writer that is still at work is fenced instead of respected.
    pub take_over: bool,
    /// Digest of the effective configuration.
    pub config: Digest,
    /// For how long the head of another writer must have stood still. Longer than the interval in which an idle
    /// writer moves its position.
    pub watch: Duration,
}

impl OpenOptions {
    /// Default of `watch`: one and a half of the 60 s in which an idle shard moves its position.
    pub const WATCH: Duration = Duration::from_secs(90);
}

/// What an entry is to say. The writer adds who, when and the chain.
#[derive(Clone, Debug)]
pub struct Draft {
    /// First number that the next entry may use.
    pub next_seq: Seq,
    /// Source position after it.
    pub position: Position,
    /// Earliest and latest source commit time covered, UTC microseconds.
    pub committed_at: Option<(i64, i64)>,
    /// XA transactions that are undecided at `position`: all of them, not only new ones.
    pub open_xa: BTreeMap<String, Vec<FileStep>>,
    /// What happened, in order. None makes a position entry.
    pub steps: Vec<Step>,
}

/// A committed entry.
#[derive(Clone, Debug)]
pub struct Appended {
    /// Its number.
    pub number: u64,
    /// Digest of its bytes.
    pub digest: Digest,
    /// When it was made, UTC microseconds by the writer's clock.
    pub written_at: i64,
}

/// The writer of one shard's log. Made by [`LogWriter::open`], which fences all earlier ones.
#[derive(Debug)]
pub struct LogWriter {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shard: Shard,
    options: OpenOptions,
    mark: WriterMark,
    /// The newest entry.
    link: Link,
    claim_seq: Seq,
    position: Position,
    open_xa: BTreeMap<String, Vec<FileStep>>,
    catalog: Catalog,
    catalog_at: u64,
    floor_read: Moment,
    hint_written: Option<Moment>,
    /// Set while the outcome of a commit is unknown: such a writer must be opened anew.
    undecided: bool,
}

impl LogWriter {
    /// The log that is written.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Identity of the log.
    pub fn log_id(&self) -> &str {
        &self.link.log_id
    }

    /// Number of the newest entry.
    pub fn number(&self) -> u64 {
        self.link.number
    }

    /// First number that the next entry may use.
    pub fn next_seq(&self) -> Seq {
        self.link.next_seq
    }

    /// Where reading the source resumes; all unset in a new log.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// XA transactions that are prepared and undecided at [`Self::position`].
    pub fn open_xa(&self) -> &BTreeMap<String, Vec<FileStep>> {
        &self.open_xa
    }

    /// What is known of each origin after the newest entry.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// What this writer's files carry in their names.
    pub fn mark(&self) -> &WriterMark {
        &self.mark
    }

    /// Name of a file whose least `_tw_seq` is `first_seq`. `part` tells apart files that begin with the same one.
    pub fn data_name(&self, first_seq: Seq, part: u32) -> DataName {
        DataName::new(&self.shard, first_seq, part, self.mark.clone())
    }

    /// Removes what earlier processes of this writer's name uploaded and never committed. Can run beside the writer.
    pub fn orphan_sweep(&self) -> OrphanSweep {
        OrphanSweep::new(Arc::clone(&self.store), self.shard.clone(), self.mark.clone(), self.claim_seq)
    }

    /// Commits one entry. When it returns `Ok`, everything up to `draft.position` is in the lake for good.
    ///
    /// Not cancel safe: when the future is dropped, or fails with [`LogError::Undecided`], the writer refuses to go on
    /// and the log must be opened anew, which finds out what happened.
    ///
    /// # Errors
    /// [`LogError::Fenced`] when another writer took over, [`LogError::Store`] when nothing was committed and the same
    /// draft can be tried again, [`LogError::Invalid`] when the draft must not be committed.
    pub async fn append(&mut self, draft: Draft) -> Result<Appended, LogError> {
        let kind = if draft.steps.is_empty() { EntryKind::Position } else { EntryKind::Changes };
        self.append_kind(kind, draft).await
    }

    /// Commits that this writer stops here, so that the next one need not wait, and brings the hint up to date.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub async fn release(mut self) -> Result<(), LogError> {
        let draft = Draft {
            next_seq: self.link.next_seq,
            position: self.position.clone(),
            committed_at: None,
            open_xa: self.open_xa.clone(),
            steps: Vec::new(),
        };
        self.append_kind(EntryKind::Release, draft).await?;
        self.hint().await;
        Ok(())
    }

    async fn append_kind(&mut self, kind: EntryKind, draft: Draft) -> Result<Appended, LogError> {
        let number = self.link.number + 1;
        if self.undecided {
            return Err(LogError::Undecided { shard: self.shard.clone(), number, source: None });
        }
        self.check(&draft, number)?;
        let (entry, catalog) = self.entry(kind, draft, number);
        let sealed = LogEntry::seal(entry)?;
        if self.floor_read.elapsed(&*self.clock) > FLOOR_AGE_MAX {
            self.look_at_floor(number).await?;
        }
        self.undecided = true;
        match commit::commit(&*self.store, &*self.clock, &sealed).await {
            Ok(Outcome::Ours) => {}
            Ok(Outcome::Theirs(other)) => return Err(fenced(&self.shard, number, other.as_deref())),
            Err(error) => {
                self.undecided = matches!(error, LogError::Undecided { .. });
                return Err(error);
            }
        }
        if self.floor_read.elapsed(&*self.clock) > FLOOR_AGE_MAX {
            // The request may have waited anywhere while others committed and gc removed.
            self.look_at_floor(number).await.map_err(|error| match error {
                LogError::Store(source) => {
                    LogError::Undecided { shard: self.shard.clone(), number, source: Some(Box::new(source)) }
                }
                other => other,
            })?;
        }
        self.undecided = false;
        self.accept(&sealed, catalog);
        if self.hint_written.is_none_or(|at| at.elapsed(&*self.clock) >= HINT_EVERY) {
            self.hint().await;
        }
        Ok(Appended { number, digest: sealed.digest, written_at: sealed.entry.written_at })
    }

    fn accept(&mut self, sealed: &LogEntry, catalog: Catalog) {
        self.link = sealed.link();
        self.position = sealed.entry.position.clone();
        self.open_xa = sealed.entry.open_xa.clone();
        self.catalog = catalog;
        self.catalog_at = sealed.entry.catalog_at;
    }

    /// Builds the entry, and the catalog after it.
    fn entry(&self, kind: EntryKind, draft: Draft, number: u64) -> (Entry, Catalog) {
        let mut catalog = self.catalog.clone();
        let mut changed = false;
        for step in &draft.steps {
            changed |= catalog.apply(step);
        }
        let repeat = changed || number - self.catalog_at >= CATALOG_EVERY;
        let entry = Entry {
            format: FORMAT,
            features: Vec::new(),
            log_id: self.link.log_id.clone(),
            writer: self.options.writer.to_string(),
            previous: Some(self.link.digest.clone()),
            config: self.options.config.clone(),
            shard: self.shard.clone(),
            number,
            kind,
            first_seq: self.link.next_seq,
            next_seq: draft.next_seq,
            position: draft.position,
            committed_at: draft.committed_at,
            written_at: self.clock.unix_micros(),
            open_xa: draft.open_xa,
            steps: draft.steps,
            catalog: repeat.then(|| catalog.clone()),
            catalog_at: if repeat { number } else { self.catalog_at },
        };
        (entry, catalog)
    }

    /// Refuses what would make the log say something impossible.
    fn check(&self, draft: &Draft, number: u64) -> Result<(), LogError> {
        let invalid = |problem: String| LogError::Invalid { shard: self.shard.clone(), number, problem };
        if draft.next_seq < self.link.next_seq {
            return Err(invalid(format!("seq would go back from {} to {}", self.link.next_seq, draft.next_seq)));
        }
        if draft.committed_at.is_some_and(|(from, to)| from > to) {
            return Err(invalid("its commit times run backwards".into()));
        }
        let files = draft.steps.iter().filter_map(|s| if let Step::File(f) = s { Some(f) } else { None });
        for file in files.chain(draft.open_xa.values().flatten()) {
            let name = ObjectPath::parse(&file.path).ok().and_then(|p| DataName::parse(&p));
            // An orphan sweep takes files numbered at or after its claim for uncommitted: see `OrphanSweep`.
            if !name.is_some_and(|n| n.is_of(&self.shard) && n.first_seq < draft.next_seq) {
                let problem =
                    format!("{:?} is not a data file of this shard numbered below {}", file.path, draft.next_seq);
                return Err(invalid(problem));
            }
            if file.rows != file.ops.total() || file.rows == 0 {
                return Err(invalid(format!("{} has {} rows but {:?}", file.path, file.rows, file.ops)));
            }
        }
        if let Some(step) = draft.steps.iter().find(|s| s.origin().shard != self.shard) {
            return Err(invalid(format!("a step is about {}", step.origin())));
        }
        Ok(())
    }

    async fn look_at_floor(&mut self, number: u64) -> Result<(), LogError> {
        let looked = Moment::now(&*self.clock);
        let floor = read_floor(&*self.store, &self.shard).await?;
        self.floor_read = looked;
        if number < floor {
            self.undecided = true;
            return Err(fenced(&self.shard, number, None));
        }
        Ok(())
    }

    /// Replaces the hint. Failing is of no consequence, so it is only noted.
    async fn hint(&mut self) {
        self.hint_written = Some(Moment::now(&*self.clock));
        if let Err(error) = write_hint(&*self.store, &self.shard, self.link.number).await {
            tracing::debug!(shard = %self.shard, %error, "could not write head.json; the next start searches longer");
        }
    }
}

fn fenced(shard: &Shard, number: u64, by: Option<&LogEntry>) -> LogError {
    let unknown = || "(unknown, its entries are already removed)".to_owned();
    LogError::Fenced {
        shard: shard.clone(),
        number,
        by: by.map_or_else(unknown, |e| e.entry.writer.clone()),
        written_at: by.map_or(0, |e| e.entry.written_at),
    }
}
