//! How far the warehouse is, in the source's own terms.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::{error::VerifyError, sides::Follower};
use crate::{
    lake::{Store, log},
    model::{Origin, Position},
    source::mysql::checksum::Mark,
    warehouse::{ExceptionKind, LogPosition, Warehouse},
};

/// How often the watermark is read while it is waited for.
const POLL: Duration = Duration::from_millis(500);

/// Entries that are passed in one look: some hours of a shard that is idle. Bounds the requests of one look.
const PASSED_MAX: usize = 512;

/// A place that the warehouse has reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    /// Last entry that is applied as a whole.
    pub(super) entry: u64,
    /// The source's position after it.
    pub(super) position: Position,
    /// Latest commit time that it covers.
    pub(super) committed_at: Option<i64>,
}

/// Reads how far one origin's rows are applied.
#[derive(Debug)]
pub(super) struct Coverage {
    pub(super) warehouse: Arc<dyn Warehouse>,
    pub(super) store: Arc<dyn Store>,
    /// The group's name in the warehouse.
    pub(super) group: String,
    pub(super) origin: Origin,
    pub(super) patience: Duration,
    known: Option<Reached>,
}

impl Coverage {
    pub(super) fn new(
        warehouse: Arc<dyn Warehouse>,
        store: Arc<dyn Store>,
        group: String,
        origin: Origin,
        patience: Duration,
    ) -> Self {
        Self { warehouse, store, group, origin, patience, known: None }
    }

    /// How far the origin's rows are applied now.
    pub(super) async fn reached(&mut self) -> Result<Reached, VerifyError> {
        let nothing =
            || VerifyError::NotFollowed("nothing of its shard was applied yet; run `tailwater run`".to_owned());
        let shard = &self.origin.shard;
        let state = self.warehouse.group_state(&self.group).await?.ok_or_else(nothing)?;
        let mark = state.watermarks.get(shard).ok_or_else(nothing)?;
        let position = match state.exceptions.get(&self.origin) {
            Some(e) if e.kind == ExceptionKind::Parked => {
                let reason = format!("it is parked: {}; mend the cause and restart the applier", e.reason);
                return Err(VerifyError::NotFollowed(reason));
            }
            Some(e) if e.kind == ExceptionKind::Held => {
                return Err(VerifyError::NotFollowed("a snapshot of it is under way; verify it afterwards".to_owned()));
            }
            Some(e) => e.position,
            None => mark.position,
        };
        // Every step before the position is applied: the last whole entry is the one before it.
        let LogPosition { entry, .. } = position;
        let entry = entry.saturating_sub(1);
        if let Some(known) = self.known.take().filter(|known| known.entry >= entry) {
            let reached = self.pass(known, &mark.log_id).await?;
            return Ok(self.known.insert(reached).clone());
        }
        let missing = || VerifyError::NotFollowed(format!("entry {entry}, which is applied, is not in the lake"));
        let found = log::read_entry(&*self.store, shard, entry).await?.ok_or_else(missing)?.entry;
        if found.log_id != mark.log_id {
            let reason = "the warehouse has applied another log than the lake has".to_owned();
            return Err(VerifyError::NotFollowed(reason));
        }
        let committed_at = state.committed_at.get(shard).copied();
        let reached = self.pass(Reached { entry, position: found.position, committed_at }, &mark.log_id).await?;
        Ok(self.known.insert(reached).clone())
    }

    /// Passes entries that have nothing of the origin: its rows are as of their end, though the watermark follows them only once
    /// in a while.
    async fn pass(&self, mut reached: Reached, log_id: &str) -> Result<Reached, VerifyError> {
        for _ in 0..PASSED_MAX {
            let Some(next) = log::read_entry(&*self.store, &self.origin.shard, reached.entry + 1).await? else { break };
            let entry = next.entry;
            if entry.log_id != log_id || entry.steps.iter().any(|step| *step.origin() == self.origin) {
                break;
            }
            let committed_at = entry.committed_at.map(|(_, latest)| latest).max(reached.committed_at);
            reached = Reached { entry: entry.number, position: entry.position, committed_at };
        }
        Ok(reached)
    }
}

impl Coverage {
    /// Waits until everything in `mark` is applied.
    pub(super) async fn wait(&mut self, mark: &Mark) -> Result<(), VerifyError> {
        let deadline = Instant::now() + self.patience;
        while !self.has(mark).await? {
            if Instant::now() >= deadline {
                return Err(self.too_late(mark));
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

#[async_trait]
impl Follower for Coverage {
    type Moment = Mark;

    async fn has(&mut self, moment: &Mark) -> Result<bool, VerifyError> {
        Ok(moment.is_covered_by(&self.reached().await?.position)?)
    }

    fn too_late(&self, moment: &Mark) -> VerifyError {
        let entry = self.known.as_ref().map(|known| known.entry).unwrap_or_default();
        VerifyError::Behind { wanted: moment.text(), entry, patience: self.patience }
    }
}
