//! The bounded way from the reader to the decoding thread.
//!
//! The bound is in bytes, because events are between 30 bytes and a gigabyte. Each batch takes permits for its bytes from a
//! semaphore before it is sent and gives them back when the consumer drops it; the queue itself needs no other limit. A
//! batch larger than the whole budget takes all of it and so travels alone.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::event::{Batch, Connected, StreamPosition};

/// Bytes of events between the reader and the decoder of one shard. Enough to keep both busy over a pause of some ten
/// milliseconds at full speed, small beside one shard's batches.
pub const IN_FLIGHT_BYTES: usize = 16 << 20;

/// What the decoding thread receives.
#[derive(Debug)]
pub enum Message {
    /// A connection stands; events follow. For
    /// [`Assembler::connected`](super::assembler::Assembler::connected).
    Connected(Connected),
    /// The next events.
    Events(Delivery),
    /// The connection was lost and will be made anew. The receiver drops the unfinished transaction (see
    /// [`Assembler::restart`](super::assembler::Assembler::restart)) and answers with the position to continue from.
    Restart(oneshot::Sender<StreamPosition>),
}

/// A batch and the share of the byte budget it holds until dropped.
#[derive(Debug)]
pub struct Delivery {
    /// The events.
    pub batch: Batch,
    _share: OwnedSemaphorePermit,
}

/// The consumer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// The reader's end.
#[derive(Debug)]
pub struct Sender {
    queue: mpsc::UnboundedSender<Message>,
    budget: Arc<Semaphore>,
    total: usize,
}

/// The consumer's end.
#[derive(Debug)]
pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Message>,
    budget: Arc<Semaphore>,
    total: usize,
}

/// A channel that holds at most `bytes` of events, see [`IN_FLIGHT_BYTES`].
pub fn channel(bytes: usize) -> (Sender, Receiver) {
    let total = bytes.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
    let (queue, receiver) = mpsc::unbounded_channel();
    let budget = Arc::new(Semaphore::new(total));
    (Sender { queue, budget: Arc::clone(&budget), total }, Receiver { queue: receiver, budget, total })
}

impl Sender {
    pub(super) async fn send(&self, batch: Batch) -> Result<(), Closed> {
        let bytes = batch.held().clamp(1, self.total) as u32;
        let budget = Arc::clone(&self.budget).acquire_many_owned(bytes);
        let share = tokio::select! {
            share = budget => share.map_err(|_| Closed)?,
            () = self.queue.closed() => return Err(Closed),
        };
        self.queue.send(Message::Events(Delivery { batch, _share: share })).map_err(|_| Closed)
    }

    pub(super) fn connected(&self, server: Connected) -> Result<(), Closed> {
        self.queue.send(Message::Connected(server)).map_err(|_| Closed)
    }

    /// Asks the consumer where to continue; it answers after everything sent before.
    pub(super) async fn restart(&self) -> Result<StreamPosition, Closed> {
        let (answer, position) = oneshot::channel();
        self.queue.send(Message::Restart(answer)).map_err(|_| Closed)?;
        position.await.map_err(|_| Closed)
    }

    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl Receiver {
    /// The next message; `None` when the reader has ended. For a plain thread: blocks it.
    pub fn recv_blocking(&mut self) -> Option<Message> {
        self.queue.blocking_recv()
    }

    /// The next message; `None` when the reader has ended.
    pub async fn recv(&mut self) -> Option<Message> {
        self.queue.recv().await
    }

    /// Bytes of events that were sent and not yet dropped by the receiver.
    pub fn held_bytes(&self) -> usize {
        self.total.saturating_sub(self.budget.available_permits())
    }
}
