//! The events that open a group: GTID (33), tagged GTID (42), anonymous (34) and MariaDB's GTID (162).

use super::{
    cursor::{Cursor, Short},
    gtid::Gtid,
};

/// What a MySQL GTID event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GroupHead {
    /// `None` for an anonymous group.
    pub(super) gtid: Option<Gtid>,
    /// Commit on the server that is read, UTC microseconds; `None` before MySQL 8.0.
    pub(super) committed_at_us: Option<i64>,
}

/// Type code of the logical clock that precedes the commit timestamps.
const LOGICAL_CLOCK: u8 = 2;

/// Reads an event of type 33 or 34.
pub(super) fn parse_untagged(body: &[u8], anonymous: bool) -> Result<GroupHead, Short> {
    let mut cursor = Cursor::new(body);
    let _flags = cursor.u8()?;
    let uuid = cursor.array()?;
    let gno = cursor.u64()?;
    let gtid = match anonymous {
        true => None,
        false if gno == 0 || gno >= i64::MAX as u64 => return Err(Short),
        false => Some(Gtid { uuid, tag: "".into(), gno }),
    };
    Ok(GroupHead { gtid, committed_at_us: commit_timestamp(&mut cursor) })
}

/// The immediate commit timestamp: 55 bits of microseconds; the 56th says that the original one follows.
fn commit_timestamp(cursor: &mut Cursor<'_>) -> Option<i64> {
    if cursor.u8().ok()? != LOGICAL_CLOCK {
        return None;
    }
    cursor.take(16).ok()?; // last_committed, sequence_number
    let immediate = cursor.uint(7).ok()? & ((1 << 55) - 1);
    (immediate != 0).then_some(immediate as i64)
}

/// Numbers of the fields of a tagged GTID event (MySQL source, `control_events.h`).
mod field {
    pub(super) const FLAGS: u64 = 0;
    pub(super) const UUID: u64 = 1;
    pub(super) const GNO: u64 = 2;
    pub(super) const TAG: u64 = 3;
    pub(super) const LAST_COMMITTED: u64 = 4;
    pub(super) const SEQUENCE_NUMBER: u64 = 5;
    pub(super) const IMMEDIATE_COMMIT: u64 = 6;
}

/// A variable-length integer of MySQL's serialization library: the number of trailing one bits of the first byte says how
/// many bytes follow, nine bytes in all when it is 0xff.
fn varint(cursor: &mut Cursor<'_>) -> Result<u64, Short> {
    let first = *cursor.rest().first().ok_or(Short)?;
    let following = first.trailing_ones() as usize;
    if following == 8 {
        cursor.u8()?;
        return cursor.uint(8);
    }
    Ok(cursor.uint(following + 1)? >> (following + 1))
}

/// A signed [`varint`]: the lowest bit is the sign.
fn signed_varint(cursor: &mut Cursor<'_>) -> Result<i64, Short> {
    let raw = varint(cursor)?;
    let magnitude = (raw >> 1) as i64;
    Ok(if raw & 1 == 0 { magnitude } else { -magnitude - 1 })
}

/// Reads an event of type 42, written by MySQL's serialization library: version, size, last field a reader must know, then
/// numbered fields.
pub(super) fn parse_tagged(body: &[u8]) -> Result<GroupHead, Short> {
    let mut cursor = Cursor::new(body);
    let _version = varint(&mut cursor)?;
    let _size = varint(&mut cursor)?;
    let _last_required = varint(&mut cursor)?;
    let mut gtid = Gtid { uuid: [0; 16], tag: "".into(), gno: 0 };
    let mut committed_at_us = None;
    while !cursor.is_empty() {
        match varint(&mut cursor)? {
            field::FLAGS => drop(varint(&mut cursor)?),
            field::UUID => {
                for byte in &mut gtid.uuid {
                    *byte = u8::try_from(varint(&mut cursor)?).map_err(|_| Short)?;
                }
            }
            field::GNO => gtid.gno = u64::try_from(signed_varint(&mut cursor)?).map_err(|_| Short)?,
            field::TAG => {
                let len = usize::try_from(varint(&mut cursor)?).map_err(|_| Short)?;
                gtid.tag = std::str::from_utf8(cursor.take(len)?).map_err(|_| Short)?.into();
            }
            field::LAST_COMMITTED | field::SEQUENCE_NUMBER => drop(signed_varint(&mut cursor)?),
            field::IMMEDIATE_COMMIT => {
                committed_at_us = i64::try_from(varint(&mut cursor)?).ok().filter(|t| *t != 0);
                break; // Fields come in order of their numbers; the rest is not needed.
            }
            _ => break,
        }
    }
    if gtid.gno == 0 || gtid.gno >= i64::MAX as u64 {
        return Err(Short);
    }
    Ok(GroupHead { gtid: Some(gtid), committed_at_us })
}

/// What MariaDB's GTID event says. The server of the GTID is the one in the event header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MariaGroup {
    pub(super) sequence: u64,
    pub(super) domain: u32,
    /// The group is one statement without COMMIT, or the outcome of an XA transaction; otherwise the event is the BEGIN too.
    pub(super) standalone: bool,
    /// The group is the rows of an XA transaction and ends with its XA PREPARE.
    pub(super) prepared_xa: bool,
}

const MARIA_STANDALONE: u8 = 1;
const MARIA_PREPARED_XA: u8 = 64;
const MARIA_COMPLETED_XA: u8 = 128;

/// Reads an event of type 162.
pub(super) fn parse_mariadb(body: &[u8]) -> Result<MariaGroup, Short> {
    let mut cursor = Cursor::new(body);
    let (sequence, domain, flags) = (cursor.u64()?, cursor.u32()?, cursor.u8()?);
    Ok(MariaGroup {
        sequence,
        domain,
        standalone: flags & (MARIA_STANDALONE | MARIA_COMPLETED_XA) != 0,
        prepared_xa: flags & MARIA_PREPARED_XA != 0,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_gtid_and_commit_time() {
        let mut body = vec![1];
        body.extend([0xab; 16]);
        body.extend(42u64.to_le_bytes());
        body.push(LOGICAL_CLOCK);
        body.extend([0; 16]);
        // The top bit announces the original timestamp and is not part of the number.
        let micros: u64 = 1_700_000_000_123_456 | 1 << 55;
        body.extend(&micros.to_le_bytes()[..7]);
        let head = parse_untagged(&body, false).unwrap();
        assert_eq!(head.gtid, Some(Gtid { uuid: [0xab; 16], tag: "".into(), gno: 42 }));
        assert_eq!(head.committed_at_us, Some(1_700_000_000_123_456));
        assert_eq!(parse_untagged(&body[..25], false).unwrap().committed_at_us, None);
        assert_eq!(parse_untagged(&body, true).unwrap().gtid, None);
    }

    #[test]
    fn reads_a_tagged_gtid() {
        // varint of n < 128 is n << 1.
        let mut body = vec![2 << 1, 60, 0];
        body.extend([0, 1 << 1]);
        body.push(1 << 1);
        for _ in 0..16 {
            body.extend([0b0101_1101, 0b0000_0011]); // 0xd7 in two bytes: (0xd7 << 2 | 0b01)
        }
        body.extend([2 << 1, (7 << 1) << 1]);
        body.extend([3 << 1, 3 << 1]);
        body.extend(b"abc");
        let head = parse_tagged(&body).unwrap();
        assert_eq!(head.gtid, Some(Gtid { uuid: [0xd7; 16], tag: "abc".into(), gno: 7 }));
    }

    proptest! {
        #[test]
        fn never_panics(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_untagged(&body, false);
            let _ = parse_tagged(&body);
            let _ = parse_mariadb(&body);
        }
    }
}
