//! Who applies the logs of a pipeline, and how far: what `gc` must respect.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ObjectPath, Store, StoreError, paths};
use crate::model::Shard;

/// Version of [`Consumer`]'s format.
const FORMAT: u32 = 1;

/// How often a session renews its registration. Entries wait for that long before they may go, which costs nothing, and people
/// see by the age whether a consumer is alive.
pub const RENEW_EVERY: Duration = Duration::from_secs(300);

/// Content of `consumers/<name>.json`. One process at a time writes it: each group of a warehouse is registered under a name of
/// its own (`<warehouse>.<group>`).
///
/// `gc` keeps the newest entry that each consumer has applied and all after it, and all of a shard that a consumer does not
/// mention yet; a consumer that is gone for good is removed with its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Version of the format.
    pub format: u32,
    /// The consumer's name; equal to the file's.
    pub name: String,
    /// The warehouse for people, without secrets: kind and place.
    pub warehouse: String,
    /// The group of tables.
    pub group: String,
    /// How far each shard's log is applied.
    pub shards: BTreeMap<Shard, Consumed>,
    /// When this was written, UTC microseconds.
    pub updated_at: i64,
    /// The session that wrote it has ended in good order: none is at work as far as this says.
    #[serde(default)]
    pub ended: bool,
}

/// How far one log is applied. The truth is in the warehouse; this may lag and never leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// Identity of the log.
    pub log_id: String,
    /// Newest entry that is needed no more, but as the one that the next continues.
    pub applied: u64,
    /// What keeps that behind the group's own place, for people: a table that is parked, a rebuild.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
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
    /// A registration of a group of a warehouse, whose identity is both its name and what people read.
    pub fn new(warehouse: &str, group: &str, shards: BTreeMap<Shard, Consumed>, updated_at: i64) -> Self {
        Self {
            format: FORMAT,
            name: format!("{warehouse}.{group}"),
            warehouse: warehouse.to_owned(),
            group: group.to_owned(),
            shards,
            updated_at,
            ended: false,
        }
    }

    /// The registration called `name`; `None` where there is none.
    ///
    /// # Errors
    /// When the store fails or it cannot be understood.
    pub async fn load(store: &dyn Store, name: &str) -> Result<Option<Self>, ConsumerError> {
        let path = paths::consumer(name);
        store.get(&path).await?.map(|content| Self::parse(&path, &content)).transpose()
    }

    /// Removes the registration: nothing is kept for the consumer any more. One that is at work after all registers again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget(&self, store: &dyn Store) -> Result<(), ConsumerError> {
        Ok(store.delete(&paths::consumer(&self.name)).await?)
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
    pub async fn load_all(store: &dyn Store) -> Result<Vec<Self>, ConsumerError> {
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
