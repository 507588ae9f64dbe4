//! Column types in Redshift: their names, their literals, and what COPY loads straight into them.

use crate::{
    model::{ColumnType, table::system, types::lake_precision},
    warehouse::{
        cell::Cell,
        text::{date, decimal, timestamp},
    },
};

/// Most bytes of a VARCHAR (developer guide, "Character types").
const TEXT_BYTES_MAX: u32 = 65_535;
/// Most bytes of a literal, which is a VARCHAR.
const LITERAL_BYTES_MAX: usize = 65_535;
/// Most bytes of a VARBYTE (developer guide, "VARBYTE type").
const BINARY_BYTES_MAX: u32 = 16_777_216;
/// Width of text and bytes in a key, at least: what a VARCHAR(255) in utf8mb4 takes. Wider ones cost memory in joins.
const KEY_BYTES_USUAL: u32 = 1_024;
/// Width of a key that needs more: the longest key that InnoDB has.
const KEY_BYTES_MAX: u32 = 3_072;
/// Digits of a decimal that take the eight bytes which ten take.
const KEY_DIGITS: u8 = 18;

/// The type that a column of a key begins with: key columns cannot be altered, so they are made for what the source may
/// become. BIGINT takes hardly more than INTEGER once it is compressed.
pub(crate) fn key_type(ty: ColumnType) -> ColumnType {
    let wide = |bytes: u32| bytes.max(if bytes <= KEY_BYTES_USUAL { KEY_BYTES_USUAL } else { KEY_BYTES_MAX });
    match ty {
        ColumnType::Int16 | ColumnType::Int32 => ColumnType::Int64,
        ColumnType::Decimal { precision, scale } => ColumnType::Decimal {
            precision: precision.max(if precision <= KEY_DIGITS { KEY_DIGITS } else { 0 }),
            scale,
        },
        ColumnType::Text { bytes_max } => ColumnType::Text { bytes_max: bytes_max.map(wide) },
        ColumnType::Binary { bytes_max } => ColumnType::Binary { bytes_max: bytes_max.map(wide) },
        other => other,
    }
}

/// The type of a column in staging whose files have `files` and whose target has `target`. Numbers arrive as they are in the
/// files, which is the type that COPY loads; the merge widens them. Widths of the others are limits of the column alone.
pub(crate) fn staging_type(files: ColumnType, target: ColumnType) -> ColumnType {
    match target {
        ColumnType::Text { .. } | ColumnType::Binary { .. } => target,
        _ => files,
    }
}

/// Type of a target's column.
pub(crate) fn column_type(ty: ColumnType, key: bool) -> String {
    match ty {
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Int16 => "SMALLINT".to_owned(),
        ColumnType::Int32 => "INTEGER".to_owned(),
        ColumnType::Int64 => "BIGINT".to_owned(),
        ColumnType::Float32 => "REAL".to_owned(),
        ColumnType::Float64 => "DOUBLE PRECISION".to_owned(),
        ColumnType::Decimal { precision, scale } => format!("DECIMAL({},{scale})", lake_precision(precision)),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::TimestampTz => "TIMESTAMPTZ".to_owned(),
        ColumnType::Text { bytes_max } => {
            let least = if key { KEY_BYTES_USUAL } else { 1 };
            format!("VARCHAR({})", bytes_max.unwrap_or(TEXT_BYTES_MAX).clamp(least, TEXT_BYTES_MAX))
        }
        ColumnType::Json => "SUPER".to_owned(),
        ColumnType::Binary { bytes_max } => {
            format!("VARBYTE({})", bytes_max.unwrap_or(BINARY_BYTES_MAX).clamp(1, BINARY_BYTES_MAX))
        }
    }
}

/// Type of the same column in staging. JSON arrives as bytes and is parsed on its way to the target: a SUPER column would
/// take text as one string, and VARCHAR ends at 64 KB.
pub(crate) fn staged_type(ty: ColumnType, key: bool) -> String {
    match ty {
        ColumnType::Json => format!("VARBYTE({BINARY_BYTES_MAX})"),
        other => column_type(other, key),
    }
}

/// Whether COPY loads a file's column of type `from` into a staging column made for `to`. Widths of text and bytes are limits
/// of the column alone; numbers must have the very type.
pub(crate) fn loads_into(from: ColumnType, to: ColumnType) -> bool {
    match (from, to) {
        (ColumnType::Text { .. }, ColumnType::Text { .. }) | (ColumnType::Binary { .. }, ColumnType::Binary { .. }) => {
            true
        }
        (from, to) => column_type(from, false) == column_type(to, false),
    }
}

/// Type of a system column. 1 024 bytes hold the longest origin: a shard of 64 and two MySQL names of 256 bytes, of which
/// those with dots in them are written longer.
pub(crate) fn system_type(name: &str) -> &'static str {
    match name {
        system::SEQ => "BIGINT",
        system::COMMITTED_AT => "TIMESTAMPTZ",
        system::DELETED => "BOOLEAN",
        system::OP => "VARCHAR(1)",
        _ => "VARCHAR(1024)",
    }
}

/// A string literal. Backslashes escape in Redshift, whatever `standard_conforming_strings` says elsewhere.
pub(crate) fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Bytes, which have no literal of their own.
fn bytes_literal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(12 + 2 * bytes.len());
    text.push_str("FROM_HEX('");
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
    }
    text.push_str("')");
    text
}

/// A literal from the neutral text of a default, without a cast: ADD COLUMN is known to take plain literals.
pub(crate) fn literal(ty: ColumnType, text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("Redshift cannot hold U+0000 in text".to_owned());
    }
    let number = || match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(text.to_owned()),
        _ => Err("it is no number".to_owned()),
    };
    Ok(match ty {
        ColumnType::Boolean => match text {
            "true" => "TRUE".to_owned(),
            "false" => "FALSE".to_owned(),
            _ => return Err("it is neither true nor false".to_owned()),
        },
        ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Decimal { .. } => number()?,
        ColumnType::Float32 | ColumnType::Float64 => number()?,
        ColumnType::Binary { .. } => bytes_literal(text.as_bytes()),
        ColumnType::Json => format!("JSON_PARSE({})", text_literal(text)),
        // Of an instant without a zone UTC is meant, whatever the session's zone is.
        ColumnType::TimestampTz if !text.contains('+') => text_literal(&format!("{text}+00")),
        ColumnType::Text { .. } | ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz => {
            text_literal(text)
        }
    })
}

/// A staged value of a column of type `ty` inside of VALUES. `None` where it has no literal that is known to work: then the file is loaded by COPY.
pub(crate) fn value(cell: Cell<'_>, ty: ColumnType) -> Option<String> {
    Some(match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Bool(true) => "TRUE".to_owned(),
        Cell::Bool(false) => "FALSE".to_owned(),
        // The least BIGINT has no literal: its minus sign is an operator in front of a number that is too great.
        Cell::Int(v) => match i32::try_from(v) {
            Ok(small) => small.to_string(),
            Err(_) => format!("CAST('{v}' AS BIGINT)"),
        },
        Cell::Float32(v) if v.is_finite() => format!("CAST('{v:e}' AS REAL)"),
        Cell::Float64(v) if v.is_finite() => format!("CAST('{v:e}' AS DOUBLE PRECISION)"),
        Cell::Float32(_) | Cell::Float64(_) => return None,
        Cell::Decimal(unscaled, scale) => {
            let text = decimal(unscaled, scale);
            let digits = match ty {
                // The column's own, in all rows: nobody says what type rows of different ones would have together.
                ColumnType::Decimal { precision, scale: own } if own == scale => lake_precision(precision).into(),
                _ => text.bytes().filter(u8::is_ascii_digit).count().min(38),
            };
            format!("CAST('{text}' AS DECIMAL({digits},{scale}))")
        }
        Cell::Date(days) => format!("CAST('{}' AS DATE)", date(days.into())?),
        Cell::Timestamp(micros) if ty == ColumnType::TimestampTz => {
            format!("CAST('{}+00' AS TIMESTAMPTZ)", timestamp(micros)?)
        }
        Cell::Timestamp(micros) => format!("CAST('{}' AS TIMESTAMP)", timestamp(micros)?),
        // Two digits stand for a byte.
        Cell::Bytes(bytes) if bytes.len() > LITERAL_BYTES_MAX / 2 => return None,
        Cell::Text(text) if ty == ColumnType::Json && text.len() > LITERAL_BYTES_MAX / 2 => return None,
        Cell::Text(text) if text.len() > LITERAL_BYTES_MAX => return None,
        // NUL ends a text in the wire protocol.
        Cell::Text(text) if text.contains('\0') => return None,
        // Staged as bytes.
        Cell::Text("") if ty == ColumnType::Json => return None,
        Cell::Text(text) if ty == ColumnType::Json => bytes_literal(text.as_bytes()),
        Cell::Text(text) => text_literal(text),
        Cell::Bytes([]) => return None,
        Cell::Bytes(bytes) => bytes_literal(bytes),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn literals_escape_both_quotes_and_backslashes() {
        let text = ColumnType::Text { bytes_max: None };
        assert_eq!(literal(text, r"it's \ so").unwrap(), r"'it''s \\ so'");
        literal(ColumnType::Int64, "1'); DROP").unwrap_err();
        assert_eq!(literal(ColumnType::Decimal { precision: 9, scale: 2 }, "-1.50").unwrap(), "-1.50");
        assert_eq!(literal(ColumnType::Binary { bytes_max: None }, "ab'\\").unwrap(), "FROM_HEX('6162275c')");
        assert_eq!(literal(ColumnType::TimestampTz, "2024-02-29 01:02:03").unwrap(), "'2024-02-29 01:02:03+00'");
        literal(text, "\0").unwrap_err();
        literal(ColumnType::Boolean, "1").unwrap_err();
    }

    #[test]
    fn widths_stay_within_what_redshift_has() {
        let text = |bytes_max| ColumnType::Text { bytes_max };
        assert_eq!(column_type(text(None), false), "VARCHAR(65535)");
        assert_eq!(column_type(text(Some(0)), false), "VARCHAR(1)");
        assert_eq!(column_type(text(Some(40)), true), "VARCHAR(1024)");
        assert_eq!(column_type(text(Some(3_072)), true), "VARCHAR(3072)");
        assert_eq!(column_type(ColumnType::Binary { bytes_max: Some(u32::MAX) }, false), "VARBYTE(16777216)");
        assert_eq!(column_type(ColumnType::Decimal { precision: 5, scale: 2 }, false), "DECIMAL(10,2)");
        assert_eq!(column_type(ColumnType::Decimal { precision: 19, scale: 4 }, false), "DECIMAL(20,4)");
    }

    #[test]
    fn keys_are_made_for_what_the_source_may_become() {
        use ColumnType::{Binary, Boolean, Decimal, Int16, Int32, Int64, Text};
        let decimal = |precision| Decimal { precision, scale: 2 };
        for (asked, made) in [
            (Int16, Int64),
            (Int32, Int64),
            (Int64, Int64),
            (Boolean, Boolean),
            (decimal(5), decimal(18)),
            (decimal(18), decimal(18)),
            (decimal(20), decimal(20)),
            (Text { bytes_max: Some(40) }, Text { bytes_max: Some(1_024) }),
            (Text { bytes_max: Some(1_025) }, Text { bytes_max: Some(3_072) }),
            (Text { bytes_max: Some(9_000) }, Text { bytes_max: Some(9_000) }),
            (Text { bytes_max: None }, Text { bytes_max: None }),
            (Binary { bytes_max: Some(16) }, Binary { bytes_max: Some(1_024) }),
        ] {
            assert_eq!(key_type(asked), made);
            // What was made is made again, and holds what was asked.
            assert_eq!(key_type(made), made);
            assert_eq!(crate::warehouse::join_types(asked, made), Some(made));
        }
    }

    #[test]
    fn only_equal_numbers_load_straight() {
        let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
        assert!(loads_into(ColumnType::Text { bytes_max: Some(4) }, ColumnType::Text { bytes_max: None }));
        // Both are declared with ten digits.
        assert!(loads_into(decimal(5, 2), decimal(9, 2)));
        assert!(!loads_into(decimal(10, 2), decimal(12, 2)));
        assert!(!loads_into(ColumnType::Int32, ColumnType::Int64));
        assert!(!loads_into(ColumnType::Float32, ColumnType::Float64));
    }

    #[test]
    fn values_are_written_exactly() {
        assert_eq!(value(Cell::Int(i64::MIN), ColumnType::Int64).unwrap(), "CAST('-9223372036854775808' AS BIGINT)");
        assert_eq!(value(Cell::Decimal(-1, 2), ColumnType::Int64).unwrap(), "CAST('-0.01' AS DECIMAL(3,2))");
        assert_eq!(value(Cell::Decimal(7, 0), ColumnType::Int64).unwrap(), "CAST('7' AS DECIMAL(1,0))");
        assert_eq!(
            value(Cell::Timestamp(-1), ColumnType::Timestamp).unwrap(),
            "CAST('1969-12-31 23:59:59.999999' AS TIMESTAMP)"
        );
        assert_eq!(value(Cell::Date(-719_162), ColumnType::Date).unwrap(), "CAST('0001-01-01' AS DATE)");
        assert_eq!(value(Cell::Date(-719_529), ColumnType::Date), None);
        assert_eq!(value(Cell::Float64(f64::NAN), ColumnType::Float64), None);
        assert_eq!(value(Cell::Text("a\\'b"), ColumnType::Text { bytes_max: None }).unwrap(), "'a\\\\''b'");
        assert_eq!(value(Cell::Bytes(b""), ColumnType::Binary { bytes_max: None }), None);
        let price = ColumnType::Decimal { precision: 6, scale: 2 };
        assert_eq!(value(Cell::Decimal(150, 2), price).unwrap(), "CAST('1.50' AS DECIMAL(10,2))");
        // No literal is longer than a VARCHAR; bytes and documents take two digits for a byte.
        let (text, long) = (ColumnType::Text { bytes_max: None }, "x".repeat(65_536));
        for (ty, bytes) in [(text, 65_535), (ColumnType::Json, 32_767)] {
            assert!(value(Cell::Text(&long[..bytes]), ty).is_some());
            assert_eq!(value(Cell::Text(&long[..=bytes]), ty), None);
        }
        assert_eq!(value(Cell::Bytes(&long.as_bytes()[..32_768]), ColumnType::Binary { bytes_max: None }), None);
    }

    /// A neutral type as `schemas/types.toml` writes it.
    fn neutral(text: &str) -> ColumnType {
        let (name, sizes) = text.split_once('(').unwrap_or((text, ""));
        let sizes: Vec<u32> = sizes.trim_end_matches(')').split(',').filter_map(|n| n.trim().parse().ok()).collect();
        let bytes_max = sizes.first().copied();
        match name {
            "boolean" => ColumnType::Boolean,
            "int16" => ColumnType::Int16,
            "int32" => ColumnType::Int32,
            "int64" => ColumnType::Int64,
            "float32" => ColumnType::Float32,
            "float64" => ColumnType::Float64,
            "decimal" => ColumnType::Decimal { precision: sizes[0] as u8, scale: sizes[1] as u8 },
            "date" => ColumnType::Date,
            "timestamp" => ColumnType::Timestamp,
            "timestamptz" | "timestamp_tz" => ColumnType::TimestampTz,
            "text" => ColumnType::Text { bytes_max },
            "json" => ColumnType::Json,
            "binary" => ColumnType::Binary { bytes_max },
            other => panic!("{other}"),
        }
    }

    #[test]
    fn columns_are_what_the_table_of_types_says() {
        let types: toml::Value = toml::from_str(include_str!("../../../schemas/types.toml")).unwrap();
        for ty in types["type"].as_array().unwrap() {
            let text = |key: &str| ty[key].as_str().unwrap();
            assert_eq!(column_type(neutral(text("neutral")), false), text("redshift"), "{}", text("mysql"));
        }
    }
}
