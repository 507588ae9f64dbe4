//! Which Parquet column goes into which column of a table.
//!
//! The pairs that load were measured, or are loaded daily by other projects' test suites; the others follow the table
//! of Apache Impala's scanner, whose error texts Redshift's are.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical};
use parquet::schema::types::Type;

use super::super::relax::{Relax, Unverified};
use crate::ColumnType;

/// How a value becomes a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conversion {
    Boolean,
    Int16,
    Int32,
    Int64,
    /// Digits behind the point, and the bound of the absolute value.
    Decimal {
        scale: u8,
        limit: u128,
    },
    Real,
    Double,
    Date,
    /// Microseconds in one unit of the file.
    Timestamp {
        micros: i64,
    },
    /// Julian day and nanoseconds.
    Int96,
    Text {
        bytes_max: u32,
    },
    Char {
        bytes_max: u32,
    },
    Bytes {
        bytes_max: u32,
    },
    /// A text becomes a scalar.
    JsonText,
    /// A text is a document.
    JsonDocument,
    /// A nested value or a scalar, already as JSON.
    Json,
}

/// Why a column does not load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    /// It is known, or to be expected, to fail.
    Incompatible,
    /// Nobody knows.
    Unverified(Unverified),
}

/// What the file says about the meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Annotation {
    None,
    Text,
    Json,
    OtherText,
    Int {
        bits: i32,
        signed: bool,
    },
    Decimal {
        precision: i32,
        scale: i32,
    },
    Date,
    Timestamp {
        micros: i64,
        utc: bool,
    },
    /// Without a converted type in the old form, and unknown to readers of that form.
    Other,
}

impl Annotation {
    fn of(field: &Type) -> Self {
        let info = field.get_basic_info();
        match info.logical_type_ref() {
            Some(LogicalType::String) => Self::Text,
            Some(LogicalType::Json) => Self::Json,
            Some(LogicalType::Bson | LogicalType::Enum) => Self::OtherText,
            Some(LogicalType::Integer(int)) => Self::Int { bits: i32::from(int.bit_width), signed: int.is_signed },
            Some(LogicalType::Decimal(decimal)) => Self::Decimal { precision: decimal.precision, scale: decimal.scale },
            Some(LogicalType::Date) => Self::Date,
            Some(LogicalType::Timestamp(time)) => match time.unit {
                TimeUnit::MILLIS => Self::Timestamp { micros: 1000, utc: time.is_adjusted_to_u_t_c },
                TimeUnit::MICROS => Self::Timestamp { micros: 1, utc: time.is_adjusted_to_u_t_c },
                TimeUnit::NANOS => Self::Other,
            },
            Some(_) => Self::Other,
            None => Self::of_converted(field),
        }
    }

    fn of_converted(field: &Type) -> Self {
        match field.get_basic_info().converted_type() {
            ConvertedType::NONE => Self::None,
            ConvertedType::UTF8 => Self::Text,
            ConvertedType::JSON => Self::Json,
            ConvertedType::BSON | ConvertedType::ENUM => Self::OtherText,
            ConvertedType::INT_8 => Self::Int { bits: 8, signed: true },
            ConvertedType::INT_16 => Self::Int { bits: 16, signed: true },
            ConvertedType::INT_32 => Self::Int { bits: 32, signed: true },
            ConvertedType::INT_64 => Self::Int { bits: 64, signed: true },
            ConvertedType::UINT_8 => Self::Int { bits: 8, signed: false },
            ConvertedType::UINT_16 => Self::Int { bits: 16, signed: false },
            ConvertedType::UINT_32 => Self::Int { bits: 32, signed: false },
            ConvertedType::UINT_64 => Self::Int { bits: 64, signed: false },
            ConvertedType::DECIMAL => Self::Decimal { precision: field.get_precision(), scale: field.get_scale() },
            ConvertedType::DATE => Self::Date,
            ConvertedType::TIMESTAMP_MILLIS => Self::Timestamp { micros: 1000, utc: true },
            ConvertedType::TIMESTAMP_MICROS => Self::Timestamp { micros: 1, utc: true },
            _ => Self::Other,
        }
    }
}

/// Decides about one column. `field` is a field of the file's root.
pub(super) fn admit(to: ColumnType, field: &Type, relax: &Relax) -> Result<Conversion, Mismatch> {
    use Mismatch::Incompatible;
    let info = field.get_basic_info();
    let repeated = info.has_repetition() && info.repetition() == parquet::basic::Repetition::REPEATED;
    if field.is_group() || repeated {
        return if to == ColumnType::Super { Ok(Conversion::Json) } else { Err(Incompatible) };
    }
    let physical = field.get_physical_type();
    let annotation = Annotation::of(field);
    if matches!(annotation, Annotation::Int { signed: false, .. }) && !relax.admits(Unverified::UnsignedInt) {
        return Err(Mismatch::Unverified(Unverified::UnsignedInt));
    }
    let (conversion, doubt) = match to {
        ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => integer(to, physical, annotation)?,
        ColumnType::Decimal(precision, scale) => decimal(precision, scale, field, annotation)?,
        ColumnType::Real | ColumnType::Double => float(to, physical, annotation)?,
        ColumnType::Boolean if physical == Physical::BOOLEAN => (Conversion::Boolean, None),
        ColumnType::Date if physical == Physical::INT32 && annotation == Annotation::Date => (Conversion::Date, None),
        ColumnType::Timestamp | ColumnType::TimestampTz => timestamp(to, physical, annotation)?,
        ColumnType::Char(_) | ColumnType::Varchar(_) => text(to, physical, annotation)?,
        ColumnType::Varbyte(bytes_max) => varbyte(bytes_max, physical, annotation)?,
        ColumnType::Super => semistructured(physical, annotation)?,
        // TIME and TIMETZ cannot be loaded from Parquet at all.
        ColumnType::Boolean | ColumnType::Date | ColumnType::Time | ColumnType::TimeTz => return Err(Incompatible),
    };
    match doubt {
        Some(doubt) if !relax.admits(doubt) => Err(Mismatch::Unverified(doubt)),
        _ => Ok(conversion),
    }
}

type Decision = Result<(Conversion, Option<Unverified>), Mismatch>;

fn integer(to: ColumnType, physical: Physical, annotation: Annotation) -> Decision {
    let bits = match annotation {
        Annotation::None => None,
        Annotation::Int { bits, .. } => Some(bits),
        _ => return Err(Mismatch::Incompatible),
    };
    match (to, physical, bits) {
        (ColumnType::SmallInt, Physical::INT32, Some(8 | 16)) => Ok((Conversion::Int16, None)),
        (ColumnType::SmallInt, Physical::INT32, None) => {
            Ok((Conversion::Int16, Some(Unverified::PlainInt32ToSmallint)))
        }
        (ColumnType::SmallInt, Physical::INT32, _) => Ok((Conversion::Int16, Some(Unverified::OtherIntWidth))),
        (ColumnType::Integer, Physical::INT32, None | Some(32)) => Ok((Conversion::Int32, None)),
        (ColumnType::Integer, Physical::INT32, _) => Ok((Conversion::Int32, Some(Unverified::OtherIntWidth))),
        (ColumnType::BigInt, Physical::INT64, _) => Ok((Conversion::Int64, None)),
        (ColumnType::BigInt, Physical::INT32, _) => Ok((Conversion::Int64, Some(Unverified::Int32ToBigint))),
        _ => Err(Mismatch::Incompatible),
    }
}

fn decimal(precision: u8, scale: u8, field: &Type, annotation: Annotation) -> Decision {
    if annotation != (Annotation::Decimal { precision: i32::from(precision), scale: i32::from(scale) }) {
        return Err(Mismatch::Incompatible);
    }
    /// Digits that 8 bytes hold; a column of 19 holds what fits into 8 bytes, not all of 19 digits.
    const LONG_DIGITS: u8 = 18;
    let digits_bound = 10_u128.pow(u32::from(precision).min(38)) - 1;
    let limit = if precision == 19 { i64::MAX as u128 } else { digits_bound };
    let conversion = Conversion::Decimal { scale, limit };
    let doubt = match field.get_physical_type() {
        Physical::INT32 if precision <= 9 => Some(Unverified::DecimalInt32),
        Physical::INT64 if precision <= 9 => Some(Unverified::DecimalShortInt64),
        Physical::INT64 if precision <= LONG_DIGITS => None,
        Physical::BYTE_ARRAY => Some(Unverified::DecimalByteArray),
        Physical::FIXED_LEN_BYTE_ARRAY => match fixed_length(field) {
            length if length == decimal_bytes(precision) => None,
            length if length > decimal_bytes(precision) && length <= 16 => Some(Unverified::DecimalLongFixed),
            _ => return Err(Mismatch::Incompatible),
        },
        _ => return Err(Mismatch::Incompatible),
    };
    Ok((conversion, doubt))
}

/// Bytes that so many digits need as a two's complement number.
fn decimal_bytes(precision: u8) -> i32 {
    let largest = 10_i128.pow(u32::from(precision).min(38)) - 1;
    let bits = i128::BITS - largest.leading_zeros() + 1;
    i32::try_from(bits.div_ceil(8)).unwrap_or(i32::MAX)
}

fn fixed_length(field: &Type) -> i32 {
    match field {
        Type::PrimitiveType { type_length, .. } => *type_length,
        Type::GroupType { .. } => 0,
    }
}

fn float(to: ColumnType, physical: Physical, annotation: Annotation) -> Decision {
    if annotation != Annotation::None {
        return Err(Mismatch::Incompatible);
    }
    match (to, physical) {
        (ColumnType::Real, Physical::FLOAT) => Ok((Conversion::Real, None)),
        (ColumnType::Double, Physical::DOUBLE) => Ok((Conversion::Double, None)),
        (ColumnType::Real, Physical::DOUBLE) => Ok((Conversion::Real, Some(Unverified::FloatWidth))),
        (ColumnType::Double, Physical::FLOAT) => Ok((Conversion::Double, Some(Unverified::FloatWidth))),
        _ => Err(Mismatch::Incompatible),
    }
}

fn timestamp(to: ColumnType, physical: Physical, annotation: Annotation) -> Decision {
    let zone = to == ColumnType::TimestampTz;
    match (physical, annotation) {
        (Physical::INT96, Annotation::None) => Ok((Conversion::Int96, zone.then_some(Unverified::LocalToTimestamptz))),
        (Physical::INT64, Annotation::Timestamp { micros, utc }) => {
            let doubt = match (micros, utc) {
                (1000, _) => Some(Unverified::TimestampMillis),
                (_, false) if zone => Some(Unverified::LocalToTimestamptz),
                _ => None,
            };
            Ok((Conversion::Timestamp { micros }, doubt))
        }
        _ => Err(Mismatch::Incompatible),
    }
}

fn text(to: ColumnType, physical: Physical, annotation: Annotation) -> Decision {
    let conversion = match to {
        ColumnType::Char(bytes_max) => Conversion::Char { bytes_max },
        ColumnType::Varchar(bytes_max) => Conversion::Text { bytes_max },
        _ => return Err(Mismatch::Incompatible),
    };
    match (physical, annotation) {
        (Physical::BYTE_ARRAY, Annotation::Text) => Ok((conversion, None)),
        (Physical::BYTE_ARRAY, Annotation::None) => Ok((conversion, Some(Unverified::BytesToText))),
        (Physical::BYTE_ARRAY, Annotation::Json | Annotation::OtherText) => {
            Ok((conversion, Some(Unverified::OtherTextAnnotation)))
        }
        _ => Err(Mismatch::Incompatible),
    }
}

fn varbyte(bytes_max: u32, physical: Physical, annotation: Annotation) -> Decision {
    let conversion = Conversion::Bytes { bytes_max };
    match (physical, annotation) {
        (Physical::BYTE_ARRAY, Annotation::None) => Ok((conversion, None)),
        (Physical::BYTE_ARRAY, Annotation::Text | Annotation::Json | Annotation::OtherText) => {
            Ok((conversion, Some(Unverified::TextToVarbyte)))
        }
        _ => Err(Mismatch::Incompatible),
    }
}

fn semistructured(physical: Physical, annotation: Annotation) -> Decision {
    match (physical, annotation) {
        (Physical::BYTE_ARRAY, Annotation::Text) => Ok((Conversion::JsonText, None)),
        (Physical::BYTE_ARRAY, Annotation::Json) => Ok((Conversion::JsonDocument, Some(Unverified::JsonToSuper))),
        (
            Physical::BOOLEAN | Physical::INT32 | Physical::INT64 | Physical::FLOAT | Physical::DOUBLE,
            Annotation::None | Annotation::Int { .. },
        ) => Ok((Conversion::Json, Some(Unverified::ScalarToSuper))),
        _ => Err(Mismatch::Incompatible),
    }
}

/// The type of a column as the error texts write it.
pub(super) fn type_name(ty: ColumnType) -> String {
    match ty {
        ColumnType::SmallInt => "SMALLINT".to_owned(),
        ColumnType::Integer => "INT".to_owned(),
        ColumnType::BigInt => "BIGINT".to_owned(),
        ColumnType::Decimal(p, s) => format!("DECIMAL({p}, {s})"),
        ColumnType::Real => "FLOAT".to_owned(),
        ColumnType::Double => "DOUBLE".to_owned(),
        ColumnType::Boolean => "BOOLEAN".to_owned(),
        ColumnType::Date => "DATE".to_owned(),
        ColumnType::Timestamp => "TIMESTAMP".to_owned(),
        ColumnType::TimestampTz => "TIMESTAMPTZ".to_owned(),
        ColumnType::Time => "TIME".to_owned(),
        ColumnType::TimeTz => "TIMETZ".to_owned(),
        ColumnType::Char(_) => "CHAR".to_owned(),
        ColumnType::Varchar(_) => "VARCHAR".to_owned(),
        ColumnType::Varbyte(_) => "VARBYTE".to_owned(),
        ColumnType::Super => "SUPER".to_owned(),
    }
}

/// A column of the file as the error texts write it.
pub(super) fn schema_text(field: &Type, position: usize) -> String {
    let info = field.get_basic_info();
    let repetition = if info.has_repetition() { info.repetition().to_string().to_lowercase() } else { String::new() };
    let (definition, repeated) = match info.has_repetition().then(|| info.repetition()) {
        Some(parquet::basic::Repetition::OPTIONAL) => (1, 0),
        Some(parquet::basic::Repetition::REPEATED) => (1, 1),
        _ => (0, 0),
    };
    let kind = if field.is_group() { "group".to_owned() } else { field.get_physical_type().to_string().to_lowercase() };
    format!("{repetition} {kind} {} [i:{position} d:{definition} r:{repeated}]", field.name())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
