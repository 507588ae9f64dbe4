//! Binlog events as they travel from the network to the thread that decodes them.

use mysql_async::binlog::events::Event as NetworkEvent;

use super::gtid::Executed;

/// Type codes of the events the reader and the assembler know (MySQL source, `binlog_event.h`; MariaDB source,
/// `log_event.h` for those from 160 on).
pub mod code {
    #![allow(missing_docs)]
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const APPEND_BLOCK: u8 = 9;
    pub const DELETE_FILE: u8 = 11;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const MARIADB_ANNOTATE_ROWS: u8 = 160;
    pub const MARIADB_BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_GTID_LIST: u8 = 163;
    pub const MARIADB_START_ENCRYPTION: u8 = 164;
    pub const MARIADB_QUERY_COMPRESSED: u8 = 165;
    pub const MARIADB_WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const MARIADB_DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// Header flag: the event may be skipped by who does not know it.
pub const FLAG_IGNORABLE: u16 = 0x80;

/// Header flag: made by the dump thread, not part of any file.
pub const FLAG_ARTIFICIAL: u16 = 0x20;

/// Header flag of a format description: its file is still being written. Not covered by the checksum.
pub const FLAG_IN_USE: u16 = 0x01;

/// Bytes of an event header (v4).
pub const HEADER_LEN: usize = 19;

/// One event, checked, without header and checksum. Events of compressed transactions arrive expanded.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Type code, see [`code`].
    pub event_type: u8,
    /// Header flags.
    pub flags: u16,
    /// Start of the statement on the source, seconds since the epoch; 0 for artificial events.
    pub timestamp_s: u32,
    /// `server_id` of the server that first logged the event.
    pub server_id: u32,
    /// Post-header and body.
    pub body: &'a [u8],
    /// Offset behind the event in its file. For an event of a compressed transaction: behind the whole transaction.
    pub end: u64,
}

/// Everything of a [`RawEvent`] but its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) event_type: u8,
    pub(super) flags: u16,
    pub(super) timestamp_s: u32,
    pub(super) server_id: u32,
    pub(super) end: u64,
}

/// Bodies at least this large stay where the client library put them, smaller ones are copied into the batch's one
/// buffer: a copy of 8 KiB (the size the server cuts rows events at) costs less than an allocation per event kept alive.
const KEEP_FROM: usize = 64 << 10;

#[derive(Debug)]
enum Body {
    Buffer { start: usize, len: usize },
    Kept(Box<NetworkEvent>),
}

/// Events in the order of the log, in few allocations.
#[derive(Debug, Default)]
pub struct Batch {
    buffer: Vec<u8>,
    events: Vec<(Head, Body)>,
    kept: usize,
}

/// A batch is closed when its bodies reach this size, or when nothing more has arrived. Bytes.
pub const BATCH_BYTES: usize = 256 << 10;

/// … or at this many events.
const BATCH_EVENTS: usize = 4096;

impl Batch {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn push(&mut self, head: Head, event: NetworkEvent) {
        let len = event.data().len();
        if len >= KEEP_FROM {
            self.kept += len;
            self.events.push((head, Body::Kept(Box::new(event))));
        } else {
            self.push_bytes(head, event.data());
        }
    }

    pub(super) fn push_bytes(&mut self, head: Head, body: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(body);
        self.events.push((head, Body::Buffer { start, len: body.len() }));
    }

    /// Bytes of events, without headers.
    pub fn bytes(&self) -> usize {
        self.buffer.len() + self.kept
    }

    /// Bytes of memory the batch holds, nearly. The buffers grow by doubling and so hold little more than they need, also in
    /// the many small batches of a source that writes one transaction now and then.
    pub(super) fn held(&self) -> usize {
        self.buffer.capacity() + self.kept + self.events.capacity() * size_of::<(Head, Body)>()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= BATCH_BYTES || self.events.len() >= BATCH_EVENTS
    }

    /// How many events the batch has.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether the batch has no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events in order.
    pub fn iter(&self) -> impl Iterator<Item = RawEvent<'_>> {
        self.events.iter().map(|(head, body)| {
            let body = match body {
                // In bounds by construction: `push_bytes` wrote the range.
                Body::Buffer { start, len } => self.buffer.get(*start..start + len).unwrap_or_default(),
                Body::Kept(event) => event.data(),
            };
            let Head { event_type, flags, timestamp_s, server_id, end } = *head;
            RawEvent { event_type, flags, timestamp_s, server_id, body, end }
        })
    }
}

/// What a new connection learned of its server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// `server_uuid`, which changes when another server took over; MariaDB has none.
    pub server_uuid: Option<String>,
    /// Whether the server stores names of databases and tables in lower case (`lower_case_table_names = 1`).
    pub fold_names: bool,
}

/// Where a stream continues, as the assembler knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// What has been read completely.
    pub executed: Executed,
    /// Binlog file; empty before the first event.
    pub file: String,
    /// Offset behind the last complete group in `file`.
    pub offset: u64,
    /// `server_uuid` that `file` and `offset` belong to.
    pub server_uuid: Option<String>,
}
