//! Who removes what is old from the lake, and when: the extractor of a shard by itself, and `tailwater gc`.
//!
//! Both do the same turn by [`crate::lake::gc`]: delete what lies below the floor where that was raised long enough ago, raise
//! the floor anew where nothing is left below it, sweep files that nobody named. Neither waits inside of a turn, and both at
//! once are harmless, so the command needs no lock and no leave of the extractor: it serves shards that nobody writes any more as
//! it serves the others.

pub mod background;
pub mod command;

use std::{collections::BTreeSet, time::Duration};

use crate::{config::Config, lake::gc::Gc};

/// How a turn is repeated.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Time before the first turn of a process: it has other things to do when it starts.
    first: Duration,
    /// Time between two turns.
    every: Duration,
    /// Time between two where one was not enough.
    soon: Duration,
    /// Instead of the grace, in tests.
    wait: Option<Duration>,
}

impl Pace {
    /// An hour between two turns: a few dozen small requests each. A piece of ten seconds' work leaves the store to others for ten.
    const USUAL: Self = Self {
        first: Duration::from_secs(60),
        every: Duration::from_secs(3600),
        soon: Duration::from_secs(10),
        wait: None,
    };

    /// The usual pace. Builds for tests take a shorter one from the environment, in milliseconds: whoever sets it answers for there
    /// being no process that sleeps for longer and writes afterwards.
    fn choose() -> Self {
        let shorter = std::env::var("TAILWATER_TEST_GC_WAIT_MS").ok().filter(|_| cfg!(debug_assertions));
        match shorter.and_then(|millis| millis.parse().ok()).map(Duration::from_millis) {
            Some(wait) => Self { first: wait, every: wait, soon: wait, wait: Some(wait) },
            None => Self::USUAL,
        }
    }

    fn apply(self, gc: Gc) -> Gc {
        match self.wait {
            Some(wait) => gc.waiting(wait),
            None => gc,
        }
    }
}

/// Groups that must be known to apply the logs before anything is removed: those that the configuration has a warehouse for.
pub(in crate::pipeline) fn groups(config: &Config) -> BTreeSet<String> {
    match config.warehouse {
        Some(_) => config.table_rules().groups().into_iter().map(str::to_owned).collect(),
        None => BTreeSet::new(),
    }
}

/// The moment since when entries stay, UTC microseconds.
fn since(now: i64, retention: Duration) -> i64 {
    now.saturating_sub(i64::try_from(retention.as_micros()).unwrap_or(i64::MAX))
}
