//! Histories of a source with long transactions, ties and clocks that are set: what rounds copy is what is there at the end.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

const OVERLAP: i64 = 100;
/// Histories of each kind.
const HISTORIES: u64 = 1000;
/// Moments of a history in which something happens, and that follow it quietly.
const BUSY: i64 = 1500;

/// A change that is made and commits later.
struct Open {
    commits: i64,
    key: i64,
    stamp: i64,
    value: u64,
}

/// A source whose rows are (stamp, value) by key, with a clock that may be set.
struct Source {
    random: StdRng,
    now: i64,
    /// How far its clock is ahead of real time, and ours.
    ahead: i64,
    ours_ahead: i64,
    rows: BTreeMap<i64, (i64, u64)>,
    open: Vec<Open>,
    next_key: i64,
    /// Seconds in a tick of stamps: coarse ones tie.
    precision: i64,
    /// The clock that applications stamp with, behind the server's.
    behind: i64,
    sets_clock: bool,
    /// A clock was set since they were compared: what is set to and fro meanwhile, nobody can notice.
    was_set: bool,
}

impl Source {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let precision = [1, 1, 10, 40][random.random_range(0..4)];
        let behind = [0, 0, 500][random.random_range(0..3)];
        let sets_clock = random.random_bool(0.5);
        Self {
            random,
            now: 10_000,
            ahead: 0,
            ours_ahead: 0,
            rows: BTreeMap::new(),
            open: Vec::new(),
            next_key: 1,
            precision,
            behind,
            sets_clock,
            was_set: false,
        }
    }

    fn look(&mut self) -> Look {
        self.was_set = false;
        Look { ours: self.now + self.ours_ahead, theirs: self.now + self.ahead }
    }

    /// Time goes on; statements are made and transactions commit.
    fn pass(&mut self, moments: i64, appends: bool) {
        for _ in 0..moments {
            self.now += 1;
            if self.now < 10_000 + BUSY {
                self.work(appends);
            }
            let now = self.now;
            for done in self.open.extract_if(.., |open| open.commits <= now) {
                self.rows.insert(done.key, (done.stamp, done.value));
            }
        }
    }

    fn work(&mut self, appends: bool) {
        if self.sets_clock && !self.was_set && self.random.random_bool(0.006) {
            let ours = self.random.random_bool(0.3);
            let clock = if ours { &mut self.ours_ahead } else { &mut self.ahead };
            *clock += self.random.random_range(-300..300);
            self.was_set = true;
        }
        if self.random.random_bool(0.3) {
            let new = appends || self.next_key < 8 || self.random.random_bool(0.1);
            let key = if new { self.next_key } else { self.random.random_range(1..self.next_key) };
            self.next_key += i64::from(new);
            // Row locks: nobody changes a row that another transaction has changed.
            if self.open.iter().any(|open| open.key == key) {
                return;
            }
            let stamp = (self.now + self.ahead - self.behind).div_euclid(self.precision) * self.precision;
            let lasts = [0, 1, 5, OVERLAP - self.precision][self.random.random_range(0..4)];
            let value = self.random.random();
            self.open.push(Open { commits: self.now + lasts, key, stamp, value });
        }
    }

    fn quiet(&self) -> bool {
        self.now > 10_000 + BUSY && self.open.is_empty()
    }
}

/// Reads in the order of `(stamp, key)` in chunks of few rows, time passing between them.
fn read_by_stamp(source: &mut Source, low: Option<i64>, copy: &mut BTreeMap<i64, (i64, u64)>) {
    let mut above = (low.unwrap_or(i64::MIN), i64::MIN);
    loop {
        let mut chunk: Vec<(i64, i64, u64)> =
            source.rows.iter().map(|(k, (s, v))| (*s, *k, *v)).filter(|(s, k, _)| (*s, *k) > above).collect();
        chunk.sort_unstable();
        chunk.truncate(3);
        for (stamp, key, value) in &chunk {
            copy.insert(*key, (*stamp, *value));
            above = (*stamp, *key);
        }
        if chunk.len() < 3 {
            return;
        }
        let lasts = source.random.random_range(0..6);
        source.pass(lasts, false);
    }
}

fn by_stamp(seed: u64) {
    let mut source = Source::new(seed);
    source.pass(200, false);
    let high = |source: &Source, look: Look| source.rows.values().map(|(s, _)| *s).filter(|s| *s <= look.theirs).max();
    let mut copy = BTreeMap::new();
    let look = source.look();
    let mut window = Stamps::new(look, high(&source, look));
    read_by_stamp(&mut source, None, &mut copy);
    let mut rounds = 0;
    while rounds < 2 {
        let waits = source.random.random_range(1..200);
        source.pass(waits, false);
        rounds += i32::from(source.quiet());
        let look = source.look();
        let high = high(&source, look);
        let low = window.low(look, OVERLAP);
        read_by_stamp(&mut source, low, &mut copy);
        // Some rounds never end.
        if source.random.random_bool(0.8) {
            window.complete(look, high);
        }
        window = serde_json::from_str(&serde_json::to_string(&window).unwrap()).unwrap();
        assert!(window.periods.len() <= PERIODS_MAX);
    }
    assert_eq!(copy, source.rows, "history {seed}");
}

#[test]
fn no_row_is_lost_by_its_time() {
    (0..HISTORIES).for_each(by_stamp);
}

fn read_by_key(source: &mut Source, low: Option<i64>, copy: &mut BTreeMap<i64, (i64, u64)>) {
    let mut above = low.unwrap_or(i64::MIN);
    loop {
        let chunk: Vec<_> = source.rows.range(above.saturating_add(1)..).take(3).map(|(k, r)| (*k, *r)).collect();
        copy.extend(chunk.iter().copied());
        above = chunk.last().map_or(above, |(k, _)| *k);
        if chunk.len() < 3 {
            return;
        }
        let lasts = source.random.random_range(0..6);
        source.pass(lasts, true);
    }
}

fn by_key(seed: u64) {
    let mut source = Source::new(seed);
    source.pass(200, true);
    let mut copy = BTreeMap::new();
    let high = |source: &Source| source.rows.keys().next_back().copied();
    let look = source.look();
    let mut window = Keys::new(look, high(&source), None);
    read_by_key(&mut source, None, &mut copy);
    let mut rounds = 0;
    // Behind the last commit, a complete round looks over what was open, and another one over what a first look missed.
    while rounds < 12 {
        let waits = source.random.random_range(1..200);
        source.pass(waits, true);
        rounds += i32::from(source.quiet());
        let look = source.look();
        let high = high(&source);
        let (low, again) = window.low(look, OVERLAP);
        read_by_key(&mut source, low, &mut copy);
        if source.random.random_bool(0.8) {
            window.complete(look, high, again, OVERLAP);
        }
        assert!(window.past.len() <= PAST_MAX as usize + 2);
    }
    assert_eq!(copy, source.rows, "history {seed}");
}

#[test]
fn no_row_is_lost_by_its_key() {
    (0..HISTORIES).for_each(by_key);
}

/// A window that is narrower than transactions last does lose rows: the histories above are hard enough.
#[test]
fn an_overlap_that_is_too_short_is_found_out() {
    let lost = |seed: u64| {
        let mut source = Source::new(seed);
        source.sets_clock = false;
        source.pass(200, false);
        let mut copy = BTreeMap::new();
        let high = |source: &Source| source.rows.values().map(|(s, _)| *s).max();
        let look = source.look();
        let mut window = Stamps::new(look, high(&source));
        read_by_stamp(&mut source, None, &mut copy);
        while !source.quiet() {
            source.pass(50, false);
            let look = source.look();
            let high = high(&source);
            let low = window.low(look, OVERLAP / 4);
            read_by_stamp(&mut source, low, &mut copy);
            window.complete(look, high);
        }
        copy != source.rows
    };
    assert!((0..50).any(lost));
}
