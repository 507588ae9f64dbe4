//! The group that is being read.

use std::fmt::Write as _;

use crate::source::mysql::{
    cursor::{Cursor, Short},
    gtid::Gtid,
};

/// How far a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Announced; its first statement decides what it is.
    Fresh,
    /// Between BEGIN (or XA START) and its end.
    Open,
}

/// An announced and unfinished group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) gtid: Option<Gtid>,
    /// MariaDB: domain, server, sequence number.
    pub(super) domain: Option<(u32, u32, u64)>,
    pub(super) committed_at_us: i64,
    pub(super) phase: Phase,
}

/// Longest part of an XID (XA specification, `MAXGTRIDSIZE` and `MAXBQUALSIZE`).
const XID_PART_MAX: u32 = 64;

/// Reads an XA_PREPARE event (38): whether it is XA COMMIT … ONE PHASE, and the XID in normal form.
pub(super) fn parse_xa_prepare(body: &[u8]) -> Result<(bool, String), Short> {
    let mut cursor = Cursor::new(body);
    let one_phase = cursor.u8()? != 0;
    let format = cursor.u32()?;
    let (gtrid, bqual) = (cursor.u32()?, cursor.u32()?);
    if gtrid > XID_PART_MAX || bqual > XID_PART_MAX {
        return Err(Short);
    }
    let (gtrid, bqual) = (cursor.take(gtrid as usize)?, cursor.take(bqual as usize)?);
    Ok((one_phase, xid(gtrid, bqual, format)))
}

/// The normal form of an XID, the one the server writes: `X'gtrid',X'bqual',format` with lower-case digits.
pub(in crate::source::mysql) fn xid(gtrid: &[u8], bqual: &[u8], format: u32) -> String {
    let mut text = String::with_capacity(16 + 2 * (gtrid.len() + bqual.len()));
    for part in [gtrid, bqual] {
        text.push_str("X'");
        for byte in part {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push_str("',");
    }
    let _ = write!(text, "{format}");
    text
}
