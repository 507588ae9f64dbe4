//! Completeness of compressed data: MySQL's transaction payloads and MariaDB's compressed events.
//!
//! The client library expands a Transaction_payload event (40) by itself, but drops its content without a word when the
//! payload does not parse or decompress. A lost transaction must never look like an empty one, so the reader reads the
//! payload's header itself and then counts: the inner events must have exactly the announced size together, and the last of
//! them must end a transaction.

use std::io::Read;

use super::{
    cursor::{Cursor, Short},
    event::{HEADER_LEN, code},
    query_event,
};

/// Something compressed is not what it says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The header of the payload does not parse.
    #[error("header of a compressed transaction is malformed")]
    Header,
    /// Bytes are missing after decompression.
    #[error("compressed transaction ends {missing} bytes early")]
    Short {
        /// Uncompressed bytes that were announced and did not come.
        missing: u64,
    },
    /// More bytes than announced.
    #[error("compressed transaction is longer than announced")]
    Long,
    /// The last inner event does not end a transaction.
    #[error("compressed transaction does not end in a commit")]
    NoCommit,
    /// A compressed event of MariaDB does not decompress.
    #[error("compressed event does not decompress")]
    Event,
}

/// Counts the events of one compressed transaction.
#[derive(Debug)]
pub(super) struct Expansion {
    remaining: u64,
    ended: bool,
}

/// Numbers of the fields in the payload's header (MySQL source, `Transaction_payload_event`).
mod field {
    pub(super) const END: u64 = 0;
    pub(super) const PAYLOAD_SIZE: u64 = 1;
    pub(super) const COMPRESSION: u64 = 2;
    pub(super) const UNCOMPRESSED_SIZE: u64 = 3;
}

const COMPRESSION_NONE: u64 = 255;
const COMPRESSION_ZSTD: u64 = 0;

impl Expansion {
    /// Reads the header of a Transaction_payload event.
    pub(super) fn of(body: &[u8]) -> Result<Self, PayloadError> {
        let (payload, compression, uncompressed, present) = header(body).map_err(|Short| PayloadError::Header)?;
        let remaining = match compression {
            COMPRESSION_NONE => payload,
            COMPRESSION_ZSTD => uncompressed,
            _ => return Err(PayloadError::Header),
        };
        if payload == 0 || remaining == 0 || payload > present {
            return Err(PayloadError::Header);
        }
        Ok(Self { remaining, ended: false })
    }

    /// Counts an inner event. `true` when it was the last.
    pub(super) fn accept(&mut self, event_type: u8, event_size: u32, body: &[u8]) -> Result<bool, PayloadError> {
        let size = u64::from(event_size);
        // Zeroed memory behind a short decompression looks like events of size 0.
        if size < HEADER_LEN as u64 {
            return Err(PayloadError::Short { missing: self.remaining });
        }
        self.remaining = self.remaining.checked_sub(size).ok_or(PayloadError::Long)?;
        self.ended = ends_transaction(event_type, body);
        match (self.remaining, self.ended) {
            (0, true) => Ok(true),
            (0, false) => Err(PayloadError::NoCommit),
            _ => Ok(false),
        }
    }

    /// The error of a stream that goes on before the transaction is complete.
    pub(super) fn interrupted(&self) -> PayloadError {
        PayloadError::Short { missing: self.remaining }
    }
}

/// Payload size, compression, uncompressed size, and how many bytes of payload are there.
fn header(body: &[u8]) -> Result<(u64, u64, u64, u64), Short> {
    let mut cursor = Cursor::new(body);
    let (mut payload, mut compression, mut uncompressed) = (0, u64::MAX, 0);
    loop {
        let kind = cursor.lenenc()?;
        if kind == field::END {
            return Ok((payload, compression, uncompressed, cursor.rest().len() as u64));
        }
        let len = usize::try_from(cursor.lenenc()?).map_err(|_| Short)?;
        let mut value = Cursor::new(cursor.take(len)?);
        match kind {
            field::PAYLOAD_SIZE => payload = value.lenenc()?,
            field::COMPRESSION => compression = value.lenenc()?,
            field::UNCOMPRESSED_SIZE => uncompressed = value.lenenc()?,
            _ => {}
        }
    }
}

fn ends_transaction(event_type: u8, body: &[u8]) -> bool {
    match event_type {
        code::XID | code::XA_PREPARE => true,
        code::QUERY => query_event::parse(body, false).is_ok_and(|q| matches!(&*q.sql, "COMMIT" | "ROLLBACK")),
        _ => false,
    }
}

/// Most uncompressed bytes of one MariaDB event; its `max_allowed_packet` ends at 1 GiB, before-images double it.
const EVENT_MAX: u64 = 2 << 30;

/// Expands an event of MariaDB's `log_bin_compress` (165 to 171): the type and body of its plain form.
pub(super) fn expand(event_type: u8, body: &[u8]) -> Result<(u8, Vec<u8>), PayloadError> {
    let plain = match event_type {
        code::MARIADB_QUERY_COMPRESSED => code::QUERY,
        166..=168 => event_type - 166 + code::WRITE_ROWS_V1,
        169..=171 => event_type - 169 + code::WRITE_ROWS,
        _ => return Err(PayloadError::Event),
    };
    let head = plain_part(plain, body).map_err(|Short| PayloadError::Event)?;
    let (head, tail) = body.split_at_checked(head).ok_or(PayloadError::Event)?;
    let mut cursor = Cursor::new(tail);
    let uncompressed = uncompressed_size(&mut cursor).map_err(|Short| PayloadError::Event)?;
    if uncompressed > EVENT_MAX {
        return Err(PayloadError::Event);
    }
    let mut out = head.to_vec();
    // One byte more than announced, to notice that there is one.
    let read = flate2::read::ZlibDecoder::new(cursor.rest()).take(uncompressed + 1).read_to_end(&mut out);
    match read {
        Ok(n) if n as u64 == uncompressed => Ok((plain, out)),
        _ => Err(PayloadError::Event),
    }
}

/// One byte whose low three bits say how many big-endian bytes of size follow.
fn uncompressed_size(cursor: &mut Cursor<'_>) -> Result<u64, Short> {
    let len = usize::from(cursor.u8()? & 7);
    Ok(cursor.take(len)?.iter().fold(0, |size, byte| size << 8 | u64::from(*byte)))
}

/// Length of the part of the body that is not compressed.
fn plain_part(plain: u8, body: &[u8]) -> Result<usize, Short> {
    let mut cursor = Cursor::new(body);
    if plain == code::QUERY {
        cursor.take(8)?;
        let database = cursor.u8()? as usize;
        cursor.u16()?;
        let status = cursor.u16()? as usize;
        cursor.take(status + database + 1)?;
    } else {
        cursor.take(8)?; // table id, flags
        if plain >= code::WRITE_ROWS {
            let extra = cursor.u16()? as usize;
            cursor.take(extra.checked_sub(2).ok_or(Short)?)?;
        }
        let columns = usize::try_from(cursor.lenenc()?).map_err(|_| Short)?;
        let images = if matches!(plain, code::UPDATE_ROWS_V1 | code::UPDATE_ROWS) { 2 } else { 1 };
        cursor.take(columns.div_ceil(8).checked_mul(images).ok_or(Short)?)?;
    }
    Ok(body.len() - cursor.rest().len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// A payload header: sizes as single-byte length-encoded integers.
    fn payload(size: u8, compression: &[u8], uncompressed: u8, content: usize) -> Vec<u8> {
        let mut body = vec![2, compression.len() as u8];
        body.extend(compression);
        body.extend([3, 1, uncompressed, 1, 1, size, 0]);
        body.extend(vec![0; content]);
        body
    }

    #[test]
    fn counts_inner_events_to_the_commit() {
        let mut all = Expansion::of(&payload(10, &[0], 100, 10)).unwrap();
        assert_eq!(all.accept(code::TABLE_MAP, 60, &[]), Ok(false));
        assert_eq!(all.accept(code::XID, 40, &[]), Ok(true));
        let mut cut = Expansion::of(&payload(10, &[0], 100, 10)).unwrap();
        assert_eq!(cut.accept(code::TABLE_MAP, 100, &[]), Err(PayloadError::NoCommit));
        let mut long = Expansion::of(&payload(10, &[0], 100, 10)).unwrap();
        assert_eq!(long.accept(code::XID, 101, &[]), Err(PayloadError::Long));
        let mut zeroes = Expansion::of(&payload(10, &[0], 100, 10)).unwrap();
        assert_eq!(zeroes.accept(0, 0, &[]), Err(PayloadError::Short { missing: 100 }));
    }

    #[test]
    fn refuses_headers_that_promise_more_than_there_is() {
        assert!(Expansion::of(&payload(10, &[0], 100, 9)).is_err());
        assert!(Expansion::of(&payload(10, &[7], 100, 10)).is_err());
        assert!(Expansion::of(&payload(0, &[0], 100, 10)).is_err());
        assert!(Expansion::of(&[]).is_err());
    }

    #[test]
    fn expands_compressed_rows() {
        let rows = [7u8; 300];
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&rows).unwrap();
        let head = [1, 0, 0, 0, 0, 0, 1, 0, 3, 0b111];
        let mut body = head.to_vec();
        body.extend([0x82, 1, 44]);
        body.extend(zlib.finish().unwrap());
        let (plain, out) = expand(166, &body).unwrap();
        assert_eq!(plain, code::WRITE_ROWS_V1);
        assert_eq!(out, [&head[..], &rows[..]].concat());
        body[12] = 45;
        assert!(expand(166, &body).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(kind in 160u8..180, body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Expansion::of(&body);
            let _ = expand(kind, &body);
        }
    }
}
