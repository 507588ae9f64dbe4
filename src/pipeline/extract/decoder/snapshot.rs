//! Snapshots in the order of the stream: where they begin, what their chunks add, where they end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinHandle};
use tracing::Instrument as _;

use super::{Decoder, history::Retries, repair::Repairs};
use crate::{
    config::Pattern,
    decode::{Plan, Policies},
    lake::{
        ObjectPath, paths,
        requests::{Ask, Request, Waiting},
    },
    metrics::{ErrorKind, Stage},
    model::{Known, Origin, Seq, Step},
    pipeline::extract::{
        ExtractError,
        cut::{After, Pending},
        snapshot::{
            News, Parts, SnapshotOptions,
            progress::Progress,
            readers::{Reader, Readers},
            table::{self, Job, Way},
        },
        tables,
    },
    source::mysql::{
        assembler::Assembler,
        connect::Address,
        gtid::Executed,
        snapshot::{Shape, ShapeError},
        start::{ViewPlace, Visible},
        table_map::Flavor,
    },
    spans,
};

/// How often it is asked whether wanted snapshots can begin here.
const BEGIN_EVERY: Duration = Duration::from_millis(200);

/// How often news are looked for while transactions rush by.
const TEND_EVERY: Duration = Duration::from_millis(20);

/// How long a session waits at its start for a place where tables that the log does not know can begin. Commits that are under
/// way take moments; without GTIDs it takes until the next binlog file, and that is left to a request.
const BEGIN_PATIENCE: Duration = Duration::from_secs(10);

/// The decode thread's side of the snapshots of its shard.
#[derive(Debug)]
pub(in crate::pipeline::extract) struct Snapshots {
    pub(in crate::pipeline::extract) options: SnapshotOptions,
    pub(in crate::pipeline::extract) address: Address,
    pub(in crate::pipeline::extract) flavor: Flavor,
    pub(in crate::pipeline::extract) readers: Arc<Readers>,
    pub(in crate::pipeline::extract) parts: Parts,
    pub(in crate::pipeline::extract) patience: Option<Duration>,
    /// What jobs say; they have the other end.
    pub(in crate::pipeline::extract) news: mpsc::Receiver<News>,
    pub(in crate::pipeline::extract) sender: mpsc::Sender<News>,
    /// Requests that are found while the session goes on.
    pub(in crate::pipeline::extract) requests: mpsc::Receiver<Waiting>,
    pub(in crate::pipeline::extract) state: SnapshotState,
}

/// What is under way.
#[derive(Debug, Default)]
pub(in crate::pipeline::extract) struct SnapshotState {
    pub(super) running: BTreeMap<usize, Running>,
    /// Snapshots that have begun and not ended in the log, also those that nobody reads any more: appliers wait for an end.
    begun: BTreeMap<usize, Seq>,
    /// Tables whose snapshot begins as soon as the stream is at a place for it.
    pub(super) wanted: BTreeSet<usize>,
    /// Requests by what they still wait for.
    asked: Vec<(ObjectPath, BTreeSet<usize>)>,
    tended: Option<Instant>,
    looked: Option<Instant>,
    told: bool,
    /// Histories whose reading was interrupted.
    pub(super) retries: Retries,
    /// Rows that are to be read anew.
    pub(super) repairs: Repairs,
    /// Progress to be saved with the next cut, by table.
    progress: BTreeMap<usize, Box<Progress>>,
    pub(super) after: Vec<After>,
}

/// A snapshot that has begun.
#[derive(Debug)]
pub(super) struct Running {
    seq: Seq,
    /// Which transactions its rows have already, until the stream has passed them all.
    pub(super) view: Option<ViewPlace>,
    job: JoinHandle<()>,
    /// Set when all chunks are there: where the stream has to be for the end.
    until: Option<Visible>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.job.abort();
    }
}

impl Snapshots {
    /// Whether nothing is under way or wanted.
    pub(super) fn is_idle(&self) -> bool {
        self.state.repairs.is_empty()
            && self.state.running.is_empty()
            && self.state.wanted.is_empty()
            && self.requests.is_empty()
    }

    pub(super) fn is_running(&self, table: usize) -> bool {
        self.state.running.contains_key(&table)
    }

    /// Whether there is something to look at, not too soon after the last look.
    pub(super) fn is_due(&mut self) -> bool {
        let quiet = self.news.is_empty()
            && self.requests.is_empty()
            && self.state.wanted.is_empty()
            && self.state.repairs.is_empty()
            && self.state.running.values().all(|r| r.until.is_none());
        if quiet || self.state.tended.is_some_and(|at| at.elapsed() < TEND_EVERY) {
            return false;
        }
        self.state.tended = Some(Instant::now());
        true
    }

    /// What the cut that is being made entails.
    pub(super) fn take_after(&mut self) -> Vec<After> {
        let mut after = std::mem::take(&mut self.state.after);
        let saved = std::mem::take(&mut self.state.progress).into_values();
        after.extend(saved.map(|p| After::Put(p.path(), p.json())));
        let fulfilled = self.state.asked.extract_if(.., |(_, waiting)| waiting.is_empty());
        after.extend(fulfilled.map(|(path, _)| After::Delete(path)));
        after
    }
}

impl Decoder {
    /// At the start of a session: goes on with what has begun, and begins what the log does not know.
    pub(super) fn open_snapshots(&mut self, assembler: &Assembler) -> Result<(), ExtractError> {
        let begun: Vec<(Origin, Known)> = {
            let origins = self.catalog.origins.iter().filter(|(_, known)| known.snapshot.is_some());
            origins.map(|(origin, known)| (origin.clone(), known.clone())).collect()
        };
        for (origin, known) in begun {
            let (Some(i), Some(seq)) = (self.table_named(&origin.database, &origin.table), known.snapshot) else {
                continue;
            };
            self.snapshots.state.begun.insert(i, seq);
            match (known.parked, known.needs_snapshot) {
                (Some(_), _) => {}
                // Where nobody follows, only what was looked at in front of its beginning can be gone on with.
                (None, None) if !self.may_resume(i, seq) => _ = self.snapshots.state.wanted.insert(i),
                // A DDL came after it had begun.
                (None, Some(_)) => _ = self.snapshots.state.wanted.insert(i),
                (None, None) => self.resume_snapshot(i, seq)?,
            }
        }
        if self.snapshots.options.of_unknown {
            self.want_unknown()?;
        }
        let waiting = self.runtime.block_on(Request::waiting(&*self.files.store, &self.shard))?;
        waiting.into_iter().for_each(|request| self.asked_for(request));
        self.begin_at_start(assembler)
    }

    /// Tables that exist, are captured and were never seen.
    fn want_unknown(&mut self) -> Result<(), ExtractError> {
        let listed = self.runtime.block_on(self.source.tables())?;
        for table in listed {
            let origin = Origin::new(&self.shard, &table.name.database, &table.name.table);
            if self.catalog.origins.contains_key(&origin) {
                continue;
            }
            if let Some(i) = self.table_named(&table.name.database, &table.name.table) {
                self.snapshots.state.wanted.insert(i);
            }
        }
        Ok(())
    }

    /// Begins what is wanted before the first event, so that no event makes a table known whose other rows were never read.
    fn begin_at_start(&mut self, assembler: &Assembler) -> Result<(), ExtractError> {
        let began = Instant::now();
        while !self.snapshots.state.wanted.is_empty() && began.elapsed() < BEGIN_PATIENCE && !*self.stop.borrow() {
            self.snapshots.state.looked = None;
            self.begin_wanted(assembler)?;
            if !self.snapshots.state.wanted.is_empty() {
                // A timer must be made where the runtime is, which this thread is not.
                self.runtime.block_on(async { tokio::time::sleep(BEGIN_EVERY).await });
            }
        }
        // A wish that outlives this process: the tables become known with their first event.
        let left: Vec<usize> = self.snapshots.state.wanted.iter().copied().collect();
        for i in left {
            if self.catalog.origins.contains_key(&self.tables[i].origin) {
                continue;
            }
            let origin = &self.tables[i].origin;
            let pattern = Pattern::exactly(&origin.database, &origin.table);
            let request = Request::snapshot(self.shard.clone(), pattern, self.clock.unix_micros());
            let path = self.runtime.block_on(request.leave(&*self.files.store))?;
            self.snapshots.state.asked.push((path, BTreeSet::from([i])));
        }
        Ok(())
    }

    /// Between transactions: hears the jobs, takes requests, begins and ends snapshots where the stream is at the place for it.
    pub(super) fn tend_snapshots(&mut self, assembler: &Assembler) -> Result<(), ExtractError> {
        while let Ok(news) = self.snapshots.news.try_recv() {
            self.hear(news)?;
        }
        while let Ok(request) = self.snapshots.requests.try_recv() {
            self.asked_for(request);
        }
        if !self.snapshots.state.wanted.is_empty() {
            self.begin_wanted(assembler)?;
        }
        if !self.snapshots.state.repairs.is_empty() {
            self.repair(assembler)?;
        }
        let running = &self.snapshots.state.running;
        if running.values().any(|r| r.until.is_some()) {
            let position = assembler.reached();
            let reached =
                |r: &Running| r.view.is_none() && r.until.as_ref().is_some_and(|until| until.is_reached(position));
            let done: Vec<usize> = running.iter().filter(|(_, r)| reached(r)).map(|(i, _)| *i).collect();
            done.into_iter().for_each(|i| self.end_snapshot(i));
        }
        Ok(())
    }

    fn hear(&mut self, news: News) -> Result<(), ExtractError> {
        let current = |d: &Self, i: usize, seq: Seq| d.snapshots.state.running.get(&i).is_some_and(|r| r.seq == seq);
        match news {
            News::Chunk { table, seq, files, progress } if current(self, table, seq) => {
                self.pending.extend(files.into_iter().map(|f| Pending::Ready(Box::new(Step::File(f)))));
                if matches!(self.way_of(table), Way::Followed | Way::Chunks) {
                    self.snapshots.state.progress.insert(table, progress);
                }
                self.since.get_or_insert_with(Instant::now);
            }
            News::Complete { table, seq, until } if current(self, table, seq) => {
                if let Some(running) = self.snapshots.state.running.get_mut(&table) {
                    running.until = Some(until);
                }
            }
            News::Changed { table, seq } if current(self, table, seq) => {
                self.needs_snapshot(table, "its definition changed while it was read".to_owned());
            }
            News::Refused { table, seq, reason } if current(self, table, seq) => self.park(table, reason),
            News::Again { table, seq, error } if current(self, table, seq) => {
                self.give_up_snapshot(table);
                match self.way_of(table) {
                    Way::History => self.history_failed(table, *error)?,
                    _ => self.poll_failed(table, *error)?,
                }
            }
            News::Round(news) => self.hear_round(news)?,
            News::Failed(error) => return Err(*error),
            // Of a snapshot that was given up.
            News::Chunk { .. }
            | News::Complete { .. }
            | News::Changed { .. }
            | News::Refused { .. }
            | News::Again { .. } => {}
        }
        Ok(())
    }

    /// Notes what a request wants. It is removed from the lake when all its snapshots have begun.
    fn asked_for(&mut self, waiting: Waiting) {
        if self.snapshots.state.asked.iter().any(|(path, _)| *path == waiting.path) {
            return;
        }
        let tables = match waiting.request {
            Some(Request { ask: Ask::Snapshot { tables }, .. }) => tables,
            Some(Request { ask: Ask::Rows { database, table, keys }, .. }) => {
                return self.rows_asked_for(waiting.path, &database, &table, keys);
            }
            None => {
                tracing::warn!(path = %waiting.path, "a request that this version does not understand is left alone");
                return;
            }
        };
        let wanted = match self.tables_like(&tables) {
            Ok(wanted) => wanted,
            Err(error) => {
                self.process.error(Stage::Source, ErrorKind::Transient);
                let error = crate::errors::chain(&error);
                tracing::warn!(error, "cannot list the tables of a request; it is looked at again later");
                return;
            }
        };
        if wanted.is_empty() {
            tracing::warn!(tables, shard = %self.shard, "no captured table matches the request for a snapshot");
        }
        tracing::info!(tables, shard = %self.shard, count = wanted.len(), "snapshots were asked for");
        self.snapshots.state.wanted.extend(&wanted);
        self.snapshots.state.asked.push((waiting.path, wanted));
        self.since.get_or_insert_with(Instant::now);
    }

    fn tables_like(&mut self, pattern: &str) -> Result<BTreeSet<usize>, ExtractError> {
        let Ok(pattern) = pattern.parse::<Pattern>() else { return Ok(BTreeSet::new()) };
        let listed = self.runtime.block_on(self.source.tables())?;
        let names = listed.into_iter().map(|t| t.name).filter(|n| pattern.matches(&n.database, &n.table));
        Ok(names.filter_map(|n| self.table_named(&n.database, &n.table)).collect())
    }

    /// Begins what is wanted, if everything that was read so far is visible to reads.
    fn begin_wanted(&mut self, assembler: &Assembler) -> Result<(), ExtractError> {
        let state = &mut self.snapshots.state;
        if state.looked.is_some_and(|at| at.elapsed() < BEGIN_EVERY) {
            return Ok(());
        }
        state.looked = Some(Instant::now());
        let visible = self.visible()?;
        if !visible.covers(assembler.reached()) {
            if matches!(visible, Visible::UpTo { .. }) && !std::mem::replace(&mut self.snapshots.state.told, true) {
                tracing::info!(shard = %self.shard, "without GTIDs a snapshot begins with the next binlog file; FLUSH BINARY LOGS begins one");
            }
            return Ok(());
        }
        for i in std::mem::take(&mut self.snapshots.state.wanted) {
            if self.snapshots.state.retries.is_early(i) {
                self.snapshots.state.wanted.insert(i);
                continue;
            }
            let shape = self.shape(i)?;
            self.begin_snapshot(i, shape, Some(assembler.executed()))?;
            if self.snapshots.state.wanted.contains(&i) {
                continue;
            }
            self.snapshots.state.asked.iter_mut().for_each(|(_, waiting)| _ = waiting.remove(&i));
        }
        Ok(())
    }

    /// Begins the snapshot of a table, or leaves it wanted where its one view cannot be opened now. `executed` is what the stream
    /// has delivered.
    pub(super) fn begin_snapshot(
        &mut self,
        i: usize,
        shape: Option<Shape>,
        executed: Option<&Executed>,
    ) -> Result<(), ExtractError> {
        let Some(shape) = shape else { return Ok(()) };
        let Some(plan) = self.snapshot_plan(i, &shape) else { return Ok(()) };
        let view = match (self.way_of(i), executed) {
            (Way::History, Some(executed)) => match self.open_history(i, executed)? {
                None => return Ok(()),
                view => view,
            },
            _ => None,
        };
        self.give_up_snapshot(i);
        if !self.poll_base(i, &shape)? {
            return Ok(());
        }
        self.seal_table(i, crate::batch::SealReason::Schema);
        let (origin, target) = (self.tables[i].origin.clone(), self.tables[i].target().clone());
        let schema = self.runtime.block_on(self.schemas.save(&target, plan.schema()))?;
        if self.tables[i].known.as_ref() != Some(&schema) {
            let (origin, target, schema) = (origin.clone(), target, schema.clone());
            let (seq, added, appends) = (self.mark(), BTreeMap::new(), self.tables[i].appends);
            self.metrics.schema_changed();
            let step = Step::Schema { origin, target, seq, schema, added, appends };
            self.pending.push(Pending::Ready(Box::new(step)));
        }
        let seq = self.mark();
        let table = &mut self.tables[i];
        table.known = Some(schema.clone());
        table.plan = None;
        // All of the table's rows are read anew.
        table.added.clear();
        table.rewritten = false;
        table.parked = None;
        let whole = table.appends;
        self.count_parked();
        tracing::info!(%origin, %seq, rows_estimated = shape.rows, "a snapshot of the table begins");
        self.pending.push(Pending::Ready(Box::new(Step::SnapshotBegin { origin: origin.clone(), seq, whole })));
        self.poll_base_at(i, seq);
        self.run_job(i, seq, shape, plan, Progress::new(&origin, seq, schema), view);
        Ok(())
    }

    /// Goes on with a snapshot that an earlier session began.
    fn resume_snapshot(&mut self, i: usize, seq: Seq) -> Result<(), ExtractError> {
        let shape = self.shape(i)?;
        let Some(shape) = shape else {
            // It was dropped: the stream will say so, and if it does not, there is nothing to read.
            self.snapshots.state.wanted.insert(i);
            return Ok(());
        };
        let Some(plan) = self.snapshot_plan(i, &shape) else { return Ok(()) };
        if !plan.has_key() {
            // Its one view is gone.
            self.snapshots.state.wanted.insert(i);
            return Ok(());
        }
        let origin = self.tables[i].origin.clone();
        let schema = plan.schema().id();
        let saved = self.runtime.block_on(self.files.store.get(&paths::snapshot(&origin, seq)))?;
        let saved = saved.and_then(|content| Progress::parse(&content, &origin, seq, &schema));
        let progress = saved.unwrap_or_else(|| Progress::new(&origin, seq, schema));
        tracing::info!(%origin, %seq, rows_done = progress.rows, "the snapshot of the table goes on");
        self.run_job(i, seq, shape, plan, progress, None);
        Ok(())
    }

    /// The plan for a table's rows; parks the table where there can be none.
    pub(super) fn snapshot_plan(&mut self, i: usize, shape: &Shape) -> Option<Arc<Plan>> {
        let plan = match table::compile(shape, &self.policies_of(i)) {
            Ok(plan) => Arc::new(plan),
            Err(e) => {
                self.park(i, e.to_string());
                return None;
            }
        };
        self.has_identity(i, &plan).then_some(plan)
    }

    fn policies_of(&self, i: usize) -> Policies {
        tables::policies(&self.tables[i].rule, self.files.form.for_copy)
    }

    fn run_job(
        &mut self,
        i: usize,
        seq: Seq,
        shape: Shape,
        plan: Arc<Plan>,
        progress: Progress,
        view: Option<(Reader, ViewPlace)>,
    ) {
        let (reader, view) = view.unzip();
        let job = self.job(i, seq, shape, plan);
        let span = spans::snapshot(&self.tables[i].origin, seq);
        let job = self.runtime.spawn(job.run(reader, progress, self.snapshots.sender.clone()).instrument(span));
        self.snapshots.state.begun.insert(i, seq);
        self.snapshots.state.running.insert(i, Running { seq, view, job, until: None });
    }

    /// What a reader of the table needs.
    pub(super) fn job(&self, i: usize, seq: Seq, shape: Shape, plan: Arc<Plan>) -> Job {
        let snapshots = &self.snapshots;
        Job {
            table: i,
            origin: self.tables[i].origin.clone(),
            target: self.tables[i].target().clone(),
            seq,
            shape: Arc::new(shape),
            plan,
            policies: self.policies_of(i),
            way: self.way_of(i),
            readers: Arc::clone(&snapshots.readers),
            address: snapshots.address.clone(),
            files: self.files.clone(),
            parts: snapshots.parts.clone(),
            budget: self.budget.clone(),
            limits: self.limits,
            patience: snapshots.patience,
            metrics: Arc::clone(&self.metrics),
            process: Arc::clone(&self.process),
        }
    }

    fn end_snapshot(&mut self, i: usize) {
        self.snapshots.state.running.remove(&i);
        let Some(seq) = self.snapshots.state.begun.remove(&i) else { return };
        let origin = self.tables[i].origin.clone();
        tracing::info!(%origin, %seq, "the snapshot of the table is complete");
        self.forget_progress(i, seq);
        self.snapshots.state.retries.forget(i);
        let swap = matches!(self.way_of(i), Way::View | Way::History);
        self.pending.push(Pending::Ready(Box::new(Step::SnapshotEnd { origin, seq, swap })));
        self.poll_base_read(i);
        self.since.get_or_insert_with(Instant::now);
    }

    /// A statement voids all rows so far: nothing is left to be read.
    pub(super) fn cut_snapshot_short(&mut self, i: usize) {
        self.snapshots.state.wanted.remove(&i);
        self.end_snapshot(i);
    }

    /// Forgets a snapshot that is under way. Appliers wait on until another one ends.
    pub(super) fn give_up_snapshot(&mut self, i: usize) {
        if let Some(running) = self.snapshots.state.running.remove(&i) {
            self.forget_progress(i, running.seq);
        }
    }

    /// A snapshot that is under way begins anew; the log has just been told that it has to.
    pub(super) fn restart_snapshot(&mut self, i: usize) {
        if self.snapshots.is_running(i) {
            tracing::info!(origin = %self.tables[i].origin, "the snapshot of the table begins anew");
            self.give_up_snapshot(i);
            self.snapshots.state.wanted.insert(i);
        }
    }

    fn forget_progress(&mut self, i: usize, seq: Seq) {
        self.snapshots.state.progress.remove(&i);
        self.snapshots.state.after.push(After::Delete(paths::snapshot(&self.tables[i].origin, seq)));
    }

    /// Whether a snapshot of the table is under way or about to begin: stale rows are nothing to tell then.
    pub(super) fn is_being_read(&self, i: usize) -> bool {
        self.snapshots.is_running(i) || self.snapshots.state.wanted.contains(&i)
    }

    pub(super) fn shape(&mut self, i: usize) -> Result<Option<Shape>, ExtractError> {
        let Origin { database, table, .. } = self.tables[i].origin.clone();
        let flavor = self.snapshots.flavor;
        match self.runtime.block_on(self.source.shape(&database, &table, flavor)) {
            Ok(None) => {
                tracing::warn!(origin = %self.tables[i].origin, "the table is gone; there is nothing to read");
                Ok(None)
            }
            Ok(shape) => Ok(shape),
            Err(ShapeError::Catalog(e)) => Err(e.into()),
            Err(e @ (ShapeError::Type { .. } | ShapeError::Query(_))) => {
                self.park(i, e.to_string());
                Ok(None)
            }
        }
    }
}
