//! The last hour of every shard, and the rates of the last seconds.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use super::held;
use crate::progress::{ProgressSnapshot, ShardProgress};

/// How often figures are looked at: rates follow what happens within seconds.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Looks that rates are taken over: 10 s, over which single files and merges even out.
const LOOKS: usize = 6;

/// Seconds between two points of the curves.
pub const POINT_SECONDS: u64 = 10;

/// Points that are kept: an hour. A point is 16 bytes, so a shard has 5.8 KB and 64 shards have 369 KB.
pub const POINTS: usize = 3600 / POINT_SECONDS as usize;

/// One point of a shard's curves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Lag over all stages in seconds; not a number where it was not known.
    pub lag: f32,
    /// Row changes read a second.
    pub read: f32,
    /// Changes merged a second.
    pub applied: f32,
    /// Which look it is: those of one number belong together. Shards that come later begin with a later one.
    number: u32,
}

/// Rates of one shard, or of a table that a snapshot reads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Row changes read a second.
    pub read: f64,
    /// Bytes of binlog read a second.
    pub bytes: f64,
    /// Changes merged a second.
    pub applied: f64,
}

/// The curves and what they are made of.
#[derive(Debug, Default)]
pub struct History(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looks: VecDeque<ProgressSnapshot>,
    /// Number of the newest point and when it was made, UTC microseconds.
    newest: (u32, i64),
    points: BTreeMap<String, VecDeque<Point>>,
}

/// The curves of one shard from a moment on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// Time of the newest point, UTC microseconds.
    pub until: i64,
    /// Points, [`POINT_SECONDS`] apart, the newest last.
    pub points: Vec<Point>,
}

impl History {
    /// Takes in what the figures are now.
    pub fn look(&self, now: ProgressSnapshot) {
        let mut state = held(&self.0);
        if state.looks.len() == LOOKS {
            state.looks.pop_front();
        }
        state.looks.push_back(now.clone());
        let (number, made) = state.newest;
        if (now.at - made).max(0) < i64::try_from(POINT_SECONDS * 1_000_000).unwrap_or(i64::MAX) - 500_000 {
            return;
        }
        state.newest = (number + 1, now.at);
        for shard in &now.shards {
            let rates = state.rates(&shard.shard, shard);
            let lag = shard.lag_seconds().map_or(f32::NAN, |lag| lag as f32);
            let point = Point { lag, read: rates.read as f32, applied: rates.applied as f32, number: number + 1 };
            let points = state.points.entry(shard.shard.clone()).or_default();
            if points.len() == POINTS {
                points.pop_front();
            }
            points.push_back(point);
        }
    }

    /// When the figures were looked at last, UTC microseconds; 0 before the first time.
    pub fn looked_at(&self) -> i64 {
        held(&self.0).looks.back().map_or(0, |look| look.at)
    }

    /// Rates of a shard, from the oldest look that is kept to these figures at `at`.
    pub fn rates(&self, shard: &ShardProgress, at: i64) -> Rates {
        let state = held(&self.0);
        state.since_oldest(at, |oldest| oldest.shards.iter().find(|s| s.shard == shard.shard).map(|s| rates(s, shard)))
    }

    /// Rows a second that a snapshot reads of a table.
    pub fn snapshot_rate(&self, origin: &str, rows: u64, at: i64) -> f64 {
        let state = held(&self.0);
        let before = |look: &ProgressSnapshot| look.tables.iter().find(|t| t.origin == origin).map(|t| t.rows);
        // A snapshot that began later than the oldest look has its own first one.
        let first = state.looks.iter().find_map(|look| Some((look.at, before(look)?)));
        first.map_or(0.0, |(since, was)| rows.saturating_sub(was) as f64 / seconds(since, at))
    }

    /// Curves of a shard behind `since` (UTC microseconds).
    pub fn curve(&self, shard: &str, since: i64) -> Curve {
        let state = held(&self.0);
        let (newest, until) = state.newest;
        let every = i64::try_from(POINT_SECONDS * 1_000_000).unwrap_or(i64::MAX);
        let kept = usize::try_from((until - since).max(0) / every).unwrap_or(POINTS).min(POINTS);
        let first = newest.saturating_sub(u32::try_from(kept).unwrap_or(u32::MAX));
        let points = state.points.get(shard).into_iter().flatten().filter(|p| p.number > first).copied().collect();
        Curve { until, points }
    }
}

impl State {
    fn rates(&self, name: &str, now: &ShardProgress) -> Rates {
        let at = self.looks.back().map_or(0, |look| look.at);
        self.since_oldest(at, |oldest| oldest.shards.iter().find(|s| s.shard == name).map(|s| rates(s, now)))
    }

    /// A difference to the oldest look, by the second.
    fn since_oldest(&self, at: i64, difference: impl Fn(&ProgressSnapshot) -> Option<Rates>) -> Rates {
        let Some(oldest) = self.looks.front() else { return Rates::default() };
        let Some(all) = difference(oldest) else { return Rates::default() };
        let seconds = seconds(oldest.at, at);
        Rates { read: all.read / seconds, bytes: all.bytes / seconds, applied: all.applied / seconds }
    }
}

fn rates(before: &ShardProgress, now: &ShardProgress) -> Rates {
    let more = |now: u64, before: u64| now.saturating_sub(before) as f64;
    Rates {
        read: more(now.rows_read, before.rows_read),
        bytes: more(now.bytes_read, before.bytes_read),
        applied: more(now.rows_applied, before.rows_applied),
    }
}

/// A time between two moments that can be divided by.
fn seconds(since: i64, at: i64) -> f64 {
    ((at - since).max(100_000)) as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(second: i64, rows: u64, names: &[&str]) -> ProgressSnapshot {
        let shard = |name: &&str| ShardProgress {
            shard: (*name).to_owned(),
            rows_read: rows,
            lag_read_seconds: Some(1.5),
            ..ShardProgress::default()
        };
        ProgressSnapshot { at: second * SECOND, shards: names.iter().map(shard).collect(), ..Default::default() }
    }

    #[test]
    fn a_point_comes_every_ten_seconds_and_an_hour_is_kept() {
        let history = History::default();
        for second in (2..=4000).step_by(2) {
            history.look(at(second, second as u64 * 30, &["a"]));
        }
        let curve = history.curve("a", 0);
        assert_eq!((curve.points.len(), curve.points[POINTS - 1].read, curve.points[0].lag), (POINTS, 30.0, 1.5));
        assert_eq!(curve.until, 4000 * SECOND);
        assert_eq!(history.curve("a", curve.until - 20 * SECOND).points.len(), 2);
        assert_eq!(history.curve("a", curve.until).points.len(), 0);
        assert_eq!(history.curve("b", 0).points.len(), 0);
    }

    #[test]
    fn rates_are_of_the_last_seconds_and_a_late_shard_has_fewer_points() {
        let history = History::default();
        for second in (2..=60).step_by(2) {
            let names: &[&str] = if second > 30 { &["a", "b"] } else { &["a"] };
            history.look(at(second, second as u64 * 10, names));
        }
        let now = at(61, 700, &["a"]);
        // From second 50 with 500 rows on.
        assert!((history.rates(&now.shards[0], now.at).read - 200.0 / 11.0).abs() < 1e-9);
        let (a, b) = (history.curve("a", 0).points, history.curve("b", 0).points);
        assert_eq!((a.len(), b.len(), b[0].read), (6, 3, 0.0));
        assert_eq!(a[3..].iter().map(|p| p.number).collect::<Vec<_>>(), b.iter().map(|p| p.number).collect::<Vec<_>>());
    }
}
