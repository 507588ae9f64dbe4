//! Column types in SQLite: storage classes, literals, text forms.
//!
//! Numeric affinity would turn decimals and unsigned 64-bit integers into floats, so they are text, and so are dates and
//! times: of fixed width, so that text order is time order for the years 0 to 9999.

use std::fmt::Write as _;

use crate::model::{ColumnType, table::system};

use super::sql::text;

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// 0000-01-01 and 9999-12-31 in days since 1970-01-01.
const DAYS: std::ops::RangeInclusive<i64> = -719_528..=2_932_896;

/// Declared type of a column. BIGINT has integer affinity like INTEGER, but a key of it does not become the rowid, which
/// would number NULLs by itself.
pub(crate) fn column_type(ty: ColumnType) -> &'static str {
    match ty {
        ColumnType::Boolean | ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => "BIGINT",
        ColumnType::Float32 | ColumnType::Float64 => "REAL",
        ColumnType::Decimal { .. }
        | ColumnType::Date
        | ColumnType::Timestamp
        | ColumnType::TimestampTz
        | ColumnType::Text { .. }
        | ColumnType::Json => "TEXT",
        ColumnType::Binary { .. } => "BLOB",
    }
}

/// Declared type of a system column.
pub(crate) fn system_type(name: &str) -> &'static str {
    match name {
        system::SEQ | system::DELETED => "BIGINT",
        _ => "TEXT",
    }
}

/// `YYYY-MM-DD`; `None` outside the years 0 to 9999.
pub(crate) fn date(days: i64) -> Option<String> {
    let mut out = String::with_capacity(10);
    push_date(&mut out, days)?;
    Some(out)
}

/// `YYYY-MM-DD HH:MM:SS.ffffff`; `None` outside the years 0 to 9999.
pub(crate) fn timestamp(micros: i64) -> Option<String> {
    let mut out = String::with_capacity(26);
    push_date(&mut out, micros.div_euclid(MICROS_PER_DAY))?;
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(out, " {hour:02}:{minute:02}:{second:02}.{fraction:06}").ok()?;
    Some(out)
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
fn push_date(out: &mut String, days: i64) -> Option<()> {
    if !DAYS.contains(&days) {
        return None;
    }
    // Eras of 400 years beginning on 1 March of year 0.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    write!(out, "{year:04}-{month:02}-{day:02}").ok()
}

/// `-12.340`: all decimals of the type, so that equal numbers are equal text.
pub(crate) fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let mut digits = unscaled.unsigned_abs().to_string();
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if unscaled < 0 {
        digits.insert(0, '-');
    }
    digits
}

/// A literal in the very form in which staged values of the type are stored.
pub(crate) fn literal(ty: ColumnType, value: &str) -> Result<String, String> {
    let wrong = || format!("{ty:?} has no such value");
    Ok(match ty {
        ColumnType::Boolean => match value {
            "true" | "1" => "1".to_owned(),
            "false" | "0" => "0".to_owned(),
            _ => return Err(wrong()),
        },
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => {
            value.parse::<i64>().map_err(|_| wrong())?.to_string()
        }
        ColumnType::Float32 => {
            // As wide as staged values become.
            format!("{:?}", f64::from(value.parse::<f32>().map_err(|_| wrong())?))
        }
        ColumnType::Float64 => format!("{:?}", value.parse::<f64>().map_err(|_| wrong())?),
        ColumnType::Decimal { scale, .. } => text(&decimal(parse_decimal(value, scale).ok_or_else(wrong)?, scale)),
        ColumnType::Date => text(value.get(..10).filter(|d| is_date(d) && value.len() == 10).ok_or_else(wrong)?),
        ColumnType::Timestamp | ColumnType::TimestampTz => text(&full_timestamp(value).ok_or_else(wrong)?),
        ColumnType::Text { .. } | ColumnType::Json if value.contains('\0') => {
            return Err("a default with U+0000 has no literal".to_owned());
        }
        ColumnType::Text { .. } | ColumnType::Json => text(value),
        ColumnType::Binary { .. } => {
            format!("X'{}'", value.bytes().map(|b| format!("{b:02X}")).collect::<String>())
        }
    })
}

fn parse_decimal(value: &str, scale: u8) -> Option<i128> {
    let (negative, digits) = value.strip_prefix('-').map_or((false, value), |d| (true, d));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = if fraction.len() > scale.into() { fraction.trim_end_matches('0') } else { fraction };
    if fraction.len() > scale.into() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let unscaled: i128 = format!("{whole}{fraction:0<width$}", width = usize::from(scale)).parse().ok()?;
    Some(if negative { -unscaled } else { unscaled })
}

fn matches(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(t, p)| if p == b'0' { t.is_ascii_digit() } else { t == p })
}

fn is_date(text: &str) -> bool {
    matches(text, "0000-00-00")
}

fn full_timestamp(value: &str) -> Option<String> {
    let value = value.trim_end_matches('Z').trim_end_matches("+00:00").trim_end_matches("+00");
    let (date, time) = (value.get(..10)?, value.get(10..)?);
    let time = time.strip_prefix([' ', 'T']).unwrap_or(if time.is_empty() { "00:00:00" } else { time });
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let digits = fraction.len() <= 6 && fraction.bytes().all(|b| b.is_ascii_digit());
    (is_date(date) && matches(clock, "00:00:00") && digits).then(|| format!("{date} {clock}.{fraction:0<6}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_width_and_order() {
        assert_eq!(timestamp(0).unwrap(), "1970-01-01 00:00:00.000000");
        assert_eq!(timestamp(-1).unwrap(), "1969-12-31 23:59:59.999999");
        assert_eq!(timestamp(1_709_164_800_000_001).unwrap(), "2024-02-29 00:00:00.000001");
        assert_eq!(date(*DAYS.start()).unwrap(), "0000-01-01");
        assert_eq!(date(*DAYS.end()).unwrap(), "9999-12-31");
        assert_eq!(date(DAYS.end() + 1), None);
        assert_eq!(timestamp(i64::MIN), None);
    }

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(decimal(-5, 3), "-0.005");
        assert_eq!(decimal(12_340, 2), "123.40");
        assert_eq!(decimal(u64::MAX.into(), 0), "18446744073709551615");
        assert_eq!(decimal(0, 2), "0.00");
    }

    #[test]
    fn literals_are_in_stored_form() {
        let d = ColumnType::Decimal { precision: 10, scale: 2 };
        let cases = [
            (ColumnType::Boolean, "true", "1"),
            (ColumnType::Int32, "-7", "-7"),
            (ColumnType::Float32, "0.1", "0.10000000149011612"),
            (d, "5", "'5.00'"),
            (d, "-0.5", "'-0.50'"),
            (ColumnType::Date, "2024-02-29", "'2024-02-29'"),
            (ColumnType::Timestamp, "2024-02-29 10:11:12", "'2024-02-29 10:11:12.000000'"),
            (ColumnType::TimestampTz, "2024-02-29T10:11:12.5Z", "'2024-02-29 10:11:12.500000'"),
            (ColumnType::Text { bytes_max: None }, "it's", "'it''s'"),
            (ColumnType::Binary { bytes_max: None }, "ab", "X'6162'"),
        ];
        for (ty, value, expected) in cases {
            assert_eq!(literal(ty, value).unwrap(), expected);
        }
        for (ty, value) in [(d, "1.234"), (ColumnType::Int16, "x"), (ColumnType::Date, "2024-2-29"), (d, "1e5")] {
            assert!(literal(ty, value).is_err(), "{value}");
        }
    }
}
