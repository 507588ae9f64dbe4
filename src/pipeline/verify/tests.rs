//! Comparisons of a source that moves with a warehouse that lags, in memory.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::sync::watch;

use super::{
    compare::{Comparing, Cut, Findings},
    error::VerifyError,
    settle::Pace,
    sides::{Follower, Side, SourceSide},
    throttle::Throttle,
};
use crate::model::checksum::{self, Group, Key, KeyRange, Relation, RowDigest, Selection};

/// A source with rows that change at every look, and a warehouse that takes the changes over later.
struct World {
    random: StdRng,
    source: BTreeMap<i64, u64>,
    /// Content and seq.
    warehouse: BTreeMap<i64, (u64, i64)>,
    /// Changes that are not applied: key and content, `None` for a delete.
    pending: VecDeque<(i64, Option<u64>)>,
    committed: u64,
    applied: u64,
    /// What was committed when the present was last named: it may lack what became visible since.
    counted: u64,
    /// Keys that change; the others stay as they are.
    hot: Vec<i64>,
    /// Changes between two looks at most.
    speed: u32,
}

impl World {
    fn new(seed: u64, rows: i64, hot: i64, speed: u32) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let source: BTreeMap<i64, u64> = (0..rows).map(|id| (id, random.random_range(0..1 << 60))).collect();
        let warehouse = source.iter().map(|(id, content)| (*id, (*content, 0))).collect();
        let hot = (0..hot).map(|_| random.random_range(0..rows + 10)).collect();
        let pending = VecDeque::new();
        Self { random, source, warehouse, pending, committed: 0, applied: 0, counted: 0, hot, speed }
    }

    /// The application writes.
    fn write(&mut self) {
        if self.hot.is_empty() {
            return;
        }
        for _ in 0..self.random.random_range(0..=self.speed) {
            let id = self.hot[self.random.random_range(0..self.hot.len())];
            // Few contents, so that a row often comes back to what it was; one that was deleted comes back as another.
            let content = match (self.random.random_bool(0.8), self.source.contains_key(&id)) {
                (false, _) => None,
                (true, true) => Some(self.random.random_range(0..3)),
                (true, false) => Some(self.committed + 1000),
            };
            match content {
                Some(content) => self.source.insert(id, content),
                None => self.source.remove(&id),
            };
            self.pending.push_back((id, content));
            self.committed += 1;
        }
    }

    /// The pipeline applies.
    fn apply(&mut self) {
        for _ in 0..self.random.random_range(0..=self.speed * 2) {
            let Some((id, content)) = self.pending.pop_front() else { return };
            self.applied += 1;
            let seq = i64::try_from(self.applied).unwrap();
            match content {
                Some(content) => self.warehouse.insert(id, (content, seq)),
                None => self.warehouse.remove(&id),
            };
        }
    }

    fn step(&mut self) {
        self.write();
        self.apply();
    }
}

fn id(key: &[String]) -> i64 {
    key.first().unwrap().parse().unwrap()
}

fn inside(range: &KeyRange, key: i64) -> bool {
    range.clauses().iter().all(|any| {
        any.iter().any(|all| {
            all.iter().all(|(_, relation, token)| {
                let bound: i64 = token.parse().unwrap();
                match relation {
                    Relation::Equal => key == bound,
                    Relation::Above => key > bound,
                    Relation::From => key >= bound,
                    Relation::Below => key < bound,
                    Relation::UpTo => key <= bound,
                }
            })
        })
    })
}

fn selected(rows: &BTreeMap<i64, (u64, i64)>, selection: &Selection) -> Vec<RowDigest> {
    let digits = selection.buckets.first().map_or(0, String::len);
    let wanted =
        |key: &Key| digits == 0 || selection.buckets.contains(&checksum::bucket(key, u8::try_from(digits).unwrap()));
    rows.iter()
        .filter(|(id, _)| inside(&selection.range, **id))
        .map(|(id, (content, seq))| RowDigest { key: vec![id.to_string()], content: *content, seq: Some(*seq) })
        .filter(|row| wanted(&row.key))
        .collect()
}

fn grouped(rows: Vec<RowDigest>, digits: u8) -> Vec<Group> {
    let mut groups: BTreeMap<String, (u64, u128)> = BTreeMap::new();
    for row in rows {
        let group = groups.entry(checksum::bucket(&row.key, digits)).or_default();
        group.0 += 1;
        group.1 += u128::from(row.content);
    }
    groups.into_iter().map(|(bucket, (rows, sum))| Group { bucket, rows, sum }).collect()
}

/// Either side. The world moves at every look.
struct Fake {
    world: Arc<Mutex<World>>,
    source: bool,
}

impl Fake {
    fn look(&self) -> BTreeMap<i64, (u64, i64)> {
        let mut world = self.world.lock().unwrap();
        world.step();
        match self.source {
            true => world.source.iter().map(|(id, content)| (*id, (*content, 0))).collect(),
            false => world.warehouse.clone(),
        }
    }
}

#[async_trait]
impl Side for Fake {
    async fn groups(&mut self, selection: &Selection, digits: u8) -> Result<Vec<Group>, VerifyError> {
        Ok(grouped(selected(&self.look(), selection), digits))
    }

    async fn rows(&mut self, selection: &Selection) -> Result<Vec<RowDigest>, VerifyError> {
        Ok(selected(&self.look(), selection))
    }

    async fn rows_of(&mut self, keys: &[Key]) -> Result<Vec<RowDigest>, VerifyError> {
        let rows = self.look();
        let row = |key: &Key| {
            let (content, seq) = rows.get(&id(key))?;
            Some(RowDigest { key: key.clone(), content: *content, seq: Some(*seq) })
        };
        Ok(keys.iter().filter_map(row).collect())
    }

    async fn values_of(&mut self, _: &Key) -> Result<Option<Vec<Option<String>>>, VerifyError> {
        Ok(None)
    }
}

#[async_trait]
impl SourceSide for Fake {
    type Moment = u64;

    async fn now(&mut self) -> Result<u64, VerifyError> {
        let mut world = self.world.lock().unwrap();
        let counted = world.counted;
        world.counted = world.committed;
        Ok(counted)
    }

    async fn bound(&mut self, after: Option<&Key>, _: usize, rows: u64) -> Result<Option<Key>, VerifyError> {
        let world = self.world.lock().unwrap();
        let after = after.map_or(i64::MIN, |key| id(key));
        // Small ranges, so that there are several.
        let rows = usize::try_from(rows.min(100)).unwrap();
        Ok(world.source.range(after + 1..).nth(rows - 1).map(|(id, _)| vec![id.to_string()]))
    }
}

#[async_trait]
impl Follower for Fake {
    type Moment = u64;

    async fn has(&mut self, moment: &u64) -> Result<bool, VerifyError> {
        let mut world = self.world.lock().unwrap();
        world.step();
        Ok(world.applied >= *moment)
    }

    fn too_late(&self, _: &u64) -> VerifyError {
        VerifyError::Stopped
    }
}

async fn compare(world: World, cut: Cut, extra_rows_stay: bool) -> Findings {
    let world = Arc::new(Mutex::new(world));
    let fake = |source| Fake { world: Arc::clone(&world), source };
    let (mut source, mut warehouse, mut follower) = (fake(true), fake(false), fake(true));
    let (_keep, stop) = watch::channel(false);
    Comparing {
        source: &mut source,
        warehouse: &mut warehouse,
        follower: &mut follower,
        throttle: &mut Throttle::new(None, stop),
        pace: Pace { poll: Duration::ZERO, apart: Duration::ZERO, patience: Duration::from_secs(60) },
        extra_rows_stay,
        ranges_max: 1000,
        differences_max: 1000,
        findings: Findings::default(),
        suspected: Vec::new(),
        suspects: Vec::new(),
    }
    .run(cut)
    .await
    .unwrap()
}

const CUTS: [Cut; 2] = [Cut::Ranges(1), Cut::Buckets { walk: 1, rows: 1000 }];

#[tokio::test]
async fn what_moves_is_never_called_different() {
    for seed in 0..150 {
        for cut in CUTS {
            let world = World::new(seed, 400, 60, 12);
            let findings = compare(world, cut, false).await;
            assert!(findings.different.is_empty(), "seed {seed} {cut:?}: {:?}", findings.different);
        }
    }
}

#[tokio::test]
async fn what_differs_is_found_while_other_rows_move() {
    for seed in 0..40 {
        for cut in CUTS {
            let mut world = World::new(seed, 1000, 30, 6);
            let cold: Vec<i64> = (0..1000).filter(|id| !world.hot.contains(id)).collect();
            let (changed, missing, extra) = (cold[17], cold[430], 5000);
            world.warehouse.get_mut(&changed).unwrap().0 ^= 1;
            world.warehouse.remove(&missing);
            world.warehouse.insert(extra, (7, 3));
            let findings = compare(world, cut, false).await;
            let mut found: Vec<i64> = findings.different.iter().map(|(s, _)| id(&s.key)).collect();
            found.sort_unstable();
            assert_eq!(found, [changed, missing, extra], "seed {seed} {cut:?}");
        }
    }
}

#[tokio::test]
async fn one_difference_costs_few_rows() {
    let mut world = World::new(1, 20_000, 0, 0);
    world.warehouse.get_mut(&777).unwrap().0 ^= 1;
    let findings = compare(world, Cut::Buckets { walk: 1, rows: 20_000 }, false).await;
    assert_eq!(findings.different.len(), 1);
    assert_eq!(findings.rows, 20_000);
    assert!(findings.rows_one_by_one < 60, "{}", findings.rows_one_by_one);
}

#[tokio::test]
async fn rows_that_stay_after_their_delete_are_no_difference_where_deletes_are_ignored() {
    for cut in CUTS {
        let mut world = World::new(3, 300, 0, 0);
        world.source.remove(&5);
        world.warehouse.get_mut(&9).unwrap().0 ^= 1;
        let findings = compare(world, cut, true).await;
        let found: Vec<i64> = findings.different.iter().map(|(s, _)| id(&s.key)).collect();
        assert_eq!(found, [9], "{cut:?}");
    }
}

#[tokio::test]
async fn a_search_ends_when_enough_is_found() {
    let mut world = World::new(4, 5000, 0, 0);
    world.warehouse.clear();
    let findings = compare(world, Cut::Ranges(1), false).await;
    assert!(findings.different.len() >= 1000 && findings.different.len() < 5000, "{}", findings.different.len());
    assert!(!findings.unsearched.is_empty());
    assert_eq!(findings.rows, 5000);
}
