//! Looking at a log without owning or following it.

use super::{
    LogEntry, LogError,
    chain::damaged,
    floor::read_floor,
    head::{find_head, read_entry},
};
use crate::{
    lake::{Store, paths},
    model::{Catalog, Shard},
};

/// Entries behind the head that are searched for the latest commit time: position-only entries and claims have none, and
/// an idle shard makes one of them a minute.
const BACK_MAX: u64 = 16;

/// The newest state of a log.
#[derive(Clone, Debug)]
pub struct Head {
    /// The newest entry.
    pub newest: LogEntry,
    /// What is known of each origin after it.
    pub catalog: Catalog,
    /// Latest source commit time of the newest entries, UTC microseconds; `None` when none of them covers a transaction.
    pub committed_at: Option<i64>,
}

/// The newest state of `shard`'s log; `None` when it has none. Reads at most some twenty small objects.
///
/// # Errors
/// When the store fails or the log is damaged.
pub async fn read_head(store: &dyn Store, shard: &Shard) -> Result<Option<Head>, LogError> {
    let Some(newest) = find_head(store, shard).await? else { return Ok(None) };
    let catalog = catalog(store, shard, &newest).await?;
    let committed_at = committed_at(store, shard, &newest).await?;
    Ok(Some(Head { newest, catalog, committed_at }))
}

async fn catalog(store: &dyn Store, shard: &Shard, newest: &LogEntry) -> Result<Catalog, LogError> {
    let (number, at) = (newest.entry.number, newest.entry.catalog_at);
    if let Some(catalog) = &newest.entry.catalog {
        return Ok(catalog.clone());
    }
    if at == 0 {
        return Ok(Catalog::default());
    }
    let found = if at < number { read_entry(store, shard, at).await? } else { None };
    let missing = || damaged(paths::entry(shard, number), format!("entry {at}, which has its catalog, is not there"));
    found.and_then(|e| e.entry.catalog).ok_or_else(missing)
}

async fn committed_at(store: &dyn Store, shard: &Shard, newest: &LogEntry) -> Result<Option<i64>, LogError> {
    if let Some((_, latest)) = newest.entry.committed_at {
        return Ok(Some(latest));
    }
    let floor = read_floor(store, shard).await?;
    let lowest = newest.entry.number.saturating_sub(BACK_MAX).max(floor);
    for number in (lowest..newest.entry.number).rev() {
        // One that gc removed meanwhile ends the search.
        let Some(entry) = read_entry(store, shard, number).await? else { break };
        if let Some((_, latest)) = entry.entry.committed_at {
            return Ok(Some(latest));
        }
    }
    Ok(None)
}
