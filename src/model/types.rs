//! Neutral column types: what a value is between MySQL and a warehouse.

use arrow::datatypes::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};

/// Type of a column in the lake, independent of source and warehouse.
///
/// `schemas/types.toml` is the table that says which MySQL type becomes which of these and what each warehouse makes of
/// it; a test keeps this enum and that table equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnType {
    /// TINYINT(1) and BIT(1).
    Boolean,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// IEEE 754 single.
    Float32,
    /// IEEE 754 double.
    Float64,
    /// Exact decimal with at most 38 digits; `BIGINT UNSIGNED` is `Decimal { precision: 20, scale: 0 }`.
    Decimal {
        /// Total digits, 1 to 38.
        precision: u8,
        /// Digits behind the point, at most `precision`.
        scale: u8,
    },
    /// Calendar day.
    Date,
    /// Wall-clock time without zone (DATETIME), microseconds.
    Timestamp,
    /// Instant (TIMESTAMP), microseconds since the epoch, UTC.
    TimestampTz,
    /// UTF-8 text. TIME, ENUM, SET and decimals wider than 38 digits are text too.
    Text {
        /// Most bytes of UTF-8 a value can have by its declaration; `None` where only the row limit bounds it.
        bytes_max: Option<u32>,
    },
    /// JSON text exactly as MySQL prints it.
    Json,
    /// Bytes. GEOMETRY is SRID (u32 LE) + WKB, VECTOR is f32 LE values.
    Binary {
        /// Most bytes by declaration; `None` where only the row limit bounds it.
        bytes_max: Option<u32>,
    },
}

impl ColumnType {
    /// The Arrow type of the column's array, which fixes its Parquet type too.
    pub fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            // Up to 9 digits arrow-rs writes INT32, which Redshift's COPY is not known to take for DECIMAL; 10 digits
            // cost it the same 8 bytes. 19 digits are capped at i64::MAX there, 20 are not.
            Self::Decimal { precision, scale } => DataType::Decimal128(lake_precision(precision), scale as i8),
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text { .. } | Self::Json => DataType::Utf8,
            Self::Binary { .. } => DataType::Binary,
        }
    }

    /// Whether a column of this type can decide between shards as `updated_at`.
    pub fn is_instant(self) -> bool {
        matches!(self, Self::Timestamp | Self::TimestampTz)
    }
}

/// Declared precision of a decimal in the lake and in Redshift: at least 10, never 19.
pub fn lake_precision(precision: u8) -> u8 {
    match precision {
        0..=9 => 10,
        19 => 20,
        wider => wider,
    }
}
