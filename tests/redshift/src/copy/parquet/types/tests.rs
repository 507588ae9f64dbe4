use std::sync::Arc;

use parquet::schema::parser::parse_message_type;

use super::*;

/// Decides about `to` and a field in Parquet's notation.
fn decide(to: ColumnType, field: &str, relax: &Relax) -> Result<Conversion, Mismatch> {
    // A group ends by its brace.
    let end = if field.ends_with('}') { "" } else { ";" };
    let message = parse_message_type(&format!("message m {{ {field}{end} }}")).unwrap();
    let field = Arc::clone(&message.get_fields()[0]);
    admit(to, &field, relax)
}

fn loads(to: ColumnType, field: &str) {
    assert!(decide(to, field, &Relax::default()).is_ok(), "{to} <- {field}");
}

fn fails(to: ColumnType, field: &str) {
    for relax in [Relax::default(), Relax::all()] {
        assert_eq!(decide(to, field, &relax), Err(Mismatch::Incompatible), "{to} <- {field}");
    }
}

fn in_doubt(to: ColumnType, field: &str, doubt: Unverified) {
    assert_eq!(decide(to, field, &Relax::default()), Err(Mismatch::Unverified(doubt)), "{to} <- {field}");
    assert!(decide(to, field, &Relax::all()).is_ok(), "{to} <- {field}");
    assert!(decide(to, field, &Relax::default().and(doubt)).is_ok(), "{to} <- {field}");
}

#[test]
fn integers() {
    use ColumnType::{BigInt, Integer, SmallInt};
    loads(SmallInt, "optional int32 c (INTEGER(8,true))");
    loads(SmallInt, "optional int32 c (INT_16)");
    in_doubt(SmallInt, "optional int32 c", Unverified::PlainInt32ToSmallint);
    in_doubt(SmallInt, "optional int32 c (INTEGER(32,true))", Unverified::OtherIntWidth);
    fails(SmallInt, "optional int64 c");
    loads(Integer, "required int32 c");
    loads(Integer, "optional int32 c (INTEGER(32,true))");
    in_doubt(Integer, "optional int32 c (INTEGER(16,true))", Unverified::OtherIntWidth);
    fails(Integer, "optional int64 c");
    fails(Integer, "optional int32 c (DATE)");
    loads(BigInt, "optional int64 c");
    in_doubt(BigInt, "optional int32 c", Unverified::Int32ToBigint);
    in_doubt(BigInt, "optional int64 c (INTEGER(64,false))", Unverified::UnsignedInt);
    in_doubt(Integer, "optional int32 c (UINT_32)", Unverified::UnsignedInt);
    fails(BigInt, "optional int64 c (TIMESTAMP_MICROS)");
    fails(BigInt, "optional double c");
}

#[test]
fn decimals() {
    let d = ColumnType::Decimal;
    loads(d(10, 2), "optional int64 c (DECIMAL(10,2))");
    loads(d(18, 0), "optional int64 c (DECIMAL(18,0))");
    loads(d(20, 0), "optional fixed_len_byte_array(9) c (DECIMAL(20,0))");
    loads(d(38, 10), "optional fixed_len_byte_array(16) c (DECIMAL(38,10))");
    loads(d(3, 2), "optional fixed_len_byte_array(2) c (DECIMAL(3,2))");
    loads(d(18, 2), "optional fixed_len_byte_array(8) c (DECIMAL(18,2))");
    in_doubt(d(9, 2), "optional int32 c (DECIMAL(9,2))", Unverified::DecimalInt32);
    in_doubt(d(9, 2), "optional int64 c (DECIMAL(9,2))", Unverified::DecimalShortInt64);
    in_doubt(d(10, 2), "optional byte_array c (DECIMAL(10,2))", Unverified::DecimalByteArray);
    in_doubt(d(10, 2), "optional fixed_len_byte_array(16) c (DECIMAL(10,2))", Unverified::DecimalLongFixed);
    // Another scale, another precision, a file without the annotation.
    fails(d(10, 2), "optional int64 c (DECIMAL(10,3))");
    fails(d(10, 2), "optional int64 c (DECIMAL(11,2))");
    fails(d(10, 2), "optional int64 c");
    fails(d(10, 2), "optional double c");
    let Ok(Conversion::Decimal { limit, .. }) =
        decide(d(19, 0), "optional fixed_len_byte_array(9) c (DECIMAL(19,0))", &Relax::default())
    else {
        panic!("DECIMAL(19) must load")
    };
    assert_eq!(limit, i64::MAX as u128);
}

#[test]
fn the_least_bytes_of_decimals() {
    let expected = [(1, 1), (2, 1), (3, 2), (9, 4), (10, 5), (18, 8), (19, 9), (20, 9), (38, 16)];
    for (precision, bytes) in expected {
        assert_eq!(decimal_bytes(precision), bytes, "{precision}");
    }
}

#[test]
fn floats_booleans_and_days() {
    use ColumnType::{Boolean, Date, Double, Real};
    loads(Real, "optional float c");
    loads(Double, "optional double c");
    in_doubt(Double, "optional float c", Unverified::FloatWidth);
    in_doubt(Real, "optional double c", Unverified::FloatWidth);
    fails(Double, "optional int64 c");
    loads(Boolean, "optional boolean c");
    fails(Boolean, "optional int32 c");
    loads(Date, "optional int32 c (DATE)");
    fails(Date, "optional int32 c");
    fails(Date, "optional int64 c (TIMESTAMP_MICROS)");
}

#[test]
fn timestamps_and_times() {
    use ColumnType::{Time, TimeTz, Timestamp, TimestampTz};
    loads(Timestamp, "optional int64 c (TIMESTAMP(MICROS,false))");
    loads(Timestamp, "optional int64 c (TIMESTAMP_MICROS)");
    loads(Timestamp, "optional int96 c");
    loads(TimestampTz, "optional int64 c (TIMESTAMP(MICROS,true))");
    in_doubt(TimestampTz, "optional int64 c (TIMESTAMP(MICROS,false))", Unverified::LocalToTimestamptz);
    in_doubt(TimestampTz, "optional int96 c", Unverified::LocalToTimestamptz);
    in_doubt(Timestamp, "optional int64 c (TIMESTAMP(MILLIS,false))", Unverified::TimestampMillis);
    fails(Timestamp, "optional int64 c (TIMESTAMP(NANOS,false))");
    // Arrow's seconds have no annotation.
    fails(Timestamp, "optional int64 c");
    for time in [Time, TimeTz] {
        fails(time, "optional int64 c (TIME(MICROS,false))");
        fails(time, "optional int32 c (TIME(MILLIS,true))");
        fails(time, "optional byte_array c (STRING)");
    }
}

#[test]
fn texts_and_bytes() {
    use ColumnType::{Char, Varbyte, Varchar};
    for to in [Char(9), Varchar(9)] {
        loads(to, "optional byte_array c (STRING)");
        loads(to, "optional byte_array c (UTF8)");
        in_doubt(to, "optional byte_array c", Unverified::BytesToText);
        in_doubt(to, "optional byte_array c (JSON)", Unverified::OtherTextAnnotation);
        in_doubt(to, "optional byte_array c (ENUM)", Unverified::OtherTextAnnotation);
        fails(to, "optional int64 c");
        fails(to, "optional fixed_len_byte_array(16) c");
    }
    loads(Varbyte(9), "optional byte_array c");
    in_doubt(Varbyte(9), "optional byte_array c (STRING)", Unverified::TextToVarbyte);
    fails(Varbyte(9), "optional fixed_len_byte_array(16) c");
}

#[test]
fn semistructured_columns() {
    use ColumnType::Super;
    assert_eq!(decide(Super, "optional byte_array c (STRING)", &Relax::default()), Ok(Conversion::JsonText));
    in_doubt(Super, "optional byte_array c (JSON)", Unverified::JsonToSuper);
    in_doubt(Super, "optional int64 c", Unverified::ScalarToSuper);
    loads(Super, "optional group c { optional int32 a; }");
    loads(Super, "repeated int32 c");
    fails(Super, "optional byte_array c");
    fails(Super, "optional int32 c (DATE)");
    fails(ColumnType::Varchar(9), "optional group c { optional int32 a; }");
    fails(ColumnType::Integer, "repeated int32 c");
}

#[test]
fn error_texts_describe_the_column() {
    let message = parse_message_type("message m { required int32 a; optional int64 user_level; }").unwrap();
    assert_eq!(schema_text(&message.get_fields()[1], 1), "optional int64 user_level [i:1 d:1 r:0]");
    assert_eq!(schema_text(&message.get_fields()[0], 0), "required int32 a [i:0 d:0 r:0]");
    assert_eq!(type_name(ColumnType::Decimal(10, 2)), "DECIMAL(10, 2)");
}
