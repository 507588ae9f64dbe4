//! Source tables put together by target: what logs, comparisons and operators say of them.
//!
//! There may be tens of thousands of source tables, and they change seldom: a table is parked, read, compared, paused. So this is
//! made once and kept until something of it changed. What changes all the time, lags and counts of rows, is not in it.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{LiveShard, Pauses, VerifiedView};
use crate::model::{Catalog, Origin, Shard, Target};

/// A making that takes less is done whenever something changed: a page that asks every three seconds costs a thousandth of a
/// core by it.
const CHEAP: Duration = Duration::from_millis(3);

/// A dearer one is kept for at least so many times the time that it took, so that it costs half a hundredth of a core however
/// many tables are compared, read or parked meanwhile.
const KEEP_TIMES: u32 = 200;

/// All source tables, by target.
#[derive(Debug, Default)]
pub struct Overview {
    /// Targets, by name.
    pub targets: Vec<TargetOverview>,
    /// Paused source tables, each with since when (UTC microseconds).
    pub paused: Vec<(Origin, i64)>,
}

/// What is known of one target's source tables.
#[derive(Debug)]
pub struct TargetOverview {
    /// The target.
    pub target: Target,
    /// Source tables.
    pub origins: u64,
    /// Shards that have some.
    pub shards: Vec<Shard>,
    /// Those whose snapshot is under way.
    pub reading: Vec<Origin>,
    /// Those that stopped arriving in the lake, each with why.
    pub parked: Vec<(Origin, String)>,
    /// Those whose old rows need a new snapshot, each with why.
    pub needs_snapshot: Vec<(Origin, String)>,
    /// Those that an operator holds back.
    pub paused: Vec<Origin>,
    /// Those that were compared.
    pub verified: u64,
    /// Rows that differed when they were compared last.
    pub different: u64,
    /// Source commit time up to which all that were compared are proven equal, UTC microseconds.
    pub through: Option<i64>,
}

impl TargetOverview {
    fn new(target: &Target) -> Self {
        Self {
            target: target.clone(),
            origins: 0,
            shards: Vec::new(),
            reading: Vec::new(),
            parked: Vec::new(),
            needs_snapshot: Vec::new(),
            paused: Vec::new(),
            verified: 0,
            different: 0,
            through: None,
        }
    }
}

/// The last one that was made.
#[derive(Debug)]
pub(super) struct Made {
    /// What it was made of: see [`version`].
    version: u64,
    took: Duration,
    at: Instant,
    overview: Arc<Overview>,
}

impl Made {
    pub(super) fn new(version: u64, make: impl FnOnce() -> Overview) -> Self {
        let at = Instant::now();
        let overview = Arc::new(make());
        Self { version, took: at.elapsed(), at, overview }
    }

    /// What was made, where it is still good enough.
    pub(super) fn kept(&self, version: u64) -> Option<Arc<Overview>> {
        let recent = self.took > CHEAP && self.at.elapsed() < self.took * KEEP_TIMES;
        (self.version == version || recent).then(|| Arc::clone(&self.overview))
    }

    pub(super) fn overview(&self) -> Arc<Overview> {
        Arc::clone(&self.overview)
    }
}

/// A number that is greater whenever something changed.
pub(super) fn version(shards: &[(Shard, Arc<LiveShard>)], others: u64) -> u64 {
    shards.iter().map(|(_, shard)| shard.version() + 1).sum::<u64>() + others
}

/// Puts together what is known. `verified` is in the order of origins.
pub(super) fn make<'a>(
    shards: &[(Shard, Arc<LiveShard>)],
    verified: impl Iterator<Item = (&'a Origin, &'a VerifiedView)>,
    pauses: &Pauses,
) -> Overview {
    let mut making = Making { places: HashMap::default(), overview: Overview::default() };
    let mut verified = verified.peekable();
    for (name, shard) in shards {
        shard.with_catalog(|catalog| making.add(name, catalog, &mut verified, pauses));
    }
    making.overview.targets.sort_unstable_by(|a, b| a.target.cmp(&b.target));
    making.overview
}

#[derive(Debug)]
struct Making {
    places: HashMap<Target, usize, ahash::RandomState>,
    overview: Overview,
}

impl Making {
    /// Adds a shard's source tables. Both lists are in the same order, so nothing is searched for.
    fn add<'a>(
        &mut self,
        shard: &Shard,
        catalog: &Catalog,
        verified: &mut std::iter::Peekable<impl Iterator<Item = (&'a Origin, &'a VerifiedView)>>,
        pauses: &Pauses,
    ) {
        for (origin, known) in &catalog.origins {
            let paused = if pauses.has_tables() { pauses.origin(origin) } else { None };
            let table = self.target(&known.target);
            table.origins += 1;
            if table.shards.last() != Some(shard) {
                table.shards.push(shard.clone());
            }
            table.reading.extend(known.snapshot.iter().map(|_| origin.clone()));
            table.parked.extend(known.parked.iter().map(|reason| (origin.clone(), reason.clone())));
            table.needs_snapshot.extend(known.needs_snapshot.iter().map(|reason| (origin.clone(), reason.clone())));
            table.paused.extend(paused.map(|_| origin.clone()));
            while verified.next_if(|(compared, _)| *compared < origin).is_some() {}
            if let Some((_, found)) = verified.next_if(|(compared, _)| *compared == origin) {
                table.verified += 1;
                table.different += found.different.unwrap_or_default();
                table.through = match table.verified {
                    1 => found.through,
                    _ => table.through.zip(found.through).map(|(a, b)| a.min(b)),
                };
            }
            self.overview.paused.extend(paused.map(|since| (origin.clone(), since)));
        }
    }

    fn target(&mut self, target: &Target) -> &mut TargetOverview {
        let targets = &mut self.overview.targets;
        let place = match self.places.get(target) {
            Some(place) => *place,
            None => {
                targets.push(TargetOverview::new(target));
                self.places.insert(target.clone(), targets.len() - 1);
                targets.len() - 1
            }
        };
        &mut targets[place]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{
        live::Live,
        model::{Digest, Seq, Step, TableOutcome, VerifiedTable},
    };

    fn live() -> Live {
        let live = Live::default();
        for shard in ["s1", "s2"].map(Shard::new) {
            let schema = |table: &str| Step::Schema {
                origin: Origin::new(&shard, "shop", table),
                target: Target::new("shop.t"),
                seq: Seq(1),
                schema: Digest::of(b"x"),
                added: Default::default(),
                appends: false,
            };
            live.shard(&shard).passed(1, &[schema("a"), schema("b")]);
        }
        live
    }

    #[test]
    fn a_change_is_seen_at_once_and_none_makes_nothing_anew() {
        let live = live();
        let before = live.overview();
        assert!(Arc::ptr_eq(&before, &live.overview()));
        let table = &before.targets[0];
        assert_eq!((before.targets.len(), table.origins, table.shards.len(), table.verified), (1, 4, 2, 0));

        let origin = Origin::new(&Shard::new("s2"), "shop", "a");
        live.verified(&origin, &VerifiedTable::new(&origin, &table.target, TableOutcome::Equal));
        assert_eq!(live.overview().targets[0].verified, 1);

        let mut pauses = Pauses::default();
        pauses.hold_tables("shop.a".parse().unwrap(), Some(Shard::new("s2")), 7);
        live.hold(pauses);
        let paused = live.overview();
        assert_eq!((&paused.paused, &paused.targets[0].paused), (&vec![(origin.clone(), 7)], &vec![origin]));

        live.shard(&Shard::new("s1")).passed(2, &[]);
        assert!(Arc::ptr_eq(&paused, &live.overview()));
    }

    #[test]
    fn what_is_dear_to_make_is_kept_for_a_while() {
        let mut made = Made::new(1, Overview::default);
        made.took = CHEAP / 2;
        assert!(made.kept(1).is_some() && made.kept(2).is_none());
        made.took = Duration::from_secs(1);
        assert!(made.kept(2).is_some());
        made.at = Instant::now().checked_sub(made.took * KEEP_TIMES).unwrap();
        assert!(made.kept(1).is_some() && made.kept(2).is_none());
    }
}
