//! Beginning with a log whose oldest entries are gone: a new warehouse on a lake that does not keep everything.

use super::{ApplyError, catch_up::CatchUp, hold, session::Session, tick::Tick};
use crate::{
    lake::{
        LogError,
        log::{read_entry, read_floor},
    },
    model::{Origin, Shard},
    warehouse::{Exception, ExceptionChange, ExceptionKind, LogPosition, Move, Watermark},
};

impl Session<'_> {
    /// Begins with a log whose oldest entries were removed. Tables that it knew by then are not whole in it: they wait, visibly,
    /// for the snapshots that bring all their rows.
    pub(super) async fn begin_behind(&mut self, shard: &Shard, first: u64) -> Result<(), ApplyError> {
        let position = LogPosition { entry: first, step: 0 };
        let Some(oldest) = read_entry(&*self.apply.store, shard, first).await? else {
            let floor = read_floor(&*self.apply.store, shard).await?;
            return Err(LogError::Collected { shard: shard.clone(), number: first, floor }.into());
        };
        let known = oldest.entry.catalog.unwrap_or_default().origins.into_keys();
        let origins: Vec<Origin> = known.filter(|o| self.apply.owns(o) && !self.behind.contains_key(o)).collect();
        let parked = |origin: &Origin| ExceptionChange {
            origin: origin.clone(),
            from: None,
            to: Some(Exception { kind: ExceptionKind::Parked, position, reason: hold::collected(origin, first) }),
        };
        let exceptions: Vec<ExceptionChange> = origins.iter().map(parked).collect();
        let to = Watermark { log_id: oldest.entry.log_id, position };
        let moves = vec![Move { shard: shard.clone(), from: None, to: to.clone(), committed_at: None }];
        let behind = exceptions.iter().filter_map(|c| Some((c.origin.clone(), CatchUp::of(&c.origin, c.to.as_ref()?))));
        let behind: Vec<_> = behind.collect();
        let tick = Tick { moves, exceptions, ..Tick::default() };
        self.apply.perform(&self.fence, &mut self.number, &mut self.targets, tick).await?;
        self.behind.extend(behind);
        if let Some(reader) = self.readers.get_mut(shard) {
            reader.cursor.log_id = to.log_id;
            reader.stands = Some(position);
        }
        let (group, tables) = (&self.apply.group, origins.len());
        tracing::warn!(group, %shard, first, tables, "the lake begins behind the log's first entry: these tables wait for `tailwater snapshot`");
        Ok(())
    }
}
