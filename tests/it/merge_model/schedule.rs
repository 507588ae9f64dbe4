//! One way to bring the streams to a warehouse: entries, ticks, what each tick stages.

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
    let (mut position, mut available) = (vec![0; shards], vec![0; shards]);
    let mut ticks = Vec::new();
    for _ in 0..2_000 {
        if (0..shards).all(|s| position[s] == flat[s].len()) {
            return ticks;
        }
        let picked: Vec<usize> = match style {
            Style::Mixed => (0..shards).filter(|_| rng.random_bool(0.6)).collect(),
            Style::One => vec![rng.random_range(0..shards)],
            Style::First => order.iter().copied().find(|s| position[*s] < flat[*s].len()).into_iter().collect(),
        };
        let mut tick = Tick::default();
        let mut reached = position.clone();
        for s in picked {
            let unseen: Vec<usize> = ends[s].iter().copied().filter(|e| *e > available[s]).collect();
            if !unseen.is_empty() {
                available[s] = unseen[rng.random_range(0..3).min(unseen.len() - 1)];
            }
            reached[s] = take(&flat[s], position[s], available[s], &mut tick, &mut rng);
        }
        // A crash before the commit: nothing happened.
        if rng.random_bool(0.15) {
            continue;
        }
        position = reached;
        tick.rows.shuffle(&mut rng);
        if !tick.rows.is_empty() || !tick.floors.is_empty() {
            ticks.push(tick);
        }
    }
    panic!("the schedule does not end");
}

/// What a tick takes of one shard; answers where it stops.
fn take(stream: &[Event], from: usize, available: usize, tick: &mut Tick, rng: &mut impl Rng) -> usize {
    let mut at = from;
    while at < available {
        let event = stream[at];
        match event.kind {
            EventKind::SnapshotBegin => {
                let ahead = stream[at..available].iter().position(|e| e.kind == EventKind::SnapshotEnd);
                // Held until the snapshot is complete.
                let Some(length) = ahead else { return at };
                raise(tick, &event);
                for inside in &stream[at + 1..at + length] {
                    take_one(tick, inside);
                }
                at += length + 1;
                if rng.random_bool(0.5) {
                    return at;
                }
            }
            _ => {
                take_one(tick, &event);
                at += 1;
            }
        }
    }
    at
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
