//! What a command asks of the extractor of a shard: `requests/<id>.json`.
//!
//! A request is an object that its extractor removes when it is fulfilled, so one that is made while nobody runs waits for the
//! next start. A request may be fulfilled twice (a crash before the removal), which must be harmless.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ObjectPath, Store, StoreError, paths};
use crate::model::{Digest, Origin, Shard, checksum::Key};

/// Version of [`Request`]'s format.
const FORMAT: u32 = 1;

/// Most requests that wait at one time: a command that finds more refuses to add to them.
pub const REQUESTS_MAX: usize = 1000;

/// Most rows of one request: they are read between two transactions, while the stream waits.
pub const ROWS_MAX: usize = 200;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Version of the format.
    pub format: u32,
    /// Whose extractor is asked.
    pub shard: Shard,
    /// When it was asked, UTC microseconds.
    pub asked_at: i64,
    /// What.
    pub ask: Ask,
}

/// Kinds of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ask {
    /// Read tables anew.
    Snapshot {
        /// Pattern on `database.table`.
        tables: String,
    },
    /// Read some rows anew; those that are not there any more are deleted.
    Rows {
        /// Database of the table.
        database: String,
        /// The table.
        table: String,
        /// Canonical tokens of their keys ([`crate::model::checksum`]).
        keys: Vec<Key>,
    },
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Where it lies; removing it says that it is fulfilled.
    pub path: ObjectPath,
    /// The request, `None` when it cannot be understood (made by a newer version, or damaged).
    pub request: Option<Request>,
}

impl Request {
    /// A request to read tables anew.
    pub fn snapshot(shard: Shard, tables: String, asked_at: i64) -> Self {
        Self { format: FORMAT, shard, asked_at, ask: Ask::Snapshot { tables } }
    }

    /// A request to read some rows anew: at most [`ROWS_MAX`].
    pub fn rows(origin: &Origin, keys: Vec<Key>, asked_at: i64) -> Self {
        let (database, table) = (origin.database.clone(), origin.table.clone());
        Self { format: FORMAT, shard: origin.shard.clone(), asked_at, ask: Ask::Rows { database, table, keys } }
    }

    /// Leaves the request for its extractor; asking the same at the same time twice is asking once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn leave(&self, store: &dyn Store) -> Result<ObjectPath, StoreError> {
        // Serialising plain structs cannot fail.
        let content = serde_json::to_vec(self).unwrap_or_default();
        let path = paths::request(&format!("{}-{:020}-{}", self.shard, self.asked_at, Digest::of(&content).short()));
        store.create(&path, Bytes::from(content)).await?;
        Ok(path)
    }

    /// Requests that wait for the extractor of `shard`, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn waiting(store: &dyn Store, shard: &Shard) -> Result<Vec<Waiting>, StoreError> {
        let mut waiting = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(paths::REQUESTS, after.as_ref()).await?;
            for object in page.objects {
                // Removed since it was listed: fulfilled.
                let Some(content) = store.get(&object.path).await? else { continue };
                let request = serde_json::from_slice::<Self>(&content).ok().filter(|r| r.format == FORMAT);
                if request.as_ref().is_none_or(|r| r.shard == *shard) {
                    waiting.push(Waiting { path: object.path, request });
                }
            }
            after = page.next;
            if after.is_none() || waiting.len() >= REQUESTS_MAX {
                return Ok(waiting);
            }
        }
    }
}
