//! One text form for a value, whichever side it comes from.

use std::collections::BTreeMap;

use serde_json::Value;

/// The most bytes of a text in Redshift.
const VARCHAR_BYTES_MAX: usize = 65_535;

/// How values of a column are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// TINYINT(1), BIT(1): `0` or `1`.
    Boolean,
    /// Integers, YEAR and wider BITs: decimal digits.
    Integer,
    /// DECIMAL with its declared scale.
    Decimal,
    /// FLOAT and DOUBLE: the shortest digits that give the same double.
    Float,
    /// `2026-11-21`.
    Date,
    /// DATETIME, and TIMESTAMP in UTC: `2026-11-21 10:00:00.000000`.
    Instant,
    /// Text, ENUM, SET and TIME as MySQL prints them.
    Text,
    /// JSON as MySQL prints it.
    Json,
    /// Bytes as `x` and upper-case hexadecimal digits.
    Bytes,
}

impl Kind {
    /// The kind of a column by `DATA_TYPE` and `COLUMN_TYPE` of information_schema.
    pub(super) fn of(data_type: &str, column_type: &str) -> Self {
        match data_type {
            _ if matches!(column_type, "tinyint(1)" | "bit(1)") => Self::Boolean,
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => Self::Integer,
            "decimal" => Self::Decimal,
            "float" | "double" => Self::Float,
            "date" => Self::Date,
            "datetime" | "timestamp" => Self::Instant,
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set" | "time" => {
                Self::Text
            }
            "json" => Self::Json,
            _ => Self::Bytes,
        }
    }

    /// The SQL expression by which MySQL itself brings a column to text.
    pub(super) fn source_expression(self, column: &str) -> String {
        let column = format!("`{}`", column.replace('`', "``"));
        match self {
            Self::Boolean => format!("CAST({column} <> 0 AS CHAR)"),
            Self::Integer => format!("CAST({column} + 0 AS CHAR)"),
            Self::Decimal => format!("CAST({column} AS CHAR)"),
            Self::Date => no_zero_date(&column, &format!("CAST({column} AS CHAR)")),
            // Not by CAST to CHAR, which cuts what is wider than 22 characters. FLOAT by itself would
            // be printed with six digits.
            Self::Float => format!("CAST({column} AS DOUBLE)"),
            Self::Instant => no_zero_date(&column, &format!("DATE_FORMAT({column}, '%Y-%m-%d %H:%i:%s.%f')")),
            Self::Text | Self::Json => format!("CONVERT({column} USING utf8mb4)"),
            Self::Bytes => format!("CONCAT('x', HEX({column}))"),
        }
    }

    /// Whether Redshift gives `target` for `source`: SUPER keeps documents and no text, and a text ends at 65,535 bytes,
    /// also in a document.
    pub(super) fn held_by_redshift(self, source: &str, target: &str) -> bool {
        match self {
            Self::Json => document(source).is_some() && document(source) == document(target),
            Self::Text => source.len() > VARCHAR_BYTES_MAX && target == cut(source),
            _ => false,
        }
    }

    /// Brings the text that a source or a target gave to the common form.
    pub(super) fn normal(self, text: String) -> String {
        match self {
            Self::Boolean => match text.as_str() {
                "t" | "true" => "1".to_owned(),
                "f" | "false" => "0".to_owned(),
                _ => text,
            },
            Self::Integer => match text.strip_prefix('x').and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
                Some(number) => number.to_string(),
                None => text,
            },
            Self::Float => text.parse::<f64>().map(|number| format!("{number:?}")).unwrap_or(text),
            Self::Instant => instant(&text),
            Self::Decimal | Self::Date | Self::Text | Self::Json | Self::Bytes => text,
        }
    }
}

/// What Redshift keeps of a text.
fn cut(text: &str) -> &str {
    let end = (0..=VARCHAR_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    &text[..end]
}

/// One text for equal documents: no spaces, keys in order, numbers that are not whole by their double, long texts cut.
fn document(text: &str) -> Option<String> {
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let map: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
                Value::Object(map.into_iter().collect())
            }
            Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
            Value::String(text) => Value::String(cut(&text).to_owned()),
            other => other,
        }
    }
    serde_json::from_str(text).ok().map(|value| sorted(value).to_string())
}

/// Dates that are none (a part of them is zero) are NULL in every warehouse.
fn no_zero_date(column: &str, text: &str) -> String {
    format!("IF(YEAR({column}) = 0 OR MONTH({column}) = 0 OR DAYOFMONTH({column}) = 0, NULL, {text})")
}

/// Allows `T` between date and time, a sign of UTC at the end, and fewer than six fractional digits.
fn instant(text: &str) -> String {
    let text = text.trim_end_matches('Z').trim_end_matches("+00:00").trim_end_matches("+00").replacen('T', " ", 1);
    let (seconds, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{seconds}.{fraction:0<6}")
}

#[cfg(test)]
mod tests {
    use super::{Kind, VARCHAR_BYTES_MAX, document};

    #[test]
    fn forms_of_one_value_become_equal() {
        for (kind, left, right) in [
            (Kind::Instant, "2026-11-21 10:00:00.500000", "2026-11-21T10:00:00.5Z"),
            (Kind::Instant, "2026-11-21 10:00:00.000000", "2026-11-21 10:00:00+00:00"),
            (Kind::Float, "1e20", "100000000000000000000"),
            (Kind::Float, "-0.5", "-5e-1"),
            (Kind::Boolean, "1", "true"),
            (Kind::Integer, "255", "x00FF"),
        ] {
            assert_eq!(kind.normal(left.to_owned()), kind.normal(right.to_owned()), "{kind:?}");
        }
    }

    #[test]
    fn equal_documents_have_one_text() {
        assert_eq!(document(r#"{"b": [1.50, null], "a": "x"}"#), document(r#"{"a":"x","b":[1.5,null]}"#));
        assert_ne!(document(r#"{"a": 1}"#), document(r#"{"a": "1"}"#));
        assert_eq!(document("{"), None);
    }

    #[test]
    fn text_is_cut_between_characters() {
        let long = format!("{}€", "x".repeat(VARCHAR_BYTES_MAX - 1));
        assert!(Kind::Text.held_by_redshift(&long, &long[..VARCHAR_BYTES_MAX - 1]));
        assert!(!Kind::Text.held_by_redshift(&long, &long[..VARCHAR_BYTES_MAX - 2]));
        assert!(!Kind::Text.held_by_redshift("abc", "ab"));
    }

    #[test]
    fn different_values_stay_different() {
        for (kind, left, right) in [
            (Kind::Instant, "2026-11-21 10:00:00.5", "2026-11-21 10:00:00.05"),
            (Kind::Decimal, "1.50", "1.5"),
            (Kind::Float, "0.1", "0.10000000149011612"),
            (Kind::Text, "a", "a "),
        ] {
            assert_ne!(kind.normal(left.to_owned()), kind.normal(right.to_owned()), "{kind:?}");
        }
    }
}
