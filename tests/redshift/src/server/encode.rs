//! Values to and from the binary format (S7).
//!
//! Text is the rule. Binary is served for the types whose encoding is known to be PostgreSQL's: whole and floating numbers,
//! booleans, text, dates and timestamps (int64 microseconds since 2000).

use bytes::{BufMut, BytesMut};

use super::options::BinaryNumeric;
use crate::Refusal;
use crate::session::Field;

/// Code of the binary format.
const BINARY: i16 = 1;
/// Days from the civil year 0, month 3 to 2000-01-01, for the count of days.
const EPOCH_DAYS: i64 = 730_425;

/// The format of a column: one for each, one for all, or none, which is text.
pub(super) fn format(formats: &[i16], index: usize) -> i16 {
    match formats {
        [] => 0,
        [all] => *all,
        each => each.get(index).copied().unwrap_or(0),
    }
}

/// What the description says about the size of a type.
pub(super) fn type_size(oid: u32) -> i16 {
    match oid {
        16 => 1,
        21 => 2,
        23 | 700 | 1082 | 26 => 4,
        20 | 701 | 1114 | 1184 | 1083 => 8,
        _ => -1,
    }
}

/// A row's values, each with its length, and their number.
pub(super) fn row(
    values: &[Option<String>],
    fields: &[Field],
    formats: &[i16],
    numeric: BinaryNumeric,
) -> Result<(BytesMut, i16), Refusal> {
    let mut data = BytesMut::new();
    for (index, (value, field)) in values.iter().zip(fields).enumerate() {
        let Some(text) = value else {
            data.put_i32(-1);
            continue;
        };
        let start = data.len();
        data.put_i32(0);
        if format(formats, index) == BINARY {
            binary(text, field, numeric, &mut data)?;
        } else {
            data.put_slice(text.as_bytes());
        }
        let length = i32::try_from(data.len() - start - 4).map_err(|_| Refusal::new("53200", "a value is too long"))?;
        data[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok((data, i16::try_from(fields.len()).unwrap_or(i16::MAX)))
}

fn binary(text: &str, field: &Field, numeric: BinaryNumeric, data: &mut BytesMut) -> Result<(), Refusal> {
    let broken = || Refusal::new("XX000", format!("column \"{}\" cannot be sent in the binary format", field.name));
    match field.type_oid {
        16 => data.put_u8(u8::from(text == "t")),
        20 => data.put_i64(text.parse().map_err(|_| broken())?),
        21 => data.put_i16(text.parse().map_err(|_| broken())?),
        23 => data.put_i32(text.parse().map_err(|_| broken())?),
        26 => data.put_u32(text.parse().map_err(|_| broken())?),
        700 => data.put_f32(text.parse().map_err(|_| broken())?),
        701 => data.put_f64(text.parse().map_err(|_| broken())?),
        18 | 19 | 25 | 705 | 1042 | 1043 => data.put_slice(text.as_bytes()),
        1082 => data.put_i32(i32::try_from(days(text).ok_or_else(broken)?).map_err(|_| broken())?),
        1114 | 1184 => data.put_i64(microseconds(text).ok_or_else(broken)?),
        1700 if numeric == BinaryNumeric::Scaled => scaled(text, data).ok_or_else(broken)?,
        other => {
            return Err(Refusal::new(
                "0A000",
                format!("binary format of column \"{}\" (type {other}) is not supported", field.name),
            ));
        }
    }
    Ok(())
}

/// Redshift's own: the digits as one number of 8 or 16 bytes.
fn scaled(text: &str, data: &mut BytesMut) -> Option<()> {
    let digits: String = text.chars().filter(|c| *c != '.').collect();
    let value: i128 = digits.parse().ok()?;
    match i64::try_from(value) {
        Ok(short) => data.put_i64(short),
        Err(_) => data.put_i128(value),
    }
    Some(())
}

/// Days since 2000-01-01 of `YYYY-MM-DD`.
fn days(text: &str) -> Option<i64> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let (year, month, day): (i64, i64, i64) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    // Years that begin in March: leap days come last.
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = (month + 9) % 12;
    Some(
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (shifted * 153 + 2) / 5 + day
            - 1
            - EPOCH_DAYS,
    )
}

/// Microseconds since 2000-01-01 of `YYYY-MM-DD HH:MM:SS[.f][+00]`.
fn microseconds(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ')?;
    let (time, zone) = match time.find(['+', '-']) {
        Some(at) => (&time[..at], zone_seconds(&time[at..])?),
        None => (time, 0),
    };
    let mut parts = time.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let seconds =
        hour.parse::<i64>().ok()? * 3_600 + minute.parse::<i64>().ok()? * 60 + second.parse::<i64>().ok()? - zone;
    Some((days(date)? * 86_400 + seconds) * 1_000_000 + fraction)
}

/// Seconds of `+HH[:MM]`.
fn zone_seconds(text: &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = text[1..].split_once(':').unwrap_or((&text[1..], "0"));
    Some(sign * (hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60))
}

/// A parameter as text. Binary is read for the types that it is written for.
pub(super) fn parameter(bytes: &[u8], oid: u32, format: i16) -> Result<String, Refusal> {
    let invalid = || Refusal::new("22P03", format!("incorrect binary data format of a parameter of type {oid}"));
    if format != BINARY {
        return String::from_utf8(bytes.to_vec())
            .map_err(|_| Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""));
    }
    Ok(match oid {
        16 => (bytes.first().ok_or_else(invalid)? != &0).to_string(),
        20 => i64::from_be_bytes(bytes.try_into().map_err(|_| invalid())?).to_string(),
        21 => i16::from_be_bytes(bytes.try_into().map_err(|_| invalid())?).to_string(),
        23 => i32::from_be_bytes(bytes.try_into().map_err(|_| invalid())?).to_string(),
        26 => u32::from_be_bytes(bytes.try_into().map_err(|_| invalid())?).to_string(),
        700 => f32::from_be_bytes(bytes.try_into().map_err(|_| invalid())?).to_string(),
        701 => f64::from_be_bytes(bytes.try_into().map_err(|_| invalid())?).to_string(),
        19 | 25 | 705 | 1042 | 1043 => parameter(bytes, oid, 0)?,
        _ => return Err(Refusal::new("0A000", format!("binary parameters of type {oid} are not supported"))),
    })
}

#[cfg(test)]
mod tests {
    use super::{days, microseconds};

    #[test]
    fn dates_count_from_2000() {
        assert_eq!(days("2000-01-01"), Some(0));
        assert_eq!(days("2000-03-01"), Some(60));
        assert_eq!(days("1970-01-01"), Some(-10_957));
        assert_eq!(microseconds("1999-12-31 23:59:59.5"), Some(-500_000));
        assert_eq!(microseconds("2000-01-01 02:00:00+02"), Some(0));
    }
}
