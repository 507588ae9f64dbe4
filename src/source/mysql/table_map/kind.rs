//! Column types as a TABLE_MAP spells them: a type code and up to three bytes of metadata.

use super::super::cursor::{Cursor, Short};

/// Which server family wrote the binlog; a few codes mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// MySQL and Percona Server.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A column's type with what its metadata says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MysqlType {
    /// TINYINT, 1 byte.
    Tiny,
    /// SMALLINT, 2 bytes.
    Short,
    /// MEDIUMINT, 3 bytes.
    Int24,
    /// INT, 4 bytes.
    Long,
    /// BIGINT, 8 bytes.
    LongLong,
    /// FLOAT.
    Float,
    /// DOUBLE.
    Double,
    /// DECIMAL.
    Decimal {
        /// All digits, up to 65.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// BIT.
    Bit {
        /// 1 to 64.
        bits: u16,
    },
    /// YEAR.
    Year,
    /// DATE.
    Date,
    /// TIME with fractional digits (5.6 and later).
    Time {
        /// Fractional digits, 0 to 6.
        fsp: u8,
    },
    /// DATETIME with fractional digits.
    DateTime {
        /// Fractional digits, 0 to 6.
        fsp: u8,
    },
    /// TIMESTAMP with fractional digits.
    Timestamp {
        /// Fractional digits, 0 to 6.
        fsp: u8,
    },
    /// TIME of tables made before 5.6.
    OldTime,
    /// DATETIME of tables made before 5.6.
    OldDateTime,
    /// TIMESTAMP of tables made before 5.6.
    OldTimestamp,
    /// CHAR or BINARY, told apart by collation.
    Char {
        /// Longest value in bytes.
        bytes: u16,
    },
    /// VARCHAR or VARBINARY.
    VarChar {
        /// Longest value in bytes.
        bytes: u16,
    },
    /// TEXT or BLOB of any size.
    Blob {
        /// Bytes of the length prefix, 1 to 4.
        prefix: u8,
    },
    /// ENUM.
    Enum {
        /// Bytes of the index, 1 or 2.
        size: u8,
    },
    /// SET.
    Set {
        /// Bytes of the bit mask, 1 to 8.
        size: u8,
    },
    /// JSON (MySQL's binary documents).
    Json {
        /// Bytes of the length prefix.
        prefix: u8,
    },
    /// GEOMETRY and its kinds.
    Geometry {
        /// Bytes of the length prefix.
        prefix: u8,
    },
    /// VECTOR.
    Vector {
        /// Bytes of the length prefix.
        prefix: u8,
    },
    /// MariaDB's COMPRESSED columns and every code this build does not know. The metadata of such a column cannot be
    /// told apart from that of its successors, so they are unknown too.
    Unknown {
        /// The code of the type.
        code: u8,
    },
}

impl MysqlType {
    /// Reads the metadata of one column. `None` when its length is not known.
    pub(super) fn read(code: u8, metadata: &mut Cursor<'_>) -> Result<Option<Self>, Short> {
        Ok(Some(match code {
            1 => Self::Tiny,
            2 => Self::Short,
            3 => Self::Long,
            7 => Self::OldTimestamp,
            8 => Self::LongLong,
            9 => Self::Int24,
            10 | 14 => Self::Date,
            11 => Self::OldTime,
            12 => Self::OldDateTime,
            13 => Self::Year,
            4 => metadata.u8().map(|_| Self::Float)?,
            5 => metadata.u8().map(|_| Self::Double)?,
            17 => Self::Timestamp { fsp: metadata.u8()? },
            18 => Self::DateTime { fsp: metadata.u8()? },
            19 => Self::Time { fsp: metadata.u8()? },
            15 | 253 => Self::VarChar { bytes: metadata.u16()? },
            16 => {
                let (odd_bits, bytes) = (metadata.u8()?, metadata.u8()?);
                Self::Bit { bits: u16::from(bytes) * 8 + u16::from(odd_bits) }
            }
            246 => Self::Decimal { precision: metadata.u8()?, scale: metadata.u8()? },
            242 => Self::Vector { prefix: metadata.u8()? },
            245 => Self::Json { prefix: metadata.u8()? },
            249..=252 => Self::Blob { prefix: metadata.u8()? },
            255 => Self::Geometry { prefix: metadata.u8()? },
            254 => {
                let (real, length) = (metadata.u8()?, metadata.u8()?);
                Self::of_string(real, length)
            }
            _ => return Ok(None),
        }))
    }

    /// Type 254 hides three types: `real` is 0xF7 for ENUM, 0xF8 for SET, else CHAR with two length bits folded in.
    fn of_string(real: u8, length: u8) -> Self {
        match real {
            0xf7 => Self::Enum { size: length },
            0xf8 => Self::Set { size: length },
            _ => Self::Char { bytes: u16::from(length) | (u16::from((real & 0x30) ^ 0x30) << 4) },
        }
    }

    /// Whether the column has a bit in the SIGNEDNESS field. YEAR has one (`Field_year` is a numeric field).
    pub(super) fn has_sign(self) -> bool {
        matches!(
            self,
            Self::Tiny
                | Self::Short
                | Self::Int24
                | Self::Long
                | Self::LongLong
                | Self::Float
                | Self::Double
                | Self::Decimal { .. }
                | Self::Year
        )
    }

    /// Whether the column has an entry in the character-set fields. One miscounted column shifts all behind it.
    pub(super) fn has_charset(self, flavor: Flavor) -> bool {
        match self {
            Self::Char { .. } | Self::VarChar { .. } | Self::Blob { .. } => true,
            Self::Vector { .. } => flavor == Flavor::MySql,
            Self::Geometry { .. } => flavor == Flavor::MariaDb,
            _ => false,
        }
    }

    /// Whether the column is an ENUM or a SET: they have character-set fields of their own.
    pub(super) fn has_labels(self) -> bool {
        matches!(self, Self::Enum { .. } | Self::Set { .. })
    }
}
