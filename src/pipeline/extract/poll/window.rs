//! From where a round has to look, so that nothing that was committed late is missed. Pure: clocks and marks come in as values.
//!
//! # Why nothing is lost
//! Both windows rest on one promise of the operator: a transaction commits within `overlap` after it stamped or inserted a row.
//!
//! **By a time.** A round takes its mark when it begins: the latest stamp that is visible then and not in the future. What it
//! misses commits while or after it reads, so it was stamped less than `overlap` before that, and the round's beginning is no later
//! than its mark. The next round begins `overlap` in front of the mark and finds it. When the server's clock is set, stamps jump: the
//! clock is compared with ours at every round, and a round looks back further by as much as the two drifted apart since
//! something that may still commit can have been stamped. Clocks that are set to and fro between two rounds look as if they had not
//! been; nothing can notice that, and `docs/modes.md` says so.
//!
//! **By a key.** Keys are handed out in order and committed in any. A round notes the greatest key that is visible when it
//! begins; everything below it was handed out before, so it is committed `overlap` later. The mark is therefore the note of a
//! round that began `overlap` before another one that is complete: that other one has read everything below it.

use serde::{Deserialize, Serialize};

/// Two clocks at one moment, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline::extract) struct Look {
    /// This machine's, UTC.
    pub(in crate::pipeline::extract) ours: i64,
    /// The source's, in the frame of what is compared with it.
    pub(in crate::pipeline::extract) theirs: i64,
}

/// Most periods of the source's clock that are kept. One that is set more often within an overlap is taken for worse than it is.
const PERIODS_MAX: usize = 32;

/// Two clocks that are asked over a network disagree by this much, microseconds.
const JITTER: i64 = 100_000;

/// A window over a column of times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline::extract) struct Stamps {
    /// `None` while no row told a time: everything is looked at.
    mark: Option<i64>,
    /// When the newest complete round began, by our clock.
    began: i64,
    periods: Vec<Period>,
}

/// A time in which the source's clock ran beside ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Period {
    /// Its end by our clock.
    to: i64,
    /// How far the source's clock was ahead of ours, at least and at most.
    ahead: (i64, i64),
}

impl Stamps {
    /// All rows are read in a round that begins now, when `high` is the latest time.
    pub(super) fn new(look: Look, high: Option<i64>) -> Self {
        let mut stamps = Self { mark: high, began: look.ours, periods: Vec::new() };
        stamps.note(look);
        stamps
    }

    /// Where a round that begins now has to look from; `None` for everything.
    pub(super) fn low(&mut self, look: Look, overlap: i64) -> Option<i64> {
        self.note(look);
        let all = spread(&self.periods);
        let since = self.began.saturating_sub(overlap).saturating_sub(all);
        // The last period in front of that time is what the clock showed when it began.
        let first = self.periods.iter().rposition(|p| p.to <= since).unwrap_or_default();
        self.periods.drain(..first);
        let spread = spread(&self.periods);
        self.mark.map(|mark| mark.saturating_sub(overlap).saturating_sub(spread))
    }

    /// A round is complete that began at `look`, when `high` was the latest time.
    pub(super) fn complete(&mut self, look: Look, high: Option<i64>) {
        self.mark = high.or(self.mark);
        self.began = look.ours;
    }

    fn note(&mut self, look: Look) {
        let ahead = look.theirs - look.ours;
        if let Some(last) = self.periods.last_mut() {
            let (least, most) = (last.ahead.0.min(ahead), last.ahead.1.max(ahead));
            if most - least <= JITTER {
                (last.to, last.ahead) = (look.ours, (least, most));
                return;
            }
        }
        self.periods.push(Period { to: look.ours, ahead: (ahead, ahead) });
        if self.periods.len() > PERIODS_MAX {
            let oldest = self.periods.remove(0).ahead;
            if let Some(next) = self.periods.first_mut() {
                next.ahead = (next.ahead.0.min(oldest.0), next.ahead.1.max(oldest.1));
            }
        }
    }
}

/// How far apart the clocks were in the periods.
fn spread(periods: &[Period]) -> i64 {
    let least = periods.iter().map(|p| p.ahead.0).min().unwrap_or_default();
    periods.iter().map(|p| p.ahead.1).max().unwrap_or_default() - least
}

/// Rounds whose greatest keys are kept: a part of an overlap lies between two of them.
const PAST_MAX: i64 = 32;

/// A window over increasing keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline::extract) struct Keys<K> {
    /// All rows up to here are read; `None` for none.
    mark: Option<K>,
    past: Vec<Past<K>>,
    /// The first look at the table had no past: one round behind its overlap looks back further.
    again: Option<Again<K>>,
}

/// The greatest key when a round began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Past<K> {
    look: Look,
    high: K,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Again<K> {
    look: Look,
    /// Above this key; `None` for all.
    low: Option<K>,
}

impl<K: Clone> Keys<K> {
    /// All rows are read in a round that begins now, when `high` is the greatest key. `back` is a key that was handed out more than an
    /// overlap ago, for sure; `None` is in front of all.
    pub(super) fn new(look: Look, high: Option<K>, back: Option<K>) -> Self {
        let past = high.iter().map(|high| Past { look, high: high.clone() }).collect();
        let again = high.is_some().then_some(Again { look, low: back });
        Self { mark: high, past, again }
    }

    /// The key above which a round that begins now has to look, `None` for all; and whether it is the one that looks back further.
    pub(super) fn low(&self, look: Look, overlap: i64) -> (Option<K>, bool) {
        match &self.again {
            Some(again) if age(again.look, look) >= overlap => (again.low.clone(), true),
            _ => (self.mark.clone(), false),
        }
    }

    /// A round is complete that began at `look`, when `high` was the greatest key.
    pub(super) fn complete(&mut self, look: Look, high: Option<K>, again: bool, overlap: i64) {
        if again {
            self.again = None;
        }
        if let Some(n) = self.past.iter().rposition(|past| age(past.look, look) >= overlap) {
            self.mark = self.past.drain(..=n).next_back().map(|past| past.high);
        }
        let apart = self.past.last().is_none_or(|last| age(last.look, look) >= overlap / PAST_MAX);
        self.past.extend(high.filter(|_| apart).map(|high| Past { look, high }));
    }
}

/// How long ago `past` was at least, whichever clock was set meanwhile.
fn age(past: Look, now: Look) -> i64 {
    (now.ours - past.ours).min(now.theirs - past.theirs)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
