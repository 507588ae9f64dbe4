//! Origins that stayed behind try again, each from its own place, at the beginning of every session.
//!
//! An origin that is parked here has all its rows in the lake. When the cause is mended, they are applied up to where the
//! group stands, and the exception ends in the transaction that applies the last of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ApplyError,
    cursor::{Cursor, Scope, Work},
    session::Session,
    tick::Tick,
};
use crate::{
    lake::LogReader,
    model::Origin,
    warehouse::{Exception, ExceptionChange, ExceptionKind, GroupState, LogPosition},
};

/// Tries to bring every origin with an exception to where its shard stands.
///
/// # Errors
/// What concerns the whole session. A table that fails again stays parked.
pub(super) async fn run(session: &mut Session<'_>, state: &GroupState) -> Result<(), ApplyError> {
    for (origin, exception) in &state.exceptions {
        if exception.kind == ExceptionKind::Held || !session.apply.owns(origin) {
            continue;
        }
        let Some(end) = session.stands(&origin.shard) else { continue };
        if origin_caught_up(session, origin, exception, end).await? {
            tracing::info!(%origin, "the table has caught up");
            session.behind.remove(origin);
        }
    }
    Ok(())
}

async fn origin_caught_up(
    session: &mut Session<'_>,
    origin: &Origin,
    exception: &Exception,
    end: LogPosition,
) -> Result<bool, ApplyError> {
    let Some((mut log, log_id)) = session.reader_from(&origin.shard, exception.position).await? else {
        return Ok(false);
    };
    let mut cursor = Cursor::new(origin.shard.clone(), log_id, exception.position);
    let scope = Scope::Only(origin.clone());
    let mut stands = exception.position;
    while stands < end {
        read_until(&mut log, &mut cursor, end).await?;
        let mut work = Work::default();
        cursor.take(&mut work, session.apply.tick_bytes, &scope, &|_| true)?;
        let reached = cursor.position().min(end);
        let to = (reached < end).then(|| Exception {
            kind: ExceptionKind::CatchingUp,
            position: reached,
            reason: exception.reason.clone(),
        });
        let change = ExceptionChange { origin: origin.clone(), from: Some(stands), to };
        let began = BTreeMap::from([(origin.shard.clone(), stands)]);
        let tick = Tick { work, moves: Vec::new(), exceptions: vec![change], began };
        let parked: BTreeSet<Origin> =
            session.apply.perform(&session.fence, &mut session.number, &mut session.targets, tick).await?;
        if parked.contains(origin) {
            return Ok(false);
        }
        if reached == stands {
            // The log ends before the group's place: it was cut off, which the group's own reader reports.
            return Ok(false);
        }
        stands = reached;
    }
    Ok(true)
}

/// Reads ahead up to where the group stands, and not a step further.
async fn read_until(log: &mut LogReader, cursor: &mut Cursor, end: LogPosition) -> Result<(), ApplyError> {
    let last = if end.step > 0 { end.entry } else { end.entry.saturating_sub(1) };
    while cursor.wants_more() && cursor.next_entry() <= last {
        let Some(mut entry) = log.next().await? else { break };
        if entry.entry.number == end.entry {
            entry.entry.steps.truncate(usize::try_from(end.step).unwrap_or(usize::MAX));
        }
        cursor.push(entry.entry);
    }
    Ok(())
}
