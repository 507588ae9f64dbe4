//! Parquet files of one column, with physical and logical types that Tailwater itself never writes.

use std::sync::Arc;

use parquet::{
    basic::{Compression, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterVersion},
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};

/// The values of the column.
pub(crate) enum Values<'a> {
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Bytes(&'a [&'a [u8]]),
}

/// How pages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// As Tailwater writes them: version 1, Snappy, no index.
    Plain,
    Zstd,
    Indexed,
}

/// A file with one optional column `c` of this type in Parquet's notation, such as `int32 c (DECIMAL(9,2))`.
pub(crate) fn one_column(column: &str, values: &Values<'_>, pages: Pages) -> Vec<u8> {
    let message = format!("message rows {{ optional {column}; }}");
    let schema = Arc::new(parse_message_type(&message).unwrap_or_else(|e| panic!("{message}: {e}")));
    let compression = match pages {
        Pages::Zstd => Compression::ZSTD(ZstdLevel::default()),
        Pages::Plain | Pages::Indexed => Compression::SNAPPY,
    };
    let indexed = pages == Pages::Indexed;
    let statistics = if indexed { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(compression)
        .set_statistics_enabled(statistics)
        .set_offset_index_disabled(!indexed)
        .build();
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    match values {
        Values::Int32(v) => column.typed::<Int32Type>().write_batch(v, Some(&vec![1; v.len()]), None).unwrap(),
        Values::Int64(v) => column.typed::<Int64Type>().write_batch(v, Some(&vec![1; v.len()]), None).unwrap(),
        Values::Bytes(v) => {
            let owned: Vec<ByteArray> = v.iter().map(|bytes| ByteArray::from(bytes.to_vec())).collect();
            column.typed::<ByteArrayType>().write_batch(&owned, Some(&vec![1; v.len()]), None).unwrap()
        }
    };
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    file
}
