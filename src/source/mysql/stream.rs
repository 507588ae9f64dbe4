//! One binlog connection: opened at a position, checked event by event, delivered in batches.

mod error;

use std::{convert::Infallible, panic::AssertUnwindSafe, time::Duration};

pub use error::{Remedy, StreamError};
use futures::{FutureExt as _, StreamExt as _};
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, binlog::events::Event, prelude::*};

use super::{
    channel::Sender,
    connect::Address,
    cursor::Cursor,
    event::{Batch, Connected, FLAG_ARTIFICIAL, FLAG_IGNORABLE, FLAG_IN_USE, HEADER_LEN, Head, StreamPosition, code},
    gtid::Executed,
    payload::{self, Expansion, PayloadError},
    sql, start,
};

/// How often the server says that it is alive when the log is silent.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// The connection counts as dead after this many silent heartbeat periods …
const SILENT_PERIODS: u32 = 3;

/// … but never before this: a server under load, or a transaction of a gigabyte being read from its disk, pauses longer.
const SILENCE_MIN: Duration = Duration::from_secs(10);

/// How to present ourselves to the server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `server_id`: unique among the source, its replicas and all our shards on it.
    pub server_id: u32,
    /// UUID text: a later connection with the same one replaces an earlier (server rule).
    pub replica_uuid: String,
    /// Heartbeat period.
    pub heartbeat: Duration,
}

impl Identity {
    fn silence(&self) -> Duration {
        (self.heartbeat * SILENT_PERIODS).max(SILENCE_MIN)
    }
}

/// Where in the files the reader is. Informative with GTIDs, the position itself without.
#[derive(Clone, Debug, Default)]
struct Place {
    file: String,
    offset: u64,
}

impl Place {
    /// Follows the 32 bits of offset that an event header has: files may be larger than 4 GiB.
    fn advance(&mut self, log_pos: u32) {
        if log_pos == 0 {
            return; // MariaDB 11.4+ inside transactions, artificial events
        }
        let high = self.offset & !0xffff_ffff;
        let near = high | u64::from(log_pos);
        self.offset = if near >= self.offset { near } else { near + (1 << 32) };
    }
}

/// An open dump connection.
pub(super) struct Reader {
    stream: BinlogStream,
    place: Place,
    expansion: Option<Expansion>,
    silence: Duration,
    /// The server that answers.
    pub(super) server: Connected,
}

/// What becomes of an event.
enum Treatment {
    Deliver,
    Rotate,
    Drop,
    Expand,
    ExpandMaria,
    Incident,
    Unknown,
}

fn treatment(event_type: u8) -> Treatment {
    match event_type {
        code::ROTATE => Treatment::Rotate,
        code::TRANSACTION_PAYLOAD => Treatment::Expand,
        code::INCIDENT => Treatment::Incident,
        code::MARIADB_QUERY_COMPRESSED..=code::MARIADB_DELETE_ROWS_COMPRESSED => Treatment::ExpandMaria,
        code::QUERY
        | code::INTVAR
        | code::RAND
        | code::USER_VAR
        | code::APPEND_BLOCK
        | code::DELETE_FILE
        | code::FORMAT_DESCRIPTION
        | code::XID
        | code::BEGIN_LOAD_QUERY..=code::TABLE_MAP
        | code::WRITE_ROWS_V1..=code::DELETE_ROWS_V1
        | code::HEARTBEAT
        | code::WRITE_ROWS..=code::ANONYMOUS_GTID
        | code::XA_PREPARE
        | code::PARTIAL_UPDATE_ROWS
        | code::HEARTBEAT_V2
        | code::GTID_TAGGED
        | code::MARIADB_GTID => Treatment::Deliver,
        code::STOP
        | code::IGNORABLE
        | code::ROWS_QUERY
        | code::PREVIOUS_GTIDS
        | code::TRANSACTION_CONTEXT
        | code::VIEW_CHANGE
        | code::MARIADB_ANNOTATE_ROWS
        | code::MARIADB_BINLOG_CHECKPOINT
        | code::MARIADB_GTID_LIST
        | code::MARIADB_START_ENCRYPTION => Treatment::Drop,
        _ => Treatment::Unknown,
    }
}

impl Reader {
    /// Connects, checks that `position` can be continued from, and asks for the log behind it.
    pub(super) async fn open(
        address: &Address,
        identity: &Identity,
        position: &StreamPosition,
    ) -> Result<Self, StreamError> {
        let mut conn = address.connect().await?;
        let server = start::check(&mut conn, position).await?;
        conn.query_drop(sql::dump_session(identity.heartbeat.as_nanos(), &identity.replica_uuid)).await?;
        let stream = request(conn, identity, position).await?;
        let place = Place { file: position.file.clone(), offset: position.offset };
        Ok(Self { stream, place, expansion: None, silence: identity.silence(), server })
    }

    /// Delivers events until something goes wrong. `None` when the consumer is gone.
    pub(super) async fn run(&mut self, sender: &Sender) -> Option<StreamError> {
        match self.deliver(sender).await {
            Err(end) => end,
        }
    }

    async fn deliver(&mut self, sender: &Sender) -> Result<Infallible, Option<StreamError>> {
        loop {
            let mut batch = Batch::new();
            let first = tokio::select! {
                event = next(&mut self.stream, &self.place, self.silence) => event,
                () = sender.closed() => return Err(None),
            };
            let mut failure = first.and_then(|event| self.take(event, &mut batch)).err();
            // Whatever has arrived already joins the batch; an idle source's heartbeat travels alone and at once.
            while failure.is_none() && !batch.is_full() {
                let Some(event) = next(&mut self.stream, &self.place, self.silence).now_or_never() else { break };
                failure = event.and_then(|event| self.take(event, &mut batch)).err();
            }
            if !batch.is_empty() && sender.send(batch).await.is_err() {
                return Err(None);
            }
            if failure.is_some() {
                return Err(failure);
            }
        }
    }

    /// Checks one event and adds what the decoder needs of it to `batch`.
    fn take(&mut self, event: Event, batch: &mut Batch) -> Result<(), StreamError> {
        let header = event.header();
        let event_type = header.event_type_raw();
        let inner = !event.footer().get_checksum_enabled();
        if inner {
            let Some(expansion) = &mut self.expansion else { return Err(self.malformed()) };
            let last = expansion.accept(event_type, header.event_size(), event.data());
            if last.map_err(|e| self.damaged(e))? {
                self.expansion = None;
            }
        } else {
            if let Some(expansion) = &self.expansion {
                return Err(self.damaged(expansion.interrupted()));
            }
            if !checksum_matches(&event) {
                let Place { file, offset } = self.place.clone();
                return Err(StreamError::Checksum { file, offset, event_type });
            }
            // Heartbeats are artificial in fact, though not in their flags.
            if header.flags_raw() & FLAG_ARTIFICIAL == 0 && event_type != code::HEARTBEAT {
                self.place.advance(header.log_pos());
            }
        }
        let head = Head {
            event_type,
            flags: header.flags_raw(),
            timestamp_s: header.timestamp(),
            server_id: header.server_id(),
            end: self.place.offset,
        };
        self.sort(head, event, batch)
    }

    fn sort(&mut self, mut head: Head, event: Event, batch: &mut Batch) -> Result<(), StreamError> {
        match treatment(head.event_type) {
            Treatment::Deliver => batch.push(head, event),
            Treatment::Drop => {}
            Treatment::Rotate => {
                let mut cursor = Cursor::new(event.data());
                let offset = cursor.u64().map_err(|_| self.malformed())?;
                self.place = Place { file: String::from_utf8_lossy(cursor.rest()).into_owned(), offset };
                head.end = offset;
                batch.push(head, event);
            }
            Treatment::Expand => self.expansion = Some(Expansion::of(event.data()).map_err(|e| self.damaged(e))?),
            Treatment::ExpandMaria => {
                let (plain, body) = payload::expand(head.event_type, event.data()).map_err(|e| self.damaged(e))?;
                batch.push_bytes(Head { event_type: plain, ..head }, &body);
            }
            Treatment::Incident => {
                let Place { file, offset } = self.place.clone();
                return Err(StreamError::Incident { file, offset });
            }
            Treatment::Unknown if head.flags & FLAG_IGNORABLE != 0 => {}
            Treatment::Unknown => {
                let Place { file, offset } = self.place.clone();
                return Err(StreamError::UnknownEvent { event_type: head.event_type, file, offset });
            }
        }
        Ok(())
    }

    fn malformed(&self) -> StreamError {
        StreamError::Malformed { file: self.place.file.clone(), offset: self.place.offset }
    }

    fn damaged(&self, source: PayloadError) -> StreamError {
        StreamError::Payload { file: self.place.file.clone(), offset: self.place.offset, source }
    }
}

async fn request(mut conn: Conn, identity: &Identity, position: &StreamPosition) -> Result<BinlogStream, StreamError> {
    let request = BinlogStreamRequest::new(identity.server_id).with_hostname(b"tailwater");
    let request = match &position.executed {
        Executed::Set(set) => request.with_gtid().with_gtid_set(set.sids()?),
        Executed::Domains(domains) => {
            conn.query_drop(sql::mariadb_dump_session(&domains.to_string())).await?;
            request
        }
        Executed::Untracked => request.with_filename(position.file.as_bytes()).with_pos(position.offset),
    };
    Ok(conn.get_binlog_stream(request).await?)
}

/// The next event. The client library panics on events that are shorter than they say; that is a malformed event here.
async fn next(stream: &mut BinlogStream, place: &Place, silence: Duration) -> Result<Event, StreamError> {
    let event = AssertUnwindSafe(stream.next()).catch_unwind();
    match tokio::time::timeout(silence, event).await {
        Err(_) => Err(StreamError::Silent(silence)),
        Ok(Err(_panic)) => Err(StreamError::Malformed { file: place.file.clone(), offset: place.offset }),
        Ok(Ok(None)) => Err(StreamError::Closed),
        Ok(Ok(Some(event))) => Ok(event?),
    }
}

/// Algorithm number of CRC32 in a format description.
const CRC32: u8 = 1;

/// Whether the event's CRC32 is right. Events without a checksum (`binlog_checksum = NONE`) pass.
fn checksum_matches(event: &Event) -> bool {
    let Some(stored) = event.checksum() else { return true };
    let Ok(Some(algorithm)) = event.footer().get_checksum_alg() else { return true };
    if algorithm as u8 != CRC32 {
        return true;
    }
    let header = event.header();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header_bytes(header.timestamp(), header.event_type_raw(), header.server_id(), header.event_size()));
    crc.update(&header.log_pos().to_le_bytes());
    crc.update(&(header.flags_raw() & !FLAG_IN_USE).to_le_bytes());
    crc.update(event.data());
    if header.event_type_raw() == code::FORMAT_DESCRIPTION {
        crc.update(&[CRC32]); // the algorithm's number is part of the body and was split off
    }
    crc.finalize() == u32::from_le_bytes(stored)
}

/// The first 13 of the [`HEADER_LEN`] bytes.
fn header_bytes(timestamp: u32, event_type: u8, server_id: u32, size: u32) -> [u8; HEADER_LEN - 6] {
    let mut bytes = [0; HEADER_LEN - 6];
    bytes[..4].copy_from_slice(&timestamp.to_le_bytes());
    bytes[4] = event_type;
    bytes[5..9].copy_from_slice(&server_id.to_le_bytes());
    bytes[9..].copy_from_slice(&size.to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_files_beyond_four_gigabytes() {
        let mut place = Place { file: "f".into(), offset: 4 };
        for (log_pos, offset) in [
            (1000, 1000),
            (0, 1000),
            (u32::MAX, u64::from(u32::MAX)),
            (5, (1 << 32) + 5),
            (0xffff_fff0, 0x1_ffff_fff0),
            (3, (2 << 32) + 3),
        ] {
            place.advance(log_pos);
            assert_eq!(place.offset, offset);
        }
    }

    #[test]
    fn silence_has_a_floor() {
        let identity = |heartbeat| Identity { server_id: 1, replica_uuid: String::new(), heartbeat };
        assert_eq!(identity(Duration::from_secs(1)).silence(), SILENCE_MIN);
        assert_eq!(identity(Duration::from_secs(20)).silence(), Duration::from_secs(60));
    }
}
