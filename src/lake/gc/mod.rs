//! Removing what is old and needed by nobody, so that the lake does not grow for ever.
//!
//! ```text
//!  look ── from where may the log be cut? (hold.rs, pure) ──▶ raise the floor ── grace ──▶ delete below it, oldest first
//! ```
//!
//! - **One floor at a time.** It is raised only when nothing below the present one is left, so what is to be deleted is always
//!   the entries below the floor: the list of what is to be done is the log itself, and a crash anywhere only leaves some of it.
//! - **Files go before the entry that names them**, entries from the oldest upwards.
//! - **The floor is an entry that carries the catalog.** So every kept entry finds its catalog among the kept ones.
//! - **Two at once are harmless.** Floors only rise ([`super::log::raise_floor`]), and deleting twice is deleting.
//!
//! Whether a deleted entry could be mistaken for one that never was is [`super::log`]'s business: that is what the grace is for.

mod hold;
mod orphans;
mod outlook;
mod removal;
mod tables;

use std::{sync::Arc, time::Duration};

pub use hold::{Facts, Hold, Holder, cut};
pub use orphans::Round;
pub use outlook::{Outlook, Wanted};
pub use removal::{PIECE_ENTRIES, Removed};
pub use tables::WithoutSnapshot;

use super::{
    Clock, ObjectPath, Store, StoreError,
    consumers::ConsumerError,
    log::{GC_GRACE, LogError, forget_floors_below, raise_floor},
};
use crate::model::Shard;

/// How far the clocks of two machines that remove from one lake may be apart. Added to [`GC_GRACE`] because the time of a floor
/// is by the clock of who raised it; what the grace protects from needs a tenth of it, so clocks may be wrong by more.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(300);

/// Requests for deletion that are under way at once: a store that is busy with removing has to take new files all the same.
const DELETES: usize = 8;

/// Something could not be removed. What was begun goes on with the next turn.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Who applies the logs is not known.
    #[error(transparent)]
    Consumers(#[from] ConsumerError),
}

/// Removes from one shard's part of the lake.
#[derive(Clone, Debug)]
pub struct Gc {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shard: Shard,
    wait: Duration,
}

impl Gc {
    /// For a shard's log.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, shard: Shard) -> Self {
        Self { store, clock, shard, wait: GC_GRACE + CLOCKS_APART_MAX }
    }

    /// Waits otherwise between raising the floor and deleting below it. For tests, which are their own sleepers.
    pub fn waiting(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// How long what lies below a new floor is kept.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// The shard.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Deletes a piece of what lies below the floor, if that was raised long enough ago. Answers whether something is left.
    ///
    /// # Errors
    /// When the lake fails, or has an entry below the floor that cannot be read.
    pub async fn remove(&self, outlook: &Outlook) -> Result<(Removed, bool), GcError> {
        if !outlook.due {
            return Ok((Removed::default(), false));
        }
        let (removed, more) = removal::piece(&*self.store, &self.shard, outlook.floor, &outlook.keeps).await?;
        if !more {
            // The floor is old enough for whatever read an older one to be over.
            forget_floors_below(&*self.store, &self.shard, outlook.floor).await?;
        }
        Ok((removed, more))
    }

    /// Raises the floor to where [`Outlook::next`] says, where nothing below the present one is left. Answers whether it did.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn raise(&self, outlook: &Outlook) -> Result<bool, GcError> {
        if outlook.next <= outlook.floor || removal::is_left(&*self.store, &self.shard, outlook.floor).await? {
            return Ok(false);
        }
        match raise_floor(&*self.store, &self.shard, outlook.next, self.clock.unix_micros()).await {
            Ok(()) => Ok(true),
            // Another one was faster.
            Err(LogError::Collected { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Deletes objects, a few at a time.
async fn delete_all(store: &dyn Store, paths: Vec<ObjectPath>) -> Result<(), StoreError> {
    use futures::{StreamExt as _, TryStreamExt as _, stream};
    stream::iter(paths)
        .map(|path| async move { store.delete(&path).await })
        .buffer_unordered(DELETES)
        .try_collect::<()>()
        .await
}
