//! Stop signals: the first one drains, the second one ends at once.

use std::sync::Arc;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use super::Failure;
use crate::{config::mask_urls, exit::Exit, pipeline::control::Levers};

/// Ends at the first SIGTERM or SIGINT, for verbs that have nothing to commit.
///
/// # Errors
/// The operating system refuses the handlers.
pub(super) fn interrupted() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |e| Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot listen for stop signals"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Reads the configuration anew at each SIGHUP, until the task is aborted.
///
/// # Errors
/// The operating system refuses the handler.
pub(super) fn on_hangup(levers: Arc<Levers>) -> Result<JoinHandle<()>, Failure> {
    let failed = |e| Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot listen for SIGHUP"));
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    Ok(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Err(problems) = levers.reload() {
                let problems = mask_urls(&problems.to_string());
                tracing::error!(problems, "the new configuration does not pass; the old one stays in force");
            }
        }
    }))
}

/// Becomes `true` at the first SIGTERM or SIGINT. A second signal ends the process with [`Exit::Interrupted`]; whatever
/// was not committed by then is read again at the next start.
///
/// # Errors
/// The operating system refuses the handlers.
pub(super) fn stop_on_signal() -> Result<watch::Receiver<bool>, Failure> {
    let failed = |e| Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot listen for stop signals"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for first in [true, false] {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if first {
                tracing::info!(
                    signal = name,
                    "stopping: what was read is committed first; a second signal stops at once"
                );
                // Without receivers there is nothing left to stop.
                let _ = stop.send(true);
            }
        }
        std::process::exit(i32::from(Exit::Interrupted.code()));
    });
    Ok(stopped)
}
