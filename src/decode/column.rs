//! One column under construction: typed values and validity bits, in Arrow's layout.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, BooleanBufferBuilder, PrimitiveArray,
        StringArray, StringBuilder,
    },
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};

use crate::model::ColumnType;

/// Most bytes that the values of one text or binary column may have together: Arrow's offsets are i32.
const COLUMN_BYTES_MAX: usize = i32::MAX as usize;

/// The values of a column reach 2 GiB in this chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Values by physical type.
#[derive(Debug)]
pub(super) enum Values {
    Bool(BooleanBufferBuilder),
    I16(Vec<i16>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    I128(Vec<i128>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Bytes(Bytes),
}

/// Values of variable length, one behind the other.
#[derive(Debug)]
pub(super) struct Bytes {
    data: Vec<u8>,
    /// End of every value, after a first 0.
    offsets: Vec<i32>,
}

impl Bytes {
    fn new() -> Self {
        Self { data: Vec::new(), offsets: vec![0] }
    }

    /// Empty, with room for values like those of `other`.
    fn like(other: &Self) -> Self {
        // A sixteenth more: lengths vary, and outgrowing the room by one byte would double it.
        let mut offsets = Vec::with_capacity(other.offsets.len());
        offsets.push(0);
        Self { data: Vec::with_capacity(other.data.len() + other.data.len() / 16), offsets }
    }

    /// Appends a value.
    #[inline(always)]
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Full> {
        self.data.extend_from_slice(value);
        self.end()
    }

    /// Where a value is written piece by piece; [`end`](Self::end) completes it.
    #[inline]
    pub(super) fn open(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Completes the value that was begun where the last one ended.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Result<(), Full> {
        if self.data.len() > COLUMN_BYTES_MAX {
            return Err(Full);
        }
        self.offsets.push(self.data.len() as i32);
        Ok(())
    }

    /// Bytes of the value that is being written.
    #[inline]
    pub(super) fn unfinished(&self) -> usize {
        self.data.len() - self.offsets.last().map_or(0, |end| *end as usize)
    }

    /// Cuts the value that is being written to at most `bytes`, behind a whole character where it is UTF-8.
    pub(super) fn cut(&mut self, bytes: usize) {
        let start = self.data.len() - self.unfinished();
        let mut end = (start + bytes).min(self.data.len());
        // A character has at most three bytes behind its first; what has more is not UTF-8 and is repaired later.
        for _ in 0..3 {
            if end > start && self.data.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
                end -= 1;
            }
        }
        self.data.truncate(end);
    }

    /// Takes the last value back: it is being written again.
    pub(super) fn reopen(&mut self) {
        if self.offsets.len() > 1 {
            self.offsets.pop();
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(self.offsets.last().map_or(0, |end| *end as usize));
    }
}

/// A column under construction.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    ty: ColumnType,
    pub(super) values: Values,
    /// Validity up to the last NULL; empty while there is none. What follows is valid, so that appending a value that
    /// is not NULL costs nothing here.
    valid: BooleanBufferBuilder,
}

impl ColumnBuilder {
    pub(super) fn new(ty: ColumnType) -> Self {
        let values = match ty {
            ColumnType::Boolean => Values::Bool(BooleanBufferBuilder::new(0)),
            ColumnType::Int16 => Values::I16(Vec::new()),
            ColumnType::Int32 | ColumnType::Date => Values::I32(Vec::new()),
            ColumnType::Int64 | ColumnType::Timestamp | ColumnType::TimestampTz => Values::I64(Vec::new()),
            ColumnType::Float32 => Values::F32(Vec::new()),
            ColumnType::Float64 => Values::F64(Vec::new()),
            ColumnType::Decimal { .. } => Values::I128(Vec::new()),
            ColumnType::Text { .. } | ColumnType::Json | ColumnType::Binary { .. } => Values::Bytes(Bytes::new()),
        };
        Self { ty, values, valid: BooleanBufferBuilder::new(0) }
    }

    /// Appends NULL.
    pub(super) fn push_null(&mut self) -> Result<(), Full> {
        let row = self.len();
        match &mut self.values {
            Values::Bool(v) => v.append(false),
            Values::I16(v) => v.push(0),
            Values::I32(v) => v.push(0),
            Values::I64(v) => v.push(0),
            Values::I128(v) => v.push(0),
            Values::F32(v) => v.push(0.0),
            Values::F64(v) => v.push(0.0),
            Values::Bytes(v) => v.end()?,
        }
        self.valid.append_n(row - self.valid.len(), true);
        self.valid.append(false);
        Ok(())
    }

    /// Bytes of the last value where the column holds text, bytes or JSON; 0 for NULL.
    pub(super) fn last_bytes(&self) -> usize {
        match &self.values {
            Values::Bytes(v) => match v.offsets.as_slice() {
                [.., start, end] => (end - start) as usize,
                _ => 0,
            },
            _ => 0,
        }
    }

    /// Makes the last value NULL.
    pub(super) fn null_last(&mut self) -> Result<(), Full> {
        self.truncate(self.len().saturating_sub(1));
        self.push_null()
    }

    /// Values so far.
    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Bool(v) => v.len(),
            Values::I16(v) => v.len(),
            Values::I32(v) => v.len(),
            Values::I64(v) => v.len(),
            Values::I128(v) => v.len(),
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::Bytes(v) => v.offsets.len() - 1,
        }
    }

    /// Forgets everything behind the first `rows` values.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Bool(v) => v.truncate(rows),
            Values::I16(v) => v.truncate(rows),
            Values::I32(v) => v.truncate(rows),
            Values::I64(v) => v.truncate(rows),
            Values::I128(v) => v.truncate(rows),
            Values::F32(v) => v.truncate(rows),
            Values::F64(v) => v.truncate(rows),
            Values::Bytes(v) => v.truncate(rows),
        }
        self.valid.truncate(rows);
    }

    /// Memory held, used or not, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Bool(v) => v.capacity() / 8,
            Values::I16(v) => v.capacity() * 2,
            Values::I32(v) => v.capacity() * 4,
            Values::I64(v) => v.capacity() * 8,
            Values::I128(v) => v.capacity() * 16,
            Values::F32(v) => v.capacity() * 4,
            Values::F64(v) => v.capacity() * 8,
            Values::Bytes(v) => v.data.capacity() + v.offsets.capacity() * 4,
        };
        values + self.valid.capacity() / 8
    }

    /// The finished array and how many texts were not UTF-8 and had their bad bytes replaced. Empties the builder.
    ///
    /// With `more`, another chunk like this one is expected: the builder gets the memory it will need at once, instead of
    /// growing through half a dozen sizes and ending with up to twice as much.
    pub(super) fn finish(&mut self, more: bool) -> (ArrayRef, u64) {
        let nulls = if self.valid.is_empty() {
            None
        } else {
            self.valid.append_n(self.len() - self.valid.len(), true);
            Some(NullBuffer::new(self.valid.finish()))
        };
        let ty = self.ty.arrow();
        let array = match &mut self.values {
            Values::Bool(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
            Values::I16(v) => primitive::<Int16Type>(next(v, more), nulls, ty),
            Values::I32(v) if ty == DataType::Date32 => primitive::<Date32Type>(next(v, more), nulls, ty),
            Values::I32(v) => primitive::<Int32Type>(next(v, more), nulls, ty),
            Values::I64(v) if ty == DataType::Int64 => primitive::<Int64Type>(next(v, more), nulls, ty),
            Values::I64(v) => primitive::<TimestampMicrosecondType>(next(v, more), nulls, ty),
            Values::I128(v) => primitive::<Decimal128Type>(next(v, more), nulls, ty),
            Values::F32(v) => primitive::<Float32Type>(next(v, more), nulls, ty),
            Values::F64(v) => primitive::<Float64Type>(next(v, more), nulls, ty),
            Values::Bytes(v) => {
                let next = if more { Bytes::like(v) } else { Bytes::new() };
                let declared = match self.ty {
                    ColumnType::Text { bytes_max } => bytes_max,
                    _ => None,
                };
                return std::mem::replace(v, next).finish(ty == DataType::Utf8, declared, nulls);
            }
        };
        (array, 0)
    }
}

/// Takes the values and leaves room for as many.
fn next<T>(values: &mut Vec<T>, more: bool) -> Vec<T> {
    let room = if more { values.len() } else { 0 };
    std::mem::replace(values, Vec::with_capacity(room))
}

fn primitive<T: ArrowPrimitiveType>(values: Vec<T::Native>, nulls: Option<NullBuffer>, ty: DataType) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls).with_data_type(ty))
}

impl Bytes {
    /// Text is checked here, in one pass over all values of the column: most columns are valid, and a check per value
    /// costs more than all the rest of appending it.
    fn finish(self, text: bool, bytes_max: Option<u32>, nulls: Option<NullBuffer>) -> (ArrayRef, u64) {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        let data = Buffer::from_vec(self.data);
        if !text {
            return (Arc::new(BinaryArray::new(offsets, data, nulls)), 0);
        }
        match StringArray::try_new(offsets.clone(), data.clone(), nulls.clone()) {
            Ok(array) => (Arc::new(array), 0),
            Err(_) => repaired(&BinaryArray::new(offsets, data, nulls), bytes_max),
        }
    }
}

/// The texts with U+FFFD in place of what is not UTF-8, and how many texts had such bytes. A text that would become longer
/// than `bytes_max`, what the column's type promises, gets `?` instead.
fn repaired(broken: &BinaryArray, bytes_max: Option<u32>) -> (ArrayRef, u64) {
    let mut texts = StringBuilder::with_capacity(broken.len(), broken.value_data().len());
    let (mut written, mut left, mut replaced) = (0_usize, broken.value_data().len(), 0);
    for value in broken {
        let Some(bytes) = value else {
            texts.append_null();
            continue;
        };
        let text = String::from_utf8_lossy(bytes);
        replaced += u64::from(matches!(text, std::borrow::Cow::Owned(_)));
        left -= bytes.len();
        let fits = bytes_max.is_none_or(|max| text.len() <= max as usize);
        if fits && written + text.len() + left <= COLUMN_BYTES_MAX {
            written += text.len();
            texts.append_value(&text);
        } else {
            // U+FFFD is three bytes for at least one: the text would outgrow its type, or near 2 GiB the array; '?' cannot.
            let narrow = text.replace('\u{fffd}', "?");
            written += narrow.len();
            texts.append_value(&narrow);
        }
    }
    (Arc::new(texts.finish()), replaced)
}
