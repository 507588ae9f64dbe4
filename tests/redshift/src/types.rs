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
