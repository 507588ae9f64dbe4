//! Column types of Redshift that the stand-in knows.

use std::fmt;

/// A column's type, with its size where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// 16 bits.
    SmallInt,
    /// 32 bits.
    Integer,
    /// 64 bits.
    BigInt,
    /// Exact number: digits, digits behind the point.
    Decimal(u8, u8),
    /// Single precision.
    Real,
    /// Double precision.
    Double,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// Microseconds, without a zone.
    Timestamp,
    /// Microseconds since the epoch.
    TimestampTz,
    /// Time of day.
    Time,
    /// Time of day with a zone.
    TimeTz,
    /// Text of fixed length, in bytes.
    Char(u32),
    /// Text, most bytes.
    Varchar(u32),
    /// Bytes, at most so many.
    Varbyte(u32),
    /// Semi-structured data.
    Super,
}

impl ColumnType {
    /// Name, size and scale as the side catalog keeps them; 0 where a type has none.
    #[must_use]
    pub fn to_catalog(self) -> (&'static str, i32, i32) {
        let size = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        match self {
            Self::SmallInt => ("smallint", 0, 0),
            Self::Integer => ("integer", 0, 0),
            Self::BigInt => ("bigint", 0, 0),
            Self::Decimal(p, s) => ("numeric", i32::from(p), i32::from(s)),
            Self::Real => ("real", 0, 0),
            Self::Double => ("double precision", 0, 0),
            Self::Boolean => ("boolean", 0, 0),
            Self::Date => ("date", 0, 0),
            Self::Timestamp => ("timestamp without time zone", 0, 0),
            Self::TimestampTz => ("timestamp with time zone", 0, 0),
            Self::Time => ("time without time zone", 0, 0),
            Self::TimeTz => ("time with time zone", 0, 0),
            Self::Char(n) => ("character", size(n), 0),
            Self::Varchar(n) => ("character varying", size(n), 0),
            Self::Varbyte(n) => ("binary varying", size(n), 0),
            Self::Super => ("super", 0, 0),
        }
    }

    /// The reverse of [`to_catalog`](Self::to_catalog).
    pub(crate) fn from_catalog(name: &str, size: i32, scale: i32) -> Option<Self> {
        let bytes = u32::try_from(size).ok()?;
        Some(match name {
            "smallint" => Self::SmallInt,
            "integer" => Self::Integer,
            "bigint" => Self::BigInt,
            "numeric" => Self::Decimal(u8::try_from(size).ok()?, u8::try_from(scale).ok()?),
            "real" => Self::Real,
            "double precision" => Self::Double,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "timestamp without time zone" => Self::Timestamp,
            "timestamp with time zone" => Self::TimestampTz,
            "time without time zone" => Self::Time,
            "time with time zone" => Self::TimeTz,
            "character" => Self::Char(bytes),
            "character varying" => Self::Varchar(bytes),
            "binary varying" => Self::Varbyte(bytes),
            "super" => Self::Super,
            _ => return None,
        })
    }
}

impl fmt::Display for ColumnType {
    /// As `pg_table_def` and error texts name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmallInt => f.write_str("smallint"),
            Self::Integer => f.write_str("integer"),
            Self::BigInt => f.write_str("bigint"),
            Self::Decimal(p, s) => write!(f, "numeric({p},{s})"),
            Self::Real => f.write_str("real"),
            Self::Double => f.write_str("double precision"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp without time zone"),
            Self::TimestampTz => f.write_str("timestamp with time zone"),
            Self::Time => f.write_str("time without time zone"),
            Self::TimeTz => f.write_str("time with time zone"),
            Self::Char(n) => write!(f, "character({n})"),
            Self::Varchar(n) => write!(f, "character varying({n})"),
            Self::Varbyte(n) => write!(f, "binary varying({n})"),
            Self::Super => f.write_str("super"),
        }
    }
}
