//! The one policy for waiting between attempts.

use std::time::Duration;

use rand::Rng as _;

/// First wait.
const FIRST: Duration = Duration::from_millis(200);

/// Longest wait: what comes back is noticed within half a minute.
const MAX: Duration = Duration::from_secs(30);

/// Waits that double with every failure in a row; half of each is random, so that shards do not return all at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { failures: 0 }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// Something succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub(crate) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(16)).min(MAX);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew() {
        let mut backoff = Backoff::new();
        assert!(backoff.next() <= FIRST);
        for _ in 0..100 {
            assert!(backoff.next() <= MAX);
        }
        assert!(backoff.next() >= MAX / 2);
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
