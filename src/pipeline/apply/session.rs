//! One session: take the group, catch up what was parked, then tick after tick.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    Apply, ApplyError,
    catch_up::CatchUp,
    cursor::{Cursor, Scope, Work},
    entries::Entries,
    hold::PAUSED,
    read_back::{Merged, ReadBack},
    rebuild::Rebuilds,
    registration::Registration,
    tick::{Targets, Tick},
    waiting::Waiting,
};
use crate::{
    backoff::Backoff,
    config::Publish,
    lake::{Clock as _, LogReader, ReadFrom, SystemClock, WriterId, control::Retry},
    live::Phase,
    metrics::{GroupMetrics, Half},
    model::{Entry, Origin, Shard, Step},
    warehouse::{
        Claim, Exception, ExceptionChange, ExceptionKind, Fence, GroupState, LogPosition, Move, WarehouseError,
        Watermark,
    },
};

/// How often the lake is asked for shards that were not there before.
const NEW_SHARDS: Duration = Duration::from_secs(30);

/// How often in the first [`NEW_SHARDS`] of a session: the extractors of a new pipeline start together with it.
const FIRST_SHARDS: Duration = Duration::from_secs(1);

/// A group that this process may write.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) apply: &'a Apply,
    pub(super) fence: Fence,
    pub(super) number: u64,
    pub(super) targets: Targets,
    figures: GroupMetrics,
    read_back: &'a ReadBack,
    waiting: Waiting,
    pub(super) readers: BTreeMap<Shard, Reader>,
    /// Entries for those that have exceptions.
    entries: Entries,
    /// Origins that have exceptions.
    pub(super) behind: BTreeMap<Origin, CatchUp>,
    /// What is being rebuilt.
    pub(super) rebuilds: Rebuilds,
    /// The last of them that was served.
    turn: Option<Origin>,
    /// Wishes to try a parked origin again that were heard.
    retried: Vec<Retry>,
    /// Which shard is the first of the next tick.
    first: usize,
    /// What the lake was told of the group.
    pub(super) registration: Registration,
}

/// A shard's log as the group reads it.
#[derive(Debug)]
pub(super) struct Reader {
    log: LogReader,
    pub(super) cursor: Cursor,
    /// Where the warehouse says the group stands; `None` before the first move.
    pub(super) stands: Option<LogPosition>,
    /// Latest commit time that the cursor has passed.
    reached: Option<i64>,
}

/// Applies until told to stop or drained.
///
/// # Errors
/// What ended the session; the warehouse is as after its last committed tick.
pub(super) async fn run(
    apply: &Apply,
    take_over: bool,
    read_back: &ReadBack,
    backoff: &mut Backoff,
) -> Result<(), ApplyError> {
    let (fence, state) = claim(apply, take_over).await?;
    let figures = apply.metrics.group(&apply.group);
    figures.opened();
    let mut session = Session {
        apply,
        fence,
        number: 0,
        targets: Targets::default(),
        figures,
        read_back,
        waiting: Waiting::default(),
        readers: BTreeMap::new(),
        entries: Entries::default(),
        turn: None,
        rebuilds: Rebuilds::of(state.rebuilds.clone()),
        retried: Vec::new(),
        first: 0,
        registration: Registration::of_earlier(apply).await?,
        behind: state.exceptions.iter().map(|(origin, e)| (origin.clone(), CatchUp::of(origin, e))).collect(),
    };
    let worked = session.work(state, backoff).await;
    session.figures.closed();
    if worked.is_ok() {
        session.register(true).await;
        apply.warehouse.close_group(&session.fence).await?;
    }
    worked
}

/// Takes the group. The predecessor of the same name on this machine is gone, or is fenced by us as it would be in the log;
/// for another's silence we wait, for as long as a crashed one takes to count as silent.
async fn claim(apply: &Apply, take_over: bool) -> Result<(Fence, GroupState), ApplyError> {
    let live = apply.metrics.live().group(&apply.group);
    live.enter(Phase::Connecting);
    let group = apply.place();
    let holder = apply.warehouse.group_state(&group).await?;
    let ours = holder.is_some_and(|held| WriterId::name_in(&held.writer) == WriterId::name_in(&apply.writer));
    let quiet = if take_over || ours { Duration::ZERO } else { apply.quiet() };
    let claim = Claim { group, writer: apply.writer.clone(), quiet };
    let began = Instant::now();
    loop {
        match apply.warehouse.open_group(&claim).await {
            Err(WarehouseError::Busy { writer, .. })
                if began.elapsed() <= apply.quiet() * 2 && !*apply.stop.borrow() =>
            {
                live.enter(Phase::Claiming);
                tracing::info!(group = apply.group, writer, "waiting for another applier's silence");
                sleep(Duration::from_secs(1)).await;
            }
            other => return Ok(other?),
        }
    }
}

impl Apply {
    /// The group's name in the warehouse, which other pipelines may share.
    pub(super) fn place(&self) -> String {
        crate::pipeline::open::group(&self.pipeline, &self.group)
    }

    /// How long another applier of the group must have been silent before this one takes over unasked: one that is alive moves a
    /// watermark every tick or two, and where nothing changes once in the time that idle commits have.
    fn quiet(&self) -> Duration {
        super::QUIET.max(self.tick * 3).max(self.idle + self.tick * 2)
    }

    /// A reader of a shard's log that begins at `mark`, or with the oldest entry.
    pub(super) async fn read_log(&self, shard: &Shard, mark: Option<&Watermark>) -> Result<LogReader, ApplyError> {
        let from = match mark {
            Some(w) => ReadFrom::After { number: w.position.entry.saturating_sub(1), log_id: w.log_id.clone() },
            None => ReadFrom::Oldest,
        };
        let clock = Arc::new(SystemClock::new());
        Ok(LogReader::open(Arc::clone(&self.store), clock, shard.clone(), from).await?)
    }

    /// Whether an origin's rows are this group's.
    pub(super) fn owns(&self, origin: &Origin) -> bool {
        self.rules.resolve(&origin.database, &origin.table).is_some_and(|rule| rule.group == self.group)
    }
}

impl Session<'_> {
    async fn work(&mut self, state: GroupState, backoff: &mut Backoff) -> Result<(), ApplyError> {
        // Before the logs are opened: from here on nothing is removed that is behind where the warehouse stands.
        self.register_at(state.watermarks.clone()).await?;
        self.open_logs(&state).await?;
        let live = self.apply.metrics.live().group(&self.apply.group);
        live.enter(Phase::Running);
        self.count_parked();
        let mut stop = self.apply.stop.clone();
        let mut drain = self.apply.drain.clone();
        let started = Instant::now();
        let mut looked = started;
        let mut moved = Instant::now();
        loop {
            if *stop.borrow() {
                return Ok(());
            }
            let drained = *self.apply.drain.borrow();
            let every = if started.elapsed() < NEW_SHARDS { FIRST_SHARDS } else { NEW_SHARDS };
            if looked.elapsed() >= every || drained {
                self.open_logs(&state).await?;
                looked = Instant::now();
            }
            self.retry().await?;
            let began = Instant::now();
            let stored = self.stored();
            let tick = self.gather().await?;
            if tick.work.is_empty() && tick.moves.is_empty() {
                live.came_forward();
            }
            let idle_for_long = moved.elapsed() >= self.apply.idle;
            let shows = tick.work.passed.iter().any(|o| self.apply.publish(o) == Publish::Progressively);
            // Origins with exceptions catch up to where the warehouse has the group, so it must have what the cursors passed.
            let followed = self.behind.values().any(|c| !self.waits(c)) || self.rebuilds.under_way();
            // The first move of a shard says that it is applied at all.
            let first = tick.moves.iter().any(|step| step.from.is_none());
            let moves = first || (!tick.moves.is_empty() && (idle_for_long || drained || followed));
            if !tick.work.is_empty() || shows || moves {
                let idle = tick.work.is_empty() && !shows;
                self.perform(tick).await?;
                if idle {
                    self.figures.moved_alone();
                }
                moved = Instant::now();
                backoff.reset();
            } else if drained && !self.catch_up().await? && !self.rebuild(drained).await? {
                return Ok(());
            }
            let caught_up = self.catch_up().await?;
            let more = self.rebuild(drained).await? || caught_up;
            self.caught_up(&stored);
            self.tell_waiting();
            if self.registration.is_due() {
                self.register(false).await;
            }
            // A tick that was cut, because more waits than it may hold, is followed by the next.
            let cut = self.readers.values().any(|reader| reader.cursor.has_more());
            if !drained && !more && !cut {
                let rest = self.apply.tick.saturating_sub(began.elapsed());
                tokio::select! {
                    () = self.pause(rest) => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                    _ = drain.wait_for(|drain| *drain) => {}
                }
            }
        }
    }

    /// Waits out the tick, then for something new: an extractor of this process rings, others are asked once a tick.
    async fn pause(&self, rest: Duration) {
        let stored = self.apply.stored.notified();
        sleep(rest).await;
        let _ = timeout(self.apply.tick, stored).await;
    }

    /// Opens the logs of all shards in the lake that are not open yet.
    async fn open_logs(&mut self, state: &GroupState) -> Result<(), ApplyError> {
        for shard in crate::lake::log::shards(&*self.apply.store).await? {
            if self.readers.contains_key(&shard) {
                continue;
            }
            self.learn(&shard).await;
            let mark = state.watermarks.get(&shard);
            let log = self.apply.read_log(&shard, mark).await?;
            let position = mark.map_or(LogPosition { entry: log.next_number(), step: 0 }, |w| w.position);
            let log_id = mark.map(|w| w.log_id.clone()).unwrap_or_default();
            let cursor = Cursor::new(shard.clone(), log_id, position);
            let reached = state.committed_at.get(&shard).copied();
            let begins = mark.is_none().then(|| log.next_number());
            self.readers.insert(shard.clone(), Reader { log, cursor, stands: mark.map(|w| w.position), reached });
            if let Some(first) = begins.filter(|first| *first > 1) {
                self.begin_behind(&shard, first).await?;
            }
        }
        Ok(())
    }

    /// Tells the live state what tables the shard has: the entries that this session reads only say what changes. Nothing
    /// depends on it, so a log that cannot be read now is left to those who need it.
    async fn learn(&self, shard: &Shard) {
        if let Ok(Some(head)) = crate::lake::log::read_head(&*self.apply.store, shard).await {
            self.apply.metrics.live().shard(shard).learned(head.newest.entry.number, &head.catalog);
        }
    }

    /// Reads ahead and takes what one tick can do.
    async fn gather(&mut self) -> Result<Tick, ApplyError> {
        let mut work = Work::at_most(self.apply.warehouse.targets_max());
        let mut began = BTreeMap::new();
        let held = Arc::clone(&*self.apply.held.borrow());
        let scope = Scope::AllBut { others: self.behind.keys().cloned().collect(), held };
        let owns = |origin: &Origin| self.apply.owns(origin);
        // Entries may come as fast as they are read: a tick that waited for the end of the log would never begin.
        let until = Instant::now();
        // What does not fit waits: so that it is not always the same, each shard is the first in its turn.
        let mut readers: Vec<(&Shard, &mut Reader)> = self.readers.iter_mut().collect();
        self.first = self.first.checked_rem(readers.len()).unwrap_or_default();
        readers.rotate_left(self.first);
        self.first += 1;
        for (shard, reader) in readers {
            // Each shard is asked at least once, however slow the others were.
            let mut asked = false;
            while reader.cursor.wants_more() && !(asked && until.elapsed() >= self.apply.tick) {
                asked = true;
                let Some(entry) = reader.log.next().await? else { break };
                let entry = Arc::new(entry.entry);
                self.waiting.arrived(&entry, |origin| owns(origin) && !self.behind.contains_key(origin));
                self.apply.metrics.live().shard(shard).passed(entry.number, &entry.steps);
                if self.behind.keys().any(|origin| origin.shard == *shard) || begins(&entry) {
                    self.entries.keep(&entry);
                }
                reader.cursor.push(entry);
            }
            began.insert(shard.clone(), reader.cursor.position());
            reader.cursor.take(&mut work, self.apply.tick_bytes, &scope, &owns);
        }
        let moves = self.readers.iter().filter_map(|(shard, r)| r.next_move(shard, &work)).collect();
        let begun = work.begun.iter().filter_map(|(origin, begun)| self.hold(origin, *begun));
        let exceptions = begun.chain(work.paused.iter().map(|(origin, place)| pause(origin, *place))).collect();
        Ok(Tick { work, moves, exceptions, began, ..Tick::default() })
    }

    async fn perform(&mut self, tick: Tick) -> Result<(), ApplyError> {
        let (committed_at, rows) = (tick.work.committed_at.clone(), tick.work.rows.clone());
        let moves = tick.moves.clone();
        let began = tick.began.clone();
        let opened: Vec<(Origin, Exception)> =
            tick.exceptions.iter().filter_map(|c| Some((c.origin.clone(), c.to.clone()?))).collect();
        let shows = tick.work.shows.clone();
        let ended = tick.work.ended.clone();
        let parked = self.apply.perform(&self.fence, &mut self.number, &mut self.targets, tick).await?;
        for (origin, exception) in opened {
            let behind = match exception.kind {
                ExceptionKind::Held => CatchUp::held(origin.clone(), exception.position),
                ExceptionKind::Parked | ExceptionKind::CatchingUp => {
                    tracing::info!(group = self.apply.group, %origin, "the table is paused: its changes wait in the lake");
                    CatchUp::paused(origin.clone(), exception.position)
                }
            };
            self.behind.insert(origin, behind);
        }
        for origin in parked {
            let Some(position) = began.get(&origin.shard).copied() else { continue };
            let stands = self.behind.get(&origin).filter(|c| c.is_parked()).map_or(position, CatchUp::stands);
            self.behind.insert(origin.clone(), CatchUp::parked(origin, stands));
        }
        for origin in ended {
            if let Some(behind) = self.behind.get_mut(&origin) {
                behind.snapshot_ended();
            }
        }
        self.count_parked();
        for step in moves {
            if let Some(reader) = self.readers.get_mut(&step.shard) {
                reader.stands = Some(step.to.position);
                reader.reached = committed_at.get(&step.shard).copied().or(reader.reached);
                let entries = step.to.position.entry - step.from.map_or(1, |w| w.position.entry);
                let rows = rows.get(&step.shard).copied().unwrap_or_default();
                let (group, reached) = (&self.apply.group, reader.reached.unwrap_or_default());
                self.apply.metrics.shard(&step.shard).applied(group, entries, rows, reached);
            }
            self.waiting.merged(&step.shard, step.to.position.entry);
            let commits = shows.get(&step.shard).cloned().unwrap_or_default();
            self.read_back.merged(Merged { shard: step.shard, mark: step.to, commits });
        }
        Ok(())
    }

    pub(super) fn count_parked(&self) {
        let owned = || self.behind.iter().filter(|(origin, _)| self.apply.owns(origin));
        let parked: BTreeSet<Origin> = owned().filter(|(_, c)| c.is_parked()).map(|(o, _)| o.clone()).collect();
        self.figures.parked(parked.len() as u64);
        self.figures.held((owned().count() - parked.len()) as u64);
        self.apply.metrics.live().group(&self.apply.group).still_parked(&parked.iter().collect());
        self.apply.metrics.parked(Half::Apply, &self.apply.group, parked);
    }

    /// Whether an origin with an exception does nothing until an operator does something.
    fn waits(&self, behind: &CatchUp) -> bool {
        behind.is_parked() || self.apply.held.borrow().origin(behind.origin()).is_some()
    }

    /// The exception of an origin whose snapshot begins. One that is parked begins anew with it: all its rows come again. One
    /// that is held already waits for the newer snapshot, and one that follows meets it by itself.
    fn hold(&self, origin: &Origin, begun: LogPosition) -> Option<ExceptionChange> {
        let known = self.behind.get(origin);
        if known.is_some_and(|c| !c.is_parked()) {
            return None;
        }
        let to = Exception { kind: ExceptionKind::Held, position: begun, reason: String::new() };
        Some(ExceptionChange { origin: origin.clone(), from: known.map(CatchUp::stands), to: Some(to) })
    }

    /// Turns to parked origins that an operator wants tried again.
    async fn retry(&mut self) -> Result<(), ApplyError> {
        let wishes: Vec<Retry> = {
            let held = self.apply.held.borrow();
            let new = |wish: &&Retry| wish.group == self.apply.group && !self.retried.contains(wish);
            held.retries.iter().filter(new).cloned().collect()
        };
        if wishes.is_empty() {
            return Ok(());
        }
        let state = self.apply.warehouse.group_state(&self.apply.place()).await?.unwrap_or_default();
        for wish in &wishes {
            let parked = self.behind.get(&wish.origin).is_some_and(CatchUp::is_parked);
            if let (true, Some(exception)) = (parked, state.exceptions.get(&wish.origin)) {
                tracing::info!(group = self.apply.group, origin = %wish.origin, "the parked table is tried again");
                self.behind.insert(wish.origin.clone(), CatchUp::of(&wish.origin, exception));
            }
            wish.done(&*self.apply.store).await?;
        }
        // Those that are gone from the lake need not be remembered.
        self.retried = wishes;
        self.count_parked();
        Ok(())
    }

    /// Brings the origins that have exceptions forward by one tick; answers whether any came forward. They take turns where one tick
    /// is not enough for all.
    async fn catch_up(&mut self) -> Result<bool, ApplyError> {
        let mut tick = Tick { work: Work::at_most(self.apply.warehouse.targets_max()), ..Tick::default() };
        let mut prepared = Vec::new();
        let mut origins: Vec<Origin> = self.behind.keys().cloned().collect();
        let turn = self.turn.as_ref().map_or(0, |last| origins.partition_point(|origin| origin <= last));
        origins.rotate_left(turn);
        for origin in origins {
            if tick.work.bytes >= self.apply.tick_bytes || tick.work.is_full() {
                break;
            }
            if !self.apply.owns(&origin) {
                continue;
            }
            let Some(mut behind) = self.behind.remove(&origin) else { continue };
            let part = behind.prepare(self).await;
            self.behind.insert(origin.clone(), behind);
            let Some(part) = part? else { continue };
            tick.work.absorb(part.work);
            tick.exceptions.extend(part.change);
            tick.again_from.extend(part.again_from.map(|place| (origin.clone(), place)));
            self.turn = Some(origin);
            prepared.push(part.next);
        }
        if prepared.is_empty() {
            return Ok(false);
        }
        self.perform_for(tick, prepared).await?;
        self.count_parked();
        Ok(true)
    }

    /// Does a tick of origins that have exceptions.
    async fn perform_for(&mut self, tick: Tick, prepared: Vec<CatchUp>) -> Result<(), ApplyError> {
        let (rows, again_from) = (tick.work.rows.clone(), tick.again_from.clone());
        let mut parked = BTreeSet::new();
        if !tick.work.is_empty() || !tick.exceptions.is_empty() {
            parked = self.apply.perform(&self.fence, &mut self.number, &mut self.targets, tick).await?;
        }
        for (shard, rows) in rows {
            self.apply.metrics.shard(&shard).applied(&self.apply.group, 0, rows, 0);
        }
        for next in prepared {
            let origin = next.origin().clone();
            if parked.contains(&origin) {
                let stood = self.behind.get(&origin).map(CatchUp::stands);
                let Some(stands) = again_from.get(&origin).copied().or(stood) else { continue };
                self.behind.insert(origin.clone(), CatchUp::parked(origin, stands));
            } else if next.has_arrived() {
                tracing::info!(%origin, "the table has caught up");
                self.behind.remove(&origin);
            } else {
                self.behind.insert(origin, next);
            }
        }
        if self.behind.is_empty() {
            self.entries = Entries::default();
        }
        Ok(())
    }

    /// How far the lake is, by shard. What is stored while a tick is done is not in it.
    fn stored(&self) -> BTreeMap<Shard, i64> {
        let metrics = &self.apply.metrics;
        self.readers.keys().map(|shard| (shard.clone(), metrics.shard(shard).stored_up_to())).collect()
    }

    /// Everything that was `stored` before the logs were read is merged, where they were read to their end.
    fn caught_up(&self, stored: &BTreeMap<Shard, i64>) {
        for (shard, at) in stored {
            if self.readers.get(shard).is_some_and(|reader| !reader.cursor.has_more()) {
                self.apply.metrics.shard(shard).caught_up(&self.apply.group, *at);
            }
        }
    }

    /// Tells how much waits, and since when.
    fn tell_waiting(&mut self) {
        self.figures.waiting(self.readers.values().map(|r| r.cursor.entries_ahead()).sum());
        let (apply, now) = (self.apply, SystemClock::new().unix_micros());
        let owned = self.behind.keys().filter(|origin| apply.owns(origin));
        self.waiting.behind(owned.map(|origin| (origin.clone(), apply.target(origin), now)));
        self.waiting.tell(&apply.metrics);
    }

    /// Identity of a shard's log, where it is open.
    pub(super) fn log_id(&self, shard: &Shard) -> Option<String> {
        self.readers.get(shard).map(|reader| reader.cursor.log_id.clone())
    }

    /// An entry of a shard's log; `None` where the log does not have it.
    pub(super) async fn entry(&mut self, shard: &Shard, number: u64) -> Result<Option<Arc<Entry>>, ApplyError> {
        let Some(log_id) = self.log_id(shard) else { return Ok(None) };
        self.entries.read(self.apply, shard, &log_id, number).await
    }

    /// Shards whose logs are open.
    pub(super) fn shards(&self) -> BTreeSet<Shard> {
        self.readers.keys().cloned().collect()
    }

    /// Where the group stands in a shard's log, for an origin that catches up with it. `None` while the cursor is ahead of what the
    /// warehouse has: it passed over the steps of all origins that have exceptions, and one that arrived behind it would lose them.
    pub(super) fn stands(&self, shard: &Shard) -> Option<LogPosition> {
        self.readers.get(shard).and_then(|r| r.stands.filter(|stands| *stands == r.cursor.position()))
    }
}

/// The exception of an origin that an operator paused.
fn pause(origin: &Origin, place: LogPosition) -> ExceptionChange {
    let to = Exception { kind: ExceptionKind::CatchingUp, position: place, reason: PAUSED.to_owned() };
    ExceptionChange { origin: origin.clone(), from: None, to: Some(to) }
}

/// Whether a snapshot begins in the entry.
fn begins(entry: &Entry) -> bool {
    entry.steps.iter().any(|step| matches!(step, Step::SnapshotBegin { .. }))
}

impl Reader {
    /// The move to where the cursor stands now; `None` when the warehouse is there already.
    fn next_move(&self, shard: &Shard, work: &Work) -> Option<Move> {
        let to = self.cursor.position();
        if self.stands == Some(to) || (self.stands.is_none() && self.cursor.log_id.is_empty()) {
            return None;
        }
        let mark = |position| Watermark { log_id: self.cursor.log_id.clone(), position };
        Some(Move {
            shard: shard.clone(),
            from: self.stands.map(mark),
            to: mark(to),
            committed_at: work.committed_at.get(shard).copied(),
        })
    }
}
