//! A bound on the rows that are read per second.

use std::time::{Duration, Instant};

use tokio::{sync::watch, time::sleep};

use super::error::VerifyError;

/// Keeps the rows read from a source below a rate, and notices that it is time to stop.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Rows per second; `None` reads as fast as the source answers.
    rate: Option<u64>,
    stop: watch::Receiver<bool>,
    /// When the rows spent so far are paid for.
    paid: Instant,
}

impl Throttle {
    pub(super) fn new(rate: Option<u64>, stop: watch::Receiver<bool>) -> Self {
        Self { rate, stop, paid: Instant::now() }
    }

    /// Accounts for rows that were read and waits until they are paid for.
    ///
    /// # Errors
    /// [`VerifyError::Stopped`].
    pub(super) async fn spend(&mut self, rows: u64) -> Result<(), VerifyError> {
        if let Some(rate) = self.rate {
            // What was not used is not saved up: the bound is on every second.
            self.paid = self.paid.max(Instant::now()) + Duration::from_secs_f64(rows as f64 / rate.max(1) as f64);
            let wait = self.paid.saturating_duration_since(Instant::now());
            tokio::select! {
                () = sleep(wait) => {}
                _ = self.stop.wait_for(|stop| *stop) => {}
            }
        }
        if *self.stop.borrow() { Err(VerifyError::Stopped) } else { Ok(()) }
    }
}
