//! The decode thread: transactions in, cuts out. The one owner of a shard's extraction state.
//!
//! It runs on a thread of its own, because decoding is the CPU work that must stay in order. What it needs from the
//! asynchronous world (the next events, a share of memory, a look into the catalog) it waits for with
//! [`Handle::block_on`](tokio::runtime::Handle::block_on).

mod anew;
mod ddl;
mod history;
mod poll;
mod repair;
mod rows;
mod snapshot;
mod xa;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use poll::Polling;
pub(in crate::pipeline) use rows::add_key;
pub(super) use rows::count_sealed;
pub(super) use snapshot::{SnapshotState, Snapshots};

use ahash::RandomState;
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

use super::{
    ExtractError,
    cut::{Cut, Pending},
    files::FileMaker,
    head::Whereabouts,
    tables::Table,
};
use crate::{
    batch::Budget,
    config::TableRules,
    lake::{Clock, Schemas},
    live::LiveShard,
    metrics::{ErrorKind, Metrics, ShardMetrics, Stage, Wait},
    model::{Catalog, OpCounts, Position, Seq, Shard},
    source::mysql::{
        assembler::{Assembler, Event},
        catalog::CatalogReader,
        channel::{Message, Receiver},
        gtid::Gtid,
        start::Visible,
        table_map::TableMap,
    },
};

/// Most steps in one entry. Bounds the entry's JSON to about a megabyte.
const STEPS_MAX: usize = 2000;

/// How long a shard whose transactions touch no captured table keeps its log's position. Long, because each entry is a
/// PUT and nobody waits for it: a restart only reads that much again.
const IDLE_POSITION: Duration = Duration::from_secs(30);

/// How long the thread waits for events before it looks at its clock again.
const TICK: Duration = Duration::from_millis(100);

/// How often the thread says where it stands.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// What a session's decode thread is given.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) shard: Shard,
    pub(super) rules: Arc<TableRules>,
    pub(super) limits: Limits,
    pub(super) assembler: Assembler,
    pub(super) catalog: Catalog,
    /// The log has no position yet: the first cut saves it.
    pub(super) fresh: bool,
    pub(super) next_seq: Seq,
    pub(super) xa_rows: HashMap<String, i64>,
    pub(super) files: FileMaker,
    pub(super) schemas: Arc<Schemas>,
    pub(super) source: CatalogReader,
    pub(super) budget: Budget,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<ShardMetrics>,
    pub(super) live: Arc<LiveShard>,
    /// Counters that are not the shard's.
    pub(super) process: Arc<Metrics>,
    /// Where reading stands, for who watches it.
    pub(super) whereabouts: Whereabouts,
    /// With `--once`: stop when this is covered.
    pub(super) until: Option<Visible>,
    /// Becomes true when the process shall drain.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) snapshots: Snapshots,
    /// Where nobody follows the binlog: what is read again and again.
    pub(super) polling: Option<Polling>,
    /// The log goes on from another place than it ended at: it was written in another mode, followed or not, or reanchored.
    pub(super) changed: bool,
}

/// When batches are sealed and entries cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Oldest uncommitted row.
    pub(super) flush_interval: Duration,
    /// Rows of one open batch.
    pub(super) batch_rows: usize,
    /// Bytes of one open batch.
    pub(super) batch_bytes: usize,
}

/// How a session's decoding ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The process drains; everything read up to the last whole transaction was cut.
    Stopped,
    /// `--once`: the wanted position is reached and cut.
    CaughtUp,
}

/// A transaction that is being read.
#[derive(Debug)]
struct Open {
    committed_at: i64,
    /// Set for XA: rows are kept apart until the outcome is known.
    xa: Option<xa::Branch>,
    /// Captured row changes so far.
    rows: u64,
    /// Its name, while a view's place has to be compared with it.
    gtid: Option<Gtid>,
}

pub(super) struct Decoder {
    shard: Shard,
    rules: Arc<TableRules>,
    limits: Limits,
    tables: Vec<Table>,
    by_name: HashMap<(String, String), usize, RandomState>,
    /// Table of each table map seen, by address; the map is kept alive so that the address stays its own.
    by_map: HashMap<usize, (Arc<TableMap>, usize), RandomState>,
    catalog: Catalog,
    seq: Seq,
    xa_rows: HashMap<String, i64>,
    transaction: Option<Open>,
    pending: Vec<Pending>,
    transactions: u64,
    committed_at: Option<(i64, i64)>,
    /// When the oldest thing that is not cut yet came.
    since: Option<Instant>,
    last_cut: Instant,
    last_position: Position,
    /// Day of source commit that open batches belong to.
    day: i64,
    files: FileMaker,
    schemas: Arc<Schemas>,
    source: CatalogReader,
    budget: Budget,
    clock: Arc<dyn Clock>,
    metrics: Arc<ShardMetrics>,
    process: Arc<Metrics>,
    whereabouts: Whereabouts,
    /// When that was noted last.
    noted: Option<Instant>,
    until: Option<Visible>,
    stop: watch::Receiver<bool>,
    snapshots: Snapshots,
    polling: Option<Polling>,
    cuts: mpsc::Sender<Cut>,
    runtime: Waits,
}

/// How the thread waits for what is asynchronous. Waiting may take as long as it likes, for a store that is away or for a source
/// that is silent; what lies between two waits is the thread's own work, and may not.
struct Waits {
    runtime: Handle,
    live: Arc<LiveShard>,
}

impl Waits {
    fn block_on<T>(&self, what: impl Future<Output = T>) -> T {
        let _waiting = self.live.wait();
        self.runtime.block_on(what)
    }
}

impl std::ops::Deref for Waits {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.runtime
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("shard", &self.shard).field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// Decodes until the session ends. Runs on its own thread.
///
/// # Errors
/// Everything that ends a session: a broken stream, an event that contradicts the protocol, a committer that gave up.
pub(super) fn run(
    setup: Setup,
    mut events: Receiver,
    cuts: mpsc::Sender<Cut>,
    runtime: Handle,
) -> Result<Ended, ExtractError> {
    let live = setup.live;
    let _working = live.work();
    let mut assembler = setup.assembler;
    let mut decoder = Decoder {
        shard: setup.shard,
        rules: setup.rules,
        limits: setup.limits,
        tables: Vec::new(),
        by_name: HashMap::default(),
        by_map: HashMap::default(),
        catalog: setup.catalog,
        seq: setup.next_seq,
        xa_rows: setup.xa_rows,
        transaction: None,
        pending: Vec::new(),
        transactions: 0,
        committed_at: None,
        since: None,
        last_cut: Instant::now(),
        last_position: assembler.position(),
        day: 0,
        files: setup.files,
        schemas: setup.schemas,
        source: setup.source,
        budget: setup.budget,
        clock: setup.clock,
        metrics: setup.metrics,
        process: setup.process,
        whereabouts: setup.whereabouts,
        noted: None,
        until: setup.until,
        stop: setup.stop,
        snapshots: setup.snapshots,
        polling: setup.polling,
        cuts,
        runtime: Waits { runtime, live: Arc::clone(&live) },
    };
    decoder.know_parked();
    if setup.changed {
        decoder.begin_anew()?;
    }
    if setup.fresh {
        // A shard that begins at `latest` and stops before its first change must not begin later next time.
        decoder.cut(assembler.position())?;
    }
    decoder.open_polls()?;
    decoder.open_snapshots(&assembler)?;
    decoder.follow(&mut assembler, &mut events)
}

impl Decoder {
    fn follow(&mut self, assembler: &mut Assembler, events: &mut Receiver) -> Result<Ended, ExtractError> {
        loop {
            if let Some(ended) = self.at_rest(assembler)? {
                return Ok(ended);
            }
            self.note_position(assembler);
            let waiting = Instant::now();
            let message = self.runtime.block_on(async { tokio::time::timeout(TICK, events.recv()).await });
            self.metrics.waited(Wait::Source, waiting.elapsed());
            match message {
                Err(_) => {}
                Ok(None) => return Err(ExtractError::StreamEnded),
                Ok(Some(Message::Connected(server_uuid))) => {
                    self.metrics.connected(true);
                    self.other_server(server_uuid.server_uuid.as_ref());
                    assembler.connected(server_uuid);
                }
                Ok(Some(Message::Restart(answer))) => {
                    self.metrics.connected(false);
                    self.metrics.reconnected();
                    self.process.error(Stage::Source, ErrorKind::Transient);
                    self.process.retry(Stage::Source, ErrorKind::Transient);
                    // Rows of the broken transaction are in the open batches and perhaps in files: the whole session is
                    // given up. Between transactions nothing is lost by going on.
                    if self.transaction.take().is_some_and(|t| t.rows > 0) {
                        return Err(ExtractError::Interrupted);
                    }
                    // A reader that is gone needs no answer.
                    let _ = answer.send(assembler.restart());
                }
                Ok(Some(Message::Events(delivery))) => {
                    let transactions = std::mem::take(&mut self.transactions);
                    self.metrics.read(transactions, delivery.batch.bytes() as u64, OpCounts::default());
                    self.metrics.queued_events(events.held_bytes());
                    self.process.batch_memory(self.budget.held() as u64, self.budget.limit() as u64);
                    for raw in delivery.batch.iter() {
                        if let Some(event) = assembler.push(raw)? {
                            self.apply(event)?;
                        }
                        if self.transaction.is_none()
                            && assembler.at_group_end()
                            && let Some(ended) = self.at_rest(assembler)?
                        {
                            return Ok(ended);
                        }
                    }
                }
            }
        }
    }

    /// Notes where reading stands, not more often than anybody looks: a GTID set may be long.
    fn note_position(&mut self, assembler: &Assembler) {
        if self.noted.is_none_or(|noted| noted.elapsed() >= NOTE_EVERY) {
            self.whereabouts.note(assembler.reached());
            self.noted = Some(Instant::now());
        }
    }

    /// Waits for memory holding none.
    fn wait_for_room(&self) {
        let waiting = Instant::now();
        self.runtime.block_on(self.budget.room());
        self.metrics.waited(Wait::Memory, waiting.elapsed());
    }

    fn apply(&mut self, event: Event<'_>) -> Result<(), ExtractError> {
        match event {
            Event::Begin { gtid, committed_at_us, xa } => {
                let gtid = gtid.filter(|_| self.snapshots.has_views()).cloned();
                self.begin(committed_at_us, xa, gtid);
            }
            Event::Rows { table, event } => return self.rows(table, event),
            Event::Commit => self.commit(),
            Event::Rollback => return self.rollback(),
            Event::Ddl { ddl, committed_at_us } => return self.ddl(ddl.change, committed_at_us),
            Event::StatementDml { tables } => return self.statement_dml(tables),
            Event::XaPrepare { xid } => self.xa_prepared(xid),
            Event::XaCommit { xid, committed_at_us } => self.xa_committed(xid, committed_at_us),
            Event::XaRollback { xid } => self.xa_rolled_back(xid),
            Event::Idle => self.metrics.idle(self.clock.unix_micros(), self.since.is_none()),
            Event::Skipped => {}
        }
        Ok(())
    }

    fn begin(&mut self, committed_at: i64, xa: bool, gtid: Option<Gtid>) {
        let day = committed_at.div_euclid(DAY_US);
        if day != self.day {
            // A file belongs to one day of source commit.
            self.seal_all();
            self.day = day;
        }
        self.transaction = Some(Open { committed_at, xa: xa.then(xa::Branch::new), rows: 0, gtid });
    }

    fn commit(&mut self) {
        let Some(open) = self.transaction.take() else { return };
        if let Some(branch) = open.xa {
            // XA COMMIT ... ONE PHASE: prepared and committed at once. No other branch can have an empty name.
            self.prepared(String::new(), branch, open.committed_at);
            self.xa_committed(String::new(), open.committed_at);
        } else if open.rows > 0 {
            self.covers(open.committed_at);
        } else {
            // Traffic of other tables keeps heartbeats away; it says as well as they how far reading is.
            self.metrics.idle(open.committed_at, self.since.is_none());
        }
    }

    fn rollback(&mut self) -> Result<(), ExtractError> {
        match self.transaction.take() {
            Some(open) if open.rows > 0 && open.xa.is_none() => {
                Err(ExtractError::RolledBackRows { shard: self.shard.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Notes that something committed at `committed_at` waits for a cut.
    fn covers(&mut self, committed_at: i64) {
        self.since.get_or_insert_with(Instant::now);
        let (low, high) = self.committed_at.unwrap_or((committed_at, committed_at));
        self.committed_at = Some((low.min(committed_at), high.max(committed_at)));
        self.transactions += 1;
        self.metrics.read_up_to(committed_at);
    }

    /// Whether everything that was to be read at most is read.
    fn has_caught_up(&self, assembler: &Assembler) -> bool {
        self.until.as_ref().is_some_and(|until| until.is_reached(assembler.reached()))
    }

    /// Between transactions: cuts when it is time, and says whether the session is done.
    fn at_rest(&mut self, assembler: &Assembler) -> Result<Option<Ended>, ExtractError> {
        if self.transaction.is_some() || !assembler.at_group_end() {
            return Ok(None);
        }
        self.pass_views(assembler.executed());
        if self.snapshots.is_due() {
            self.tend_snapshots(assembler)?;
        }
        self.tend_polls()?;
        let ended = if *self.stop.borrow() {
            Some(Ended::Stopped)
        } else if self.snapshots.is_idle() && (self.polls_are_done() || self.has_caught_up(assembler)) {
            Some(Ended::CaughtUp)
        } else {
            None
        };
        let due = self.since.is_some_and(|since| since.elapsed() >= self.limits.flush_interval);
        let idle = self.since.is_none() && self.last_cut.elapsed() >= IDLE_POSITION;
        if due || self.pending.len() >= STEPS_MAX || (ended.is_some() && self.since.is_some()) {
            self.cut(assembler.position())?;
        } else if ended.is_some() || idle {
            let position = assembler.position();
            if position != self.last_position {
                self.cut(position)?;
            }
        }
        Ok(ended)
    }

    fn cut(&mut self, position: Position) -> Result<(), ExtractError> {
        self.seal_all();
        self.since = None;
        self.last_cut = Instant::now();
        self.last_position = position.clone();
        let mut after = self.snapshots.take_after();
        after.extend(self.take_poll_saves());
        let cut = Cut {
            steps: std::mem::take(&mut self.pending),
            position,
            next_seq: self.seq,
            committed_at: self.committed_at.take(),
            after,
        };
        let waiting = Instant::now();
        let sent = self.runtime.block_on(self.cuts.send(cut));
        self.metrics.waited(Wait::Commit, waiting.elapsed());
        self.metrics.queued_cuts(self.cuts.max_capacity() - self.cuts.capacity());
        sent.map_err(|_| ExtractError::CommitterGone)
    }

    /// The next number, for a marker.
    fn mark(&mut self) -> Seq {
        let seq = self.seq;
        self.seq = seq.next();
        self.since.get_or_insert_with(Instant::now);
        seq
    }
}
