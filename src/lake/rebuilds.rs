//! What a command asks of the applier of a group: `rebuilds/<target>.json`.
//!
//! One object per target, so that asking twice while nobody has begun is asking once. Its applier removes it when the rebuild
//! is noted in the warehouse, from where it goes on whatever happens; one that is left while nobody applies waits.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Created, ObjectPath, Store, StoreError, paths};
use crate::model::Target;

/// Version of [`Rebuild`]'s format.
const FORMAT: u32 = 1;

/// Most requests that are looked at in one go; the others come after them.
const WAITING_MAX: usize = 1000;

/// A wish to make a target anew from the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// Version of the format.
    pub format: u32,
    /// The group whose applier is asked.
    pub group: String,
    /// The target.
    pub target: Target,
    /// When it was asked, UTC microseconds.
    pub asked_at: i64,
}

impl Rebuild {
    /// A request.
    pub fn new(group: impl Into<String>, target: Target, asked_at: i64) -> Self {
        Self { format: FORMAT, group: group.into(), target, asked_at }
    }

    /// Leaves the request for its applier. Answers whether it was not waiting already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave(&self, store: &dyn Store) -> Result<bool, StoreError> {
        // Serialising plain structs cannot fail.
        let content = serde_json::to_vec(self).unwrap_or_default();
        Ok(store.create(&paths::rebuild(&self.target), Bytes::from(content)).await? == Created::New)
    }

    /// Requests that wait for the applier of `group`, by target. What cannot be understood (of a newer version, or damaged) is
    /// left alone.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting(store: &dyn Store, group: &str) -> Result<Vec<Self>, StoreError> {
        let mut waiting = Vec::new();
        let mut after: Option<ObjectPath> = None;
        loop {
            let page = store.list(paths::REBUILDS, after.as_ref()).await?;
            for object in page.objects {
                let Some(content) = store.get(&object.path).await? else { continue };
                let request = serde_json::from_slice::<Self>(&content).ok();
                waiting.extend(request.filter(|r| r.format == FORMAT && r.group == group));
            }
            after = page.next;
            if after.is_none() || waiting.len() >= WAITING_MAX {
                return Ok(waiting);
            }
        }
    }

    /// Takes the request away: it is fulfilled, or is not going to be.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget(&self, store: &dyn Store) -> Result<(), StoreError> {
        store.delete(&paths::rebuild(&self.target)).await
    }
}
