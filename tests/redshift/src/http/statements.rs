//! All statements of the Data API that are remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

use super::Host;
use super::statement::{Asked, Statement};

/// Statements that may run at a time ("Considerations when calling the Data API").
const ACTIVE_MAX: usize = 200;
/// Statements remembered; the service keeps them for 24 hours.
const KEPT_MAX: usize = 10_000;
/// Bytes of all results remembered.
const KEPT_BYTES_MAX: usize = 512 << 20;

/// Why a statement was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// Too many are active.
    TooMany,
    /// The token was used for another request.
    TokenUsed,
}

/// The statements, oldest first.
#[derive(Debug, Default)]
pub(super) struct Statements {
    all: Mutex<VecDeque<(Arc<Statement>, AbortHandle)>>,
}

impl Statements {
    /// Takes a request, or finds the one that the same token was used for.
    pub(super) fn submit(
        &self,
        asked: Asked,
        token: Option<String>,
        host: Arc<dyn Host>,
    ) -> Result<Arc<Statement>, NotTaken> {
        let mut all = self.lock();
        if token.is_some()
            && let Some((earlier, _)) = all.iter().find(|(statement, _)| statement.token == token)
        {
            return if earlier.asked == asked { Ok(Arc::clone(earlier)) } else { Err(NotTaken::TokenUsed) };
        }
        if all.iter().filter(|(statement, _)| !statement.is_final()).count() >= ACTIVE_MAX {
            return Err(NotTaken::TooMany);
        }
        forget(&mut all);
        let statement = Arc::new(Statement::new(asked, token));
        let handle = statement.start(host);
        all.push_back((Arc::clone(&statement), handle));
        Ok(statement)
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<Statement>> {
        self.lock().iter().find(|(statement, _)| statement.id == id).map(|(statement, _)| Arc::clone(statement))
    }

    /// The newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Statement>> {
        self.lock().iter().rev().map(|(statement, _)| Arc::clone(statement)).collect()
    }

    /// Ends a statement's session; false when it had ended already, `None` when there is none.
    pub(super) fn cancel(&self, id: &str) -> Option<bool> {
        let all = self.lock();
        let (statement, handle) = all.iter().find(|(statement, _)| statement.id == id)?;
        let cancelled = statement.cancel();
        if cancelled {
            handle.abort();
        }
        Some(cancelled)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Arc<Statement>, AbortHandle)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Statements {
    /// Host end with the server.
    fn drop(&mut self) {
        for (_, handle) in self.lock().iter() {
            handle.abort();
        }
    }
}

/// Makes room for one more by forgetting the oldest that ended.
fn forget(all: &mut VecDeque<(Arc<Statement>, AbortHandle)>) {
    let mut bytes: usize = all.iter().map(|(statement, _)| statement.bytes()).sum();
    while all.len() >= KEPT_MAX || bytes > KEPT_BYTES_MAX {
        let Some(oldest) = all.iter().position(|(statement, _)| statement.is_final()) else { return };
        if let Some((forgotten, _)) = all.remove(oldest) {
            bytes -= forgotten.bytes();
        }
    }
}
