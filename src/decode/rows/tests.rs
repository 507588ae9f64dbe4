#![allow(clippy::unwrap_used)]

mod long;

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use proptest::prelude::*;

use super::*;
use crate::{
    decode::{
        Chunk, Declared, InvalidText, Note, Policies, ValuePolicy, ZeroDates,
        fixture::{Col, col, rows_event, table_map},
    },
    source::mysql::table_map::{Flavor, TableMap},
};

const TIME: RowTime = RowTime { committed_at_us: 77 };

fn compile(columns: &[Col], key: &[u8]) -> Plan {
    compile_with(columns, key, &Declared::default(), &Policies::default())
}

fn compile_with(columns: &[Col], key: &[u8], declared: &Declared, policies: &Policies) -> Plan {
    let map = TableMap::parse(&table_map(columns, key), Flavor::MySql).unwrap();
    Plan::compile(&map, declared, policies).unwrap()
}

/// Decodes all rows of one event into a chunk.
fn decode(plan: &Plan, event_type: u8, images: &[&[u8]]) -> Result<Chunk, DecodeError> {
    let body = rows_event(event_type, plan.ops.len(), images);
    let mut rows = plan.rows(RowsEvent::parse(event_type, &body).unwrap())?;
    let (mut out, mut seq) = (ChunkBuilder::new(plan.schema()), Seq(100));
    while rows.next_into(&mut out, &mut seq, TIME)? {}
    assert_eq!(seq.0 - 100, out.rows() as i64);
    Ok(out.finish())
}

/// The one column of a one-column table.
fn values(column: Col, images: &[&[u8]]) -> Chunk {
    decode(&compile(&[column], &[]), 30, images).unwrap()
}

fn texts(chunk: &Chunk, column: usize) -> Vec<Option<&str>> {
    chunk.columns[column].as_string::<i32>().iter().collect()
}

#[test]
fn integers_of_every_width_and_sign() {
    let i16s =
        |c, images: &[&[u8]]| values(c, images).columns[0].as_primitive::<Int16Type>().iter().collect::<Vec<_>>();
    let i32s =
        |c, images: &[&[u8]]| values(c, images).columns[0].as_primitive::<Int32Type>().iter().collect::<Vec<_>>();
    let i64s =
        |c, images: &[&[u8]]| values(c, images).columns[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(i16s(col("a", 1, &[]), &[&[0, 0x80], &[1], &[0, 0x7f]]), [Some(-128), None, Some(127)]);
    assert_eq!(i16s(col("a", 1, &[]).unsigned(), &[&[0, 0xff]]), [Some(255)]);
    assert_eq!(i16s(col("a", 2, &[]), &[&[0, 0, 0x80]]), [Some(-32768)]);
    assert_eq!(i32s(col("a", 2, &[]).unsigned(), &[&[0, 0xff, 0xff]]), [Some(65535)]);
    assert_eq!(i32s(col("a", 9, &[]), &[&[0, 0, 0, 0x80], &[0, 0xff, 0xff, 0xff]]), [Some(-8_388_608), Some(-1)]);
    assert_eq!(i32s(col("a", 9, &[]).unsigned(), &[&[0, 0xff, 0xff, 0xff]]), [Some(16_777_215)]);
    assert_eq!(i32s(col("a", 3, &[]), &[&[0, 0, 0, 0, 0x80]]), [Some(i32::MIN)]);
    assert_eq!(i64s(col("a", 3, &[]).unsigned(), &[&[0, 0xff, 0xff, 0xff, 0xff]]), [Some(i64::from(u32::MAX))]);
    assert_eq!(i64s(col("a", 8, &[]), &[&[0, 0, 0, 0, 0, 0, 0, 0, 0x80]]), [Some(i64::MIN)]);
    let wide = values(col("a", 8, &[]).unsigned(), &[&[0, 255, 255, 255, 255, 255, 255, 255, 255]]);
    assert_eq!(wide.columns[0].as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    assert_eq!(i16s(col("a", 13, &[]).unsigned(), &[&[0, 0], &[0, 1], &[0, 255]]), [Some(0), Some(1901), Some(2155)]);
}

#[test]
fn floats_bits_and_decimals() {
    let f = values(col("a", 4, &[4]), &[&[0, 0, 0, 0x80, 0x3f]]);
    assert_eq!(f.columns[0].as_primitive::<Float32Type>().value(0), 1.0);
    let d = values(col("a", 5, &[8]), &[&[0, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf]]);
    assert_eq!(d.columns[0].as_primitive::<Float64Type>().value(0), -1.0);
    let b = values(col("a", 16, &[1, 0]), &[&[0, 1], &[0, 0], &[1]]);
    assert_eq!(b.columns[0].as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
    let b = values(col("a", 16, &[2, 1]), &[&[0, 3, 0xff]]);
    assert_eq!(b.columns[0].as_primitive::<Int64Type>().value(0), 1023);
    let b = values(col("a", 16, &[0, 8]), &[&[0, 255, 255, 255, 255, 255, 255, 255, 255]]);
    assert_eq!(b.columns[0].as_primitive::<Decimal128Type>().value(0), i128::from(u64::MAX));
    let n = values(col("a", 246, &[9, 9]), &[&[0, 0x7f, 0xff, 0xff, 0xfe]]);
    assert_eq!(n.columns[0].as_primitive::<Decimal128Type>().value(0), -1);
    assert_eq!(n.columns[0].data_type().to_string(), "Decimal128(10, 9)");
}

#[test]
fn dates_without_a_day_become_null_and_are_counted() {
    let day = |y: u32, m: u32, d: u32| [&[0][..], &(y << 9 | m << 5 | d).to_le_bytes()[..3]].concat();
    let images = [day(2024, 2, 29), day(0, 0, 0), day(2024, 0, 15), day(2023, 2, 29)];
    let chunk = values(col("a", 10, &[]), &images.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let days: Vec<_> = chunk.columns[0].as_primitive::<Date32Type>().iter().collect();
    assert_eq!(days, [Some(19_782), None, None, None]);
    assert_eq!((chunk.notes.count(0, Note::ZeroDate), chunk.notes.count(0, Note::PartialDate)), (1, 2));
    assert_eq!(chunk.notes.iter().count(), 2);

    let stamp = values(col("a", 17, &[3]), &[&[0, 0, 0, 0, 1, 0x27, 0x06], &[0, 0, 0, 0, 0, 0, 0]]);
    let stamps: Vec<_> = stamp.columns[0].as_primitive::<TimestampMicrosecondType>().iter().collect();
    assert_eq!(stamps, [Some(1_999_000), None]);
}

#[test]
fn dates_without_a_day_are_refused_by_policy_and_in_keys() {
    let strict = Policies {
        table: ValuePolicy { zero_dates: ZeroDates::Refuse, ..ValuePolicy::default() },
        ..Policies::default()
    };
    let columns = [col("d", 10, &[])];
    for plan in [compile_with(&columns, &[], &Declared::default(), &strict), compile(&columns, &[0])] {
        let error = decode(&plan, 30, &[&[0, 0, 0, 0]]).unwrap_err();
        assert!(matches!(&error, DecodeError::Value { fault: Fault::NoDate, .. }), "{error}");
        assert!(error.to_string().starts_with("column d (date): a date that is in no calendar"));
    }
}

#[test]
fn texts_and_bytes() {
    let chunk = values(col("a", 15, &[0, 1]).collation(45), &[&[0, 3, 0, 0xe2, 0x82, 0xac], &[1], &[0, 0, 0]]);
    assert_eq!(texts(&chunk, 0), [Some("€"), None, Some("")]);
    let chunk = values(col("a", 254, &[254, 5]).collation(63), &[&[0, 1, b'a'], &[0, 0]]);
    assert_eq!(chunk.columns[0].as_binary::<i32>().value(0), b"a\0\0\0\0");
    assert_eq!(chunk.columns[0].as_binary::<i32>().value(1), [0; 5]);
    let chunk = values(col("a", 252, &[3]).collation(63), &[&[0, 2, 0, 0, 0xff, 0]]);
    assert_eq!(chunk.columns[0].as_binary::<i32>().value(0), [0xff, 0]);
    let chunk = values(col("a", 19, &[0]), &[&[0, 0x80, 0x10, 0x83]]);
    assert_eq!(texts(&chunk, 0), [Some("01:02:03")]);
    let chunk = values(col("a", 245, &[4]), &[&[0, 2, 0, 0, 0, 4, 1], &[0, 0, 0, 0, 0]]);
    assert_eq!(texts(&chunk, 0), [Some("true"), Some("null")]);
    let wide = [&[0][..], &[0x80; 1], &[0; 29]].concat();
    assert_eq!(texts(&values(col("a", 246, &[65, 30]), &[&wide]), 0), [Some("0.000000000000000000000000000000")]);
}

#[test]
fn labels_are_the_table_maps() {
    let e = values(col("a", 254, &[0xf7, 1]).labels(&["x", "ü"]), &[&[0, 2], &[0, 0]]);
    assert_eq!(texts(&e, 0), [Some("ü"), Some("")]);
    let s = values(col("a", 254, &[0xf8, 1]).labels(&["a", "b", "c"]), &[&[0, 5], &[0, 0], &[0, 7]]);
    assert_eq!(texts(&s, 0), [Some("a,c"), Some(""), Some("a,b,c")]);
    let plan = compile(&[col("a", 254, &[0xf8, 1]).labels(&["a"])], &[]);
    assert!(matches!(decode(&plan, 30, &[&[0, 2]]).unwrap_err(), DecodeError::Value { fault: Fault::Label, .. }));
}

#[test]
fn invalid_text_is_replaced_once_per_chunk_and_refused_in_keys() {
    let column = || col("a", 15, &[40, 0]).collation(45);
    let images: [&[u8]; 4] = [&[0, 2, b'o', b'k'], &[0, 3, b'a', 0xff, b'b'], &[1], &[0, 1, 0xc3]];
    let chunk = values(column(), &images);
    assert_eq!(texts(&chunk, 0), [Some("ok"), Some("a\u{fffd}b"), None, Some("\u{fffd}")]);
    assert_eq!(chunk.notes.count(0, Note::InvalidText), 2);
    // A character cut by the border of two values is invalid although all bytes together are UTF-8.
    let chunk = values(column(), &[&[0, 1, 0xc3], &[0, 1, 0xa9]]);
    assert_eq!(chunk.notes.count(0, Note::InvalidText), 2);

    let refuse = ValuePolicy { invalid_text: InvalidText::Refuse, ..ValuePolicy::default() };
    let named = Policies { columns: [("a".to_owned(), refuse)].into(), ..Policies::default() };
    for plan in [compile(&[column()], &[0]), compile_with(&[column()], &[], &Declared::default(), &named)] {
        let error = decode(&plan, 30, &[&[0, 1, 0xff]]).unwrap_err();
        assert!(matches!(error, DecodeError::Value { fault: Fault::InvalidText, .. }));
    }
}

#[test]
fn tinyint1_is_boolean_but_never_in_a_key() {
    let declared = Declared { booleans: ["a".to_owned()].into(), ..Declared::default() };
    let plan = compile_with(&[col("a", 1, &[])], &[], &declared, &Policies::default());
    let chunk = decode(&plan, 30, &[&[0, 0], &[0, 1], &[0, 0x80], &[1]]).unwrap();
    let booleans: Vec<_> = chunk.columns[0].as_boolean().iter().collect();
    assert_eq!(booleans, [Some(false), Some(true), Some(true), None]);
    assert_eq!(chunk.notes.count(0, Note::WideBoolean), 1);
    let plan = compile_with(&[col("a", 1, &[])], &[0], &declared, &Policies::default());
    assert_eq!(decode(&plan, 30, &[&[0, 2]]).unwrap().columns[0].as_primitive::<Int16Type>().value(0), 2);
}

fn keyed() -> Plan {
    compile(&[col("v", 3, &[]), col("id", 15, &[40, 0]).collation(45).not_null()], &[1])
}

fn row(v: u8, id: &str) -> Vec<u8> {
    [&[0, v, 0, 0, 0, id.len() as u8][..], id.as_bytes()].concat()
}

#[test]
fn an_update_that_keeps_its_key_is_one_row() {
    let chunk = decode(&keyed(), 31, &[&row(1, "a"), &row(2, "a")]).unwrap();
    assert_eq!((chunk.op.as_slice(), chunk.seq.as_slice()), (&[Op::Update][..], &[100][..]));
    assert_eq!(chunk.columns[0].as_primitive::<Int32Type>().value(0), 2);
    assert_eq!(chunk.committed_at, [77]);
}

#[test]
fn an_update_that_changes_its_key_is_a_delete_and_an_insert() {
    // 'a' and 'A' are one key to MySQL's collation and two to a warehouse.
    let images = [row(1, "a"), row(2, "A"), row(5, "b"), row(6, "b")];
    let chunk = decode(&keyed(), 31, &images.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    assert_eq!(chunk.op, [Op::Delete, Op::Insert, Op::Update]);
    assert_eq!(chunk.seq, [100, 101, 102]);
    assert_eq!(texts(&chunk, 1), [Some("a"), Some("A"), Some("b")]);
    assert_eq!(chunk.columns[0].as_primitive::<Int32Type>().values(), &[1, 2, 6]);
}

#[test]
fn without_a_key_the_image_before_is_a_row_too() {
    let plan = compile(&[col("v", 3, &[]), col("s", 252, &[2]).collation(45)], &[]);
    let chunk = decode(&plan, 31, &[&[2, 9, 0, 0, 0], &[0, 7, 0, 0, 0, 1, 0, b'x']]).unwrap();
    assert_eq!((chunk.op.as_slice(), texts(&chunk, 1)), (&[Op::Delete, Op::Update][..], vec![None, Some("x")]));
    assert!(!plan.has_key());
}

#[test]
fn deletes_carry_the_last_values() {
    let chunk = decode(&keyed(), 32, &[&row(3, "k")]).unwrap();
    assert_eq!((chunk.op.as_slice(), texts(&chunk, 1)), (&[Op::Delete][..], vec![Some("k")]));
}

#[test]
fn a_fault_inside_a_row_leaves_the_finished_rows() {
    let plan = compile(
        &[col("d", 10, &[]), col("s", 15, &[40, 0]).collation(45), col("e", 254, &[0xf7, 1]).labels(&["x"])],
        &[],
    );
    let body = rows_event(30, 3, &[&[0, 0, 0, 0, 1, b'a', 1], &[1, 1, b'b', 1], &[0, 0, 0, 0, 2, b'c', b'c', 9]]);
    let mut rows = plan.rows(RowsEvent::parse(30, &body).unwrap()).unwrap();
    let (mut out, mut seq) = (ChunkBuilder::new(plan.schema()), Seq(1));
    assert!(rows.next_into(&mut out, &mut seq, TIME).unwrap());
    assert!(rows.next_into(&mut out, &mut seq, TIME).unwrap());
    for _ in 0..2 {
        let error = rows.next_into(&mut out, &mut seq, TIME).unwrap_err();
        assert_eq!(error.to_string(), "column e (enum): a value beyond the labels of the table map");
        assert_eq!((seq, out.rows()), (Seq(3), 2));
    }
    let chunk = out.finish();
    assert!(chunk.columns.iter().all(|c| c.len() == 2));
    assert_eq!(texts(&chunk, 1), [Some("a"), Some("b")]);
    // The zero date of the abandoned row does not count.
    assert_eq!(chunk.notes.count(0, Note::ZeroDate), 1);
    assert_eq!((out.rows(), out.finish().rows()), (0, 0));
}

#[test]
fn events_that_do_not_fit_are_refused() {
    let plan = keyed();
    let mut body = rows_event(30, 2, &[]);
    *body.last_mut().unwrap() = 0xfe;
    let error = plan.rows(RowsEvent::parse(30, &body).unwrap()).unwrap_err();
    assert_eq!(error, DecodeError::PartialImage);
    assert!(error.to_string().contains("binlog_row_image = FULL"));
    let body = rows_event(30, 3, &[]);
    let error = plan.rows(RowsEvent::parse(30, &body).unwrap()).unwrap_err();
    assert_eq!(error, DecodeError::Columns { event: 3, plan: 2 });
    let body = rows_event(31, 2, &[]);
    let error = plan.rows(RowsEvent::parse(39, &body).unwrap()).unwrap_err();
    assert!(error.to_string().contains("binlog_row_value_options"));
    let mut other = ChunkBuilder::new(compile(&[col("a", 1, &[])], &[]).schema());
    let body = rows_event(30, 2, &[&row(1, "x")]);
    let mut rows = plan.rows(RowsEvent::parse(30, &body).unwrap()).unwrap();
    assert_eq!(rows.next_into(&mut other, &mut Seq(0), TIME), Err(DecodeError::Schema));
    assert_eq!(
        decode(&plan, 30, &[&[2, 0, 0, 0, 0]]).unwrap_err().to_string(),
        "column id (varchar[40 bytes]): NULL in a key column"
    );
}

#[test]
fn memory_is_counted_by_capacity() {
    let plan = keyed();
    let body = rows_event(30, 2, &[&row(1, "x")]);
    let mut out = ChunkBuilder::new(plan.schema());
    plan.rows(RowsEvent::parse(30, &body).unwrap()).unwrap().next_into(&mut out, &mut Seq(0), TIME).unwrap();
    let held = out.bytes();
    assert!(held >= 4 + 8 + 1 + 8 + 1 + 8, "{held}");
    let chunk = out.finish();
    assert!(chunk.bytes() > 0 && out.bytes() < held);
    assert!(Arc::ptr_eq(&chunk.schema, plan.schema()));
}

/// A table with one column of every way to read.
fn everything() -> Vec<Col> {
    vec![
        col("tiny", 1, &[]).not_null(),
        col("short", 2, &[]).unsigned(),
        col("medium", 9, &[]),
        col("long", 3, &[]).unsigned(),
        col("big", 8, &[]).unsigned(),
        col("float", 4, &[4]),
        col("double", 5, &[8]),
        col("dec", 246, &[12, 3]),
        col("wide", 246, &[65, 30]),
        col("bit", 16, &[5, 1]),
        col("year", 13, &[]).unsigned(),
        col("date", 10, &[]),
        col("datetime", 18, &[5]),
        col("timestamp", 17, &[2]),
        col("time", 19, &[4]),
        col("old_time", 11, &[]),
        col("old_datetime", 12, &[]),
        col("old_timestamp", 7, &[]),
        col("char", 254, &[0xee, 0x54]).collation(45),
        col("latin", 15, &[20, 0]).collation(8),
        col("binary", 254, &[254, 7]).collation(63),
        col("text", 252, &[2]).collation(45),
        col("blob", 252, &[3]).collation(63),
        col("enum", 254, &[0xf7, 2]).labels(&["a", "b"]),
        col("set", 254, &[0xf8, 2]).labels(&["a", "b", "c"]),
        col("json", 245, &[4]),
        col("geo", 255, &[4]),
    ]
}

/// Whatever the bytes are, decoding ends, does not panic, and leaves columns of equal length.
fn decode_any(plan: &Plan, event_type: u8, body: &[u8]) {
    let Ok(event) = RowsEvent::parse(event_type, body) else { return };
    let Ok(mut rows) = plan.rows(event) else { return };
    let (mut out, mut seq) = (ChunkBuilder::new(plan.schema()), Seq(0));
    while let Ok(true) = rows.next_into(&mut out, &mut seq, TIME) {}
    let chunk = out.finish();
    assert_eq!(chunk.rows() as i64, seq.0);
    assert!(chunk.columns.iter().all(|c| c.len() == chunk.rows()));
}

proptest! {
    #[test]
    fn any_image_bytes_decode_or_fail(
        event_type in 30_u8..=32,
        keyed in any::<bool>(),
        images in proptest::collection::vec(prop_oneof![3 => Just(0_u8), 2 => any::<u8>(), 1 => 0_u8..4], 0..400),
    ) {
        let columns = everything();
        let plan = compile(&columns, if keyed { &[0] } else { &[] });
        decode_any(&plan, event_type, &rows_event(event_type, columns.len(), &[&images]));
    }

    #[test]
    fn any_event_bytes_parse_or_fail(event_type in 23_u8..=40, body in proptest::collection::vec(any::<u8>(), 0..60)) {
        decode_any(&compile(&everything(), &[0]), event_type, &body);
    }

    #[test]
    fn any_table_map_bytes_compile_or_fail(
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
        maria in any::<bool>(),
        images in proptest::collection::vec(0_u8..8, 0..200),
    ) {
        let mut map = table_map(&everything(), &[0]);
        for (at, byte) in damage {
            let at = at.index(map.len());
            map[at] = byte;
        }
        if let Some(cut) = cut {
            map.truncate(cut.index(map.len()));
        }
        let flavor = if maria { Flavor::MariaDb } else { Flavor::MySql };
        let Ok(map) = TableMap::parse(&map, flavor) else { return Ok(()) };
        let Ok(plan) = Plan::compile(&map, &Declared::default(), &Policies::default()) else { return Ok(()) };
        if plan.ops.len() < 251 {
            decode_any(&plan, 31, &rows_event(31, plan.ops.len(), &[&images]));
        }
    }

    #[test]
    fn any_integer_survives(value in any::<i64>()) {
        let image = [&[0][..], &value.to_le_bytes()].concat();
        let chunk = values(col("a", 8, &[]), &[&image]);
        prop_assert_eq!(chunk.columns[0].as_primitive::<Int64Type>().value(0), value);
    }
}
