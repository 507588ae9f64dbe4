//! Rounds over the tables of a shard whose binlog nobody follows: when they begin, what they bring, how they end.
//!
//! The decode thread owns the order here too. A snapshot takes one number, a round some thousands in advance, and nothing of an
//! origin lies between the beginning and the end of its snapshot: a round that is under way is given up when one begins.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::Decoder;
use crate::{
    backoff::Backoff,
    config::{self, TableMode},
    lake::paths,
    metrics::PollMetrics,
    model::{FloorCause, Known, Origin, Seq},
    pipeline::extract::{
        ExtractError,
        cut::{After, Pending},
        poll::{FirstLook, NUMBERS, PollState, Round, RoundNews, RoundStep, first_look},
        snapshot::table::Way,
    },
    source::mysql::{
        catalog::CatalogError,
        ddl::TableName,
        snapshot::{Fate, Session, Shape, SnapshotError},
        start::Visible,
    },
    spans,
};

/// How often new tables are looked for.
const LIST_EVERY: Duration = Duration::from_secs(60);

/// How long to wait before a table that is gone is looked for again: some are dropped and made anew in one go.
const GONE_AGAIN: Duration = Duration::from_secs(5);

/// How long to wait before a table is read that changed while it was: a statement may still be at work.
const CHANGED_AGAIN: Duration = Duration::from_secs(1);

/// States that are kept in memory between rounds, bytes of all tables of the shard. The others are read from the lake.
const KEPT_BYTES: usize = 32 << 20;

/// The decode thread's side of the rounds of its shard.
#[derive(Debug)]
pub(in crate::pipeline::extract) struct Polling {
    options: config::Polls,
    /// With `--once`: each table has one round that began behind this, UTC microseconds.
    once: Option<i64>,
    patience: Option<Duration>,
    tables: BTreeMap<usize, Polled>,
    listed: Option<Instant>,
    /// States to be saved with the next cut.
    saves: BTreeMap<usize, Bytes>,
    /// Up to where all tables are read, by our clock.
    reached: i64,
}

/// One table.
#[derive(Debug)]
struct Polled {
    how: config::Polled,
    /// Whether the lake has a state by which new rows can be found.
    has_state: bool,
    /// The state, where it is kept in memory.
    kept: Option<Bytes>,
    /// What was known in front of the snapshot that is under way.
    base: Option<PollState>,
    /// When its last complete round began, or when it was found.
    began: i64,
    /// When its next round is due, UTC microseconds.
    due: i64,
    running: Option<Running>,
    /// It was not there when it was looked for.
    gone: bool,
    backoff: Backoff,
    figures: PollMetrics,
}

#[derive(Debug)]
struct Running {
    seq: Seq,
    job: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.job.abort();
    }
}

impl Polling {
    /// Nothing is known yet.
    pub(in crate::pipeline::extract) fn new(
        options: config::Polls,
        once: Option<i64>,
        patience: Option<Duration>,
    ) -> Self {
        Self { options, once, patience, tables: BTreeMap::new(), listed: None, saves: BTreeMap::new(), reached: 0 }
    }

    /// What the cut that is being made entails.
    fn take_saves(&mut self) -> BTreeMap<usize, Bytes> {
        std::mem::take(&mut self.saves)
    }
}

impl Decoder {
    /// What reads that begin now see.
    pub(super) fn visible(&mut self) -> Result<Visible, ExtractError> {
        match self.polling {
            Some(_) => Ok(Visible::Everything),
            None => Ok(self.runtime.block_on(self.source.visible())?),
        }
    }

    /// How a snapshot of the table is read.
    pub(super) fn way_of(&self, i: usize) -> Way {
        match self.polling.as_ref().map(|polling| polling.tables.get(&i)) {
            None if self.tables[i].appends => Way::History,
            None => Way::Followed,
            Some(Some(Polled { how: config::Polled { mode: TableMode::Full, .. }, .. })) => Way::View,
            Some(_) => Way::Chunks,
        }
    }

    /// At the start of a session: every captured table, with how far it was read.
    pub(super) fn open_polls(&mut self) -> Result<(), ExtractError> {
        if self.polling.is_none() {
            return Ok(());
        }
        self.metrics.connected(true);
        let known: Vec<(String, String)> =
            self.catalog.origins.keys().map(|o| (o.database.clone(), o.table.clone())).collect();
        for (database, table) in known {
            self.poll_table(&database, &table)?;
        }
        self.list_polled()?;
        let tables = self.polling.iter().flat_map(|p| p.tables.iter());
        for (i, polled) in tables {
            let (origin, unseen) = (&self.tables[*i].origin, polled.how.cannot_see());
            tracing::info!(%origin, mode = ?polled.how.mode, unseen, "the table is read again and again; some changes are not seen");
        }
        self.advance();
        Ok(())
    }

    /// Looks for tables that are new.
    fn list_polled(&mut self) -> Result<(), ExtractError> {
        for table in self.runtime.block_on(self.source.tables())? {
            self.poll_table(&table.name.database, &table.name.table)?;
        }
        if let Some(polling) = &mut self.polling {
            polling.listed = Some(Instant::now());
        }
        Ok(())
    }

    /// Begins to ask a table, if it is captured and not asked yet.
    fn poll_table(&mut self, database: &str, table: &str) -> Result<(), ExtractError> {
        let Some(i) = self.table_named(database, table) else { return Ok(()) };
        let Some(polling) = &self.polling else { return Ok(()) };
        if polling.tables.contains_key(&i) {
            return Ok(());
        }
        let (origin, how) = (self.tables[i].origin.clone(), polling.options.of(&self.tables[i].rule));
        // One that was dropped in this session is another table under its name.
        let known = self.catalog.origins.get(&origin).filter(|_| self.tables[i].known.is_some());
        let saved = match known {
            Some(_) => self.runtime.block_on(self.files.store.get(&paths::poll(&origin)))?,
            // What the log does not know has no state, whatever lies there.
            None => None,
        };
        let state = saved.as_ref().and_then(|content| PollState::parse(content, &origin, &how));
        let current = |known: &Known| known.needs_snapshot.is_none();
        let usable = known.is_some_and(current).then_some(state).flatten();
        // The beginning of its snapshot is in the log; whether it can be gone on with is asked then.
        let under_way = known.is_some_and(|k| k.snapshot.is_some());
        let now = self.clock.unix_micros();
        let began = usable.as_ref().filter(|_| !under_way).map(|s| s.began);
        let interval = micros(how.interval);
        let once = polling.once;
        let due = match (began, once) {
            (Some(began), Some(since)) if began < since => now,
            // A clock that was set back must not make it wait for longer than its interval.
            (Some(began), _) => (began + interval).min(now + interval),
            (None, _) => now,
        };
        let polled = Polled {
            how,
            has_state: began.is_some(),
            kept: None,
            base: usable.filter(|_| under_way),
            began: began.unwrap_or(now),
            due,
            running: None,
            gone: false,
            backoff: Backoff::new(polling.patience),
            figures: self.process.polled(&origin, began.unwrap_or(now)),
        };
        if let Some(polling) = &mut self.polling {
            polling.tables.insert(i, polled);
        }
        Ok(())
    }

    /// Whether a snapshot that an earlier session began can be gone on with: not in a read view, which is gone, and not without what
    /// was known in front of it.
    pub(super) fn may_resume(&self, i: usize, seq: Seq) -> bool {
        let Some(polling) = &self.polling else { return true };
        let base = polling.tables.get(&i).and_then(|p| p.base.as_ref());
        self.way_of(i) == Way::Chunks && base.is_some_and(|base| base.base == seq)
    }

    /// Begins rounds that are due.
    pub(super) fn tend_polls(&mut self) -> Result<(), ExtractError> {
        let Some(polling) = &self.polling else { return Ok(()) };
        if polling.listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
            self.list_polled()?;
        }
        let (now, Some(polling)) = (self.clock.unix_micros(), &self.polling) else { return Ok(()) };
        // With `--once` a table that had its round waits for the others.
        let wanted = |p: &Polled| polling.once.is_none_or(|since| p.began < since || !p.has_state);
        let due = polling.tables.iter().filter(|(_, p)| p.due <= now && wanted(p));
        let due: Vec<usize> = due.map(|(i, _)| *i).collect();
        for i in due {
            if self.tables[i].parked.is_none() && !self.is_being_read(i) && !self.has_round(i) {
                self.begin_poll(i, now)?;
            }
        }
        Ok(())
    }

    fn has_round(&self, i: usize) -> bool {
        self.polling.as_ref().and_then(|p| p.tables.get(&i)).is_some_and(|p| p.running.is_some())
    }

    /// With `--once`: whether each table had its round.
    pub(super) fn polls_are_done(&self) -> bool {
        let Some(Polling { once: Some(since), tables, saves, .. }) = &self.polling else { return false };
        let done = |(i, p): (&usize, &Polled)| {
            self.tables[*i].parked.is_some()
                || (p.running.is_none() && p.base.is_none() && p.began >= *since && p.has_state)
        };
        // What is to be saved goes with the last cut.
        tables.iter().all(done) && (saves.is_empty() || self.since.is_some())
    }

    fn begin_poll(&mut self, i: usize, now: i64) -> Result<(), ExtractError> {
        let shape = self.shape(i)?;
        if self.tables[i].parked.is_some() {
            return Ok(());
        }
        let Some(shape) = shape else { return self.poll_gone(i, now) };
        let Some(polled) = self.polled(i) else { return Ok(()) };
        polled.gone = false;
        let whole = polled.how.mode == TableMode::Full || !polled.has_state;
        if whole {
            return self.begin_snapshot(i, Some(shape), None);
        }
        let Some(plan) = self.snapshot_plan(i, &shape) else { return Ok(()) };
        if self.tables[i].known.as_ref() != Some(&plan.schema().id()) && self.learn_schema(i, &plan)? {
            // Its older rows have values that nobody has read.
            return self.begin_snapshot(i, Some(shape), None);
        }
        let Some(state) = self.poll_state(i)? else {
            return self.begin_snapshot(i, Some(shape), None);
        };
        let seq = self.seq;
        self.seq = Seq(seq.0 + NUMBERS);
        let span = spans::round(&self.tables[i].origin, seq);
        let job = self.job(i, seq, shape, plan);
        let (clock, news) = (std::sync::Arc::clone(&self.clock), self.snapshots.sender.clone());
        let runtime = self.runtime.clone();
        if let Some(polled) = self.polled(i) {
            let (overlap, figures) = (micros(polled.how.overlap), polled.figures.clone());
            let round = Round { job, overlap, clock, figures };
            let job = runtime.spawn(round.run(state, news).instrument(span));
            polled.running = Some(Running { seq, job });
        }
        Ok(())
    }

    fn polled(&mut self, i: usize) -> Option<&mut Polled> {
        self.polling.as_mut()?.tables.get_mut(&i)
    }

    /// Up to where the table has been read. An old state only makes the round read more.
    fn poll_state(&mut self, i: usize) -> Result<Option<PollState>, ExtractError> {
        let origin = self.tables[i].origin.clone();
        let Some(polled) = self.polled(i) else { return Ok(None) };
        let (how, kept) = (polled.how.clone(), polled.kept.clone());
        let content = match kept {
            Some(kept) => Some(kept),
            None => self.runtime.block_on(self.files.store.get(&paths::poll(&origin)))?,
        };
        Ok(content.and_then(|content| PollState::parse(&content, &origin, &how)))
    }

    /// The table is not there. When it is not there again and the user may know that, it was dropped.
    fn poll_gone(&mut self, i: usize, now: i64) -> Result<(), ExtractError> {
        let origin = self.tables[i].origin.clone();
        let Some(polled) = self.polled(i) else { return Ok(()) };
        polled.due = now + micros(GONE_AGAIN);
        if !std::mem::replace(&mut polled.gone, true) {
            return Ok(());
        }
        match self.is_there(&origin) {
            Ok(true) => {
                self.park(
                    i,
                    "it is no base table any more; exclude it, or make it one and take a snapshot of it".to_owned(),
                );
                return Ok(());
            }
            Ok(false) => {}
            // Who lost the right to see a table must not take it for dropped.
            Err(error) if error.fate() == Fate::Refused => {
                let table = format!("{}.{}", origin.database, origin.table);
                let error = crate::errors::chain(&error);
                let reason = format!(
                    "it cannot be seen any more ({error}); GRANT SELECT on it, then tailwater snapshot --table {table}; if it was dropped, exclude it"
                );
                self.park(i, reason);
                return Ok(());
            }
            Err(error) => return Err(self.catalog_failed(error)),
        }
        if self.tables[i].known.is_some() {
            let table = TableName { database: origin.database.clone(), table: origin.table.clone() };
            self.floor(&table, FloorCause::Drop, now);
        }
        if let Some(polling) = &mut self.polling {
            polling.tables.remove(&i);
            polling.saves.remove(&i);
        }
        self.process.polled_no_more(&origin);
        self.snapshots.state.after.push(After::Delete(paths::poll(&origin)));
        Ok(())
    }

    /// Whether the source has a table of this name now.
    pub(super) fn is_there(&self, origin: &Origin) -> Result<bool, SnapshotError> {
        let look =
            async { Session::open(&self.snapshots.address).await?.is_there(&origin.database, &origin.table).await };
        self.runtime.block_on(look)
    }

    /// A failure at a look that a new session may succeed with.
    pub(super) fn catalog_failed(&self, error: SnapshotError) -> ExtractError {
        match error {
            SnapshotError::Connect(e) => CatalogError::Connect(e).into(),
            SnapshotError::Query(source) => {
                let address = &self.snapshots.address;
                CatalogError::Query { at: format!("{}:{}", address.host, address.port), source }.into()
            }
            other => other.into(),
        }
    }

    /// In front of a snapshot: what the rounds behind it will look back to. Answers whether the snapshot can begin.
    pub(super) fn poll_base(&mut self, i: usize, shape: &Shape) -> Result<bool, ExtractError> {
        self.stop_round(i);
        let (origin, address, ours) =
            (self.tables[i].origin.clone(), self.snapshots.address.clone(), self.clock.unix_micros());
        let Some(polled) = self.polled(i) else { return Ok(true) };
        let how = polled.how.clone();
        match self.runtime.block_on(first_look(&address, &origin, shape, &how, ours)) {
            Ok(FirstLook::State(state)) => {
                if let Some(polled) = self.polled(i) {
                    polled.base = Some(*state);
                }
                Ok(true)
            }
            Ok(FirstLook::Refused(reason)) => {
                self.park(i, reason);
                Ok(false)
            }
            Err(error) => match error.fate() {
                Fate::Refused => {
                    self.park(i, format!("it cannot be read: {}", crate::errors::chain(&error)));
                    Ok(false)
                }
                Fate::Gone | Fate::Changed => {
                    if let Some(polled) = self.polled(i) {
                        polled.due = ours + micros(CHANGED_AGAIN);
                    }
                    Ok(false)
                }
                Fate::Again => Err(self.catalog_failed(error)),
            },
        }
    }

    /// The snapshot has its number.
    pub(super) fn poll_base_at(&mut self, i: usize, seq: Seq) {
        let Some(polled) = self.polled(i) else { return };
        polled.has_state = false;
        polled.kept = None;
        let Some(base) = &mut polled.base else { return };
        base.base = seq;
        let state = Bytes::from(base.json());
        if let Some(polling) = &mut self.polling {
            polling.saves.insert(i, state);
        }
    }

    /// The snapshot is complete.
    pub(super) fn poll_base_read(&mut self, i: usize) {
        let Some(base) = self.polled(i).and_then(|p| p.base.take()) else { return };
        self.poll_complete(i, Bytes::from(base.json()), base.began);
    }

    /// Gives up a round that is under way: something else of the table is read from now on.
    pub(super) fn stop_round(&mut self, i: usize) {
        if let Some(polled) = self.polled(i) {
            polled.running = None;
        }
    }

    /// A copy in one view was interrupted.
    pub(super) fn poll_failed(&mut self, i: usize, error: ExtractError) -> Result<(), ExtractError> {
        let (origin, now) = (self.tables[i].origin.clone(), self.clock.unix_micros());
        let Some(polled) = self.polled(i) else { return Err(error) };
        polled.figures.failed();
        let Some(pause) = polled.backoff.next() else { return Err(error) };
        polled.due = now + micros(pause);
        tracing::warn!(%origin, error = crate::errors::chain(&error), ?pause, "copying a table was interrupted; it begins anew");
        Ok(())
    }

    /// What a round says.
    pub(super) fn hear_round(&mut self, news: RoundNews) -> Result<(), ExtractError> {
        let RoundNews { table: i, seq, what } = news;
        let now = self.clock.unix_micros();
        let current = |running: &Running| running.seq == seq;
        let Some(polled) = self.polled(i).filter(|p| p.running.as_ref().is_some_and(current)) else { return Ok(()) };
        match what {
            RoundStep::Rows { files, read, state } => {
                tracing::debug!(origin = %self.tables[i].origin, read, files = files.len(), "a round brought rows");
                let files = files.into_iter().map(|f| Pending::Ready(Box::new(crate::model::Step::File(f))));
                self.pending.extend(files);
                self.since.get_or_insert_with(Instant::now);
                if let Some(polling) = &mut self.polling {
                    polling.saves.insert(i, state);
                }
            }
            RoundStep::Done { state, began: Some(began) } => {
                polled.running = None;
                self.poll_complete(i, state, began);
            }
            RoundStep::Done { state, began: None } => {
                polled.running = None;
                polled.kept = Some(state.clone());
                if let Some(polling) = &mut self.polling {
                    polling.saves.insert(i, state);
                }
            }
            RoundStep::Failed => polled.figures.failed(),
            RoundStep::Changed => {
                polled.running = None;
                polled.due = now + micros(CHANGED_AGAIN);
            }
            RoundStep::Refused(reason) => self.park(i, reason),
        }
        Ok(())
    }

    /// A round is complete that began at `began`.
    fn poll_complete(&mut self, i: usize, state: Bytes, began: i64) {
        let now = self.clock.unix_micros();
        let Some(polling) = &mut self.polling else { return };
        let kept: usize = polling.tables.values().filter_map(|p| p.kept.as_ref()).map(Bytes::len).sum();
        let Some(polled) = polling.tables.get_mut(&i) else { return };
        let own = polled.kept.take().map_or(0, |k| k.len());
        polled.kept = Some(state.clone()).filter(|state| kept - own + state.len() <= KEPT_BYTES);
        polled.has_state = true;
        polled.began = began;
        polled.due = began.min(now) + micros(polled.how.interval);
        polled.backoff.reset();
        polled.figures.complete(began);
        polling.saves.insert(i, state);
        self.since.get_or_insert_with(Instant::now);
        self.advance();
    }

    /// Says up to where all tables of the shard are read.
    fn advance(&mut self) {
        let parked = |i: &usize| self.tables[*i].parked.is_some();
        let Some(polling) = &self.polling else { return };
        let reached = polling.tables.iter().filter(|(i, _)| !parked(i)).map(|(_, p)| p.began).min();
        let Some(reached) = reached.filter(|reached| *reached > polling.reached) else { return };
        let complete = polling.tables.values().any(|p| p.has_state);
        if let Some(every) = polling.tables.values().map(|p| p.how.interval).max() {
            self.metrics.asked_every(every);
        }
        if let Some(polling) = &mut self.polling {
            polling.reached = reached;
        }
        if complete {
            self.covers(reached);
        }
        self.metrics.read_up_to(reached);
    }

    /// States whose rows are in the cut that is being made.
    pub(super) fn take_poll_saves(&mut self) -> Vec<After> {
        let saves = self.polling.as_mut().map(Polling::take_saves).unwrap_or_default();
        let path = |i: usize| paths::poll(&self.tables[i].origin);
        saves.into_iter().map(|(i, state)| After::Put(path(i), state.to_vec())).collect()
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX / 4)
}
