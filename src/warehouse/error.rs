//! What can go wrong at a warehouse, by what the caller does about it.

use crate::model::{Shard, Target};

use super::group::Watermark;

/// The cause below a [`WarehouseError`]: a client's error, stripped of row values.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Outcome of a failed call. Each variant is one thing for the caller to do.
#[derive(Debug, thiserror::Error)]
pub enum WarehouseError {
    /// The world failed, not the data: connection, lock, disk space, shutdown. Repeat the *tick* after a pause.
    ///
    /// After a transient error of [`merge`](super::Warehouse::merge) the outcome may be unknown (a connection lost
    /// around COMMIT): read [`group_state`](super::Warehouse::group_state) and ask
    /// [`GroupState::outcome`](super::GroupState::outcome) before anything else.
    #[error("the warehouse could not {what}; it will be tried again")]
    Transient {
        /// What was attempted, as a bare verb phrase.
        what: String,
        /// What the client said.
        #[source]
        source: Cause,
    },
    /// One table cannot go on; the others can. Park it and show `reason`.
    #[error("table {target}: {reason}")]
    Table {
        /// The table.
        target: Target,
        /// What is wrong and what the operator does about it, without row values.
        reason: String,
    },
    /// The configuration or the rights are wrong. Refuse to start.
    #[error("the warehouse refuses to {what}: {mend}")]
    Config {
        /// What was attempted.
        what: String,
        /// What the operator does about it.
        mend: String,
        /// What the client said.
        #[source]
        source: Option<Cause>,
    },
    /// Another applier used the group moments ago. Wait and ask again, or take over.
    #[error("group {group} is being applied by {writer}, last seen {seconds} s ago")]
    Busy {
        /// The group.
        group: String,
        /// Who holds it.
        writer: String,
        /// Age of its last sign of life by the warehouse's clock, seconds.
        seconds: i64,
    },
    /// Another applier took the group over. Stop, with an exit code of its own.
    #[error("group {group} was taken over by {writer} (epoch {epoch}); this process must stop applying")]
    Fenced {
        /// The group.
        group: String,
        /// Who holds it now; "nobody" when the fence is gone.
        writer: String,
        /// The epoch it holds.
        epoch: i64,
    },
    /// A watermark or an exception is not where the caller believed it to be; nothing was applied. Read the group's
    /// state again and continue from it.
    #[error("shard {shard} of group {group} stands at {}, not where this tick starts", at(found))]
    Moved {
        /// The group.
        group: String,
        /// The shard (for an exception: the shard of its origin).
        shard: Shard,
        /// Where it stands; `None` without a row.
        found: Option<Watermark>,
    },
    /// A broken promise, of this program or of the warehouse. Stop.
    #[error("the warehouse cannot {what}")]
    Fatal {
        /// What was attempted.
        what: String,
        /// What the client said.
        #[source]
        source: Option<Cause>,
    },
}

fn at(found: &Option<Watermark>) -> String {
    found.as_ref().map_or_else(|| "no position".to_owned(), ToString::to_string)
}

impl WarehouseError {
    /// A definite error of one table.
    pub(crate) fn table(target: &Target, reason: impl Into<String>) -> Self {
        Self::Table { target: target.clone(), reason: reason.into() }
    }

    /// A broken promise.
    pub(crate) fn fatal(what: impl Into<String>) -> Self {
        Self::Fatal { what: what.into(), source: None }
    }
}

/// Kind of a failed statement, before it is known whether it was about one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Worth repeating.
    Transient,
    /// The data or the table's definition do not fit.
    Data,
    /// Rights or configuration.
    Denied,
    /// Neither repeating nor parking helps.
    Fatal,
}

/// A failed statement, classified by its client.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    /// What the server said, without row values.
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// The error of an operation that concerns no single table.
    pub(crate) fn doing(self, what: &str) -> WarehouseError {
        let what = what.to_owned();
        match self.kind {
            FailureKind::Transient => WarehouseError::Transient { what, source: self.into() },
            FailureKind::Denied => {
                let mend = "grant the rights that `tailwater check` lists".to_owned();
                WarehouseError::Config { what, mend, source: Some(self.into()) }
            }
            FailureKind::Data | FailureKind::Fatal => WarehouseError::Fatal { what, source: Some(self.into()) },
        }
    }

    /// The error of an operation on one table: what does not fit parks it alone.
    pub(crate) fn in_table(self, target: &Target, what: &str) -> WarehouseError {
        match self.kind {
            FailureKind::Data | FailureKind::Denied => {
                WarehouseError::table(target, format!("cannot {what}: {}", self.text))
            }
            FailureKind::Transient | FailureKind::Fatal => self.doing(&format!("{what} of {target}")),
        }
    }
}
