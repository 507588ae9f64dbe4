mod types;

use std::sync::Arc;

use ::parquet::{
    basic::{Compression, Encoding},
    file::reader::{FileReader, SerializedFileReader},
};
use arrow::{
    array::{
        ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
        Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    datatypes::DataType,
};
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Codec, Encoded, Form, ParquetError, decode, encode};
use crate::{
    lake::ObjectPath,
    model::{Column, ColumnType, FileStep, OpCounts, Origin, Seq, Shard, TableSchema, Target},
};

fn origin() -> Origin {
    Origin::new(&Shard::new("s01"), "shop", "orders")
}

/// A table with every type, the key first.
fn schema() -> TableSchema {
    use ColumnType::*;
    let types = [
        Int64,
        Boolean,
        Int16,
        Int32,
        Float32,
        Float64,
        Decimal { precision: 5, scale: 2 },
        Decimal { precision: 18, scale: 4 },
        Decimal { precision: 20, scale: 0 },
        Decimal { precision: 38, scale: 10 },
        Date,
        Timestamp,
        TimestampTz,
        Text { bytes_max: Some(80) },
        Text { bytes_max: None },
        Json,
        Binary { bytes_max: None },
    ];
    let column = |(i, ty): (usize, &ColumnType)| Column {
        name: format!("c{i}"),
        ty: *ty,
        nullable: i > 0,
        key: (i == 0).then_some(0),
        source: String::new(),
    };
    TableSchema { columns: types.iter().enumerate().map(column).collect() }
}

/// Random values of a type with a quarter NULLs, extremes included.
fn values(ty: &DataType, rows: usize, nulls: bool, random: &mut StdRng) -> ArrayRef {
    macro_rules! column {
        ($make:expr) => {
            (0..rows).map(|_| if nulls && random.random_bool(0.25) { None } else { Some($make(random)) })
        };
    }
    macro_rules! integers {
        ($array:ty, $int:ty) => {
            Arc::new(
                column!(|r: &mut StdRng| match r.random_range(0..8) {
                    0 => <$int>::MIN,
                    1 => <$int>::MAX,
                    _ => r.random(),
                })
                .collect::<$array>(),
            )
        };
    }
    let text = |r: &mut StdRng| {
        let n = r.random_range(0..20);
        // COPY's form does not keep U+0000, which has a test of its own.
        (0..n).map(|_| r.random_range('\u{1}'..=char::MAX)).collect::<String>()
    };
    match ty {
        DataType::Boolean => Arc::new(column!(|r: &mut StdRng| r.random::<bool>()).collect::<BooleanArray>()),
        DataType::Int16 => integers!(Int16Array, i16),
        DataType::Int32 => integers!(Int32Array, i32),
        DataType::Int64 => integers!(Int64Array, i64),
        DataType::Float32 => Arc::new(column!(|r: &mut StdRng| r.random::<f32>() - 0.5).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(column!(|r: &mut StdRng| r.random::<f64>() * 1e300).collect::<Float64Array>()),
        DataType::Decimal128(precision, scale) => {
            let limit = 10i128.pow(u32::from(*precision)) - 1;
            let array = column!(|r: &mut StdRng| match r.random_range(0..4) {
                0 => limit,
                1 => -limit,
                _ => r.random_range(-limit..=limit),
            })
            .collect::<Decimal128Array>();
            Arc::new(array.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::Date32 => {
            Arc::new(column!(|r: &mut StdRng| r.random_range(-719_162_i32..2_932_896)).collect::<Date32Array>())
        }
        DataType::Timestamp(_, zone) => {
            let array = column!(|r: &mut StdRng| r.random_range(-62_135_596_800_000_000_i64..253_402_300_800_000_000))
                .collect::<TimestampMicrosecondArray>();
            Arc::new(array.with_timezone_opt(zone.clone()))
        }
        DataType::Utf8 => Arc::new(column!(text).collect::<StringArray>()),
        DataType::Binary => Arc::new(column!(|r: &mut StdRng| text(r).into_bytes()).collect::<BinaryArray>()),
        other => panic!("no such column: {other}"),
    }
}

fn batch(schema: &TableSchema, rows: usize, first_seq: i64, random: &mut StdRng) -> RecordBatch {
    let arrow = schema.arrow();
    let ops = ["i", "u", "d", "s"];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![origin().to_string(); rows])),
        Arc::new((first_seq..first_seq + rows as i64).collect::<Int64Array>()),
        Arc::new((0..rows).map(|i| Some(ops[i % 4])).collect::<StringArray>()),
        Arc::new(TimestampMicrosecondArray::from(vec![1_795_219_200_000_000; rows]).with_timezone("UTC")),
    ];
    for field in &arrow.fields()[4..] {
        columns.push(values(field.data_type(), rows, field.is_nullable(), random));
    }
    RecordBatch::try_new(arrow, columns).unwrap()
}

fn step(schema: &TableSchema, encoded: &Encoded) -> FileStep {
    let path = ObjectPath::parse("data/orders/dt=2026-11-21/f.parquet").unwrap();
    encoded.step(&origin(), &Target::new("orders"), &path, schema, true, None)
}

#[test]
fn every_type_comes_back_as_it_went() {
    let schema = schema();
    for (seed, codec, for_copy) in [(1, Codec::Zstd, false), (2, Codec::Snappy, true), (3, Codec::Zstd, true)] {
        let mut random = StdRng::seed_from_u64(seed);
        let batches: Vec<_> = (0..4).map(|i| batch(&schema, 5000, 1000 + i * 5000, &mut random)).collect();
        let encoded = encode(&origin(), &schema, Form { codec, for_copy }, batches.clone()).unwrap();
        assert_eq!((encoded.rows, encoded.seqs), (20_000, (Seq(1000), Seq(20_999))));
        assert_eq!(encoded.ops, OpCounts { i: 5000, u: 5000, d: 5000, s: 5000 });
        assert_eq!(encoded.committed_at, (1_795_219_200_000_000, 1_795_219_200_000_000));
        let rows: Vec<_> = decode(encoded.content.clone(), &step(&schema, &encoded), &schema)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let whole = |batches: &[RecordBatch]| arrow::compute::concat_batches(&schema.arrow(), batches).unwrap();
        assert_eq!(whole(&rows), whole(&batches), "seed {seed}");
    }
}

#[test]
fn files_stay_inside_what_redshift_reads() {
    let schema = schema();
    let rows = batch(&schema, 3000, 1, &mut StdRng::seed_from_u64(4));
    let encoded = encode(&origin(), &schema, Form { codec: Codec::Snappy, for_copy: true }, [rows]).unwrap();
    let reader = SerializedFileReader::new(encoded.content).unwrap();
    let file = reader.metadata().file_metadata();
    assert_eq!(file.version(), 1);
    assert_eq!(file.created_by(), Some(concat!("tailwater ", env!("CARGO_PKG_VERSION"))));
    assert!(file.key_value_metadata().is_none_or(Vec::is_empty));
    for column in reader.metadata().row_groups().iter().flat_map(|g| g.columns()) {
        assert_eq!(column.compression(), Compression::SNAPPY);
        assert!(column.offset_index_offset().is_none() && column.column_index_offset().is_none());
        assert!(column.statistics().is_some());
        for encoding in column.encodings() {
            assert!(matches!(encoding, Encoding::PLAIN | Encoding::RLE | Encoding::RLE_DICTIONARY), "{encoding}");
        }
    }
}

#[test]
fn rows_that_do_not_belong_are_refused() {
    let schema = schema();
    let rows = batch(&schema, 10, 1, &mut StdRng::seed_from_u64(5));
    let refused = |o: &Origin, s: &TableSchema, b: Vec<RecordBatch>| {
        assert!(matches!(encode(o, s, Form::default(), b), Err(ParquetError::Rows { .. })));
    };
    refused(&origin(), &schema, vec![]);
    refused(&Origin::new(&Shard::new("s02"), "shop", "orders"), &schema, vec![rows.clone()]);
    let narrower = TableSchema { columns: schema.columns[..3].to_vec() };
    refused(&origin(), &narrower, vec![rows.clone()]);
    let mut columns = rows.columns().to_vec();
    columns[2] = Arc::new(StringArray::from(vec!["x"; 10]));
    refused(&origin(), &schema, vec![RecordBatch::try_new(schema.arrow(), columns).unwrap()]);
}

#[test]
fn files_that_are_not_what_the_log_says_are_refused() {
    let schema = schema();
    let rows = batch(&schema, 10, 1, &mut StdRng::seed_from_u64(6));
    let encoded = encode(&origin(), &schema, Form::default(), [rows]).unwrap();
    let good = step(&schema, &encoded);
    let message = |content: Bytes, file: &FileStep, schema: &TableSchema| {
        decode(content, file, schema).and_then(|rows| rows.collect::<Result<Vec<_>, _>>()).unwrap_err().to_string()
    };
    let content = encoded.content.clone();
    assert!(message(content.slice(1..), &good, &schema).contains("the log says"));
    assert!(message(content.clone(), &FileStep { rows: 11, ..good.clone() }, &schema).contains("it has 10 rows"));
    let narrower = TableSchema { columns: schema.columns[..3].to_vec() };
    assert!(message(content, &good, &narrower).contains("columns of its schema"));
}

#[test]
fn damaged_files_never_panic() {
    let schema = schema();
    let mut random = StdRng::seed_from_u64(7);
    let rows = batch(&schema, 200, 1, &mut random);
    let encoded = encode(&origin(), &schema, Form::default(), [rows]).unwrap();
    let file = step(&schema, &encoded);
    let silent = std::panic::take_hook();
    // The decoder's own panics are contained; their messages would only fill the test's output.
    std::panic::set_hook(Box::new(|_| {}));
    for _ in 0..400 {
        let mut content = encoded.content.to_vec();
        for _ in 0..random.random_range(1..4) {
            // The footer, where a damaged byte reaches furthest, is hit as often as all else.
            let from = if random.random_bool(0.5) { content.len() - content.len() / 5 } else { 0 };
            let at = random.random_range(from..content.len());
            content[at] ^= 1 << random.random_range(0..8);
        }
        if let Ok(rows) = decode(Bytes::from(content), &file, &schema) {
            rows.for_each(drop);
        }
    }
    std::panic::set_hook(silent);
}

/// Text rows of one nullable and one key column.
fn texts(values: &[&str], ty: ColumnType) -> (TableSchema, RecordBatch) {
    let schema =
        TableSchema { columns: vec![schema().columns[0].clone(), Column { ty, ..schema().columns[13].clone() }] };
    let rows = batch(&schema, values.len(), 1, &mut StdRng::seed_from_u64(9));
    let mut columns = rows.columns().to_vec();
    columns[5] = Arc::new(StringArray::from(values.to_vec()));
    (schema.clone(), RecordBatch::try_new(schema.arrow(), columns).unwrap())
}

#[test]
fn a_dictionary_is_tried_only_where_values_repeat() {
    let different: Vec<String> = (0..8000).map(|n| format!("SO-{n:09}")).collect();
    let different: Vec<&str> = different.iter().map(String::as_str).collect();
    let currencies: Vec<&str> = (0..8000).map(|n| ["EUR", "USD", "SEK"][n % 3]).collect();
    for (values, repeat) in [(different, false), (currencies, true)] {
        let (schema, rows) = texts(&values, ColumnType::Text { bytes_max: Some(24) });
        let encoded = encode(&origin(), &schema, Form::default(), [rows]).unwrap();
        let reader = SerializedFileReader::new(encoded.content).unwrap();
        let column = reader.metadata().row_group(0).column(5);
        assert_eq!(column.dictionary_page_offset().is_some(), repeat);
    }
}

#[test]
fn zero_bytes_leave_text_that_copy_reads() {
    let (schema, rows) = texts(&["a\0b", "c", "\0\0"], ColumnType::Text { bytes_max: Some(5) });
    let form = Form { codec: Codec::Snappy, for_copy: true };
    let encoded = encode(&origin(), &schema, form, [rows.clone()]).unwrap();
    assert_eq!(encoded.replaced_zero_bytes, [0, 2]);
    let read: Vec<_> =
        decode(encoded.content.clone(), &step(&schema, &encoded), &schema).unwrap().map(Result::unwrap).collect();
    let text: Vec<_> = read[0].column(5).as_string::<i32>().iter().map(Option::unwrap).collect();
    assert_eq!(text, ["a\u{fffd}b", "c", "??"]);
    // Nothing is lost where nothing has to be.
    let kept = encode(&origin(), &schema, Form::default(), [rows]).unwrap();
    assert!(kept.replaced_zero_bytes.is_empty());
}

#[test]
fn bytes_that_should_be_json_are_checked() {
    let (schema, rows) = texts(&["{}"], ColumnType::Json);
    let mut bytes = schema.clone();
    bytes.columns[1].ty = ColumnType::Binary { bytes_max: None };
    let mut columns = rows.columns().to_vec();
    columns[5] = Arc::new(BinaryArray::from(vec![&b"\xff"[..]]));
    let rows = RecordBatch::try_new(bytes.arrow(), columns).unwrap();
    let encoded = encode(&origin(), &bytes, Form::default(), [rows]).unwrap();
    let read: Result<Vec<_>, _> = decode(encoded.content.clone(), &step(&schema, &encoded), &schema).unwrap().collect();
    assert!(matches!(read, Err(ParquetError::Damaged { .. })));
}
