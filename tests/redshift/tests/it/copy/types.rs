//! Types: every pair that loads, with its values; pairs that do not, with Redshift's text.

use parquet::data_type::Int96;
use tailwater_redshift::{Relax, Unverified};

use super::cluster::Cluster;
use crate::parquet_files::{Values, file, int32, int64, text};

/// A column with one value and a NULL.
fn with_null<T: Clone>(value: T) -> Vec<Option<T>> {
    vec![Some(value), None]
}

#[tokio::test]
async fn every_type_arrives_as_it_was_written() {
    let mut cluster = Cluster::start("copy_types").await;
    cluster
        .sql(
            "CREATE TABLE t (b BOOLEAN, s SMALLINT, i INTEGER, l BIGINT, d10 DECIMAL(10,2), d18 DECIMAL(18,4), \
             d20 DECIMAL(20,0), d38 DECIMAL(38,37), r REAL, f DOUBLE PRECISION, day DATE, ts TIMESTAMP, ts96 TIMESTAMP, \
             tz TIMESTAMPTZ, v VARCHAR(16), c CHAR(4), x VARBYTE(8), j SUPER)",
        )
        .await;
    let mut nanos = Int96::new();
    // Julian day of 2026-11-21 and the nanoseconds of 00:00:01.5.
    let time = 1_500_000_000_u64;
    nanos.set_data(time as u32, (time >> 32) as u32, 2_461_366);
    let fields = "optional boolean b; optional int32 s (INTEGER(16,true)); optional int32 i; optional int64 l; \
        optional int64 d10 (DECIMAL(10,2)); optional int64 d18 (DECIMAL(18,4)); \
        optional fixed_len_byte_array(9) d20 (DECIMAL(20,0)); optional fixed_len_byte_array(16) d38 (DECIMAL(38,37)); \
        optional float r; optional double f; optional int32 day (DATE); optional int64 ts (TIMESTAMP(MICROS,false)); \
        optional int96 ts96; optional int64 tz (TIMESTAMP(MICROS,true)); optional byte_array v (STRING); \
        optional byte_array c (STRING); optional byte_array x; optional byte_array j (STRING);";
    let micros = 1_795_219_200_123_456;
    let bytes = file(
        fields,
        &[
            Values::Bool(with_null(true)),
            Values::Int32(with_null(-32_768)),
            Values::Int32(with_null(i32::MIN)),
            Values::Int64(with_null(i64::MAX)),
            Values::Int64(with_null(-9_999_999_999)),
            Values::Int64(with_null(1)),
            Values::Fixed(with_null(99_999_999_999_999_999_999_i128.to_be_bytes()[7..].to_vec())),
            Values::Fixed(with_null((-(10_i128.pow(38) - 1)).to_be_bytes().to_vec())),
            Values::Float(with_null(0.5)),
            Values::Double(with_null(-1e300)),
            Values::Int32(with_null(-1)),
            Values::Int64(with_null(micros)),
            Values::Int96(with_null(nanos)),
            Values::Int64(with_null(micros)),
            Values::Bytes(with_null("žluťoučký".into())),
            Values::Bytes(with_null(b"ab".to_vec())),
            Values::Bytes(with_null(vec![0, 255])),
            Values::Bytes(with_null(br#"{"a":1}"#.to_vec())),
        ],
    );
    cluster.put("f.parquet", &bytes);
    assert_eq!(cluster.copy("t", "f.parquet", "SERIALIZETOJSON").await.unwrap(), 2);
    let rows = cluster
        .rows(
            "SELECT b, s, i, l, d10, d18, d20, d38, r, f, day, ts, ts96, EXTRACT(epoch FROM tz)::bigint, v, c, \
             j FROM t WHERE b IS NOT NULL",
        )
        .await;
    assert_eq!(
        rows,
        ["t|-32768|-2147483648|9223372036854775807|-99999999.99|0.0001|99999999999999999999|\
          -9.9999999999999999999999999999999999999|0.5|-1e+300|1969-12-31|2026-11-21 00:00:00.123456|\
          2026-11-21 00:00:01.5|1795219200|žluťoučký|ab  |\"{\\\"a\\\":1}\""]
    );
    let nulls =
        cluster.rows("SELECT COUNT(*) FROM t WHERE b IS NULL AND i IS NULL AND d38 IS NULL AND j IS NULL").await;
    assert_eq!(nulls, ["1"]);
}

#[tokio::test]
async fn a_wrong_type_is_told_with_column_and_file() {
    let mut cluster = Cluster::start("copy_wrong_type").await;
    cluster.sql("CREATE TABLE t (id INTEGER, user_level INTEGER)").await;
    cluster.put("a=1/f.parquet", &file("optional int32 id; optional int64 user_level;", &[int32(&[1]), int64(&[2])]));
    let (message, detail) = cluster.refused("t", "a=1/f.parquet", "").await;
    assert_eq!(message, "Spectrum Scan Error");
    let expected = "code:      15007\n  context:   File 'https://s3.us-east-1.amazonaws.com/copy-wrong-type/a%3D1/f.parquet' \
                    has an incompatible Parquet schema for column 's3://copy-wrong-type/a=1/f.parquet.user_level'. \
                    Column type: INT, Parquet schema:\noptional int64 user_l";
    assert!(detail.contains(expected), "{detail}");
    // The views have all of it.
    let message = cluster.load_error("trim(error_message)").await;
    assert!(message.ends_with("Parquet schema:\noptional int64 user_level [i:1 d:1 r:0]"), "{message}");
    assert!(message.starts_with("Spectrum Scan Error. File '"), "{message}");
    let columns = "trim(file_name), line_number, trim(column_name), trim(column_type), error_code";
    let row = cluster.load_error(columns).await;
    assert_eq!(row, "s3://copy-wrong-type/a=1/f.parquet|0|user_level|integer|15007");
    assert_eq!(cluster.rows("SELECT COUNT(*) FROM t").await, ["0"]);
}

#[tokio::test]
async fn what_nobody_has_measured_is_let_through_by_name_only() {
    let mut cluster = Cluster::start_own("copy_unverified").await;
    cluster.sql("CREATE TABLE t (a BIGINT, d DECIMAL(9,2), f DOUBLE PRECISION, ts TIMESTAMP, v VARCHAR(9))").await;
    let fields = "optional int32 a; optional int32 d (DECIMAL(9,2)); optional float f; \
                  optional int64 ts (TIMESTAMP(MILLIS,true)); optional byte_array v;";
    let columns =
        [int32(&[-7]), int32(&[-123]), Values::Float(vec![Some(1.5)]), int64(&[1_795_219_200_123]), text(&["x"])];
    cluster.put("f.parquet", &file(fields, &columns));
    let mut relax = Relax::default();
    for one in [
        Unverified::Int32ToBigint,
        Unverified::DecimalInt32,
        Unverified::FloatWidth,
        Unverified::TimestampMillis,
        Unverified::BytesToText,
    ] {
        let (message, detail) = cluster.refused("t", "f.parquet", "").await;
        assert_eq!(message, "Spectrum Scan Error");
        assert!(detail.contains(&format!("--relax {one} ")), "{one}: {detail}");
        relax = relax.and(one);
        cluster.relax(relax.clone());
    }
    assert_eq!(cluster.copy("t", "f.parquet", "").await.unwrap(), 1);
    assert_eq!(cluster.rows("SELECT * FROM t").await, ["-7|-1.23|1.5|2026-11-21 00:00:00.123|x"]);
}

#[tokio::test]
async fn time_of_day_never_loads() {
    let mut cluster = Cluster::start_own("copy_time").await;
    cluster.sql("CREATE TABLE t (c TIME)").await;
    cluster.put("f.parquet", &file("optional int64 c (TIME(MICROS,false));", &[int64(&[1])]));
    cluster.relax(Relax::all());
    let (_, detail) = cluster.refused("t", "f.parquet", "").await;
    assert!(detail.contains("Column type: TIME, Parquet schema:\noptional int64 c"), "{detail}");
}

#[tokio::test]
async fn super_columns_need_serializetojson() {
    let mut cluster = Cluster::start_own("copy_super").await;
    cluster.sql("CREATE TABLE t (j SUPER)").await;
    cluster.put("text.parquet", &file("optional byte_array j (STRING);", &[text(&["[1]"])]));
    cluster.put("json.parquet", &file("optional byte_array j (JSON);", &[text(&["[1]"])]));
    cluster.put("long.parquet", &file("optional byte_array j (STRING);", &[text(&[&"x".repeat(65_536)])]));
    let (message, _) = cluster.refused("t", "text.parquet", "").await;
    assert_eq!(message, "SUPER column in COPY query requires SERIALIZETOJSON option");
    // A text stays a text.
    cluster.copy("t", "text.parquet", "SERIALIZETOJSON").await.unwrap();
    assert_eq!(cluster.rows("SELECT * FROM t").await, ["\"[1]\""]);
    let (message, detail) = cluster.refused("t", "long.parquet", "SERIALIZETOJSON").await;
    assert_eq!(message, "String value exceeds the max size of 65535 bytes");
    assert!(detail.contains("code:      1224"), "{detail}");
    // Whether JSON becomes an object is not known.
    let (_, detail) = cluster.refused("t", "json.parquet", "SERIALIZETOJSON").await;
    assert!(detail.contains("--relax json-to-super "), "{detail}");
    cluster.relax(Relax::default().and(Unverified::JsonToSuper));
    cluster.sql("DELETE FROM t").await;
    cluster.copy("t", "json.parquet", "SERIALIZETOJSON").await.unwrap();
    assert_eq!(cluster.rows("SELECT * FROM t").await, ["[1]"]);
}

#[tokio::test]
async fn nested_values_become_objects_and_arrays() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListBuilder, RecordBatch, StringBuilder, StructArray};
    use arrow::datatypes::{DataType, Field};
    use parquet::arrow::ArrowWriter;

    let mut cluster = Cluster::start("copy_nested").await;
    cluster.sql("CREATE TABLE t (id BIGINT, j SUPER)").await;
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a\"b"), None]);
    tags.append_value([None::<&str>; 0]);
    let tags: ArrayRef = Arc::new(tags.finish());
    let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let object = StructArray::from(vec![
        (Arc::new(Field::new("n", DataType::Int64, true)), n),
        (Arc::new(Field::new("tags", tags.data_type().clone(), true)), tags),
    ]);
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let batch = RecordBatch::try_from_iter([("id", id), ("j", Arc::new(object) as ArrayRef)]).unwrap();
    let properties = crate::parquet_files::proven().build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    cluster.put("f.parquet", &writer.into_inner().unwrap());
    assert_eq!(cluster.copy("t", "f.parquet", "SERIALIZETOJSON").await.unwrap(), 2);
    let rows = cluster.rows("SELECT id, j FROM t ORDER BY id").await;
    assert_eq!(rows, [r#"1|{"n":1,"tags":["a\"b",null]}"#, r#"2|{"n":null,"tags":[]}"#]);
}
