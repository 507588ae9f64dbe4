//! A server inside this process, on a runtime and a thread of its own.
//!
//! Tests may block their own runtime, or have none; what runs here is not held up by that.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

/// Bound on the end of work that is under way when the server is dropped.
const END_LIMIT: Duration = Duration::from_secs(2);

/// A running future, ended when dropped.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs `work` until it ends or this is dropped.
    pub(crate) fn run(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
            .context("cannot start a runtime")?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    () = work => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(END_LIMIT);
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // An error is a panic in the server, which has been printed.
            let _ = thread.join();
        }
    }
}
