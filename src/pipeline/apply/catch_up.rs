//! Origins that are not where their shard stands: parked ones that try again, and those whose snapshot is under way.
//!
//! Each has a place of its own in the log, from which its steps are still to be applied. A round brings all of them forward by one
//! tick that they share, so that the group goes on meanwhile; an exception ends in the transaction that reaches the group's place.
//!
//! **Parked.** An origin that was parked here has all its rows in the lake. At the beginning of a session it tries once more.
//!
//! **Paused.** An origin that an operator paused stands at its first step from then on and does nothing; nor does one that stood
//! elsewhere for another reason. When it is let go, it goes on from its place.
//!
//! **Held.** From a snapshot's beginning on, an origin waits there until the log has the end. Then the chunks are loaded, *all of
//! them before any change*: a delete leaves no trace in the target, so a chunk that was read before it and stored behind it
//! would bring the row back. Then follows everything from the beginning on, in which the end is the floor that sweeps what the
//! chunks did not bring. With `publish = "progressively"` chunks are loaded as they come, and only the changes wait.
//!
//! **Swapped.** A snapshot that says so is its origin as it was at one moment: a copy that was made while nobody followed, or one whose
//! place among the changes is known. Its rows, its floor and what was changed before its end go in one tick, however large, so
//! readers see one complete copy or the next, and what is appended is taken once. What that takes is room in the warehouse's
//! staging; the tick itself holds the names of the files.

use super::{
    ApplyError,
    cursor::{Cursor, Scope, Work},
    hold,
    session::Session,
};
use crate::{
    config::Publish,
    model::{Entry, Origin, Seq, Step, Target},
    warehouse::{Exception, ExceptionChange, ExceptionKind, LogPosition},
};

/// An origin with a place of its own.
#[derive(Debug)]
pub(super) struct CatchUp {
    origin: Origin,
    /// Where the warehouse has it.
    stands: LogPosition,
    phase: Phase,
    /// Stands where the phase is.
    cursor: Option<Cursor>,
    /// It is a place in a rebuild, which stays when it has come to where the group stands.
    stays: bool,
}

#[derive(Debug)]
enum Phase {
    /// It failed in this session; the next one tries again.
    Parked,
    /// Older rows of it are gone from the lake: it waits for a snapshot.
    Collected,
    /// A snapshot began where it stands.
    Held {
        /// Chunks in front of this place are loaded.
        loaded: LogPosition,
        /// The snapshot that is complete, and the place behind its end.
        complete: Option<End>,
        /// The log may have an end that was not looked for.
        look: bool,
    },
    /// It is where the group stands.
    Arrived,
    /// Its steps are applied in order.
    Following {
        /// The snapshot whose rows are loaded, and where it began.
        snapshot: Option<(Seq, LogPosition)>,
        /// Why it was parked, to be kept until it arrives.
        reason: String,
    },
}

/// A snapshot that the log has from its beginning to its end.
#[derive(Clone, Copy, Debug)]
struct End {
    seq: Seq,
    begun: LogPosition,
    /// Behind its end.
    behind: LogPosition,
    swap: bool,
}

/// One origin's part of a tick.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) work: Work,
    /// Of its exception.
    pub(super) change: Option<ExceptionChange>,
    /// Where it has to begin anew when the tick parks it; where it stands, unless set.
    pub(super) again_from: Option<LogPosition>,
    /// What it is when the tick is done.
    pub(super) next: CatchUp,
}

impl CatchUp {
    /// What the warehouse says of an origin at the beginning of a session.
    pub(super) fn of(origin: &Origin, exception: &Exception) -> Self {
        let phase = match exception.kind {
            ExceptionKind::Held => Phase::Held {
                loaded: hold::loaded(&exception.reason).unwrap_or(exception.position),
                complete: None,
                look: true,
            },
            ExceptionKind::Parked if hold::is_collected(&exception.reason) => Phase::Collected,
            ExceptionKind::Parked | ExceptionKind::CatchingUp => {
                Phase::Following { snapshot: hold::followed(&exception.reason), reason: exception.reason.clone() }
            }
        };
        Self { origin: origin.clone(), stands: exception.position, phase, cursor: None, stays: false }
    }

    /// The same as a place in a rebuild.
    pub(super) fn staying(self) -> Self {
        Self { stays: true, ..self }
    }

    /// An origin that a tick has parked.
    pub(super) fn parked(origin: Origin, stands: LogPosition) -> Self {
        Self { origin, stands, phase: Phase::Parked, cursor: None, stays: false }
    }

    /// An origin whose snapshot began at `begun`.
    pub(super) fn held(origin: Origin, begun: LogPosition) -> Self {
        let phase = Phase::Held { loaded: begun, complete: None, look: false };
        Self { origin, stands: begun, phase, cursor: None, stays: false }
    }

    /// An origin that an operator paused: from `place` on its steps wait.
    pub(super) fn paused(origin: Origin, place: LogPosition) -> Self {
        let phase = Phase::Following { snapshot: None, reason: hold::PAUSED.to_owned() };
        Self { origin, stands: place, phase, cursor: None, stays: false }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn is_parked(&self) -> bool {
        matches!(self.phase, Phase::Parked | Phase::Collected)
    }

    /// The oldest step that it may need, and what it is for people; `None` for one that needs nothing but a new snapshot.
    pub(super) fn needs(&self) -> Option<(LogPosition, &'static str)> {
        match &self.phase {
            Phase::Collected => None,
            Phase::Parked => Some((self.stands, "parked table")),
            Phase::Held { .. } => Some((self.stands, "snapshot of")),
            // Where it fails, it begins anew with its snapshot.
            Phase::Following { snapshot: Some((_, begun)), .. } => {
                Some((self.stands.min(*begun), "table that catches up"))
            }
            Phase::Following { .. } | Phase::Arrived => Some((self.stands, "table that catches up")),
        }
    }

    pub(super) fn has_arrived(&self) -> bool {
        matches!(self.phase, Phase::Arrived)
    }

    /// A snapshot of it is not applied yet.
    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held { .. })
    }

    /// It is where the group stands, and stays.
    pub(super) fn rests(&self, end: LogPosition) -> bool {
        self.stays && self.stands >= end && matches!(self.phase, Phase::Following { .. })
    }

    /// Where the warehouse has it.
    pub(super) fn stands(&self) -> LogPosition {
        self.stands
    }

    /// The group passed the end of a snapshot of the origin.
    pub(super) fn snapshot_ended(&mut self) {
        if let Phase::Held { look, .. } = &mut self.phase {
            *look = true;
        }
    }

    /// What one tick can do for the origin; `None` when it waits.
    ///
    /// # Errors
    /// What concerns the whole session.
    pub(super) async fn prepare(&mut self, session: &mut Session<'_>) -> Result<Option<Prepared>, ApplyError> {
        if session.apply.held.borrow().origin(&self.origin).is_some() {
            return Ok(None);
        }
        let Some(end) = session.stands(&self.origin.shard) else { return Ok(None) };
        match self.phase {
            _ if self.rests(end) => Ok(None),
            Phase::Parked | Phase::Collected | Phase::Arrived => Ok(None),
            Phase::Held { .. } => self.load(session, end).await,
            Phase::Following { .. } => self.follow(session, end).await,
        }
    }

    /// Loads chunks; turns to following when all are there.
    async fn load(&mut self, session: &mut Session<'_>, end: LogPosition) -> Result<Option<Prepared>, ApplyError> {
        let Phase::Held { loaded, complete, look } = &mut self.phase else { return Ok(None) };
        if complete.is_none() && std::mem::take(look) {
            *complete = find_end(session, &self.origin, self.stands, end).await?;
        }
        let (loaded, complete) = (*loaded, *complete);
        let asked = session.apply.publish(&self.origin) == Publish::Progressively;
        let progressively = asked && !begins_whole(session, &self.origin, self.stands).await?;
        let (of, limit) = match complete {
            Some(end) if end.swap && !progressively => return self.swap(session, end).await,
            Some(end) => (Some(end.seq), end.behind),
            None if progressively => (None, end),
            None => return Ok(None),
        };
        if loaded >= limit {
            return Ok(of.map(|seq| {
                let (snapshot, reason) = (Some((seq, self.stands)), hold::follows(seq, self.stands));
                self.prepared(Work::default(), None, self.stands, Phase::Following { snapshot, reason })
            }));
        }
        let scope = Scope::Chunks { origin: self.origin.clone(), of, floor: None };
        let Some((work, reached)) = self.gather(session, loaded, limit, &scope).await? else { return Ok(None) };
        if reached <= loaded {
            return Ok(None);
        }
        let to =
            Exception { kind: ExceptionKind::Held, position: self.stands, reason: hold::held(self.stands, reached) };
        // Without rows there is nothing that had to be noted.
        let to = (!work.is_empty()).then_some(Some(to));
        let cursor = self.cursor.take();
        let mut prepared = self.prepared(work, to, self.stands, Phase::Held { loaded: reached, complete, look: false });
        prepared.next.cursor = cursor;
        Ok(Some(prepared))
    }

    /// Takes a whole snapshot with its floor.
    async fn swap(&mut self, session: &mut Session<'_>, end: End) -> Result<Option<Prepared>, ApplyError> {
        let Some(log_id) = session.log_id(&self.origin.shard) else { return Ok(None) };
        let Some(target) = session.apply.target(&self.origin) else { return Ok(None) };
        let scope = Scope::Chunks { origin: self.origin.clone(), of: Some(end.seq), floor: Some(target) };
        let mut cursor = Cursor::new(self.origin.shard.clone(), log_id, end.begun);
        let mut work = Work::default();
        while cursor.position() < end.behind {
            let before = cursor.position();
            read_until(session, &mut cursor, end.behind).await?;
            cursor.take(&mut work, u64::MAX, &scope, &|_| true);
            if cursor.position() <= before {
                // The log ends before the snapshot's end: it was cut off, which the group's own reader reports.
                return Ok(None);
            }
        }
        let reason = hold::SWAPPED.to_owned();
        let to = Exception { kind: ExceptionKind::CatchingUp, position: end.behind, reason: reason.clone() };
        // Everything of it is taken: where something fails later, it goes on from there and does not begin anew.
        let phase = Phase::Following { snapshot: None, reason };
        let mut prepared = self.prepared(work, Some(Some(to)), end.behind, phase);
        // A tick that parks it has merged nothing.
        prepared.again_from = Some(self.stands);
        Ok(Some(prepared))
    }

    /// Applies steps in order up to where the group stands, or to the beginning of another snapshot.
    async fn follow(&mut self, session: &mut Session<'_>, end: LogPosition) -> Result<Option<Prepared>, ApplyError> {
        let Phase::Following { snapshot, reason } = &self.phase else { return Ok(None) };
        let (snapshot, reason) = (*snapshot, reason.clone());
        let scope = Scope::Only {
            origin: self.origin.clone(),
            target: session.apply.target(&self.origin),
            loaded: snapshot.map(|(seq, _)| seq),
        };
        let Some((work, reached)) = self.gather(session, self.stands, end, &scope).await? else { return Ok(None) };
        let begins = work.held.is_some();
        if reached == self.stands && !begins && reached < end {
            // The log ends before the group's place: it was cut off, which the group's own reader reports.
            return Ok(None);
        }
        let exception = |kind, reason| Some(Exception { kind, position: reached, reason });
        let (to, phase) = if begins {
            let phase = Phase::Held { loaded: reached, complete: None, look: true };
            (exception(ExceptionKind::Held, String::new()), phase)
        } else if reached < end || self.stays {
            (exception(ExceptionKind::CatchingUp, reason.clone()), Phase::Following { snapshot, reason })
        } else {
            (None, Phase::Arrived)
        };
        let cursor = self.cursor.take();
        let mut prepared = self.prepared(work, Some(to), reached, phase);
        prepared.next.cursor = cursor;
        // What is loaded is not loaded again unless it has to begin anew.
        prepared.again_from = snapshot.map(|(_, begun)| begun);
        Ok(Some(prepared))
    }

    /// Work that brings the origin to `stands` and into `phase`, with its exception becoming `to` where that is something.
    fn prepared(&self, work: Work, to: Option<Option<Exception>>, stands: LogPosition, phase: Phase) -> Prepared {
        let (origin, from) = (self.origin.clone(), Some(self.stands));
        let change = to.map(|to| ExceptionChange { origin: origin.clone(), from, to });
        let next = Self { origin, stands, phase, cursor: None, stays: self.stays };
        Prepared { work, change, again_from: None, next }
    }

    /// Reads on from `from` and takes what one tick can do; `None` where the shard's log is not open.
    async fn gather(
        &mut self,
        session: &mut Session<'_>,
        from: LogPosition,
        limit: LogPosition,
        scope: &Scope,
    ) -> Result<Option<(Work, LogPosition)>, ApplyError> {
        let Some(log_id) = session.log_id(&self.origin.shard) else { return Ok(None) };
        let known = self.cursor.take().filter(|cursor| cursor.position() == from);
        let mut cursor = known.unwrap_or_else(|| Cursor::new(self.origin.shard.clone(), log_id, from));
        let whole = read_until(session, &mut cursor, limit).await?;
        let mut work = Work::default();
        cursor.take(&mut work, session.apply.tick_bytes, scope, &|_| true);
        let reached = cursor.position().min(limit);
        // Behind a limit inside of an entry, steps were cut off: that entry has to be read again.
        self.cursor = whole.then_some(cursor);
        Ok(Some((work, reached)))
    }
}

/// Looks for the end of the snapshot that began at `begun`, or of one that began anew behind it.
async fn find_end(
    session: &mut Session<'_>,
    origin: &Origin,
    begun: LogPosition,
    end: LogPosition,
) -> Result<Option<End>, ApplyError> {
    let mut newest = None;
    for number in begun.entry..=end.entry {
        let Some(entry) = session.entry(&origin.shard, number).await? else { break };
        for (step, place) in entry.steps.iter().zip(0..) {
            let place = LogPosition { entry: number, step: place };
            if place < begun || step.origin() != origin {
                continue;
            }
            if place >= end {
                return Ok(None);
            }
            match step {
                Step::SnapshotBegin { seq, .. } => newest = Some((*seq, place)),
                Step::SnapshotEnd { seq, swap, .. } => {
                    let Some((_, begun)) = newest.filter(|(begun, _)| begun == seq) else { continue };
                    let behind = LogPosition { entry: number, step: place.step + 1 };
                    return Ok(Some(End { seq: *seq, begun, behind, swap: *swap }));
                }
                _ => {}
            }
        }
    }
    Ok(None)
}

/// Whether rows of the snapshot that begins at `place` may show with its end alone.
async fn begins_whole(session: &mut Session<'_>, origin: &Origin, place: LogPosition) -> Result<bool, ApplyError> {
    let Some(entry) = session.entry(&origin.shard, place.entry).await? else { return Ok(false) };
    let step = usize::try_from(place.step).ok().and_then(|step| entry.steps.get(step));
    Ok(matches!(step, Some(Step::SnapshotBegin { whole: true, .. })))
}

/// Reads ahead up to `limit`, and not a step further. Answers whether the cursor can go on behind it: not where an entry was cut.
async fn read_until(session: &mut Session<'_>, cursor: &mut Cursor, limit: LogPosition) -> Result<bool, ApplyError> {
    let last = if limit.step > 0 { limit.entry } else { limit.entry.saturating_sub(1) };
    while cursor.wants_more() && cursor.next_entry() <= last {
        let shard = cursor.shard.clone();
        let Some(entry) = session.entry(&shard, cursor.next_entry()).await? else { break };
        if entry.number == limit.entry {
            let mut cut = Entry::clone(&entry);
            cut.steps.truncate(usize::try_from(limit.step).unwrap_or(usize::MAX));
            cursor.push(cut);
            return Ok(false);
        }
        cursor.push(entry);
    }
    Ok(true)
}

impl super::Apply {
    /// When rows of an origin's snapshot show.
    pub(super) fn publish(&self, origin: &Origin) -> Publish {
        self.rules.resolve(&origin.database, &origin.table).map(|rule| rule.publish).unwrap_or_default()
    }

    /// Where an origin's rows go.
    pub(super) fn target(&self, origin: &Origin) -> Option<Target> {
        self.rules.resolve(&origin.database, &origin.table).map(|rule| rule.target)
    }
}
