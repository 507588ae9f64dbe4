//! Keeps one shard's log flowing: connects, reconnects where the consumer stands, gives up when only the operator can help.

use std::time::Duration;

use tokio::time::sleep;
use tracing::warn;

use super::{
    channel::{Closed, Sender},
    connect::Address,
    event::StreamPosition,
    stream::{Identity, Reader, Remedy, StreamError},
};
use crate::{backoff::Backoff, errors::chain};

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
    let mut backoff = Backoff::new(patience);
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
        if reached != position {
            backoff.reset();
            position = reached;
        }
        let spent = failure.remedy() == Remedy::RetrySome && backoff.failures() + 1 >= SOME_ATTEMPTS;
        let Some(wait) = backoff.next().filter(|_| !spent) else { return Err(failure) };
        warn!(shard, error = %chain(&failure), ?wait, "binlog stream interrupted, reconnecting");
        tokio::select! {
            () = sleep(wait) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}
