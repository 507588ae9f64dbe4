//! Making a target anew from the lake, while the group goes on.
//!
//! A rebuild fills a *shadow*, a private table beside the target, from the log, by the same ticks that fill targets: every
//! origin of the target has a place of its own in the log ([`CatchUp`]), from which its steps are still to be applied to the
//! shadow. The places move in the transactions that merge the rows, so a rebuild goes on behind a crash where it stood. The
//! target takes part in the group's ticks meanwhile and knows nothing of it. When all places are where the group stands, the
//! shadow's rows take those of the target in one transaction, which also ends the exceptions of its origins: whatever kept
//! them behind, the rows are those of the group's place now. So the rows are equal to what the log says because they *are* what
//! the log says, and no reader sees anything between before and after.
//!
//! Requests lie in the lake ([`crate::lake::rebuilds`]). One target is rebuilt at a time; the others wait there.

mod search;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{ApplyError, catch_up::CatchUp, session::Session, tick::Tick};
use crate::{
    lake::rebuilds,
    metrics::{ErrorKind, RebuildMetrics, Stage},
    model::{Origin, Shard, Target},
    warehouse::{Exception, ExceptionChange, LogPosition, RebuildChange, Swap, TablePlan, WarehouseError},
};
use search::Search;

/// How often the lake is asked for requests: people wait for the beginning, and each time is a request to the store.
const REQUESTS_EVERY: Duration = Duration::from_secs(10);

/// What a session does for rebuilds.
#[derive(Debug, Default)]
pub(super) struct Rebuilds {
    /// The target that is being rebuilt.
    now: Option<Rebuild>,
    /// Those that were begun by an earlier session and wait for their turn.
    others: BTreeMap<Target, BTreeMap<Origin, Exception>>,
    /// When requests were looked for.
    looked: Option<Instant>,
}

/// One target that is being rebuilt.
#[derive(Debug)]
struct Rebuild {
    target: Target,
    began: Instant,
    /// Looks for the origins of the target, and where each begins.
    search: Option<Search>,
    /// Where each origin stands in the shadow.
    origins: BTreeMap<Origin, CatchUp>,
    /// Steps in front of these places were looked through for origins.
    looked: BTreeMap<Shard, LogPosition>,
    /// The last origin that was served.
    turn: Option<Origin>,
    metrics: RebuildMetrics,
}

/// What became of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Something came forward.
    Moved,
    /// Nothing can be done now: a snapshot of an origin is under way.
    Waits,
    /// The target is rebuilt.
    Done,
}

impl Rebuilds {
    /// What the warehouse says at the beginning of a session.
    pub(super) fn of(places: BTreeMap<Target, BTreeMap<Origin, Exception>>) -> Self {
        Self { now: None, others: places, looked: None }
    }

    /// Whether a table is being rebuilt, or waits for its turn.
    pub(super) fn any(&self) -> bool {
        self.now.is_some() || !self.others.is_empty()
    }

    /// Whether a table is being rebuilt.
    pub(super) fn under_way(&self) -> bool {
        self.now.is_some()
    }
}

impl Session<'_> {
    /// Brings the rebuild under way forward by one tick, or begins one that is asked for. Answers whether anything was done.
    pub(super) async fn rebuild(&mut self, drained: bool) -> Result<bool, ApplyError> {
        if self.rebuilds.now.is_none() {
            self.rebuilds.now = self.next_rebuild(drained).await?;
        }
        let Some(mut rebuild) = self.rebuilds.now.take() else { return Ok(false) };
        match self.forward(&mut rebuild).await {
            Ok(Turn::Done) => Ok(true),
            Ok(turn) => {
                self.rebuilds.now = Some(rebuild);
                Ok(turn == Turn::Moved)
            }
            Err(error) if is_own(&error) => {
                self.give_up(rebuild, &error).await?;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// One that an earlier session began, or that somebody asks for.
    async fn next_rebuild(&mut self, drained: bool) -> Result<Option<Rebuild>, ApplyError> {
        if let Some((target, places)) = self.rebuilds.others.pop_first() {
            tracing::info!(group = self.apply.group, %target, "a rebuild goes on");
            let place = |(origin, place): (Origin, Exception)| (origin.clone(), CatchUp::of(&origin, &place).staying());
            return Ok(Some(self.looking(target, places.into_iter().map(place).collect())));
        }
        let soon = self.rebuilds.looked.is_some_and(|looked| looked.elapsed() < REQUESTS_EVERY);
        if soon && !drained {
            return Ok(None);
        }
        self.rebuilds.looked = Some(Instant::now());
        let waiting = rebuilds::Rebuild::waiting(&*self.apply.store, &self.apply.group).await?;
        let Some(request) = waiting.into_iter().next() else { return Ok(None) };
        tracing::info!(group = self.apply.group, target = %request.target, "a rebuild begins");
        Ok(Some(self.looking(request.target, BTreeMap::new())))
    }

    fn looking(&self, target: Target, origins: BTreeMap<Origin, CatchUp>) -> Rebuild {
        let metrics = self.apply.metrics.rebuild_begins(&target);
        let search = Some(self.search(&target));
        Rebuild { target, began: Instant::now(), search, origins, looked: BTreeMap::new(), turn: None, metrics }
    }

    /// One turn.
    async fn forward(&mut self, rebuild: &mut Rebuild) -> Result<Turn, ApplyError> {
        // While a cursor is ahead of the warehouse, what the target shows is not told by the warehouse's place.
        if self.shards().iter().any(|shard| self.stands(shard).is_none()) {
            return Ok(Turn::Waits);
        }
        if let Some(search) = &mut rebuild.search {
            if self.search_on(search).await? {
                let search = rebuild.search.take();
                self.found(rebuild, search.unwrap_or_default()).await?;
            }
            return Ok(Turn::Moved);
        }
        let looked = self.look_on(rebuild).await?;
        let filled = self.fill(rebuild).await?;
        // Nothing but this task moves the group, so what is at rest now is so until the swap.
        let rests =
            |(origin, place): (&Origin, &CatchUp)| self.stands(&origin.shard).is_some_and(|end| place.rests(end));
        // One that is paused, or waits for a snapshot, is not to be brought to the group's place behind its back.
        let held = |origin: &Origin| {
            let paused = self.apply.held.borrow().origin(origin).is_some();
            paused || self.behind.get(origin).is_some_and(CatchUp::is_held)
        };
        if looked && rebuild.origins.iter().all(rests) && !rebuild.origins.keys().any(held) {
            self.swap(rebuild).await?;
            return Ok(Turn::Done);
        }
        Ok(if filled || !looked { Turn::Moved } else { Turn::Waits })
    }

    /// The search has come to its end: the shadow is made, and the places of all origins are noted.
    async fn found(&mut self, rebuild: &mut Rebuild, found: Search) -> Result<(), ApplyError> {
        rebuild.looked.clone_from(&found.ends);
        if rebuild.origins.is_empty() {
            let plan = self.shadow_plan(&rebuild.target, &found).await?;
            self.apply.warehouse.drop_shadow(&self.fence, &rebuild.target, &[]).await?;
            self.apply.warehouse.ensure_table(&self.fence, &plan).await?;
            self.targets.forget(&plan.target);
            self.targets.plans.insert(plan.target.clone(), plan);
        }
        rebuild.metrics.estimate(found.rows);
        let (target, rows, origins) = (&rebuild.target, found.rows, found.places.len());
        tracing::info!(group = self.apply.group, %target, origins, rows, "the lake is read for a rebuild");
        self.open_places(rebuild, found.places).await?;
        self.forget_request(&rebuild.target).await
    }

    /// How the shadow is to be: the target's own columns, as the newest schemas and the configuration have them.
    async fn shadow_plan(&self, target: &Target, found: &Search) -> Result<TablePlan, ApplyError> {
        let refuse = |reason: &str| WarehouseError::Table { target: target.clone(), reason: reason.to_owned() };
        let origin = found.places.keys().next().ok_or_else(|| refuse("no source table that is copied feeds it"))?;
        let rule = self.apply.rules.resolve(&origin.database, &origin.table);
        let rule = rule.ok_or_else(|| refuse("no [[table]] rule matches its source tables any more"))?;
        let live = self.apply.warehouse.columns(&self.fence, target).await?;
        let live = live.ok_or_else(|| refuse("the warehouse has no such table yet: nothing was merged into it"))?;
        let mut schemas = Vec::with_capacity(found.schemas.len());
        for schema in &found.schemas {
            schemas.push(self.apply.schemas.load(target, schema).await?);
        }
        Ok(TablePlan::of_shadow(&rule, &live, &schemas)?)
    }

    /// Notes places of origins that the rebuild does not have yet.
    async fn open_places(
        &mut self,
        rebuild: &mut Rebuild,
        places: BTreeMap<Origin, Exception>,
    ) -> Result<(), ApplyError> {
        let new: Vec<_> = places.into_iter().filter(|(origin, _)| !rebuild.origins.contains_key(origin)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let open = |(origin, place): &(Origin, Exception)| ExceptionChange {
            origin: origin.clone(),
            from: None,
            to: Some(place.clone()),
        };
        let rebuilds = new.iter().map(|new| rebuild.change(open(new))).collect();
        self.perform_for_rebuild(Tick { rebuilds, ..Tick::default() }).await?;
        for (origin, place) in new {
            let place = CatchUp::of(&origin, &place).staying();
            rebuild.origins.insert(origin, place);
        }
        Ok(())
    }

    /// Brings the origins forward by one tick that they share, in turns. Answers whether any came forward.
    async fn fill(&mut self, rebuild: &mut Rebuild) -> Result<bool, ApplyError> {
        let (mut tick, mut prepared) = (Tick::default(), Vec::new());
        let mut origins: Vec<Origin> = rebuild.origins.keys().cloned().collect();
        let turn = rebuild.turn.as_ref().map_or(0, |last| origins.partition_point(|origin| origin <= last));
        origins.rotate_left(turn);
        for origin in origins {
            if tick.work.bytes >= self.apply.tick_bytes {
                break;
            }
            let Some(place) = rebuild.origins.get_mut(&origin) else { continue };
            let Some(part) = place.prepare(self).await? else { continue };
            tick.work.absorb(part.work);
            tick.rebuilds.extend(part.change.map(|change| rebuild.change(change)));
            rebuild.turn = Some(origin);
            prepared.push(part.next);
        }
        if prepared.is_empty() {
            return Ok(false);
        }
        tick.work.turn_to_shadow(&rebuild.target);
        let rows: u64 = tick.work.tables.values().flat_map(|work| &work.files).map(|file| file.rows).sum();
        if !tick.work.is_empty() || !tick.rebuilds.is_empty() {
            self.perform_for_rebuild(tick).await?;
        }
        rebuild.metrics.loaded(rows);
        for next in prepared {
            rebuild.origins.insert(next.origin().clone(), next);
        }
        Ok(true)
    }

    async fn perform_for_rebuild(&mut self, tick: Tick) -> Result<(), ApplyError> {
        self.apply.perform(&self.fence, &mut self.number, &mut self.targets, tick).await?;
        Ok(())
    }

    /// The shadow's rows take the place of the target's.
    async fn swap(&mut self, rebuild: &Rebuild) -> Result<(), ApplyError> {
        let target = &rebuild.target;
        let mut exceptions = Vec::new();
        for origin in rebuild.origins.keys() {
            let from = self.behind.get(origin).map(CatchUp::stands);
            exceptions.extend(from.map(|from| ExceptionChange { origin: origin.clone(), from: Some(from), to: None }));
        }
        let (fence, rebuilds) = (self.fence.clone(), rebuild.closed());
        let report = self.apply.warehouse.swap(&Swap { fence, target: target.clone(), exceptions, rebuilds }).await?;
        for origin in rebuild.origins.keys() {
            self.behind.remove(origin);
        }
        self.targets.forget(target);
        self.targets.forget(&target.shadow());
        self.count_parked();
        let (rows, rows_before, took) = (report.rows, report.rows_before, rebuild.began.elapsed());
        tracing::info!(group = self.apply.group, %target, rows, rows_before, ?took, "the table was rebuilt");
        // One that was asked for meanwhile is fulfilled by this one.
        self.forget_request(target).await
    }

    /// A rebuild that cannot go on ends; the target is as it was.
    async fn give_up(&mut self, rebuild: Rebuild, error: &ApplyError) -> Result<(), ApplyError> {
        let (group, target) = (&self.apply.group, &rebuild.target);
        let error = crate::errors::chain(error);
        tracing::error!(group, %target, error, "the rebuild was given up; the table is as it was");
        self.apply.metrics.error(Stage::Warehouse, ErrorKind::Table);
        self.targets.forget(&target.shadow());
        self.apply.warehouse.drop_shadow(&self.fence, target, &rebuild.closed()).await?;
        self.forget_request(target).await
    }

    async fn forget_request(&self, target: &Target) -> Result<(), ApplyError> {
        let request = rebuilds::Rebuild::new(&self.apply.group, target.clone(), 0);
        Ok(request.forget(&*self.apply.store).await?)
    }
}

impl Rebuild {
    fn change(&self, change: ExceptionChange) -> RebuildChange {
        RebuildChange { target: self.target.clone(), change }
    }

    /// Changes that end all of its places.
    fn closed(&self) -> Vec<RebuildChange> {
        let close = |(origin, place): (&Origin, &CatchUp)| {
            let (origin, from) = (origin.clone(), Some(place.stands()));
            self.change(ExceptionChange { origin, from, to: None })
        };
        self.origins.iter().map(close).collect()
    }
}

/// Whether an error is the rebuild's own: the group could go on without it.
fn is_own(error: &ApplyError) -> bool {
    match error {
        ApplyError::Warehouse(e) => matches!(e, WarehouseError::Table { .. } | WarehouseError::Fatal { .. }),
        ApplyError::Log(_) | ApplyError::Schema(_) => !error.is_transient(),
        ApplyError::Store(_) | ApplyError::Undecided { .. } => false,
    }
}
