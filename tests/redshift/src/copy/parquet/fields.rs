//! Values as fields of PostgreSQL's binary COPY.
//!
//! Format: PostgreSQL's manual, "COPY", "Binary Format"; of the types, their `*_send` functions.

use std::borrow::Cow;

use super::columns::Value;
use super::nested::TEXT_BYTES_MAX;
use super::types::Conversion;

/// Days between the epochs of Unix and PostgreSQL (2000-01-01).
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days of 4713 BC and 294276 AD since 2000: the range of DATE.
const DATE_RANGE: std::ops::RangeInclusive<i32> = -2_451_545..=106_751_991;
/// Microseconds of the same since 2000: the range of TIMESTAMP.
const TIMESTAMP_RANGE: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;
/// Version of the binary form of jsonb.
const JSONB_VERSION: u8 = 1;

/// Why a value does not fit its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Bytes of the value, more than the column takes.
    TooLong(usize),
    /// A number or time outside of its range.
    OutOfRange,
    /// CHAR holds single bytes only.
    Multibyte,
    /// Not UTF-8; the first wrong byte.
    InvalidUtf8(u8),
    /// U+0000.
    ZeroByte,
    /// More than SUPER takes in one text.
    SuperText,
    /// Not JSON.
    NotJson,
    /// The file holds another type than its schema says.
    Corrupt,
}

/// Appends one field.
pub(super) fn write(
    out: &mut Vec<u8>,
    value: Value<'_>,
    conversion: Conversion,
    accept_invalid: Option<char>,
) -> Result<(), Unfit> {
    match (conversion, value) {
        (Conversion::Boolean, Value::Bool(value)) => field(out, &[u8::from(value)]),
        (Conversion::Int16, Value::Int32(value)) => {
            field(out, &i16::try_from(value).map_err(|_| Unfit::OutOfRange)?.to_be_bytes())
        }
        (Conversion::Int32, Value::Int32(value)) => field(out, &value.to_be_bytes()),
        (Conversion::Int64, Value::Int64(value)) => field(out, &value.to_be_bytes()),
        (Conversion::Int64, Value::Int32(value)) => field(out, &i64::from(value).to_be_bytes()),
        (Conversion::Decimal { scale, limit }, value) => {
            let value = unscaled(value)?;
            if value.unsigned_abs() > limit {
                return Err(Unfit::OutOfRange);
            }
            numeric(out, value, scale);
        }
        (Conversion::Real, Value::Float(value)) => field(out, &value.to_be_bytes()),
        #[allow(clippy::cast_possible_truncation)] // what a cast to REAL does
        (Conversion::Real, Value::Double(value)) => field(out, &(value as f32).to_be_bytes()),
        (Conversion::Double, Value::Double(value)) => field(out, &value.to_be_bytes()),
        (Conversion::Double, Value::Float(value)) => field(out, &f64::from(value).to_be_bytes()),
        (Conversion::Date, Value::Int32(days)) => {
            let days =
                days.checked_sub(EPOCH_DAYS).filter(|days| DATE_RANGE.contains(days)).ok_or(Unfit::OutOfRange)?;
            field(out, &days.to_be_bytes());
        }
        (Conversion::Timestamp { micros }, Value::Int64(value)) => {
            timestamp(out, value.checked_mul(micros).ok_or(Unfit::OutOfRange)?)?;
        }
        (Conversion::Int96, Value::Int96(value)) => timestamp(out, value.to_micros())?,
        (Conversion::Bytes { bytes_max }, Value::Bytes(bytes)) => {
            within(bytes, bytes_max)?;
            field(out, bytes);
        }
        (Conversion::Text { bytes_max }, Value::Bytes(bytes)) => {
            let text = utf8(bytes, accept_invalid)?;
            within(text.as_bytes(), bytes_max)?;
            field(out, text.as_bytes());
        }
        (Conversion::Char { bytes_max }, Value::Bytes(bytes)) => {
            if !bytes.is_ascii() {
                return Err(Unfit::Multibyte);
            }
            within(bytes, bytes_max)?;
            field(out, utf8(bytes, None)?.as_bytes());
        }
        (Conversion::JsonText, Value::Bytes(bytes)) => {
            let text = super_text(bytes)?;
            json(out, serde_json::Value::from(text.as_ref()).to_string().as_bytes());
        }
        (Conversion::JsonDocument, Value::Bytes(bytes)) => {
            let text = super_text(bytes)?;
            let document: serde_json::Value = serde_json::from_str(&text).map_err(|_| Unfit::NotJson)?;
            if has_zero_byte(&document) {
                return Err(Unfit::ZeroByte);
            }
            json(out, text.as_bytes());
        }
        (Conversion::Json, Value::Json(text)) => {
            if text.contains("\\u0000") {
                return Err(Unfit::ZeroByte);
            }
            json(out, text.as_bytes());
        }
        _ => return Err(Unfit::Corrupt),
    }
    Ok(())
}

/// Appends NULL.
pub(super) fn write_null(out: &mut Vec<u8>) {
    out.extend((-1_i32).to_be_bytes());
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

fn json(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u32::try_from(text.len() + 1).unwrap_or(u32::MAX).to_be_bytes());
    out.push(JSONB_VERSION);
    out.extend(text);
}

fn within(bytes: &[u8], bytes_max: u32) -> Result<(), Unfit> {
    if bytes.len() > bytes_max as usize { Err(Unfit::TooLong(bytes.len())) } else { Ok(()) }
}

fn timestamp(out: &mut Vec<u8>, micros: i64) -> Result<(), Unfit> {
    let micros =
        micros.checked_sub(EPOCH_MICROS).filter(|micros| TIMESTAMP_RANGE.contains(micros)).ok_or(Unfit::OutOfRange)?;
    field(out, &micros.to_be_bytes());
    Ok(())
}

/// The text, each invalid byte replaced where that is asked for, so that its length stays.
fn utf8(bytes: &[u8], accept_invalid: Option<char>) -> Result<Cow<'_, str>, Unfit> {
    let text = match (std::str::from_utf8(bytes), accept_invalid) {
        (Ok(text), _) => Cow::Borrowed(text),
        (Err(error), None) => {
            return Err(Unfit::InvalidUtf8(bytes.get(error.valid_up_to()).copied().unwrap_or_default()));
        }
        (Err(_), Some(replacement)) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| replacement));
            }
            Cow::Owned(text)
        }
    };
    if text.contains('\0') { Err(Unfit::ZeroByte) } else { Ok(text) }
}

fn super_text(bytes: &[u8]) -> Result<Cow<'_, str>, Unfit> {
    if bytes.len() > TEXT_BYTES_MAX { Err(Unfit::SuperText) } else { utf8(bytes, None) }
}

fn has_zero_byte(document: &serde_json::Value) -> bool {
    match document {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_zero_byte),
        serde_json::Value::Object(members) => {
            members.iter().any(|(name, member)| name.contains('\0') || has_zero_byte(member))
        }
        _ => false,
    }
}

/// The digits of a decimal as one number.
fn unscaled(value: Value<'_>) -> Result<i128, Unfit> {
    match value {
        Value::Int32(value) => Ok(value.into()),
        Value::Int64(value) => Ok(value.into()),
        Value::Bytes(bytes) => {
            let (Some(first), true) = (bytes.first(), bytes.len() <= 16) else { return Err(Unfit::Corrupt) };
            let mut whole = [if first & 0x80 == 0 { 0 } else { 0xff }; 16];
            whole[16 - bytes.len()..].copy_from_slice(bytes);
            Ok(i128::from_be_bytes(whole))
        }
        _ => Err(Unfit::Corrupt),
    }
}

/// A number as groups of four digits, aligned at the point.
fn numeric(out: &mut Vec<u8>, value: i128, scale: u8) {
    /// Digits of a group.
    const GROUP: usize = 4;
    /// Digits of the largest i128, and of a group on either side.
    const DIGITS_MAX: usize = 48;
    const NEGATIVE: u16 = 0x4000;

    let scale = usize::from(scale);
    let padding = (GROUP - scale % GROUP) % GROUP;
    // Digits from the last, padded behind the point to whole groups.
    let mut digits = [0_u8; DIGITS_MAX];
    let mut count = padding;
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        digits[count] = u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        count += 1;
    }
    let groups_behind = scale.div_ceil(GROUP);
    let all: Vec<u16> = digits[..count.next_multiple_of(GROUP)]
        .chunks(GROUP)
        .rev()
        .map(|group| group.iter().rev().fold(0, |number, digit| number * 10 + u16::from(*digit)))
        .collect();
    let leading = all.iter().take_while(|group| **group == 0).count();
    let trailing = all.iter().skip(leading).rev().take_while(|group| **group == 0).count();
    let groups = &all[leading..all.len() - trailing];
    let weight = if groups.is_empty() { 0 } else { all.len() as i64 - leading as i64 - groups_behind as i64 - 1 };

    out.extend(u32::try_from(8 + 2 * groups.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(u16::try_from(groups.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(i16::try_from(weight).unwrap_or(i16::MAX).to_be_bytes());
    out.extend((if value < 0 { NEGATIVE } else { 0 }).to_be_bytes());
    out.extend(u16::try_from(scale).unwrap_or(u16::MAX).to_be_bytes());
    for group in groups {
        out.extend(group.to_be_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
