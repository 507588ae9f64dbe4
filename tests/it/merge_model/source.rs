//! A script of source operations, what is true after it, and the stream each shard makes of it.
//!
//! Operations that are not possible where they stand are skipped, so that a script shrinks by leaving elements out.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, seq::IndexedRandom};

/// What happens to `updated_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Copied from the row before, also from another shard.
    Same,
    Now,
    /// Set back.
    Back,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Insert,
    Update,
    Delete,
    /// The primary key changes.
    Rekey,
    Truncate,
    /// An update without an event.
    HiddenUpdate,
    /// A delete without an event.
    HiddenDelete,
    SnapshotBegin,
    /// One that is under way begins anew, as behind a DDL.
    SnapshotAgain,
    /// A chunk of a snapshot with one key.
    SnapshotRead,
    SnapshotEnd,
    XaPrepare,
    XaCommit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) kind: Kind,
    pub(crate) shard: usize,
    pub(crate) key: i64,
    /// Only of [`Kind::Rekey`].
    pub(crate) key2: i64,
    pub(crate) stamp: Stamp,
}

/// What kind of histories are made.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) shards: usize,
    pub(crate) keys: &'static [i64],
    pub(crate) global: bool,
    pub(crate) soft: bool,
    /// Whether there is an `updated_at` column.
    pub(crate) updated_at: bool,
    /// Nothing is captured before a first snapshot.
    pub(crate) initial: bool,
    /// Operations that share one commit time.
    pub(crate) resolution: i64,
    /// Clock skews that a shard may have.
    pub(crate) skews: &'static [i64],
    pub(crate) weights: Vec<(Kind, u32)>,
    pub(crate) length_max: usize,
    /// Whether deleted rows, too, must not depend on the schedule.
    pub(crate) dead_rows_matter: bool,
}

impl Config {
    fn weight(&self, kind: Kind) -> bool {
        self.weights.iter().any(|(k, w)| *k == kind && *w > 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Insert,
    Update,
    Delete,
    Snapshot,
    Truncate,
    SnapshotBegin,
    SnapshotEnd,
}

impl EventKind {
    pub(crate) fn is_change(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Delete)
    }
}

/// An event of a shard's stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) shard: usize,
    pub(crate) seq: i64,
    pub(crate) key: i64,
    pub(crate) value: i64,
    pub(crate) updated_at: Option<i64>,
    pub(crate) committed_at: i64,
}

/// Value and `updated_at` of a row.
type RowState = (i64, Option<i64>);

#[derive(Debug)]
pub(crate) struct Outcome {
    /// Live rows per shard.
    pub(crate) live: Vec<BTreeMap<i64, RowState>>,
    pub(crate) streams: Vec<Vec<Event>>,
    /// Whether the history ends where the truth is defined: nothing open, nothing hidden, no key live twice.
    pub(crate) complete: bool,
}

struct Snapshot {
    seq: i64,
    read: BTreeSet<i64>,
}

struct Source<'a> {
    config: &'a Config,
    skew: &'a [i64],
    live: Vec<BTreeMap<i64, RowState>>,
    streams: Vec<Vec<Event>>,
    seq: Vec<i64>,
    snapshots: Vec<Option<Snapshot>>,
    hidden: BTreeSet<usize>,
    captured: Vec<bool>,
    /// Newest `updated_at` ever given to a key: a move keeps it.
    last_stamp: BTreeMap<i64, Option<i64>>,
    prepared: BTreeMap<(usize, i64), RowState>,
    value: i64,
    /// Place in the script, the wall clock.
    now: i64,
}

/// Interprets a script. `skew` is the clock error per shard.
pub(crate) fn interpret(script: &[Operation], config: &Config, skew: &[i64]) -> Outcome {
    let n = config.shards;
    let mut source = Source {
        config,
        skew,
        live: vec![BTreeMap::new(); n],
        streams: vec![Vec::new(); n],
        seq: vec![0; n],
        snapshots: (0..n).map(|_| None).collect(),
        hidden: BTreeSet::new(),
        captured: vec![!config.initial; n],
        last_stamp: BTreeMap::new(),
        prepared: BTreeMap::new(),
        value: 0,
        now: 0,
    };
    for operation in script {
        source.now += 1;
        source.step(operation);
    }
    let complete = source.prepared.is_empty()
        && source.snapshots.iter().all(Option::is_none)
        && source.hidden.is_empty()
        && source.captured.iter().all(|c| *c)
        && (!config.global
            || config.keys.iter().all(|k| source.live.iter().filter(|l| l.contains_key(k)).count() <= 1));
    Outcome { live: source.live, streams: source.streams, complete }
}

impl Source<'_> {
    fn emit(&mut self, shard: usize, kind: EventKind, key: i64, (value, updated_at): RowState) {
        self.seq[shard] += 1;
        let resolution = self.config.resolution;
        let committed_at = (self.now / resolution) * 10 * resolution + self.skew[shard];
        if self.captured[shard] {
            let seq = self.seq[shard];
            self.streams[shard].push(Event { kind, shard, seq, key, value, updated_at, committed_at });
        }
    }

    fn stamp(&self, stamp: Stamp, key: i64, current: Option<i64>) -> Option<i64> {
        if !self.config.updated_at {
            return None;
        }
        let base = current.or_else(|| self.last_stamp.get(&key).copied().flatten());
        match stamp {
            Stamp::Same if base.is_some() => base,
            Stamp::Back => Some(base.unwrap_or(self.now * 10) - 35),
            Stamp::Null => None,
            _ => Some(self.now * 10),
        }
    }

    fn write(&mut self, shard: usize, kind: EventKind, key: i64, stamp: Option<i64>) {
        self.value += 1;
        let row = (self.value, stamp);
        self.live[shard].insert(key, row);
        self.last_stamp.insert(key, stamp);
        self.emit(shard, kind, key, row);
    }

    fn step(&mut self, o: &Operation) {
        let (s, k) = (o.shard, o.key);
        let current = self.live[s].get(&k).copied();
        let locked = self.prepared.contains_key(&(s, k));
        match (o.kind, current) {
            (Kind::Insert | Kind::Update | Kind::Delete | Kind::Rekey | Kind::HiddenUpdate | Kind::HiddenDelete, _)
                if locked => {}
            (Kind::Insert, None) => self.insert(o),
            (Kind::Update, Some((_, at))) => {
                let stamp = self.stamp(o.stamp, k, at);
                self.write(s, EventKind::Update, k, stamp);
            }
            (Kind::Delete, Some(row)) => {
                self.live[s].remove(&k);
                self.emit(s, EventKind::Delete, k, row);
            }
            (Kind::Rekey, Some(row)) => self.rekey(o, row),
            (Kind::Truncate, _) => self.truncate(s),
            (Kind::HiddenUpdate, Some((_, at))) => {
                self.value += 1;
                self.live[s].insert(k, (self.value, at));
                self.hidden.insert(s);
            }
            (Kind::HiddenDelete, Some(_)) => {
                self.live[s].remove(&k);
                self.hidden.insert(s);
            }
            (Kind::XaPrepare, Some((_, at))) if !locked => {
                self.value += 1;
                let stamp = self.stamp(o.stamp, k, at);
                self.prepared.insert((s, k), (self.value, stamp));
            }
            (Kind::XaCommit, _) => {
                if let Some(row) = self.prepared.remove(&(s, k)) {
                    self.live[s].insert(k, row);
                    self.emit(s, EventKind::Update, k, row);
                }
            }
            (Kind::SnapshotBegin, _) if self.snapshots[s].is_none() => self.snapshot_begin(s),
            (Kind::SnapshotAgain, _) if self.snapshots[s].is_some() => self.snapshot_begin(s),
            (Kind::SnapshotRead, _) => self.snapshot_read(s, &[k]),
            (Kind::SnapshotEnd, _) => self.snapshot_end(s),
            _ => {}
        }
    }

    /// Waits for prepared transactions, as MySQL's does: not possible while there are any.
    fn truncate(&mut self, s: usize) {
        if !self.live[s].is_empty() && !self.prepared.keys().any(|(x, _)| *x == s) {
            self.live[s].clear();
            self.emit(s, EventKind::Truncate, 0, (0, None));
        }
    }

    /// A fresh row, or a move from the shard that has the key.
    fn insert(&mut self, o: &Operation) {
        let mut moved = None;
        if self.config.global {
            let mut owners = self.live.iter().filter_map(|l| l.get(&o.key));
            moved = owners.next().and_then(|(_, at)| *at);
            if owners.next().is_some() {
                return;
            }
        }
        let stamp = self.stamp(o.stamp, o.key, moved);
        self.write(o.shard, EventKind::Insert, o.key, stamp);
    }

    fn rekey(&mut self, o: &Operation, row: RowState) {
        let (s, to) = (o.shard, o.key2);
        let taken = |live: &BTreeMap<i64, RowState>| live.contains_key(&to);
        if taken(&self.live[s]) || self.prepared.contains_key(&(s, to)) {
            return;
        }
        if self.config.global && self.live.iter().any(taken) {
            return;
        }
        self.live[s].remove(&o.key);
        self.emit(s, EventKind::Delete, o.key, row);
        let stamp = self.stamp(o.stamp, to, row.1);
        self.write(s, EventKind::Insert, to, stamp);
    }

    fn marker(&mut self, shard: usize, kind: EventKind, seq: i64) {
        self.streams[shard].push(Event { kind, shard, seq, key: 0, value: 0, updated_at: None, committed_at: 0 });
    }

    fn snapshot_begin(&mut self, s: usize) {
        self.captured[s] = true;
        // A seq of its own: every later event beats the snapshot's rows.
        self.seq[s] += 1;
        self.hidden.remove(&s);
        let seq = self.seq[s];
        self.snapshots[s] = Some(Snapshot { seq, read: BTreeSet::new() });
        self.marker(s, EventKind::SnapshotBegin, seq);
    }

    fn snapshot_read(&mut self, s: usize, keys: &[i64]) {
        let Some(snapshot) = &mut self.snapshots[s] else { return };
        for &key in keys {
            if !snapshot.read.insert(key) {
                continue;
            }
            if let Some(&(value, updated_at)) = self.live[s].get(&key) {
                let committed_at = self.now * 10 + self.skew[s];
                let (kind, seq) = (EventKind::Snapshot, snapshot.seq);
                self.streams[s].push(Event { kind, shard: s, seq, key, value, updated_at, committed_at });
            }
        }
    }

    fn snapshot_end(&mut self, s: usize) {
        let keys = self.config.keys;
        self.snapshot_read(s, keys);
        if let Some(snapshot) = self.snapshots[s].take() {
            self.marker(s, EventKind::SnapshotEnd, snapshot.seq);
        }
    }
}

/// A random script that tends to end completely.
pub(crate) fn generate(rng: &mut impl Rng, config: &Config) -> Vec<Operation> {
    let stamps = [Stamp::Same, Stamp::Now, Stamp::Back, Stamp::Null];
    let mut script = Vec::new();
    let plain = |kind, shard, key| Operation { kind, shard, key, key2: key, stamp: Stamp::Now };
    for _ in 0..rng.random_range(2..config.length_max) {
        let kind = config.weights.choose_weighted(rng, |(_, w)| *w).unwrap().0;
        let key = *config.keys.choose(rng).unwrap();
        let others: Vec<i64> = config.keys.iter().copied().filter(|k| *k != key).collect();
        let key2 = others.choose(rng).copied().unwrap_or(key);
        let (shard, stamp) = (rng.random_range(0..config.shards), *stamps.choose(rng).unwrap());
        script.push(Operation { kind, shard, key, key2, stamp });
    }
    for shard in 0..config.shards {
        script.extend(config.keys.iter().map(|k| plain(Kind::XaCommit, shard, *k)));
    }
    if config.weight(Kind::SnapshotBegin) || config.initial {
        script.extend((0..config.shards).map(|s| plain(Kind::SnapshotEnd, s, 0)));
    }
    if config.weight(Kind::HiddenDelete) || config.weight(Kind::HiddenUpdate) || config.initial {
        for shard in 0..config.shards {
            script.push(plain(Kind::SnapshotBegin, shard, 0));
            let read: Vec<i64> = config.keys.iter().copied().filter(|_| rng.random_bool(0.5)).collect();
            script.extend(read.into_iter().map(|k| plain(Kind::SnapshotRead, shard, k)));
            if rng.random_bool(0.5) {
                script.push(plain(Kind::Update, shard, config.keys[0]));
            }
            script.push(plain(Kind::SnapshotEnd, shard, 0));
        }
    }
    if config.global {
        for key in config.keys {
            let owner = rng.random_range(0..config.shards);
            let others = (0..config.shards).filter(|s| *s != owner);
            script.extend(others.map(|s| plain(Kind::Delete, s, *key)));
        }
    }
    script
}
