//! What can be wrong with a log.

use crate::source::mysql::{rows::RowsEventError, table_map::TableMapError};

/// The log cannot be read past this event.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the binlog at {file}:{offset} (event type {event_type}, group {})", group.as_deref().unwrap_or("without GTID"))]
pub struct AssemblerError {
    /// Binlog file.
    pub file: String,
    /// Offset behind the event.
    pub offset: u64,
    /// GTID of the group.
    pub group: Option<String>,
    /// Type code of the event.
    pub event_type: u8,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// Why an event does not fit.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The bytes do not form the event.
    #[error("malformed event")]
    Malformed,
    /// A group begins before the previous one ended.
    #[error("a group begins inside another one")]
    Unfinished,
    /// Rows or a commit outside of a transaction.
    #[error("the event belongs to a transaction, and none is open")]
    NoTransaction,
    /// Rows of a table that was not announced.
    #[error("rows of table id {0} come without its table map")]
    UnknownTable(u64),
    /// A statement announces more tables than any statement can touch.
    #[error("a statement announces more than {0} tables")]
    TooManyTables(usize),
    /// The table map does not parse.
    #[error(transparent)]
    TableMap(TableMapError),
    /// The rows event does not parse.
    #[error(transparent)]
    Rows(RowsEventError),
}
