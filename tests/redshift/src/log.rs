//! What was executed.

use std::collections::VecDeque;
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use regex::Regex;

use crate::Kind;

/// Statements that are remembered.
const STATEMENTS_MAX: usize = 100_000;

/// A statement that was executed.
#[derive(Clone, Debug)]
pub struct Executed {
    /// The session's number, as `pg_backend_pid()` tells.
    pub connection: i32,
    /// Its database.
    pub database: String,
    /// What it does.
    pub kind: Kind,
    /// Its text, without the keys of COPY.
    pub text: String,
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub duration: Duration,
    /// The error it ended with.
    pub error: Option<String>,
    /// Whether a transaction was committed by it: COMMIT, TRUNCATE, or any statement outside of a transaction that wrote.
    pub committed: bool,
    /// Rows read, written or loaded.
    pub rows: u64,
}

/// The last statements.
#[derive(Debug, Default)]
pub(crate) struct Log {
    executed: Mutex<VecDeque<Executed>>,
}

impl Log {
    pub(crate) fn push(&self, executed: Executed) {
        let mut all = self.lock();
        if all.len() == STATEMENTS_MAX {
            all.pop_front();
        }
        all.push_back(executed);
    }

    pub(crate) fn all(&self) -> Vec<Executed> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Executed>> {
        self.executed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The text without keys: COPY has them in literals.
pub(crate) fn redact(text: &str) -> String {
    static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?is)\b(access_key_id|secret_access_key|session_token|token|credentials|password)(\s+as)?\s+'(?:[^'\\]|\\.|'')*'").ok()
    });
    match KEYS.as_ref() {
        Some(keys) => keys.replace_all(text, "$1 '…'").into_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn keys_are_not_remembered() {
        let text =
            "COPY t FROM 's3://b/k' ACCESS_KEY_ID 'A' SECRET_ACCESS_KEY 'b''\\'c' credentials as 'x=y' FORMAT PARQUET";
        let want = "COPY t FROM 's3://b/k' ACCESS_KEY_ID '…' SECRET_ACCESS_KEY '…' credentials '…' FORMAT PARQUET";
        assert_eq!(redact(text), want);
    }
}
