//! Nested values as JSON, for SUPER.

use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};
use serde_json::{Map, Number, Value};

/// Bytes of one text inside a SUPER value.
pub(super) const TEXT_BYTES_MAX: usize = 65_535;

/// Levels of objects and arrays ("SUPER type: limitations").
const DEPTH_MAX: usize = 1000;

/// What JSON, or SUPER, cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotJson {
    /// A type without a form in SUPER.
    Type(String),
    /// NaN or infinite.
    NotANumber,
    /// A text of more than 65 535 bytes.
    TooLong,
    /// A map's key is NULL or no text.
    Key,
    /// Too many levels.
    TooDeep,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(ty) => write!(f, "values of type {ty} have no form in SUPER"),
            Self::NotANumber => f.write_str("NaN and infinity have no form in SUPER"),
            Self::TooLong => write!(f, "String value exceeds the max size of {TEXT_BYTES_MAX} bytes"),
            Self::Key => f.write_str("keys of maps must be texts"),
            Self::TooDeep => write!(f, "more than {DEPTH_MAX} levels"),
        }
    }
}

impl std::error::Error for NotJson {}

/// One document a row.
pub(super) fn documents(array: &ArrayRef) -> Result<Vec<Option<String>>, NotJson> {
    (0..array.len())
        .map(
            |row| if array.is_null(row) { Ok(None) } else { value(array, row, 0).map(|value| Some(value.to_string())) },
        )
        .collect()
}

fn value(array: &dyn Array, row: usize, depth: usize) -> Result<Value, NotJson> {
    if depth > DEPTH_MAX {
        return Err(NotJson::TooDeep);
    }
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(row).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(row).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(row).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float32 => number(f64::from(array.as_primitive::<Float32Type>().value(row)))?,
        DataType::Float64 => number(array.as_primitive::<Float64Type>().value(row))?,
        DataType::Utf8 => text(array.as_string::<i32>().value(row))?,
        DataType::LargeUtf8 => text(array.as_string::<i64>().value(row))?,
        DataType::List(_) => list(&array.as_list::<i32>().value(row), depth)?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), depth)?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), depth)?,
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let members = fields.iter().zip(columns);
            let members = members.map(|(field, column)| Ok((field.name().clone(), value(column, row, depth + 1)?)));
            Value::Object(members.collect::<Result<Map<_, _>, _>>()?)
        }
        DataType::Map(..) => map(array, row, depth)?,
        other => return Err(NotJson::Type(other.to_string())),
    })
}

fn number(value: f64) -> Result<Value, NotJson> {
    Number::from_f64(value).map(Value::Number).ok_or(NotJson::NotANumber)
}

fn text(value: &str) -> Result<Value, NotJson> {
    if value.len() > TEXT_BYTES_MAX { Err(NotJson::TooLong) } else { Ok(value.into()) }
}

fn list(items: &ArrayRef, depth: usize) -> Result<Value, NotJson> {
    (0..items.len()).map(|item| value(items, item, depth + 1)).collect()
}

fn map(array: &dyn Array, row: usize, depth: usize) -> Result<Value, NotJson> {
    let entries = array.as_map().value(row);
    let (keys, values) = (entries.column(0), entries.column(1));
    let members = (0..entries.len()).map(|entry| match value(keys, entry, depth + 1)? {
        Value::String(key) => Ok((key, value(values, entry, depth + 1)?)),
        _ => Err(NotJson::Key),
    });
    Ok(Value::Object(members.collect::<Result<Map<_, _>, _>>()?))
}
