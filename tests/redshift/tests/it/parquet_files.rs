//! Parquet files with exactly the physical types, pages and codecs that a test asks for.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType, FloatType,
    Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

/// Values of a column; `None` is NULL and needs an `optional` field.
#[derive(Debug, Clone)]
pub enum Values {
    Bool(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Int96(Vec<Option<Int96>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Fixed(Vec<Option<Vec<u8>>>),
}

pub fn int32(values: &[i32]) -> Values {
    Values::Int32(values.iter().copied().map(Some).collect())
}

pub fn int64(values: &[i64]) -> Values {
    Values::Int64(values.iter().copied().map(Some).collect())
}

pub fn text(values: &[&str]) -> Values {
    Values::Bytes(values.iter().map(|text| Some(text.as_bytes().to_vec())).collect())
}

/// What COPY is known to read: pages of version 1, Snappy, no indexes.
pub fn proven() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
}

/// A file of one row group; `fields` in Parquet's notation (`optional int64 id; …`).
pub fn file(fields: &str, columns: &[Values]) -> Vec<u8> {
    file_with(proven(), fields, &[columns])
}

/// A file of several row groups.
pub fn file_with(properties: WriterPropertiesBuilder, fields: &str, groups: &[&[Values]]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {fields} }}")).unwrap());
    let properties = Arc::new(properties.build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        for column in *columns {
            write(&mut group, column);
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn write(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, column: &Values) {
    match column {
        Values::Bool(values) => write_typed::<BoolType>(group, values.clone()),
        Values::Int32(values) => write_typed::<Int32Type>(group, values.clone()),
        Values::Int64(values) => write_typed::<Int64Type>(group, values.clone()),
        Values::Int96(values) => write_typed::<Int96Type>(group, values.clone()),
        Values::Float(values) => write_typed::<FloatType>(group, values.clone()),
        Values::Double(values) => write_typed::<DoubleType>(group, values.clone()),
        Values::Bytes(values) => {
            let values = values.iter().map(|value| value.clone().map(ByteArray::from)).collect();
            write_typed::<ByteArrayType>(group, values);
        }
        Values::Fixed(values) => {
            let fixed = |value: Vec<u8>| FixedLenByteArray::from(ByteArray::from(value));
            write_typed::<FixedLenByteArrayType>(group, values.iter().map(|v| v.clone().map(fixed)).collect());
        }
    }
}

fn write_typed<T: DataType>(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, values: Vec<Option<T::T>>) {
    let mut column = group.next_column().unwrap().expect("more values than fields");
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, Some(&levels), None).unwrap();
    column.close().unwrap();
}
