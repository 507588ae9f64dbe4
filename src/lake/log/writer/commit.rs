//! Creating an entry and finding out whose it is.

use std::time::Duration;

use crate::{
    lake::{
        Clock, Created, Store, StoreError,
        log::{LogEntry, LogError},
        paths,
    },
    model::Entry,
};

/// First wait before an undecided creation is tried again; doubles up to [`WAIT_MAX`]. One writer per shard and the
/// store's own jitter make further jitter needless.
const WAIT: Duration = Duration::from_millis(200);

/// Longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// How long a commit is tried. Extraction only pauses meanwhile; then the shard restarts, which logs loudly.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(300);

/// Whose the entry is.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Ours, perhaps by an attempt whose answer was lost.
    Ours,
    /// Another writer's; `None` when it is already removed.
    Theirs(Option<Box<LogEntry>>),
}

/// Creates the object of `sealed` if it is absent.
pub(super) async fn commit(store: &dyn Store, clock: &dyn Clock, sealed: &LogEntry) -> Result<Outcome, LogError> {
    let started = clock.monotonic();
    let mut wait = WAIT;
    let mut undecided = false;
    loop {
        let error = match attempt(store, sealed).await? {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        let definite = error.kind.is_definite();
        undecided |= !definite;
        if definite && !undecided {
            return Err(error.into());
        }
        if definite || clock.monotonic().saturating_sub(started) >= COMMIT_TIME_MAX {
            let Entry { shard, number, .. } = &sealed.entry;
            return Err(LogError::Undecided { shard: shard.clone(), number: *number, source: Some(Box::new(error)) });
        }
        clock.sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// One try. The outer error ends the commit, the inner one is the store's.
async fn attempt(store: &dyn Store, sealed: &LogEntry) -> Result<Result<Outcome, StoreError>, LogError> {
    let Entry { shard, number, .. } = &sealed.entry;
    let path = paths::entry(shard, *number);
    match store.create(&path, sealed.bytes.clone()).await {
        Ok(Created::New) => return Ok(Ok(Outcome::Ours)),
        Ok(Created::Exists) => {}
        Err(error) => return Ok(Err(error)),
    }
    match store.get(&path).await {
        Ok(Some(bytes)) if bytes == sealed.bytes => Ok(Ok(Outcome::Ours)),
        Ok(Some(bytes)) => Ok(Ok(Outcome::Theirs(Some(Box::new(LogEntry::parse(shard, *number, bytes)?))))),
        Ok(None) => Ok(Ok(Outcome::Theirs(None))),
        Err(error) => Ok(Err(error)),
    }
}
