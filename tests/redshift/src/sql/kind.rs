//! Kinds of statements, for the log and for faults.

/// What a statement does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// SELECT and what reads like it.
    Select,
    /// INSERT.
    Insert,
    /// UPDATE.
    Update,
    /// DELETE.
    Delete,
    /// MERGE.
    Merge,
    /// COPY.
    Copy,
    /// TRUNCATE, which commits.
    Truncate,
    /// LOCK TABLE.
    Lock,
    /// CREATE, ALTER, DROP, GRANT.
    Definition,
    /// SET, SHOW, RESET and everything else.
    Other,
}
