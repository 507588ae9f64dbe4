//! Finding the newest entry without listing the log.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{LogEntry, LogError, chain::damaged, floor::read_floor};
use crate::{
    lake::{Store, StoreError, paths},
    model::Shard,
};

/// Tries of a search that `gc` disturbs. It raises the floor rarely; twice within one search does not happen.
const SEARCHES_MAX: u32 = 3;

/// Content of `head.json`. Only a hint: written now and then, and never newer than the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hint {
    number: u64,
}

/// Replaces the hint.
pub(super) async fn write_hint(store: &dyn Store, shard: &Shard, number: u64) -> Result<(), StoreError> {
    store.put(&paths::head(shard), json(&Hint { number })).await
}

pub(super) fn json(value: &impl Serialize) -> Bytes {
    // A struct of numbers always serialises.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

/// Entry `number`, if it is there.
///
/// # Errors
/// When the store fails or the entry is damaged.
pub async fn read_entry(store: &dyn Store, shard: &Shard, number: u64) -> Result<Option<LogEntry>, LogError> {
    match store.get(&paths::entry(shard, number)).await? {
        Some(bytes) => LogEntry::parse(shard, number, bytes).map(Some),
        None => Ok(None),
    }
}

/// Finds the newest entry, or none in an empty log: from the hint (or the floor) in doubling steps, then by halving. A fresh hint costs one
/// probe; a log of a million entries without any hint costs forty.
pub(super) async fn find_head(store: &dyn Store, shard: &Shard) -> Result<Option<LogEntry>, LogError> {
    for _ in 0..SEARCHES_MAX {
        let floor = read_floor(store, shard).await?;
        let Some(start) = start(store, shard, floor).await? else { return Ok(None) };
        let number = gallop(store, shard, start).await?;
        let Some(newest) = read_entry(store, shard, number).await? else { continue };
        if number > floor {
            let Some(before) = read_entry(store, shard, number - 1).await? else { continue };
            newest.check_follows(&before.link())?;
        }
        return Ok(Some(newest));
    }
    let problem = "entries around the head keep vanishing".into();
    Err(damaged(paths::head(shard), problem))
}

/// An entry that certainly exists, or `None` in an empty log.
async fn start(store: &dyn Store, shard: &Shard, floor: u64) -> Result<Option<u64>, LogError> {
    let hint = read_hint(store, shard).await?;
    if let Some(number) = hint.filter(|n| *n >= floor) {
        if exists(store, shard, number).await? {
            return Ok(Some(number));
        }
        // The hint is written after the entry, so the entry was there once. Going on below it would commit numbers a
        // second time, which warehouses may have applied already.
        if read_floor(store, shard).await? <= number {
            let problem = "head.json names it, but it is not there: entries were lost".into();
            return Err(damaged(paths::entry(shard, number), problem));
        }
    }
    if exists(store, shard, floor).await? {
        return Ok(Some(floor));
    }
    if floor > 1 && read_floor(store, shard).await? == floor {
        let problem = "the floor names it as the oldest entry, but it is not there: entries were lost".into();
        return Err(damaged(paths::entry(shard, floor), problem));
    }
    Ok(None)
}

async fn read_hint(store: &dyn Store, shard: &Shard) -> Result<Option<u64>, LogError> {
    let Some(bytes) = store.get(&paths::head(shard)).await? else { return Ok(None) };
    match serde_json::from_slice::<Hint>(&bytes) {
        Ok(hint) => Ok(Some(hint.number)),
        Err(error) => {
            tracing::warn!(%shard, %error, "head.json is not readable; searching the head without it");
            Ok(None)
        }
    }
}

async fn exists(store: &dyn Store, shard: &Shard, number: u64) -> Result<bool, LogError> {
    Ok(store.size(&paths::entry(shard, number)).await?.is_some())
}

/// The newest entry at or after `low`, which exists. Entries have no gaps.
async fn gallop(store: &dyn Store, shard: &Shard, mut low: u64) -> Result<u64, LogError> {
    let mut step = 1u64;
    let mut high = loop {
        let probe = low.saturating_add(step);
        if !exists(store, shard, probe).await? {
            break probe;
        }
        low = probe;
        step = step.saturating_mul(2);
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if exists(store, shard, middle).await? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The shards that have a log, by name.
///
/// # Errors
/// When the store fails.
pub async fn shards(store: &dyn Store) -> Result<Vec<Shard>, LogError> {
    let mut shards = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(paths::LOGS, after.as_ref()).await?;
        let Some(first) = page.objects.first() else {
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(shards),
            }
            continue;
        };
        // One object tells that the log is there; the next listing begins behind all of its entries.
        let Some((shard, behind)) = paths::shard_of_log(&first.path) else { return Ok(shards) };
        shards.extend(shard);
        after = Some(behind);
    }
}
