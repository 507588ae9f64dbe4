//! Values of one row group, column by column, as they lie in the file.

use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::{ByteArray, FixedLenByteArray, Int96};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;

use super::super::relax::Relax;
use super::nested;
use super::pages::CheckedPages;

/// Rows decoded at once: bounds what is held of a row group beside its compressed pages.
pub(super) const BATCH_ROWS: usize = 1024;

/// One value that is not NULL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Bool(bool),
    Int32(i32),
    Int64(i64),
    Int96(&'a Int96),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
    Json(&'a str),
}

/// Values of a batch, without the NULLs, except for JSON.
enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
    Json(Vec<Option<String>>),
    /// The file does not have the column.
    Missing,
}

enum Source {
    Flat(Box<ColumnReader>),
    Nested(Box<ParquetRecordBatchReader>),
    Missing,
}

/// One root column of a row group.
pub(super) struct Column {
    source: Source,
    values: Values,
    /// Definition levels; empty where every value is there.
    levels: Vec<i16>,
    level_max: i16,
    /// Next row of the batch, and next value.
    row: usize,
    value: usize,
}

impl Column {
    /// A column that the file does not have: NULLs.
    pub(super) fn missing() -> Self {
        Self::new(Source::Missing, Values::Missing, 0)
    }

    fn new(source: Source, values: Values, level_max: i16) -> Self {
        Self { source, values, levels: Vec::new(), level_max, row: 0, value: 0 }
    }

    /// A column with one value a row.
    pub(super) fn flat(group: &dyn RowGroupReader, leaf: usize, relax: &Relax) -> Result<Self> {
        let descr = group.metadata().column(leaf).column_descr_ptr();
        let pages = group.get_column_page_reader(leaf)?;
        let checked = CheckedPages::new(pages, descr.path().string(), relax.clone());
        let level_max = descr.max_def_level();
        let reader = get_column_reader(descr, Box::new(checked));
        let values = match &reader {
            ColumnReader::BoolColumnReader(_) => Values::Bool(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Values::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Values::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(Vec::new()),
        };
        Ok(Self::new(Source::Flat(Box::new(reader)), values, level_max))
    }

    /// A nested column, or a scalar for SUPER, as JSON.
    pub(super) fn json(
        file: &SerializedFileReader<Bytes>,
        bytes: &Bytes,
        group: usize,
        root: usize,
        relax: &Relax,
    ) -> Result<Self> {
        let schema = file.metadata().file_metadata().schema_descr();
        let pages = file.get_row_group(group)?;
        for leaf in (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == root) {
            let name = schema.column(leaf).path().string();
            for page in CheckedPages::new(pages.get_column_page_reader(leaf)?, name, relax.clone()) {
                page?;
            }
        }
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), [root]);
        let reader = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(BATCH_ROWS).build()?;
        Ok(Self::new(Source::Nested(Box::new(reader)), Values::Json(Vec::new()), 0))
    }

    /// Reads the next `rows` rows.
    pub(super) fn fill(&mut self, rows: usize) -> Result<()> {
        (self.row, self.value) = (0, 0);
        self.levels.clear();
        let read = match &mut self.source {
            Source::Missing => rows,
            Source::Nested(reader) => {
                let batch = reader.next().transpose()?;
                let values = batch.map(|batch| nested::documents(batch.column(0))).transpose();
                let values = values.map_err(|why| ParquetError::External(Box::new(why)))?.unwrap_or_default();
                let read = values.len();
                self.values = Values::Json(values);
                read
            }
            Source::Flat(reader) => read(reader, rows, &mut self.levels, &mut self.values)?,
        };
        if read == rows { Ok(()) } else { Err(ParquetError::General("a column ends before the row group".to_owned())) }
    }

    /// The value of the next row.
    pub(super) fn next(&mut self) -> Option<Value<'_>> {
        let row = self.row;
        self.row += 1;
        if let Values::Json(values) = &self.values {
            return values.get(row)?.as_deref().map(Value::Json);
        }
        if self.level_max > 0 && self.levels.get(row) != Some(&self.level_max) {
            return None;
        }
        let at = self.value;
        self.value += 1;
        match &self.values {
            Values::Bool(values) => values.get(at).copied().map(Value::Bool),
            Values::Int32(values) => values.get(at).copied().map(Value::Int32),
            Values::Int64(values) => values.get(at).copied().map(Value::Int64),
            Values::Int96(values) => values.get(at).map(Value::Int96),
            Values::Float(values) => values.get(at).copied().map(Value::Float),
            Values::Double(values) => values.get(at).copied().map(Value::Double),
            Values::Bytes(values) => values.get(at).map(|bytes| Value::Bytes(bytes.data())),
            Values::Fixed(values) => values.get(at).map(|bytes| Value::Bytes(bytes.data())),
            Values::Json(_) | Values::Missing => None,
        }
    }
}

/// Reads rows of a flat column; the number of rows read.
fn read(reader: &mut ColumnReader, rows: usize, levels: &mut Vec<i16>, values: &mut Values) -> Result<usize> {
    macro_rules! read {
        ($reader:expr, $values:expr) => {{
            $values.clear();
            let (read, _, _) = $reader.read_records(rows, Some(levels), None, $values)?;
            Ok(read)
        }};
    }
    match (reader, values) {
        (ColumnReader::BoolColumnReader(reader), Values::Bool(values)) => read!(reader, values),
        (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => read!(reader, values),
        (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => read!(reader, values),
        (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => read!(reader, values),
        (ColumnReader::FloatColumnReader(reader), Values::Float(values)) => read!(reader, values),
        (ColumnReader::DoubleColumnReader(reader), Values::Double(values)) => read!(reader, values),
        (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => read!(reader, values),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => read!(reader, values),
        _ => Err(ParquetError::General("a column changed its type".to_owned())),
    }
}
