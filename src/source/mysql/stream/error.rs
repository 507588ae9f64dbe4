//! Why reading ended, and what can be done about it.

use std::time::Duration;

use mysql_async::Error as DriverFailure;

use crate::source::mysql::{connect::ConnectError, gtid::BadGtidSet, payload::PayloadError, start::StartError};

/// Reading the log ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The position cannot be continued from.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The server ended the stream with an error.
    #[error("MySQL ended the binlog stream: error {code}: {message}")]
    Server {
        /// MySQL error number; 1236 is "cannot read the binlog".
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The connection broke.
    #[error("connection to MySQL lost")]
    Lost(#[source] DriverFailure),
    /// The server closed the stream without an error (shutdown).
    #[error("MySQL closed the binlog stream")]
    Closed,
    /// Neither events nor heartbeats.
    #[error("MySQL sent neither events nor heartbeats for {0:?}")]
    Silent(Duration),
    /// The bytes are not those that were written.
    #[error(
        "checksum of the event behind {file}:{offset} (type {event_type}) does not match; the network or the source's disk corrupts data"
    )]
    Checksum {
        /// File.
        file: String,
        /// Offset in front of the event.
        offset: u64,
        /// Type code.
        event_type: u8,
    },
    /// The bytes do not form an event.
    #[error("malformed event behind {file}:{offset}")]
    Malformed {
        /// File.
        file: String,
        /// Offset in front of the event.
        offset: u64,
    },
    /// Compressed data is damaged.
    #[error("damaged event behind {file}:{offset}")]
    Payload {
        /// File.
        file: String,
        /// Offset behind the transaction's payload event, or in front of the compressed event.
        offset: u64,
        /// What is wrong.
        source: PayloadError,
    },
    /// The source lost events itself (INCIDENT): its log does not contain all changes.
    #[error(
        "the source logged an incident at {file}:{offset}: changes are missing from its binlog; take new snapshots of all tables"
    )]
    Incident {
        /// File.
        file: String,
        /// Offset behind the event.
        offset: u64,
    },
    /// A kind of event that this version does not know and may not skip.
    #[error("event of unknown type {event_type} behind {file}:{offset}; a newer Tailwater may know it")]
    UnknownEvent {
        /// Type code.
        event_type: u8,
        /// File.
        file: String,
        /// Offset behind the event.
        offset: u64,
    },
    /// The GTID set cannot be sent.
    #[error(transparent)]
    Position(#[from] BadGtidSet),
}

/// What a retry can do about a [`StreamError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again for as long as it takes.
    Retry,
    /// Try again a few times: it may have been the network, or a server that is just being promoted.
    RetrySome,
    /// Only the operator can mend it.
    Operator,
}

/// Server codes at which the stream is gone for good: unreadable binlog (1236: purged, a twin with our id, a damaged file),
/// missing REPLICATION SLAVE (1227), duplicate server id (1593).
const DEFINITE_CODES: [u16; 4] = [1045, 1227, 1236, 1593];

impl StreamError {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Connect(e) if e.is_definite() => Remedy::Operator,
            Self::Connect(_) | Self::Lost(_) | Self::Closed | Self::Silent(_) => Remedy::Retry,
            Self::Start(e) => e.remedy(),
            Self::Server { code, .. } if DEFINITE_CODES.contains(code) => Remedy::Operator,
            Self::Server { .. } => Remedy::Retry,
            Self::Checksum { .. } | Self::Malformed { .. } | Self::Payload { .. } => Remedy::RetrySome,
            Self::Incident { .. } | Self::UnknownEvent { .. } | Self::Position(_) => Remedy::Operator,
        }
    }
}

impl From<DriverFailure> for StreamError {
    fn from(failure: DriverFailure) -> Self {
        match failure {
            DriverFailure::Server(e) => Self::Server { code: e.code, message: e.message },
            other => Self::Lost(other),
        }
    }
}
