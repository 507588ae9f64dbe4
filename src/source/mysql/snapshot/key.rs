//! Keys by which a table is read in chunks, and the bounds between them.
//!
//! Bounds are compared by the server alone, in the column's own type and collation: an order that is computed here would differ
//! somewhere (collations, ENUM, unsigned numbers), and a chunk would lose rows.

use mysql_async::Value;
use serde::{Deserialize, Serialize};

use super::sql::quote;

/// How values of a key column travel as parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    /// Numbers, dates and times: as they come.
    Plain,
    /// ENUM, SET, BIT: by their number, which is also their order.
    Numbered,
    /// DECIMAL: its text, which would be compared as DOUBLE if it stayed one.
    Decimal { precision: u8, scale: u8 },
    /// Text in the column's character set.
    Text { charset: String, collation: String },
    /// Bytes.
    Bytes,
}

/// A column of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Name.
    pub name: String,
    pub(super) kind: KeyKind,
}

impl KeyColumn {
    /// The expression that reads it as a bound.
    pub(super) fn read(&self) -> String {
        super::sql::column(&self.name, self.kind == KeyKind::Numbered)
    }

    /// Compares the column with a parameter.
    pub(super) fn compare(&self, operator: &str) -> String {
        let parameter = match &self.kind {
            KeyKind::Plain | KeyKind::Numbered | KeyKind::Bytes => "?".to_owned(),
            KeyKind::Decimal { precision, scale } => format!("CAST(? AS DECIMAL({precision},{scale}))"),
            // Names of the server's own catalog; the bytes are taken for text of that character set, unconverted.
            KeyKind::Text { charset, collation } => format!("CONVERT(? USING {charset}) COLLATE {collation}"),
        };
        format!("{} {operator} {parameter}", quote(&self.name))
    }
}

/// One value of a bound, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeyValue {
    Int(i64),
    UInt(u64),
    /// Bits of a DOUBLE.
    Double(u64),
    /// Hexadecimal.
    Bytes(String),
    /// Year, month, day, hour, minute, second, microseconds.
    Date(u16, u8, u8, u8, u8, u8, u32),
    /// Negative, days, hours, minutes, seconds, microseconds.
    Time(bool, u32, u8, u8, u8, u32),
}

/// The key of a row: where a chunk ends. It holds values of the source, so it stands in no log, error or entry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bound(Vec<KeyValue>);

// By hand: a bound is made of row values.
impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bound({} columns)", self.0.len())
    }
}

impl Bound {
    /// The bound in a row of key columns; `None` for what cannot be part of a key.
    pub(super) fn of(values: impl Iterator<Item = Value>) -> Option<Self> {
        let value = |value| {
            Some(match value {
                Value::NULL => return None,
                Value::Int(n) => KeyValue::Int(n),
                Value::UInt(n) => KeyValue::UInt(n),
                Value::Float(n) => KeyValue::Double(f64::from(n).to_bits()),
                Value::Double(n) => KeyValue::Double(n.to_bits()),
                Value::Bytes(bytes) => KeyValue::Bytes(hex(&bytes)),
                Value::Date(y, m, d, h, i, s, u) => KeyValue::Date(y, m, d, h, i, s, u),
                Value::Time(n, d, h, i, s, u) => KeyValue::Time(n, d, h, i, s, u),
            })
        };
        values.map(value).collect::<Option<_>>().map(Self)
    }

    /// A bound of one integer; `None` beyond 64 bits.
    pub fn integer(n: i128) -> Option<Self> {
        let value = i64::try_from(n).map(KeyValue::Int).or_else(|_| u64::try_from(n).map(KeyValue::UInt));
        value.ok().map(|v| Self(vec![v]))
    }

    /// The number of a bound of one integer.
    pub fn as_integer(&self) -> Option<i128> {
        match self.0[..] {
            [KeyValue::Int(n)] => Some(i128::from(n)),
            [KeyValue::UInt(n)] => Some(i128::from(n)),
            _ => None,
        }
    }

    /// Parameters in the order in which [`sql`](super::sql) compares them.
    pub(super) fn parameters(&self) -> Vec<Value> {
        super::sql::bind_order(self.0.len()).filter_map(|n| self.0.get(n)).map(KeyValue::value).collect()
    }
}

impl KeyValue {
    fn value(&self) -> Value {
        match self {
            Self::Int(n) => Value::Int(*n),
            Self::UInt(n) => Value::UInt(*n),
            Self::Double(bits) => Value::Double(f64::from_bits(*bits)),
            Self::Bytes(text) => Value::Bytes(unhex(text)),
            Self::Date(y, m, d, h, i, s, u) => Value::Date(*y, *m, *d, *h, *i, *s, *u),
            Self::Time(n, d, h, i, s, u) => Value::Time(*n, *d, *h, *i, *s, *u),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).filter_map(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bounds_survive_their_text() {
        let values = vec![
            Value::Int(-7),
            Value::UInt(u64::MAX),
            Value::Double(-0.1),
            Value::Bytes(vec![0, 255, b'\'']),
            Value::Date(2024, 2, 29, 1, 2, 3, 4),
            Value::Time(true, 34, 22, 59, 59, 999_999),
        ];
        let bound = Bound::of(values.clone().into_iter()).unwrap();
        let read: Bound = serde_json::from_str(&serde_json::to_string(&bound).unwrap()).unwrap();
        assert_eq!(read, bound);
        assert_eq!(read.0.iter().map(KeyValue::value).collect::<Vec<_>>(), values);
        assert_eq!(format!("{bound:?}"), "Bound(6 columns)");
    }

    #[test]
    fn null_is_no_bound() {
        assert_eq!(Bound::of([Value::NULL].into_iter()), None);
    }
}
