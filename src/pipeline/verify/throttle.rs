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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rows_are_paid_for_and_what_is_not_used_is_not_saved_up() {
        let (stop, stopped) = watch::channel(false);
        let mut throttle = Throttle::new(Some(2000), stopped);
        sleep(Duration::from_millis(300)).await;
        let began = Instant::now();
        for _ in 0..4 {
            throttle.spend(100).await.unwrap();
        }
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        let mut waits = std::pin::pin!(throttle.spend(1_000_000_000));
        assert!(futures::poll!(&mut waits).is_pending());
        stop.send_replace(true);
        assert!(matches!(waits.await, Err(VerifyError::Stopped)), "it does not sit out the rest");
    }
}
