//! One value: from the bytes of a row image into its column.

use super::{
    charset::Charset,
    chunk::Note,
    column::{Bytes, ColumnBuilder, Full, Values},
    decimal::Shape,
    json, long,
    plan::Plan,
    policy::{InvalidText, LongValues, ZeroDates},
    rows::Fault,
    temporal::{self, NoDate},
};
use crate::source::mysql::cursor::{Cursor, Short};

/// How a value is read and into which kind of column it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    I8,
    U8,
    I16,
    U16,
    I24,
    U24,
    I32,
    U32,
    I64,
    U64,
    TinyBoolean,
    F32,
    F64,
    Decimal(Shape),
    DecimalText(Shape),
    Year,
    BitBoolean,
    Bit {
        bytes: u8,
    },
    BitWide,
    Date,
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    Time {
        fsp: u8,
    },
    OldDateTime,
    OldTimestamp,
    OldTime,
    /// UTF-8 text, checked when the chunk is finished.
    Utf8 {
        prefix: u8,
    },
    /// UTF-8 text that may be too long.
    Utf8Long {
        prefix: u8,
    },
    /// UTF-8 text that must not be repaired, checked at once.
    Utf8Strict {
        prefix: u8,
    },
    /// Text of another character set: index into the plan's.
    Text {
        prefix: u8,
        charset: u16,
    },
    Binary {
        prefix: u8,
    },
    /// Bytes that may be too many.
    BinaryLong {
        prefix: u8,
    },
    /// BINARY(n): the binlog strips trailing zero bytes, SELECT returns them.
    Padded {
        prefix: u8,
        bytes: u16,
    },
    /// ENUM: index into the plan's label lists.
    Enum {
        size: u8,
        labels: u16,
    },
    Set {
        size: u8,
        labels: u16,
    },
    Json {
        prefix: u8,
    },
}

/// How a value is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    Fixed(u8),
    Prefixed(u8),
}

impl Width {
    /// Moves past one value.
    #[inline(always)]
    pub(super) fn skip(self, cursor: &mut Cursor<'_>) -> Result<(), Short> {
        let bytes = match self {
            Self::Fixed(bytes) => usize::from(bytes),
            Self::Prefixed(prefix) => length(cursor, prefix)?,
        };
        cursor.take(bytes).map(|_| ())
    }
}

impl Read {
    /// Stored size.
    pub(super) fn width(self) -> Width {
        Width::Fixed(match self {
            Self::I8 | Self::U8 | Self::TinyBoolean | Self::Year | Self::BitBoolean => 1,
            Self::I16 | Self::U16 => 2,
            Self::I24 | Self::U24 | Self::Date | Self::OldTime => 3,
            Self::I32 | Self::U32 | Self::F32 | Self::OldTimestamp => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::BitWide | Self::OldDateTime => 8,
            Self::Decimal(shape) | Self::DecimalText(shape) => shape.bytes() as u8,
            Self::Bit { bytes } => bytes,
            Self::DateTime { fsp } => 5 + temporal::fraction_bytes(fsp) as u8,
            Self::Timestamp { fsp } => 4 + temporal::fraction_bytes(fsp) as u8,
            Self::Time { fsp } => 3 + temporal::fraction_bytes(fsp) as u8,
            Self::Enum { size, .. } | Self::Set { size, .. } => size,
            Self::Utf8 { prefix }
            | Self::Utf8Long { prefix }
            | Self::Utf8Strict { prefix }
            | Self::Text { prefix, .. }
            | Self::Binary { prefix }
            | Self::BinaryLong { prefix }
            | Self::Padded { prefix, .. }
            | Self::Json { prefix } => return Width::Prefixed(prefix),
        })
    }
}

/// What the values of one column may not lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Losses {
    pub(super) zero_dates: ZeroDates,
    pub(super) invalid_text: InvalidText,
    pub(super) long_values: LongValues,
    /// Most bytes of a value of variable length. Looked at only where the declaration allows more.
    pub(super) bytes_max: u32,
}

impl From<Short> for Fault {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

impl From<Full> for Fault {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

/// A length prefix.
#[inline(always)]
fn length(cursor: &mut Cursor<'_>, prefix: u8) -> Result<usize, Short> {
    Ok(match prefix {
        1 => usize::from(cursor.u8()?),
        2 => usize::from(cursor.u16()?),
        3 => cursor.u24()? as usize,
        _ => cursor.u32()? as usize,
    })
}

/// A value behind its length prefix.
#[inline(always)]
fn prefixed<'a>(cursor: &mut Cursor<'a>, prefix: u8) -> Result<&'a [u8], Short> {
    let length = length(cursor, prefix)?;
    cursor.take(length)
}

macro_rules! push {
    ($column:expr, $kind:ident, $value:expr) => {{
        let Values::$kind(values) = &mut $column.values else { return Err(Fault::Type) };
        values.push($value);
        Ok(None)
    }};
}

pub(super) fn bytes_of(column: &mut ColumnBuilder) -> Result<&mut Bytes, Fault> {
    match &mut column.values {
        Values::Bytes(bytes) => Ok(bytes),
        _ => Err(Fault::Type),
    }
}

/// Reads one value that is not NULL and appends it.
#[inline(always)]
pub(super) fn append(
    read: Read,
    losses: Losses,
    plan: &Plan,
    cursor: &mut Cursor<'_>,
    column: &mut ColumnBuilder,
) -> Result<Option<Note>, Fault> {
    match read {
        Read::I8 => push!(column, I16, i16::from(cursor.u8()? as i8)),
        Read::U8 => push!(column, I16, i16::from(cursor.u8()?)),
        Read::I16 => push!(column, I16, cursor.u16()? as i16),
        Read::U16 => push!(column, I32, i32::from(cursor.u16()?)),
        // Shifted up and down again, so that bit 23 becomes the sign.
        Read::I24 => push!(column, I32, ((cursor.u24()? << 8) as i32) >> 8),
        Read::U24 => push!(column, I32, cursor.u24()? as i32),
        Read::I32 => push!(column, I32, cursor.u32()? as i32),
        Read::U32 => push!(column, I64, i64::from(cursor.u32()?)),
        Read::I64 => push!(column, I64, cursor.u64()? as i64),
        Read::U64 => push!(column, I128, i128::from(cursor.u64()?)),
        Read::F32 => push!(column, F32, f32::from_le_bytes(cursor.array()?)),
        Read::F64 => push!(column, F64, f64::from_le_bytes(cursor.array()?)),
        Read::Decimal(shape) => {
            push!(column, I128, shape.unscaled(cursor.take(shape.bytes())?).map_err(|_| Fault::Corrupt)?)
        }
        Read::Utf8 { prefix } => {
            let value = prefixed(cursor, prefix)?;
            bytes_of(column)?.push(value)?;
            Ok(None)
        }
        Read::Binary { prefix } => {
            let value = prefixed(cursor, prefix)?;
            bytes_of(column)?.push(value)?;
            Ok(None)
        }
        Read::Date | Read::DateTime { .. } | Read::Timestamp { .. } | Read::OldDateTime | Read::OldTimestamp => {
            append_date(read, losses, cursor, column)
        }
        _ => append_other(read, losses, plan, cursor, column),
    }
}

/// Types that a calendar may refuse.
#[inline]
fn append_date(
    read: Read,
    losses: Losses,
    cursor: &mut Cursor<'_>,
    column: &mut ColumnBuilder,
) -> Result<Option<Note>, Fault> {
    let instant = match read {
        Read::Date => match temporal::date(cursor.u24()?) {
            Ok(days) => return push!(column, I32, days),
            Err(none) => Err(none),
        },
        Read::DateTime { fsp } => {
            let bytes = temporal::fraction_bytes(fsp);
            temporal::datetime(cursor.uint_be(5)?, bytes, cursor.uint_be(bytes)?)
        }
        Read::Timestamp { fsp } => {
            let bytes = temporal::fraction_bytes(fsp);
            temporal::timestamp(u32::from_be_bytes(cursor.array()?), bytes, cursor.uint_be(bytes)?)
        }
        Read::OldDateTime => temporal::old_datetime(cursor.u64()?),
        _ => temporal::timestamp(cursor.u32()?, 0, 0),
    };
    let note = match instant {
        Ok(micros) => return push!(column, I64, micros),
        Err(NoDate::Corrupt) => return Err(Fault::Corrupt),
        Err(NoDate::Zero) => Note::ZeroDate,
        Err(NoDate::Partial) => Note::PartialDate,
    };
    if losses.zero_dates == ZeroDates::Refuse {
        return Err(Fault::NoDate);
    }
    column.push_null()?;
    Ok(Some(note))
}

/// The less frequent types.
fn append_other(
    read: Read,
    losses: Losses,
    plan: &Plan,
    cursor: &mut Cursor<'_>,
    column: &mut ColumnBuilder,
) -> Result<Option<Note>, Fault> {
    match read {
        Read::TinyBoolean => {
            let value = cursor.u8()?;
            let Values::Bool(values) = &mut column.values else { return Err(Fault::Type) };
            values.append(value != 0);
            return Ok((value > 1).then_some(Note::WideBoolean));
        }
        Read::BitBoolean => {
            let value = cursor.u8()?;
            let Values::Bool(values) = &mut column.values else { return Err(Fault::Type) };
            values.append(value != 0);
            return Ok(None);
        }
        Read::Year => {
            let year = i16::from(cursor.u8()?);
            return push!(column, I16, if year == 0 { 0 } else { 1900 + year });
        }
        Read::Bit { bytes } => return push!(column, I64, cursor.uint_be(usize::from(bytes))? as i64),
        Read::BitWide => return push!(column, I128, i128::from(cursor.uint_be(8)?)),
        _ => {}
    }
    let out = bytes_of(column)?;
    let mut note = None;
    let mut strings_cut = false;
    match read {
        Read::Utf8Long { prefix } | Read::BinaryLong { prefix } => {
            out.open().extend_from_slice(prefixed(cursor, prefix)?);
        }
        Read::Text { prefix, charset } => {
            let charset = plan.charset(charset).ok_or(Fault::Type)?;
            note = convert(charset, losses, prefixed(cursor, prefix)?, out.open())?;
        }
        Read::Utf8Strict { prefix } => {
            let value = prefixed(cursor, prefix)?;
            std::str::from_utf8(value).map_err(|_| Fault::InvalidText)?;
            out.open().extend_from_slice(value);
        }
        Read::Padded { prefix, bytes } => {
            let value = prefixed(cursor, prefix)?;
            let stripped = usize::from(bytes).checked_sub(value.len()).ok_or(Fault::Corrupt)?;
            out.open().extend_from_slice(value);
            out.open().extend(std::iter::repeat_n(0, stripped));
        }
        Read::Json { prefix } => match prefixed(cursor, prefix)? {
            // Field_json::val_json reads an empty document, left by an old ALTER, as JSON null.
            [] => out.open().extend_from_slice(b"null"),
            document => {
                let strings = json::write_text_within(document, plan.json_string_max, out.open());
                strings_cut = strings.map_err(|_| Fault::Json)?;
            }
        },
        Read::Enum { size, labels } => {
            write_label(cursor.uint(usize::from(size))? as usize, plan.labels(labels), out.open())?;
        }
        Read::Set { size, labels } => write_set(cursor.uint(usize::from(size))?, plan.labels(labels), out.open())?,
        Read::DecimalText(shape) => {
            shape.write_text(cursor.take(shape.bytes())?, out.open()).map_err(|_| Fault::Corrupt)?;
        }
        Read::Time { fsp } => {
            let raw = cursor.uint_be(3 + temporal::fraction_bytes(fsp))?;
            temporal::write_time(raw, fsp, out.open()).map_err(|_| Fault::Corrupt)?;
        }
        Read::OldTime => {
            let number = ((cursor.u24()? << 8) as i32) >> 8;
            temporal::write_old_time(number, out.open()).map_err(|_| Fault::Corrupt)?;
        }
        _ => return Err(Fault::Type),
    }
    if strings_cut || out.unfinished() > losses.bytes_max as usize {
        let text = !matches!(read, Read::BinaryLong { .. } | Read::Json { .. });
        return long::give_way(losses, text, strings_cut, column).map(Some);
    }
    out.end()?;
    Ok(note)
}

/// Appends text of another character set as UTF-8.
fn convert(charset: &Charset, losses: Losses, value: &[u8], out: &mut Vec<u8>) -> Result<Option<Note>, Fault> {
    let replaced = charset.decode_into(value, out).replaced();
    match (replaced, losses.invalid_text) {
        (false, _) => Ok(None),
        (true, InvalidText::Replace) => Ok(Some(Note::InvalidText)),
        (true, InvalidText::Refuse) => Err(Fault::InvalidText),
    }
}

/// Appends the label of an ENUM value. Number 0 is the empty text that MySQL stores for an invalid value.
pub(super) fn write_label(number: usize, labels: &[Box<str>], out: &mut Vec<u8>) -> Result<(), Fault> {
    if let Some(index) = number.checked_sub(1) {
        out.extend_from_slice(labels.get(index).ok_or(Fault::Label)?.as_bytes());
    }
    Ok(())
}

/// Appends the labels whose bits are set, with commas between them.
pub(super) fn write_set(mut mask: u64, labels: &[Box<str>], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut first = true;
    while mask != 0 {
        let label = labels.get(mask.trailing_zeros() as usize).ok_or(Fault::Label)?;
        if !first {
            out.push(b',');
        }
        first = false;
        out.extend_from_slice(label.as_bytes());
        mask &= mask - 1;
    }
    Ok(())
}
