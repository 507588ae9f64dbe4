//! Column types in PostgreSQL: their names, their literals, their binary form.
//!
//! The binary forms are those of each type's `recv` function (PostgreSQL documentation, "COPY", binary format).

use crate::{
    model::{ColumnType, table::system},
    warehouse::{cell::Cell, sql::text_literal},
};

/// Seconds from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_SECONDS: i64 = 946_684_800;
/// The same in days.
const EPOCH_DAYS: i32 = 10_957;

/// Type of a column. Text in keys compares by bytes.
pub(crate) fn column_type(ty: ColumnType, key: bool) -> String {
    match ty {
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Int16 => "SMALLINT".to_owned(),
        ColumnType::Int32 => "INTEGER".to_owned(),
        ColumnType::Int64 => "BIGINT".to_owned(),
        ColumnType::Float32 => "REAL".to_owned(),
        ColumnType::Float64 => "DOUBLE PRECISION".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("NUMERIC({precision}, {scale})"),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::TimestampTz => "TIMESTAMPTZ".to_owned(),
        ColumnType::Text { .. } if key => "TEXT COLLATE \"C\"".to_owned(),
        ColumnType::Text { .. } => "TEXT".to_owned(),
        ColumnType::Json => "JSON".to_owned(),
        ColumnType::Binary { .. } => "BYTEA".to_owned(),
    }
}

/// Type of a system column.
pub(crate) fn system_type(name: &str) -> &'static str {
    match name {
        system::SEQ => "BIGINT",
        system::COMMITTED_AT => "TIMESTAMPTZ",
        system::DELETED => "BOOLEAN",
        // Origins compete by bytes.
        _ => "TEXT COLLATE \"C\"",
    }
}

/// A literal; the server judges its content when the default is declared.
pub(crate) fn literal(ty: ColumnType, text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("PostgreSQL cannot hold U+0000 in text".to_owned());
    }
    let content = match ty {
        ColumnType::Binary { .. } => {
            format!("\\x{}", text.bytes().map(|b| format!("{b:02x}")).collect::<String>())
        }
        _ => text.to_owned(),
    };
    Ok(format!("{}::{}", text_literal(&content), column_type(ty, false)))
}

/// Why a value has no binary form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Out of the type's range.
    Range,
    /// U+0000 in a key, where replacing it could make two keys one.
    ZeroByteInKey,
    /// NULL in a key.
    NullInKey,
    /// Longer than a field may be.
    Length,
}

/// Appends the field (length and value) to a COPY row; answers whether zero bytes were replaced.
pub(crate) fn write(out: &mut Vec<u8>, cell: Cell<'_>, to: ColumnType, key: bool) -> Result<bool, Unfit> {
    match cell {
        Cell::Null if key => return Err(Unfit::NullInKey),
        Cell::Null => out.extend((-1_i32).to_be_bytes()),
        Cell::Bool(v) => field(out, &[u8::from(v)])?,
        Cell::Int(v) => match to {
            ColumnType::Int16 => field(out, &i16::try_from(v).map_err(|_| Unfit::Range)?.to_be_bytes())?,
            ColumnType::Int32 => field(out, &i32::try_from(v).map_err(|_| Unfit::Range)?.to_be_bytes())?,
            _ => field(out, &v.to_be_bytes())?,
        },
        Cell::Float32(v) => field(out, &v.to_be_bytes())?,
        Cell::Float64(v) => field(out, &v.to_be_bytes())?,
        Cell::Decimal(unscaled, scale) => numeric(out, unscaled, scale)?,
        Cell::Date(days) => field(out, &days.checked_sub(EPOCH_DAYS).ok_or(Unfit::Range)?.to_be_bytes())?,
        Cell::Timestamp(micros) => field(out, &timestamp(micros).ok_or(Unfit::Range)?.to_be_bytes())?,
        Cell::Text(text) if text.as_bytes().contains(&0) => {
            if key {
                return Err(Unfit::ZeroByteInKey);
            }
            field(out, text.replace('\0', "\u{fffd}").as_bytes())?;
            return Ok(true);
        }
        Cell::Text(text) => field(out, text.as_bytes())?,
        Cell::Bytes(bytes) => field(out, bytes)?,
    }
    Ok(false)
}

/// Microseconds since 2000-01-01.
pub(crate) fn timestamp(micros: i64) -> Option<i64> {
    micros.checked_sub(EPOCH_SECONDS * 1_000_000)
}

/// A field: its length and its bytes.
pub(crate) fn field(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Unfit> {
    out.extend(i32::try_from(bytes.len()).map_err(|_| Unfit::Length)?.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// NUMERIC: count of base-10000 digits, weight of the first, sign, decimals shown, digits.
fn numeric(out: &mut Vec<u8>, unscaled: i128, scale: u8) -> Result<(), Unfit> {
    /// 39 decimal digits, cut at the point, are at most 11 base-10000 digits.
    const DIGITS_MAX: usize = 11;
    let mut digits = [0_i16; DIGITS_MAX];
    let mut count = 0_usize;
    let mut push = |digit: u128| {
        // A remainder below 10000 fits.
        digits.get_mut(count).map(|d| *d = digit as i16).ok_or(Unfit::Range)?;
        count += 1;
        Ok(())
    };
    // The point lies between base-10000 digits: the last of them may have fewer decimals and is padded.
    let (last, mut fractional) = (u32::from(scale % 4), i16::from(scale / 4));
    let mut rest = unscaled.unsigned_abs();
    if last > 0 {
        push(rest % 10_u128.pow(last) * 10_u128.pow(4 - last))?;
        rest /= 10_u128.pow(last);
        fractional += 1;
    }
    while rest > 0 {
        push(rest % 10_000)?;
        rest /= 10_000;
    }
    let weight = i16::try_from(count).map_err(|_| Unfit::Range)? - 1 - fractional;
    let used = digits.get(..count).unwrap_or_default();
    let skip = used.iter().take_while(|d| **d == 0).count();
    let significant = used.get(skip..).unwrap_or_default();
    let sign: u16 = if unscaled < 0 { 0x4000 } else { 0 };
    let length = 8 + 2 * significant.len();
    out.extend(i32::try_from(length).map_err(|_| Unfit::Length)?.to_be_bytes());
    out.extend(i16::try_from(significant.len()).map_err(|_| Unfit::Length)?.to_be_bytes());
    out.extend(if significant.is_empty() { 0 } else { weight }.to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(u16::from(scale).to_be_bytes());
    for digit in significant.iter().rev() {
        out.extend(digit.to_be_bytes());
    }
    Ok(())
}
