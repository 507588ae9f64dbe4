//! Fence and state of a group.

use tokio::time::sleep;

use crate::warehouse::{
    Claim, Fence, GroupState, WarehouseError,
    error::{Failure, FailureKind},
    session::Value,
    state,
};

use super::{
    CONFLICT_PAUSE,
    errors::{Class, Trouble},
    script::{About, Channel, Halt, Script, Sql, query},
    sql::{Names, catalog, state::GroupTables},
};

/// Tries at taking the fence while others take it too, and at creating what others create at the same moment.
const TRIES_MAX: u32 = 8;

/// Epoch, writer, seconds since the last sign of life.
type Holder = (i64, String, Option<i64>);

/// Creates the group's private tables where they are missing.
pub(crate) async fn create(channel: &mut dyn Channel, names: &Names, group: &str) -> Result<(), WarehouseError> {
    const WHAT: &str = "create the private tables";
    let tables = GroupTables::new(names, group);
    let mut tries = 0;
    while !exists(channel, names, &tables).await.map_err(|t| t.failure.doing(WHAT))? {
        tries += 1;
        match create_once(channel, names, &tables, group).await {
            Ok(()) => {}
            // Two appliers that begin at once: one of them finds what the other has just made.
            Err(trouble) if tries < TRIES_MAX && crossed(&trouble) => sleep(CONFLICT_PAUSE).await,
            Err(trouble) => return Err(trouble.failure.doing(WHAT)),
        }
    }
    Ok(())
}

fn crossed(trouble: &Trouble) -> bool {
    trouble.class == Class::Conflict || trouble.failure.kind == FailureKind::Data
}

/// Whether the fence is there, which is made last.
pub(super) async fn exists(channel: &mut dyn Channel, names: &Names, tables: &GroupTables) -> Result<bool, Trouble> {
    let found = query(channel, catalog::tables_of(&names.private, &tables.fence_name)).await?;
    if found.is_empty() {
        return Ok(false);
    }
    let rows = query(channel, tables.count_fences()).await?;
    Ok(rows.first().and_then(|row| row.first()?.int()) != Some(0))
}

async fn create_once(
    channel: &mut dyn Channel,
    names: &Names,
    tables: &GroupTables,
    group: &str,
) -> Result<(), Trouble> {
    // Asked first: creating takes a right on the database even where it would do nothing.
    let schema = !query(channel, catalog::schema_exists(&names.private)).await?.is_empty();
    for statement in tables.create(names).into_iter().skip(usize::from(schema)) {
        channel.run(&Sql::new(statement)).await?;
    }
    let mut script = Script::default();
    script.push(&About::Fence, tables.lock());
    script.count(&About::Fence, tables.count_fences(), 0, "the fence is there already");
    script.push(&About::Fence, tables.seed(group));
    match channel.transact(&script).await {
        Ok(_) | Err(Halt::Unmet { .. }) => Ok(()),
        Err(Halt::Failed { trouble, .. } | Halt::Transaction { trouble, .. }) => Err(trouble),
    }
}

/// Takes the next epoch.
pub(crate) async fn open(
    channel: &mut dyn Channel,
    names: &Names,
    claim: &Claim,
) -> Result<(Fence, GroupState), WarehouseError> {
    const WHAT: &str = "take the group's fence";
    let tables = GroupTables::new(names, &claim.group);
    let quiet = i64::try_from(claim.quiet.as_secs()).unwrap_or(i64::MAX);
    for _ in 0..TRIES_MAX {
        let holder = holder(channel, &tables).await.map_err(|t| t.failure.doing(WHAT))?;
        let (epoch, writer, seconds) = holder.ok_or_else(|| WarehouseError::fatal(WHAT))?;
        if let Some(seconds) = seconds
            && writer != claim.writer
            && seconds < quiet
        {
            // The warehouse's clock has whole seconds, and two of its nodes may differ by one.
            return Err(WarehouseError::Busy { group: claim.group.clone(), writer, seconds: seconds.max(0) });
        }
        let mut script = Script::default();
        script.push(&About::Fence, tables.lock());
        script.count(&About::Fence, tables.count_epoch(epoch), 1, "somebody else took the fence");
        script.push(&About::Fence, tables.take(epoch, &claim.writer));
        match channel.transact(&script).await {
            Ok(_) => {
                let state = read(channel, names, &claim.group).await?.ok_or_else(|| WarehouseError::fatal(WHAT))?;
                return Ok((Fence { group: claim.group.clone(), epoch: epoch + 1 }, state));
            }
            Err(Halt::Unmet { .. }) => {}
            Err(Halt::Failed { trouble, .. } | Halt::Transaction { trouble, undecided: false })
                if trouble.class == Class::Conflict => {}
            Err(Halt::Failed { trouble, .. } | Halt::Transaction { trouble, .. }) => {
                return Err(trouble.failure.doing(WHAT));
            }
        }
        sleep(CONFLICT_PAUSE).await;
    }
    Err(Failure::new(FailureKind::Transient, "others take the fence again and again").doing(WHAT))
}

async fn holder(channel: &mut dyn Channel, tables: &GroupTables) -> Result<Option<Holder>, Trouble> {
    let rows = query(channel, tables.read_fence()).await?;
    Ok(rows.first().and_then(|row| match row.as_slice() {
        [Value::Int(epoch), writer, seconds] => {
            Some((*epoch, writer.text().unwrap_or_default().to_owned(), seconds.int()))
        }
        _ => None,
    }))
}

/// The group's state; `None` before the first claim.
pub(crate) async fn read(
    channel: &mut dyn Channel,
    names: &Names,
    group: &str,
) -> Result<Option<GroupState>, WarehouseError> {
    const WHAT: &str = "read the group's state";
    let doing = |t: Trouble| t.failure.doing(WHAT);
    let tables = GroupTables::new(names, group);
    if !exists(channel, names, &tables).await.map_err(doing)? {
        return Ok(None);
    }
    let fence = holder(channel, &tables).await.map_err(doing)?.ok_or_else(|| WarehouseError::fatal(WHAT))?;
    let (epoch, writer, _) = fence;
    if epoch == 0 {
        return Ok(None);
    }
    let watermarks = query(channel, tables.watermarks()).await.map_err(doing)?;
    let exceptions = query(channel, tables.exceptions()).await.map_err(doing)?;
    let state = state::assemble((epoch, writer), &watermarks, &exceptions);
    state.map(Some).ok_or_else(|| WarehouseError::fatal(WHAT))
}

/// Gives the fence back.
pub(crate) async fn close(channel: &mut dyn Channel, names: &Names, fence: &Fence) -> Result<(), Trouble> {
    channel.run(&Sql::new(GroupTables::new(names, &fence.group).leave(fence.epoch))).await?;
    Ok(())
}

/// Proves, without holding it, that the fence is ours.
pub(crate) async fn look(channel: &mut dyn Channel, names: &Names, fence: &Fence) -> Result<(), WarehouseError> {
    const WHAT: &str = "check the group's fence";
    let held = holder(channel, &GroupTables::new(names, &fence.group)).await;
    let (epoch, writer, _) = held.map_err(|t| t.failure.doing(WHAT))?.unwrap_or((0, "nobody".to_owned(), None));
    if epoch == fence.epoch {
        return Ok(());
    }
    Err(WarehouseError::Fenced { group: fence.group.clone(), writer, epoch })
}

/// The statements with which every writing transaction begins: nobody else writes for the group until it ends, and the
/// fence is still ours.
pub(crate) fn hold(script: &mut Script, tables: &GroupTables, fence: &Fence) {
    script.push(&About::Fence, tables.lock());
    script.count(&About::Fence, tables.count_epoch(fence.epoch), 1, "somebody else took the fence");
    script.push(&About::Fence, tables.touch(fence.epoch));
}
