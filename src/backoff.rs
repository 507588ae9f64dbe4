//! The one policy for waiting between attempts.

use std::time::{Duration, Instant};

use rand::Rng as _;

/// First wait.
const FIRST: Duration = Duration::from_millis(200);

/// Longest wait: what comes back is noticed within half a minute.
const MAX: Duration = Duration::from_secs(30);

/// Waits that double with every failure in a row; half of each is random, so that shards do not return all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    /// How long failures in a row are worth waiting; `None` waits for ever.
    patience: Option<Duration>,
    since: Option<Instant>,
}

impl Backoff {
    /// Waits for as long as `patience`, measured from the first failure in a row.
    pub(crate) fn new(patience: Option<Duration>) -> Self {
        Self { failures: 0, patience, since: None }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Something succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.since = None;
    }

    /// How long to wait after one more failure; `None` when patience is over.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = self.patience.map(|patience| patience.saturating_sub(since.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            return None;
        }
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        let wait = full.mul_f64(rand::rng().random_range(0.5..1.0));
        // The last attempt is made when patience ends, not before.
        Some(left.map_or(wait, |left| wait.min(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new(None);
        assert!(backoff.next() <= Some(FIRST));
        for _ in 0..100 {
            assert!(backoff.next() <= Some(MAX));
        }
        assert!(backoff.next() >= Some(MAX / 2));
        backoff.reset();
        assert!(backoff.next() <= Some(FIRST));
    }

    #[test]
    fn patience_counts_from_the_first_failure_in_a_row() {
        let mut backoff = Backoff::new(Some(Duration::from_secs(1)));
        assert!((0..20).all(|_| backoff.next().is_some_and(|wait| wait <= Duration::from_secs(1))));
        backoff.since = backoff.since.and_then(|since| since.checked_sub(Duration::from_secs(1)));
        assert_eq!(backoff.next(), None);
        backoff.reset();
        assert!(backoff.next().is_some());
    }
}
