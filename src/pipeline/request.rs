//! Asking running extractors for something, by way of the lake.

use std::time::{SystemTime, UNIX_EPOCH};

use super::open;
use crate::{
    config::{Config, Pattern},
    lake::{StoreError, requests::Request},
    model::Shard,
};

/// Asks the extractors of `shards` to read the tables that match any of `patterns` anew. Answers how many requests were left.
///
/// # Errors
/// When the lake cannot be written.
pub async fn snapshots(config: &Config, shards: &[Shard], patterns: &[Pattern]) -> Result<usize, StoreError> {
    let store = open::store(config).await?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_micros()).unwrap_or_default();
    for shard in shards {
        for pattern in patterns {
            Request::snapshot(shard.clone(), pattern.to_string(), now).leave(&*store).await?;
        }
    }
    Ok(shards.len() * patterns.len())
}
