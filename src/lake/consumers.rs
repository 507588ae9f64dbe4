//! Who applies the logs of a pipeline, and how far: what `gc` must respect.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ObjectPath, Store, StoreError, paths};
use crate::model::Shard;

/// Version of [`Consumer`]'s format.
const FORMAT: u32 = 1;

/// Content of `consumers/<name>.json`. One process at a time writes it: an `apply` that serves only some groups of a
/// warehouse registers under a name of its own (`<warehouse>.<group>`).
///
/// `gc` keeps every entry after `applied` of every consumer, and all of a shard that a consumer does not mention yet;
/// a consumer that is gone for good is removed by deleting its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Version of the format.
    pub format: u32,
    /// The consumer's name; equal to the file's.
    pub name: String,
    /// The warehouse for people, without secrets: kind and host.
    pub warehouse: String,
    /// How far each shard's log is applied.
    pub shards: BTreeMap<Shard, Consumed>,
    /// When this was written, UTC microseconds.
    pub updated_at: i64,
}

/// How far one log is applied. The truth is in the warehouse; this may lag and never leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// Identity of the log.
    pub log_id: String,
    /// Newest entry that no group needs any more.
    pub applied: u64,
}

/// Consumers could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The store failed.
    #[error("the store of consumer registrations failed")]
    Store(#[from] StoreError),
    /// The object is not a registration.
    #[error(
        "{path} is damaged ({problem}): run `tailwater apply` for that warehouse once, or delete the file if it is gone"
    )]
    Damaged {
        /// The object.
        path: ObjectPath,
        /// What is wrong.
        problem: String,
    },
}

impl Consumer {
    /// A registration.
    pub fn new(name: &str, warehouse: &str, shards: BTreeMap<Shard, Consumed>, updated_at: i64) -> Self {
        Self { format: FORMAT, name: name.to_owned(), warehouse: warehouse.to_owned(), shards, updated_at }
    }

    /// Writes the registration. To be done before the first entry is applied, and every few minutes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn save(&self, store: &dyn Store) -> Result<(), ConsumerError> {
        let path = paths::consumer(&self.name);
        let content = serde_json::to_vec(self)
            .map_err(|e| ConsumerError::Damaged { path: path.clone(), problem: e.to_string() })?;
        Ok(store.put(&path, Bytes::from(content)).await?)
    }

    /// All registrations of the pipeline.
    ///
    /// # Errors
    /// When the store fails or one cannot be understood: `gc` must not guess.
    pub async fn load_all(store: &Arc<dyn Store>) -> Result<Vec<Self>, ConsumerError> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(paths::CONSUMERS, after.as_ref()).await?;
            for object in page.objects {
                // Removed since it was listed: gone for good.
                let Some(content) = store.get(&object.path).await? else { continue };
                all.push(Self::parse(&object.path, &content)?);
            }
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    fn parse(path: &ObjectPath, content: &[u8]) -> Result<Self, ConsumerError> {
        let damaged = |problem| ConsumerError::Damaged { path: path.clone(), problem };
        let consumer: Self = serde_json::from_slice(content).map_err(|e| damaged(e.to_string()))?;
        if consumer.format != FORMAT {
            return Err(damaged(format!("its format is {}", consumer.format)));
        }
        Ok(consumer)
    }
}
