//! Stop signals: the first one drains, the second one ends at once.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::Failure;
use crate::exit::Exit;

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
