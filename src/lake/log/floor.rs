//! The floor of a log: the number below which no entry exists for anybody.
//!
//! Every floor is an object of its own, created and never replaced, and the greatest counts. So a process that slept
//! between deciding and writing cannot lower what another one raised meanwhile, and two that raise it at once need no
//! lock: a floor can only rise, whatever arrives late.

use serde::{Deserialize, Serialize};

use super::{LogError, chain::damaged, head::json};
use crate::{
    lake::{Store, StoreError, paths},
    model::Shard,
};

/// Content of an object in `floors/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFloor {
    /// The oldest entry that is kept.
    pub first: u64,
    /// When it was raised to there, UTC microseconds by the clock of who did it.
    pub raised_at: i64,
}

/// The number of the oldest entry that is kept: 1 before the first `gc`.
///
/// # Errors
/// When the store fails.
pub async fn read_floor(store: &dyn Store, shard: &Shard) -> Result<u64, LogError> {
    Ok(numbers(store, shard).await?.into_iter().max().unwrap_or(1))
}

/// The floor and when it was raised; `None` before the first `gc`.
///
/// # Errors
/// When the store fails or the floor's object is damaged.
pub async fn newest_floor(store: &dyn Store, shard: &Shard) -> Result<Option<LogFloor>, LogError> {
    let Some(first) = numbers(store, shard).await?.into_iter().max() else { return Ok(None) };
    let path = paths::floor(shard, first);
    // Removed since it was listed: another one raised it, and took this one away for old. The next look finds that.
    let Some(bytes) = store.get(&path).await? else { return Ok(Some(LogFloor { first, raised_at: i64::MAX })) };
    let floor: LogFloor =
        serde_json::from_slice(&bytes).map_err(|e| damaged(path.clone(), format!("it is not a floor ({e})")))?;
    if floor.first != first {
        return Err(damaged(path, format!("it says that the floor is {}", floor.first)));
    }
    Ok(Some(floor))
}

/// Raises the floor to `first`, at a time in UTC microseconds. Only `gc` may; see [`super::GC_GRACE`] for when it may then
/// delete.
///
/// # Errors
/// When the store fails, or when the floor is higher already ([`LogError::Collected`]).
pub async fn raise_floor(store: &dyn Store, shard: &Shard, first: u64, at: i64) -> Result<(), LogError> {
    let now = read_floor(store, shard).await?;
    if now > first {
        return Err(LogError::Collected { shard: shard.clone(), number: first, floor: now });
    }
    // Where it exists, it stands with its own, earlier time.
    store.create(&paths::floor(shard, first), json(&LogFloor { first, raised_at: at })).await?;
    Ok(())
}

/// Removes the objects of floors below `first`, which is the floor since long: a listing that began before it was raised must
/// not be under way any more, for it could miss both.
///
/// # Errors
/// When the store fails.
pub(in crate::lake) async fn forget_floors_below(
    store: &dyn Store,
    shard: &Shard,
    first: u64,
) -> Result<(), StoreError> {
    for number in numbers(store, shard).await?.into_iter().filter(|number| *number < first) {
        store.delete(&paths::floor(shard, number)).await?;
    }
    Ok(())
}

/// All floors that have an object: the newest, and few older ones.
async fn numbers(store: &dyn Store, shard: &Shard) -> Result<Vec<u64>, StoreError> {
    let (prefix, mut numbers, mut after) = (paths::floors(shard), Vec::new(), None);
    loop {
        let page = store.list(&prefix, after.as_ref()).await?;
        numbers.extend(page.objects.iter().filter_map(|object| paths::floor_number(shard, &object.path)));
        after = page.next;
        if after.is_none() {
            return Ok(numbers);
        }
    }
}
