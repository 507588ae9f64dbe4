//! Keeps one shard's log flowing: connects, reconnects where the consumer stands, gives up when only the operator can help.

use std::time::{Duration, Instant};

use rand::Rng as _;
use tokio::time::sleep;
use tracing::warn;

use super::{
    channel::{Closed, Sender},
    connect::Address,
    event::StreamPosition,
    stream::{Identity, Reader, Remedy, StreamError},
};

/// First wait after a failure.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);

/// Longest wait between attempts: a source that is back is noticed within half a minute.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Attempts in a row, without one complete group between them, at errors that are probably not the network's fault.
const SOME_ATTEMPTS: u32 = 5;

/// Reads `shard`'s log from `position` on and delivers it through `sender` until the consumer hangs up (`Ok`) or an error that
/// only the operator can mend (`Err`).
///
/// A broken connection is made anew from the position that the *consumer* names, which is the end of the last group it was
/// given completely: nothing is lost, nothing comes twice. The consumer learns of it by
/// [`Message::Restart`](super::channel::Message::Restart) and drops the group it holds half of.
///
/// # Errors
/// [`StreamError`] whose [`remedy`](StreamError::remedy) is the operator's, or one that came back too often or for longer than
/// `patience` (`None`: whatever is the network's is retried for as long as it takes).
pub async fn follow(
    shard: &str,
    address: &Address,
    identity: &Identity,
    position: StreamPosition,
    sender: Sender,
    patience: Option<Duration>,
) -> Result<(), StreamError> {
    let mut position = position;
    let mut failures = 0;
    let mut since = Instant::now();
    loop {
        let failure = match Reader::open(address, identity, &position).await {
            Ok(mut reader) => match sender.connected(reader.server.clone()) {
                Ok(()) => reader.run(&sender).await,
                Err(Closed) => None,
            },
            Err(e) => Some(e),
        };
        let Some(failure) = failure else { return Ok(()) };
        if failure.remedy() == Remedy::Operator {
            return Err(failure);
        }
        let Ok(reached) = sender.restart().await else { return Ok(()) };
        // Events alone are no progress: those in front of a damaged one come again with every attempt.
        failures = if reached == position { failures + 1 } else { 1 };
        if failures == 1 {
            since = Instant::now();
        }
        position = reached;
        if failure.remedy() == Remedy::RetrySome && failures >= SOME_ATTEMPTS {
            return Err(failure);
        }
        if patience.is_some_and(|patience| since.elapsed() >= patience) {
            return Err(failure);
        }
        let wait = backoff(failures);
        warn!(shard, error = %chain(&failure), ?wait, "binlog stream interrupted, reconnecting");
        tokio::select! {
            () = sleep(wait) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Doubles with every failure, and half of it is random, so that shards do not return to a restarted server all at once.
fn backoff(failures: u32) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(BACKOFF_MAX);
    full.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound() {
        assert!(backoff(1) <= BACKOFF_FIRST);
        for failures in 1..100 {
            let wait = backoff(failures);
            assert!(wait <= BACKOFF_MAX && wait >= BACKOFF_FIRST / 2, "{failures}: {wait:?}");
        }
        assert!(backoff(50) >= BACKOFF_MAX / 2);
    }
}
