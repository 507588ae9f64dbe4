//! One way to bring the streams to a warehouse: entries, ticks, what each tick stages. Origins are held during snapshots and caught
//! up in ticks of their own, as `pipeline/apply/catch_up.rs` does it.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom, seq::SliceRandom};

use super::source::{Event, EventKind};

/// Rows and floors of one tick.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tick {
    pub(crate) rows: Vec<Event>,
    /// Greatest floor per shard.
    pub(crate) floors: BTreeMap<usize, i64>,
}

/// Cuts a stream into entries; often keeps only the last change per key and entry, in runs between markers.
fn entries(stream: &[Event], rng: &mut impl Rng) -> Vec<Vec<Event>> {
    let mut entries = vec![Vec::new()];
    for event in stream {
        entries.last_mut().unwrap().push(*event);
        if rng.random_bool(0.45) {
            entries.push(Vec::new());
        }
    }
    entries.retain(|e| !e.is_empty());
    if rng.random_bool(0.6) {
        for entry in &mut entries {
            dedupe(entry);
        }
    }
    entries
}

fn dedupe(entry: &mut Vec<Event>) {
    let mut later = BTreeSet::new();
    let mut kept: Vec<Event> = Vec::new();
    for event in entry.iter().rev() {
        if event.kind.is_change() {
            if !later.insert(event.key) {
                continue;
            }
        } else if event.kind != EventKind::Snapshot {
            later.clear();
        }
        kept.push(*event);
    }
    kept.reverse();
    *entry = kept;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Some shards in each tick.
    Mixed,
    /// One shard in each tick.
    One,
    /// One shard as long as it has something, then the next.
    First,
}

/// Where a shard's origin is.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// With its group, in front of this event.
    Group(usize),
    /// Its snapshot began at the one event; rows in front of the other are loaded.
    Held { begun: usize, loaded: usize },
    /// The snapshot's rows are loaded; what followed its beginning is applied in order.
    Following { at: usize, snapshot: i64 },
}

/// What has been read of a shard's stream, and how.
struct Reading<'a> {
    stream: &'a [Event],
    available: usize,
    place: Place,
    /// Rows of snapshots are loaded before the end is known.
    progressively: bool,
}

/// All ticks of one schedule; ticks that are given up before their commit replay differently.
pub(crate) fn schedule(streams: &[Vec<Event>], seed: u64) -> Vec<Tick> {
    let mut rng = StdRng::seed_from_u64(seed);
    let shards = streams.len();
    let entries: Vec<Vec<Vec<Event>>> = streams.iter().map(|s| entries(s, &mut rng)).collect();
    let flat: Vec<Vec<Event>> = entries.iter().map(|e| e.concat()).collect();
    let ends: Vec<Vec<usize>> = entries
        .iter()
        .map(|e| {
            e.iter()
                .scan(0, |end, entry| {
                    *end += entry.len();
                    Some(*end)
                })
                .collect()
        })
        .collect();
    let style = *[Style::Mixed, Style::One, Style::First].choose(&mut rng).unwrap();
    let mut order: Vec<usize> = (0..shards).collect();
    order.shuffle(&mut rng);
    let mut readings: Vec<Reading<'_>> = flat
        .iter()
        .map(|stream| Reading { stream, available: 0, place: Place::Group(0), progressively: rng.random_bool(0.5) })
        .collect();
    let done = |r: &Reading<'_>| matches!(r.place, Place::Group(at) if at == r.stream.len());
    let mut ticks = Vec::new();
    for _ in 0..4_000 {
        if readings.iter().all(done) {
            return ticks;
        }
        let picked: Vec<usize> = match style {
            Style::Mixed => (0..shards).filter(|_| rng.random_bool(0.6)).collect(),
            Style::One => vec![rng.random_range(0..shards)],
            Style::First => order.iter().copied().find(|s| !done(&readings[*s])).into_iter().collect(),
        };
        let mut tick = Tick::default();
        let before: Vec<Place> = readings.iter().map(|r| r.place).collect();
        for s in picked {
            let reading = &mut readings[s];
            let unseen: Vec<usize> = ends[s].iter().copied().filter(|e| *e > reading.available).collect();
            if !unseen.is_empty() {
                reading.available = unseen[rng.random_range(0..3).min(unseen.len() - 1)];
            }
            reading.take(&mut tick, &mut rng);
        }
        // A crash before the commit: nothing happened.
        if rng.random_bool(0.15) {
            readings.iter_mut().zip(before).for_each(|(reading, place)| reading.place = place);
            continue;
        }
        tick.rows.shuffle(&mut rng);
        if !tick.rows.is_empty() || !tick.floors.is_empty() {
            ticks.push(tick);
        }
    }
    panic!("the schedule does not end");
}

impl Reading<'_> {
    /// What one tick takes of the shard.
    fn take(&mut self, tick: &mut Tick, rng: &mut impl Rng) {
        match self.place {
            Place::Group(at) => self.go_on(at, tick),
            Place::Held { begun, loaded } => self.load(begun, loaded, tick, rng),
            Place::Following { at, snapshot } => self.follow(at, snapshot, tick, rng),
        }
    }

    fn go_on(&mut self, from: usize, tick: &mut Tick) {
        for at in from..self.available {
            if self.stream[at].kind == EventKind::SnapshotBegin {
                self.place = Place::Held { begun: at, loaded: at };
                return;
            }
            take_one(tick, &self.stream[at]);
        }
        self.place = Place::Group(self.available);
    }

    /// Rows of the snapshot that is complete, all of them before any change: a delete leaves no trace.
    fn load(&mut self, begun: usize, loaded: usize, tick: &mut Tick, rng: &mut impl Rng) {
        let complete = self.find_end(begun);
        let (of, limit) = match complete {
            Some((snapshot, end)) => (Some(snapshot), end),
            None if self.progressively => (None, self.available),
            None => return,
        };
        let mut at = loaded;
        while at < limit {
            let event = self.stream[at];
            if event.kind == EventKind::Snapshot && of.is_none_or(|of| of == event.seq) {
                tick.rows.push(event);
            }
            at += 1;
            if rng.random_bool(0.2) {
                break;
            }
        }
        self.place = match of {
            Some(snapshot) if at >= limit => Place::Following { at: begun, snapshot },
            _ => Place::Held { begun, loaded: at },
        };
    }

    /// Number of the first snapshot that is complete, of those that began at `begun` and behind it; and the place of its end.
    fn find_end(&self, begun: usize) -> Option<(i64, usize)> {
        let mut newest = None;
        for (place, event) in self.stream[..self.available].iter().enumerate().skip(begun) {
            match event.kind {
                EventKind::SnapshotBegin => newest = Some(event.seq),
                EventKind::SnapshotEnd if newest == Some(event.seq) => return Some((event.seq, place)),
                _ => {}
            }
        }
        None
    }

    fn follow(&mut self, from: usize, snapshot: i64, tick: &mut Tick, rng: &mut impl Rng) {
        let mut at = from;
        while at < self.available {
            let event = self.stream[at];
            match event.kind {
                EventKind::SnapshotBegin if event.seq > snapshot => {
                    self.place = Place::Held { begun: at, loaded: at };
                    return;
                }
                EventKind::SnapshotEnd => raise(tick, &event),
                EventKind::Snapshot => {}
                _ => take_one(tick, &event),
            }
            at += 1;
            if at < self.available && rng.random_bool(0.2) {
                self.place = Place::Following { at, snapshot };
                return;
            }
        }
        self.place = Place::Group(at);
    }
}

fn take_one(tick: &mut Tick, event: &Event) {
    match event.kind {
        EventKind::Truncate => raise(tick, event),
        EventKind::SnapshotBegin | EventKind::SnapshotEnd => {}
        _ => tick.rows.push(*event),
    }
}

fn raise(tick: &mut Tick, event: &Event) {
    let floor = tick.floors.entry(event.shard).or_insert(event.seq);
    *floor = event.seq.max(*floor);
}
