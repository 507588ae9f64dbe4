//! Values of a file as the target's column wants them: the one place where staging widens types.

use arrow::{
    array::{
        Array, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, PrimitiveArray, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
    record_batch::RecordBatch,
};

use crate::model::{ColumnType, table::system};

use super::stage::Cast;

/// One value, borrowed from its batch, widened to the target's type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float32(f32),
    Float64(f64),
    /// Unscaled value and scale.
    Decimal(i128, u8),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01, of the wall clock or UTC.
    Timestamp(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    Bool(&'a BooleanArray),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Decimal(&'a Decimal128Array, u8),
    Date(&'a Date32Array),
    Timestamp(&'a TimestampMicrosecondArray),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
}

/// One column of a batch, cast to the target's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cells<'a> {
    values: Values<'a>,
    array: &'a dyn Array,
    cast: Cast,
}

impl<'a> Cells<'a> {
    /// The column `name` of the batch; an error says what the batch has instead.
    pub(crate) fn of(batch: &'a RecordBatch, name: &str, cast: Cast) -> Result<Self, String> {
        let array = batch.column_by_name(name).ok_or_else(|| format!("the rows have no column {name}"))?;
        let values = values(array.as_ref(), cast.from).ok_or_else(|| {
            format!("column {name} is {} in the rows and {:?} in their schema", array.data_type(), cast.from)
        })?;
        Ok(Self { values, array: array.as_ref(), cast })
    }

    /// Whether the column is part of the target's key.
    pub(crate) fn key(&self) -> bool {
        self.cast.key
    }

    /// The value of a row; `None` when it leaves the range of the target's type. `row` must be inside the batch.
    pub(crate) fn get(&self, row: usize) -> Option<Cell<'a>> {
        if self.array.is_null(row) {
            return Some(Cell::Null);
        }
        Some(match self.values {
            Values::Bool(a) => Cell::Bool(a.value(row)),
            Values::Int16(a) => self.integer(a.value(row).into())?,
            Values::Int32(a) => self.integer(a.value(row).into())?,
            Values::Int64(a) => self.integer(a.value(row))?,
            Values::Float32(a) if self.cast.to == ColumnType::Float64 => Cell::Float64(a.value(row).into()),
            Values::Float32(a) => Cell::Float32(a.value(row)),
            Values::Float64(a) => Cell::Float64(a.value(row)),
            Values::Decimal(a, scale) => self.decimal(a.value(row), scale)?,
            Values::Date(a) => Cell::Date(a.value(row)),
            Values::Timestamp(a) => Cell::Timestamp(a.value(row)),
            Values::Text(a) => Cell::Text(a.value(row)),
            Values::Bytes(a) => Cell::Bytes(a.value(row)),
        })
    }

    fn integer(&self, value: i64) -> Option<Cell<'a>> {
        match self.cast.to {
            ColumnType::Decimal { .. } => self.decimal(value.into(), 0),
            _ => Some(Cell::Int(value)),
        }
    }

    fn decimal(&self, value: i128, scale: u8) -> Option<Cell<'a>> {
        let ColumnType::Decimal { scale: to, .. } = self.cast.to else { return None };
        let factor = 10_i128.checked_pow(to.checked_sub(scale)?.into())?;
        Some(Cell::Decimal(value.checked_mul(factor)?, to))
    }
}

fn values(array: &dyn Array, ty: ColumnType) -> Option<Values<'_>> {
    Some(match ty {
        ColumnType::Boolean => Values::Bool(array.as_boolean_opt()?),
        ColumnType::Int16 => Values::Int16(array.as_primitive_opt::<Int16Type>()?),
        ColumnType::Int32 => Values::Int32(array.as_primitive_opt::<Int32Type>()?),
        ColumnType::Int64 => Values::Int64(array.as_primitive_opt::<Int64Type>()?),
        ColumnType::Float32 => Values::Float32(array.as_primitive_opt::<Float32Type>()?),
        ColumnType::Float64 => Values::Float64(array.as_primitive_opt::<Float64Type>()?),
        ColumnType::Decimal { scale, .. } => match array.data_type() {
            DataType::Decimal128(_, s) if *s == i8::try_from(scale).ok()? => {
                Values::Decimal(array.as_primitive_opt::<Decimal128Type>()?, scale)
            }
            _ => return None,
        },
        ColumnType::Date => Values::Date(array.as_primitive_opt::<Date32Type>()?),
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            Values::Timestamp(array.as_primitive_opt::<TimestampMicrosecondType>()?)
        }
        ColumnType::Text { .. } | ColumnType::Json => Values::Text(array.as_string_opt::<i32>()?),
        ColumnType::Binary { .. } => Values::Bytes(array.as_binary_opt::<i32>()?),
    })
}

/// The system columns of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemCells<'a> {
    pub(crate) origin: &'a StringArray,
    pub(crate) seq: &'a PrimitiveArray<Int64Type>,
    pub(crate) op: &'a StringArray,
    pub(crate) committed_at: &'a TimestampMicrosecondArray,
}

impl<'a> SystemCells<'a> {
    /// The system columns, none of which may hold NULL.
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let column = |name: &str| {
            let array = batch.column_by_name(name).ok_or_else(|| format!("the rows have no column {name}"))?;
            match array.null_count() {
                0 => Ok(array),
                _ => Err(format!("column {name} of the rows has NULL in it")),
            }
        };
        let wrong = |name: &str| format!("column {name} of the rows has the wrong type");
        Ok(Self {
            origin: column(system::ORIGIN)?.as_string_opt().ok_or_else(|| wrong(system::ORIGIN))?,
            seq: column(system::SEQ)?.as_primitive_opt().ok_or_else(|| wrong(system::SEQ))?,
            op: column(system::OP)?.as_string_opt().ok_or_else(|| wrong(system::OP))?,
            committed_at: column(system::COMMITTED_AT)?
                .as_primitive_opt()
                .ok_or_else(|| wrong(system::COMMITTED_AT))?,
        })
    }
}
