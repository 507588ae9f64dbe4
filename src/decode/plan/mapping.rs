//! Which neutral type a MySQL type becomes, and how its bytes are read. `schemas/types.toml` says the same in a table.

use super::{Plan, Unsupported};
use crate::{
    decode::{
        charset::Charset,
        decimal::Shape,
        policy::InvalidText,
        value::{Losses, Read},
    },
    model::ColumnType,
    source::mysql::table_map::{ColumnMap, Flavor, MysqlType},
};

/// Collation id of bytes.
pub(super) const BINARY: u16 = 63;

/// Most UTF-8 bytes per byte of another character set. Single-byte sets reach 3 (the euro sign of latin1), two-byte
/// sets 3 for 2 or for 1 (half-width kana of sjis); utf16, utf32 and gb18030 never grow.
const UTF8_GROWTH: u32 = 3;

/// What a column becomes.
pub(super) struct Mapped {
    pub(super) read: Read,
    pub(super) ty: ColumnType,
    pub(super) source: String,
}

fn mapped(read: Read, ty: ColumnType, source: impl Into<String>) -> Mapped {
    Mapped { read, ty, source: source.into() }
}

/// A length prefix that the declared length implies.
fn prefix_of(bytes: u16) -> u8 {
    if bytes < 256 { 1 } else { 2 }
}

impl Plan {
    /// Maps one column and registers its character set or labels.
    pub(super) fn map(
        &mut self,
        column: &ColumnMap,
        flavor: Flavor,
        boolean: bool,
        losses: Losses,
    ) -> Result<Mapped, Unsupported> {
        match column.kind {
            MysqlType::Tiny if boolean => Ok(mapped(Read::TinyBoolean, ColumnType::Boolean, "tinyint(1)")),
            MysqlType::Tiny
            | MysqlType::Short
            | MysqlType::Int24
            | MysqlType::Long
            | MysqlType::LongLong
            | MysqlType::Float
            | MysqlType::Double
            | MysqlType::Year => Ok(number(column.kind, column.unsigned)),
            MysqlType::Decimal { precision, scale } => decimal(precision, scale, column.unsigned),
            MysqlType::Bit { bits } => bit(bits),
            MysqlType::Date
            | MysqlType::Time { .. }
            | MysqlType::DateTime { .. }
            | MysqlType::Timestamp { .. }
            | MysqlType::OldTime
            | MysqlType::OldDateTime
            | MysqlType::OldTimestamp => temporal(column.kind, flavor),
            MysqlType::Char { .. } | MysqlType::VarChar { .. } | MysqlType::Blob { .. } => {
                self.characters(column, losses)
            }
            MysqlType::Enum { size } => self.labelled(column, size, false),
            MysqlType::Set { size } => self.labelled(column, size, true),
            MysqlType::Json { prefix } => {
                Ok(mapped(Read::Json { prefix: prefix_bytes(prefix)? }, ColumnType::Json, "json"))
            }
            MysqlType::Geometry { prefix } => {
                let read = Read::Binary { prefix: prefix_bytes(prefix)? };
                Ok(mapped(read, ColumnType::Binary { bytes_max: None }, "geometry"))
            }
            MysqlType::Vector { prefix } => {
                let read = Read::Binary { prefix: prefix_bytes(prefix)? };
                let bytes_max = column.dimensions.and_then(|n| u32::try_from(n.checked_mul(4)?).ok());
                let source = column.dimensions.map_or_else(|| "vector".to_owned(), |n| format!("vector({n})"));
                Ok(mapped(read, ColumnType::Binary { bytes_max }, source))
            }
            MysqlType::Unknown { code } => Err(Unsupported::Type(code)),
        }
    }

    /// CHAR, VARCHAR, TEXT and their binary siblings, which only the collation tells apart.
    fn characters(&mut self, column: &ColumnMap, losses: Losses) -> Result<Mapped, Unsupported> {
        let collation = column.collation.ok_or(Unsupported::NoCollation)?;
        let (prefix, longest) = match column.kind {
            MysqlType::Char { bytes } | MysqlType::VarChar { bytes } => (prefix_of(bytes), Some(u32::from(bytes))),
            MysqlType::Blob { prefix } => {
                let prefix = prefix_bytes(prefix)?;
                // LONGTEXT and LONGBLOB are bounded by nothing that a warehouse could use.
                (prefix, (prefix < 4).then(|| (1 << (8 * u32::from(prefix))) - 1))
            }
            _ => return Err(Unsupported::NoCollation),
        };
        let source = character_type(column.kind, collation == BINARY);
        if collation == BINARY {
            let read = match column.kind {
                MysqlType::Char { bytes } => Read::Padded { prefix, bytes },
                _ => Read::Binary { prefix },
            };
            return Ok(mapped(read, ColumnType::Binary { bytes_max: longest }, source));
        }
        let charset = Charset::from_collation(collation).ok_or(Unsupported::Collation(collation))?;
        if charset.is_utf8() {
            let read = match losses.invalid_text {
                InvalidText::Replace => Read::Utf8 { prefix },
                InvalidText::Refuse => Read::Utf8Strict { prefix },
            };
            return Ok(mapped(read, ColumnType::Text { bytes_max: longest }, source));
        }
        let bytes_max = longest.map(|bytes| bytes.saturating_mul(UTF8_GROWTH));
        self.charsets.push(charset);
        let read = Read::Text { prefix, charset: self.charsets.len() as u16 - 1 };
        Ok(mapped(read, ColumnType::Text { bytes_max }, source))
    }

    /// ENUM and SET become the text of their labels.
    fn labelled(&mut self, column: &ColumnMap, size: u8, set: bool) -> Result<Mapped, Unsupported> {
        let collation = column.collation.ok_or(Unsupported::NoCollation)?;
        if column.labels.is_empty() {
            return Err(Unsupported::NoLabels);
        }
        let name = if set { "set" } else { "enum" };
        if size == 0 || size > if set { 8 } else { 2 } {
            return Err(Unsupported::Declaration(format!("{name} of {size} bytes")));
        }
        let charset = Charset::from_collation(collation).ok_or(Unsupported::Collation(collation))?;
        let labels = column.labels.iter().map(|label| text_of(&charset, label)).collect::<Result<Vec<_>, _>>()?;
        let lengths = labels.iter().map(|label| label.len());
        let longest = if set { lengths.sum::<usize>() + labels.len() - 1 } else { lengths.max().unwrap_or(0) };
        self.labels.push(labels);
        let labels = self.labels.len() as u16 - 1;
        let read = if set { Read::Set { size, labels } } else { Read::Enum { size, labels } };
        Ok(mapped(read, ColumnType::Text { bytes_max: u32::try_from(longest).ok() }, name))
    }
}

/// A label in UTF-8. Binary labels are taken for UTF-8, as a client would show them.
fn text_of(charset: &Charset, label: &[u8]) -> Result<Box<str>, Unsupported> {
    if charset.is_utf8() || charset.is_binary() {
        return std::str::from_utf8(label).map(Box::from).map_err(|_| Unsupported::Label);
    }
    let mut text = Vec::with_capacity(label.len());
    if charset.decode_into(label, &mut text).replaced() {
        return Err(Unsupported::Label);
    }
    String::from_utf8(text).map(String::into_boxed_str).map_err(|_| Unsupported::Label)
}

/// A declared length prefix of BLOB-like types.
fn prefix_bytes(prefix: u8) -> Result<u8, Unsupported> {
    if (1..=4).contains(&prefix) {
        Ok(prefix)
    } else {
        Err(Unsupported::Declaration(format!("a length prefix of {prefix} bytes")))
    }
}

fn character_type(kind: MysqlType, binary: bool) -> String {
    match (kind, binary) {
        // Lengths of text are bytes here: the declaration's characters are not in the binlog.
        (MysqlType::Char { bytes }, false) => format!("char[{bytes} bytes]"),
        (MysqlType::VarChar { bytes }, false) => format!("varchar[{bytes} bytes]"),
        (MysqlType::Char { bytes }, true) => format!("binary({bytes})"),
        (MysqlType::VarChar { bytes }, true) => format!("varbinary({bytes})"),
        (MysqlType::Blob { prefix }, _) => {
            let size = match prefix {
                1 => "tiny",
                2 => "",
                3 => "medium",
                _ => "long",
            };
            format!("{size}{}", if binary { "blob" } else { "text" })
        }
        _ => String::new(),
    }
}

fn number(kind: MysqlType, unsigned: bool) -> Mapped {
    let (read, ty, name) = match (kind, unsigned) {
        (MysqlType::Tiny, false) => (Read::I8, ColumnType::Int16, "tinyint"),
        (MysqlType::Tiny, true) => (Read::U8, ColumnType::Int16, "tinyint"),
        (MysqlType::Short, false) => (Read::I16, ColumnType::Int16, "smallint"),
        (MysqlType::Short, true) => (Read::U16, ColumnType::Int32, "smallint"),
        (MysqlType::Int24, false) => (Read::I24, ColumnType::Int32, "mediumint"),
        (MysqlType::Int24, true) => (Read::U24, ColumnType::Int32, "mediumint"),
        (MysqlType::Long, false) => (Read::I32, ColumnType::Int32, "int"),
        (MysqlType::Long, true) => (Read::U32, ColumnType::Int64, "int"),
        (MysqlType::LongLong, true) => (Read::U64, ColumnType::Decimal { precision: 20, scale: 0 }, "bigint"),
        (MysqlType::Float, _) => (Read::F32, ColumnType::Float32, "float"),
        (MysqlType::Double, _) => (Read::F64, ColumnType::Float64, "double"),
        (MysqlType::Year, _) => return mapped(Read::Year, ColumnType::Int16, "year"),
        _ => (Read::I64, ColumnType::Int64, "bigint"),
    };
    mapped(read, ty, if unsigned { format!("{name} unsigned") } else { name.to_owned() })
}

fn decimal(precision: u8, scale: u8, unsigned: bool) -> Result<Mapped, Unsupported> {
    let sign = if unsigned { " unsigned" } else { "" };
    let source = format!("decimal({precision},{scale}){sign}");
    let Some(shape) = Shape::new(precision, scale) else { return Err(Unsupported::Declaration(source)) };
    if precision <= 38 {
        return Ok(mapped(Read::Decimal(shape), ColumnType::Decimal { precision, scale }, source));
    }
    // Sign and point, and the zero before the point that MySQL prints when all digits are behind it.
    let bytes_max = Some(u32::from(precision) + 3);
    Ok(mapped(Read::DecimalText(shape), ColumnType::Text { bytes_max }, source))
}

fn bit(bits: u16) -> Result<Mapped, Unsupported> {
    let source = format!("bit({bits})");
    Ok(match bits {
        1 => mapped(Read::BitBoolean, ColumnType::Boolean, source),
        2..=63 => mapped(Read::Bit { bytes: bits.div_ceil(8) as u8 }, ColumnType::Int64, source),
        64 => mapped(Read::BitWide, ColumnType::Decimal { precision: 20, scale: 0 }, source),
        _ => return Err(Unsupported::Declaration(source)),
    })
}

fn temporal(kind: MysqlType, flavor: Flavor) -> Result<Mapped, Unsupported> {
    let old = matches!(kind, MysqlType::OldTime | MysqlType::OldDateTime | MysqlType::OldTimestamp);
    if old && flavor == Flavor::MariaDb {
        return Err(Unsupported::OldTemporal);
    }
    let named = |name: &str, fsp: u8| match fsp {
        0 => Ok(name.to_owned()),
        1..=6 => Ok(format!("{name}({fsp})")),
        _ => Err(Unsupported::Declaration(format!("{name}({fsp})"))),
    };
    // "-838:59:59", then the point and its digits.
    let time = |fsp: u8| ColumnType::Text { bytes_max: Some(10 + if fsp > 0 { 1 + u32::from(fsp) } else { 0 }) };
    Ok(match kind {
        MysqlType::Date => mapped(Read::Date, ColumnType::Date, "date"),
        MysqlType::Time { fsp } => mapped(Read::Time { fsp }, time(fsp), named("time", fsp)?),
        MysqlType::DateTime { fsp } => mapped(Read::DateTime { fsp }, ColumnType::Timestamp, named("datetime", fsp)?),
        MysqlType::Timestamp { fsp } => {
            mapped(Read::Timestamp { fsp }, ColumnType::TimestampTz, named("timestamp", fsp)?)
        }
        MysqlType::OldTime => mapped(Read::OldTime, time(0), "time"),
        MysqlType::OldDateTime => mapped(Read::OldDateTime, ColumnType::Timestamp, "datetime"),
        _ => mapped(Read::OldTimestamp, ColumnType::TimestampTz, "timestamp"),
    })
}
