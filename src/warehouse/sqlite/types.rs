//! Column types in SQLite: storage classes, literals, text forms.
//!
//! Numeric affinity would turn decimals and unsigned 64-bit integers into floats, so they are text, and so are dates and
//! times: of fixed width, so that text order is time order for the years 0 to 9999.

use crate::{
    model::{ColumnType, table::system},
    warehouse::text::decimal,
};

use super::sql::text;

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
