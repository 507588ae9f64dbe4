//! Up to where tables are known to be equal: `verified/<shard>.json`, for `status`.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, paths};
use crate::model::{Origin, Shard, VerifiedThrough};

/// Version of [`Verified`]'s format.
const FORMAT: u32 = 1;

/// What comparisons of a shard's tables came to. A note for people: two that write at the same time may lose one of the two,
/// and the next comparison writes it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Version of the format.
    pub format: u32,
    /// By source table.
    pub origins: BTreeMap<Origin, VerifiedThrough>,
}

impl Verified {
    /// What is noted of a shard; nothing when the note cannot be understood.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(store: &dyn Store, shard: &Shard) -> Result<Self, StoreError> {
        let content = store.get(&paths::verified(shard)).await?;
        let note = content.and_then(|content| serde_json::from_slice::<Self>(&content).ok());
        Ok(note.filter(|n| n.format == FORMAT).unwrap_or(Self { format: FORMAT, origins: BTreeMap::new() }))
    }

    /// Notes tables of a shard that were found equal.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add(
        store: &dyn Store,
        shard: &Shard,
        equal: BTreeMap<Origin, VerifiedThrough>,
    ) -> Result<(), StoreError> {
        if equal.is_empty() {
            return Ok(());
        }
        let mut note = Self::read(store, shard).await?;
        note.origins.extend(equal);
        // Serialising plain structs cannot fail.
        let content = serde_json::to_vec(&note).unwrap_or_default();
        store.put(&paths::verified(shard), Bytes::from(content)).await
    }
}
