//! The private state of the groups: fence, watermarks, exceptions.

pub(crate) mod sql;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::model::{Origin, Shard, Target};

use super::{
    error::{Failure, WarehouseError},
    group::{Claim, ExceptionChange, ExceptionKind, Fence, GroupState, LogPosition, Move, RebuildChange, Watermark},
    session::{Session, Value},
    sql::Dialect,
};

/// What the key of an origin's place in a rebuild begins with. Texts of origins never begin with a colon.
const REBUILD: &str = ":rebuild:";
/// What is percent-encoded in the target's name there: the separator and the escape itself.
const TARGET: &AsciiSet = &CONTROLS.add(b'%').add(b':');

/// Key of the place of an origin in the rebuild of a target, among the exceptions.
pub(crate) fn rebuild_key(target: &Target, origin: &Origin) -> String {
    format!("{REBUILD}{}:{origin}", utf8_percent_encode(target.as_str(), TARGET))
}

/// Takes a key of the exceptions apart: an origin, and the target in whose rebuild it has this place.
fn read_key(key: &str) -> Option<(Option<Target>, Origin)> {
    let Some(rest) = key.strip_prefix(REBUILD) else { return Some((None, key.parse().ok()?)) };
    let (target, origin) = rest.split_once(':')?;
    let target = percent_decode_str(target).decode_utf8().ok()?;
    Some((Some(Target::new(target)), origin.parse().ok()?))
}

/// All changes of exceptions, each with its key.
pub(crate) fn keyed<'a>(
    exceptions: &'a [ExceptionChange],
    rebuilds: &'a [RebuildChange],
) -> impl Iterator<Item = (String, &'a ExceptionChange)> {
    let own = exceptions.iter().map(|change| (change.origin.to_string(), change));
    own.chain(rebuilds.iter().map(|r| (rebuild_key(&r.target, &r.change.origin), &r.change)))
}

/// Ends the transaction: commits what succeeded, undoes what failed.
pub(crate) async fn finish<T>(
    session: &mut dyn Session,
    result: Result<T, WarehouseError>,
    what: &str,
) -> Result<T, WarehouseError> {
    match result {
        Ok(value) => {
            session.commit().await.map_err(|f| f.doing(&format!("commit to {what} (outcome unknown)")))?;
            Ok(value)
        }
        Err(error) => {
            // A connection that cannot roll back is given up by its owner; the first error is the one that counts.
            drop(session.rollback().await);
            Err(error)
        }
    }
}

/// Takes the next epoch of the group.
pub(crate) async fn open(
    session: &mut dyn Session,
    d: &dyn Dialect,
    claim: &Claim,
) -> Result<(Fence, GroupState), WarehouseError> {
    const WHAT: &str = "take the group's fence";
    session.begin().await.map_err(|f| f.doing(WHAT))?;
    let result = take(session, d, claim).await;
    finish(session, result, WHAT).await
}

async fn take(
    session: &mut dyn Session,
    d: &dyn Dialect,
    claim: &Claim,
) -> Result<(Fence, GroupState), WarehouseError> {
    const WHAT: &str = "take the group's fence";
    let doing = |f: Failure| f.doing(WHAT);
    session.execute(&sql::seed_fence(d, &claim.group)).await.map_err(doing)?;
    let (epoch, writer, seconds) =
        read_fence(session, d, &claim.group, true).await.map_err(doing)?.ok_or_else(|| WarehouseError::fatal(WHAT))?;
    if let Some(seconds) = seconds
        && writer != claim.writer
        && seconds < i64::try_from(claim.quiet.as_secs()).unwrap_or(i64::MAX)
    {
        return Err(WarehouseError::Busy { group: claim.group.clone(), writer, seconds });
    }
    let epoch = epoch + 1;
    session.execute(&sql::take_fence(d, &claim.group, epoch, &claim.writer)).await.map_err(doing)?;
    let state = read(session, d, &claim.group).await?.ok_or_else(|| WarehouseError::fatal(WHAT))?;
    Ok((Fence { group: claim.group.clone(), epoch }, state))
}

/// Epoch, writer, seconds since the last sign of life.
async fn read_fence(
    session: &mut dyn Session,
    d: &dyn Dialect,
    group: &str,
    lock: bool,
) -> Result<Option<(i64, String, Option<i64>)>, Failure> {
    let rows = session.query(&sql::fence(d, group, lock)).await?;
    Ok(rows.first().and_then(|row| match &row[..] {
        [Value::Int(epoch), Value::Text(writer), seconds] => Some((*epoch, writer.clone(), seconds.int())),
        _ => None,
    }))
}

/// Locks the fence until the transaction ends and proves that it is still ours.
pub(crate) async fn hold_fence(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
) -> Result<(), WarehouseError> {
    const WHAT: &str = "check the group's fence";
    let held = read_fence(session, d, &fence.group, true).await.map_err(|f| f.doing(WHAT))?;
    let (epoch, writer, _) = held.unwrap_or((0, "nobody".to_owned(), None));
    if epoch != fence.epoch {
        return Err(WarehouseError::Fenced { group: fence.group.clone(), writer, epoch });
    }
    session.execute(&sql::touch_fence(d, &fence.group, epoch)).await.map_err(|f| f.doing(WHAT))?;
    Ok(())
}

/// The group's state; `None` before the first claim.
pub(crate) async fn read(
    session: &mut dyn Session,
    d: &dyn Dialect,
    group: &str,
) -> Result<Option<GroupState>, WarehouseError> {
    const WHAT: &str = "read the group's state";
    let doing = |f: Failure| f.doing(WHAT);
    let Some((epoch, writer, _)) = read_fence(session, d, group, false).await.map_err(doing)? else {
        return Ok(None);
    };
    let watermarks = session.query(&sql::watermarks(d, group)).await.map_err(doing)?;
    let exceptions = session.query(&sql::exceptions(d, group)).await.map_err(doing)?;
    let state = assemble((epoch, writer), &watermarks, &exceptions);
    state.map(Some).ok_or_else(|| WarehouseError::fatal(WHAT))
}

/// The state from the rows of its tables; `None` when they cannot be understood.
pub(crate) fn assemble(
    (epoch, writer): (i64, String),
    watermarks: &[Vec<Value>],
    exceptions: &[Vec<Value>],
) -> Option<GroupState> {
    let mut state = GroupState { epoch, writer, ..GroupState::default() };
    for row in watermarks {
        let [Value::Text(shard), Value::Text(log_id), entry, step, committed_at] = row.as_slice() else {
            return None;
        };
        let shard = Shard::new(shard.clone());
        let position = position(entry, step)?;
        if let Some(at) = committed_at.int() {
            state.committed_at.insert(shard.clone(), at);
        }
        state.watermarks.insert(shard, Watermark { log_id: log_id.clone(), position });
    }
    for row in exceptions {
        let (target, origin, exception) = exception(row)?;
        let places = match target {
            None => &mut state.exceptions,
            Some(target) => state.rebuilds.entry(target).or_default(),
        };
        places.insert(origin, exception);
    }
    Some(state)
}

fn position(entry: &Value, step: &Value) -> Option<LogPosition> {
    Some(LogPosition { entry: u64::try_from(entry.int()?).ok()?, step: u64::try_from(step.int()?).ok()? })
}

fn exception(row: &[Value]) -> Option<(Option<Target>, Origin, super::Exception)> {
    let [key, kind, entry, step, reason] = row else { return None };
    let exception = super::Exception {
        kind: kind_of(kind.text()?)?,
        position: position(entry, step)?,
        reason: reason.text()?.to_owned(),
    };
    let (target, origin) = read_key(key.text()?)?;
    Some((target, origin, exception))
}

fn kind_of(text: &str) -> Option<ExceptionKind> {
    Some(match text {
        "held" => ExceptionKind::Held,
        "parked" => ExceptionKind::Parked,
        "catching_up" => ExceptionKind::CatchingUp,
        _ => return None,
    })
}

pub(crate) fn kind_text(kind: ExceptionKind) -> &'static str {
    match kind {
        ExceptionKind::Held => "held",
        ExceptionKind::Parked => "parked",
        ExceptionKind::CatchingUp => "catching_up",
    }
}

/// Moves the watermarks: exactly one row each.
pub(crate) async fn move_watermarks(
    session: &mut dyn Session,
    d: &dyn Dialect,
    group: &str,
    moves: &[Move],
) -> Result<(), WarehouseError> {
    for step in moves {
        let moved =
            session.execute(&sql::move_watermark(d, group, step)).await.map_err(|f| f.doing("move a watermark"))?;
        if moved != 1 {
            return Err(stands_elsewhere(session, d, group, &step.shard).await?);
        }
    }
    Ok(())
}

/// Changes the exceptions and the places in rebuilds: exactly one row each.
pub(crate) async fn change_exceptions(
    session: &mut dyn Session,
    d: &dyn Dialect,
    group: &str,
    exceptions: &[ExceptionChange],
    rebuilds: &[RebuildChange],
) -> Result<(), WarehouseError> {
    for (key, change) in keyed(exceptions, rebuilds) {
        let statement = match (&change.from, &change.to) {
            (None, None) => continue,
            (None, Some(e)) => sql::open_exception(d, group, &key, kind_text(e.kind), e.position, &e.reason),
            (Some(from), None) => sql::close_exception(d, group, &key, *from),
            (Some(from), Some(e)) => {
                sql::move_exception(d, group, &key, kind_text(e.kind), *from, (e.position, &e.reason))
            }
        };
        let changed = session.execute(&statement).await.map_err(|f| f.doing("change an exception"))?;
        if changed != 1 {
            return Err(stands_elsewhere(session, d, group, &change.origin.shard).await?);
        }
    }
    Ok(())
}

async fn stands_elsewhere(
    session: &mut dyn Session,
    d: &dyn Dialect,
    group: &str,
    shard: &Shard,
) -> Result<WarehouseError, WarehouseError> {
    let found = read(session, d, group).await?.and_then(|mut s| s.watermarks.remove(shard));
    Ok(WarehouseError::Moved { group: group.to_owned(), shard: shard.clone(), found })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn places_in_rebuilds_lie_beside_exceptions() {
        let origin = Origin::new(&Shard::new("eu:1"), "shop.07", "orders");
        assert_eq!(read_key(&origin.to_string()), Some((None, origin.clone())));
        for target in ["shop.orders", "a:b%c", "ü"] {
            let target = Target::new(target);
            assert_eq!(read_key(&rebuild_key(&target, &origin)), Some((Some(target), origin.clone())));
        }
        assert_eq!(read_key(":rebuild:shop.orders"), None);
    }
}
