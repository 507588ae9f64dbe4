//! Time as an argument, so that tests of waiting and of pauses need no sleeps.

use std::{
    fmt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;

/// What the lake asks about time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// Wall clock, UTC microseconds since 1970. May jump; orders nothing.
    fn unix_micros(&self) -> i64;

    /// Time since some fixed moment; never goes back. May stand still while the machine is suspended.
    fn monotonic(&self) -> Duration;

    /// Waits. Cancel safe.
    async fn sleep(&self, duration: Duration);
}

/// The machine's clock and tokio's timer.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn unix_micros(&self) -> i64 {
        // A clock before 1970 or after the year 294246 is wrong anyway.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Detects pauses: a suspended machine stops the monotonic clock, a stopped process neither, so both are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    wall: i64,
    monotonic: Duration,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { wall: clock.unix_micros(), monotonic: clock.monotonic() }
    }

    /// The longer of the two elapsed times. A wall clock set forward makes it too long, which only costs a request.
    pub(crate) fn elapsed(&self, clock: &dyn Clock) -> Duration {
        let wall = u64::try_from(clock.unix_micros().saturating_sub(self.wall)).unwrap_or(0);
        clock.monotonic().saturating_sub(self.monotonic).max(Duration::from_micros(wall))
    }
}
