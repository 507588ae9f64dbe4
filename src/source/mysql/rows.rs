//! Framing of rows events: what surrounds the row images.
//!
//! Layouts: MySQL internals manual, "Rows_event" (V1 23-25, V2 30-32, partial update 39). MariaDB writes V1; its
//! compressed forms (166-171) are decompressed before they come here and carry the V1 or V2 type code.

use super::cursor::{Cursor, Short};

/// What a rows event does to its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsKind {
    /// After-images only.
    Insert,
    /// Pairs of before- and after-image.
    Update,
    /// Before-images only.
    Delete,
    /// Update whose JSON columns may hold differences instead of documents (`binlog_row_value_options=PARTIAL_JSON`).
    PartialUpdate,
}

impl RowsKind {
    /// The kind and whether the event has the V2 header, by type code; `None` for events without rows.
    pub fn of(event_type: u8) -> Option<(Self, bool)> {
        Some(match event_type {
            23 => (Self::Insert, false),
            24 => (Self::Update, false),
            25 => (Self::Delete, false),
            30 => (Self::Insert, true),
            31 => (Self::Update, true),
            32 => (Self::Delete, true),
            39 => (Self::PartialUpdate, true),
            _ => return None,
        })
    }
}

/// Flag of the last rows event of a statement.
pub const STMT_END: u16 = 1;

/// A rows event that was split into its parts; the images in `data` are not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct RowsEvent<'a> {
    /// Which TABLE_MAP describes the rows. Only valid inside its transaction.
    pub table_id: u64,
    /// [`STMT_END`] and others.
    pub flags: u16,
    /// What happened to the rows.
    pub kind: RowsKind,
    /// Columns of the table, which is the length in bits of the bitmaps.
    pub columns: usize,
    /// Columns present in before-images, least significant bit first. `None` for inserts.
    pub before: Option<&'a [u8]>,
    /// Columns present in after-images. `None` for deletes.
    pub after: Option<&'a [u8]>,
    /// The row images.
    pub data: &'a [u8],
}

/// Why a rows event cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsEventError {
    /// The event ends inside its header.
    #[error("rows event ends inside its header")]
    Short,
    /// The extra-data length is smaller than itself.
    #[error("rows event has an impossible extra-data length")]
    ExtraLength,
    /// Not a rows event.
    #[error("event type {0} is not a rows event")]
    NotRows(u8),
}

impl From<Short> for RowsEventError {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

impl<'a> RowsEvent<'a> {
    /// Splits `body`, the event without its 19-byte header and without checksum.
    pub fn parse(event_type: u8, body: &'a [u8]) -> Result<Self, RowsEventError> {
        let (kind, v2) = RowsKind::of(event_type).ok_or(RowsEventError::NotRows(event_type))?;
        let mut cursor = Cursor::new(body);
        let table_id = cursor.u48()?;
        let flags = cursor.u16()?;
        if v2 {
            // The length counts its own two bytes. The extra block (NDB, partition ids) says nothing about values.
            let extra = usize::from(cursor.u16()?).checked_sub(2).ok_or(RowsEventError::ExtraLength)?;
            cursor.take(extra)?;
        }
        let columns = cursor.lenenc_usize()?;
        let bitmap = columns.div_ceil(8);
        let before = if kind == RowsKind::Insert { None } else { Some(cursor.take(bitmap)?) };
        let after = if kind == RowsKind::Delete { None } else { Some(cursor.take(bitmap)?) };
        Ok(Self { table_id, flags, kind, columns, before, after, data: cursor.rest() })
    }

    /// Whether every image of the event has every column (`binlog_row_image=FULL`).
    pub fn is_full(&self) -> bool {
        [self.before, self.after].into_iter().flatten().all(|bitmap| all_set(bitmap, self.columns))
    }
}

/// Whether the first `bits` bits are set, least significant first.
fn all_set(bitmap: &[u8], bits: usize) -> bool {
    let Some((whole, tail)) = bitmap.split_at_checked(bits / 8) else { return false };
    let rest = bits % 8;
    let mask = (1u16 << rest) as u8 - 1;
    whole.iter().all(|byte| *byte == 0xff) && (rest == 0 || tail.first().is_some_and(|byte| byte & mask == mask))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn v2_update_has_two_bitmaps_behind_the_extra_block() {
        // table id 0x6b, STMT_END, extra length 2 + partition ids, 3 columns.
        let body = [0x6b, 0, 0, 0, 0, 0, 1, 0, 7, 0, 1, 1, 0, 2, 0, 3, 0x07, 0x05, 0xaa, 0xbb];
        let event = RowsEvent::parse(31, &body).unwrap();
        assert_eq!((event.table_id, event.flags, event.columns), (0x6b, STMT_END, 3));
        assert_eq!((event.before, event.after, event.data), (Some(&[7][..]), Some(&[5][..]), &[0xaa, 0xbb][..]));
        assert!(!event.is_full());
    }

    #[test]
    fn v1_has_no_extra_block() {
        let event = RowsEvent::parse(23, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xff, 0x42]).unwrap();
        assert_eq!((event.kind, event.before, event.data), (RowsKind::Insert, None, &[0x42][..]));
        assert!(event.is_full());
    }

    #[test]
    fn refuses_what_it_cannot_split() {
        assert_eq!(RowsEvent::parse(19, &[]).unwrap_err(), RowsEventError::NotRows(19));
        assert_eq!(RowsEvent::parse(30, &[0; 9]).unwrap_err(), RowsEventError::Short);
        assert_eq!(RowsEvent::parse(30, &[0; 12]).unwrap_err(), RowsEventError::ExtraLength);
    }
}
