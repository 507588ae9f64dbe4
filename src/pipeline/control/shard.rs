//! A shard's extraction, but for the times in which it is paused.

use tokio::sync::watch;

use super::Held;
use crate::{
    live::Phase,
    pipeline::extract::{self, Extract, ExtractError},
};

/// Extracts until the process stops or, with `once`, has caught up. While the shard is paused nothing is read: the session ends at
/// a commit point and releases the log, and the next one begins anew from there.
///
/// # Errors
/// Those of [`extract::run`].
pub(in crate::pipeline) async fn extract(mut job: Extract, mut held: Held) -> Result<(), ExtractError> {
    let shard = job.shard.clone();
    let mut stop = job.stop.clone();
    loop {
        if held.borrow_and_update().shard(&shard).is_some() {
            tracing::warn!(%shard, "the shard is paused: nothing is read, and the source's binlogs have to last until `tailwater resume`");
            if job.once {
                return Ok(());
            }
            job.metrics.shard(&shard).connected(false);
            job.metrics.live().shard(&shard).enter(Phase::Paused);
            tokio::select! {
                // The sender lives as long as the process' other tasks: without it there is nobody who could resume.
                let_go = held.wait_for(|held| held.shard(&shard).is_none()) => if let_go.is_err() { return Ok(()) },
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
            }
            tracing::info!(%shard, "the shard is resumed");
        }
        let (halt, halted) = watch::channel(false);
        job.stop = halted;
        let mut running = Box::pin(extract::run(job.clone()));
        let stopping = tokio::select! {
            ended = &mut running => return ended,
            _ = stop.wait_for(|stop| *stop) => true,
            Ok(_) = held.wait_for(|held| held.shard(&shard).is_some()) => false,
        };
        halt.send_replace(true);
        running.await?;
        if stopping {
            return Ok(());
        }
        // The log is ours since the first session; whoever took it meanwhile is not fenced in turn.
        job.take_over = false;
    }
}
