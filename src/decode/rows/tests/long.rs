//! Values and rows that are longer than a reader of the lake takes.

use super::*;
use crate::{
    decode::{Bounds, LongValues},
    model::ColumnType,
};

fn limited(long_values: LongValues, text: u32, bounds: Bounds) -> Policies {
    let table = ValuePolicy { long_values, text_bytes_max: Some(text), ..ValuePolicy::default() };
    Policies { table, bounds, ..Policies::default() }
}

fn plan(columns: &[Col], key: &[u8], policies: &Policies) -> Plan {
    compile_with(columns, key, &Declared::default(), policies)
}

/// A value behind a length of two bytes.
fn two(value: &[u8]) -> Vec<u8> {
    [&(value.len() as u16).to_le_bytes()[..], value].concat()
}

fn image(values: &[Vec<u8>]) -> Vec<u8> {
    [vec![0], values.concat()].concat()
}

fn is_long(error: &DecodeError) -> bool {
    matches!(error, DecodeError::Value { fault: Fault::Long, .. })
}

#[test]
fn text_is_cut_between_characters_by_bytes() {
    let text = || col("a", 252, &[2]).collation(45);
    let cut = plan(&[text()], &[], &limited(LongValues::Cut, 7, Bounds::default()));
    assert_eq!(cut.schema().columns[0].ty, ColumnType::Text { bytes_max: Some(7) });
    let values = ["abcdefg", "abcdefgh", "€€€", "😀😀", "abcd😀", "abc😀"];
    let images: Vec<_> = values.iter().map(|v| image(&[two(v.as_bytes())])).collect();
    let chunk = decode(&cut, 30, &images.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let wanted = ["abcdefg", "abcdefg", "€€", "😀", "abcd", "abc😀"].map(Some);
    assert_eq!(texts(&chunk, 0), wanted);
    assert_eq!(chunk.notes.iter().collect::<Vec<_>>(), [(0, Note::CutText, 4)]);

    let null = plan(&[text()], &[], &limited(LongValues::Null, 7, Bounds::default()));
    let chunk = decode(&null, 30, &[&image(&[two(b"12345678")]), &image(&[two(b"1")])]).unwrap();
    assert_eq!(texts(&chunk, 0), [None, Some("1")]);
    assert_eq!(chunk.notes.iter().collect::<Vec<_>>(), [(0, Note::LongValue, 1)]);

    let park = limited(LongValues::Refuse, 7, Bounds::default());
    // A key loses nothing whatever the policy is.
    let key =
        compile_with(&[text().not_null()], &[0], &Declared::default(), &limited(LongValues::Cut, 7, Bounds::default()));
    for plan in [plan(&[text()], &[], &park), key] {
        let error = decode(&plan, 30, &[&image(&[two(b"12345678")])]).unwrap_err();
        assert!(is_long(&error) && !error.to_string().contains("12345678"), "{error}");
    }
}

#[test]
fn other_character_sets_are_measured_after_conversion() {
    let latin = [col("a", 15, &[20, 0]).collation(8)];
    let plan = plan(&latin, &[], &limited(LongValues::Cut, 7, Bounds::default()));
    // Three euro signs of one byte are nine bytes of UTF-8.
    let chunk = decode(&plan, 30, &[&[0, 3, 0x80, 0x80, 0x80]]).unwrap();
    assert_eq!(texts(&chunk, 0), [Some("€€")]);
    assert_eq!(chunk.notes.count(0, Note::CutText), 1);
}

#[test]
fn columns_name_policies_of_their_own() {
    let mut policies = limited(LongValues::Cut, 3, Bounds::default());
    let own = ValuePolicy { long_values: LongValues::Null, text_bytes_max: None, ..ValuePolicy::default() };
    policies.columns.insert("b".to_owned(), own);
    let columns = ["a", "b"].map(|name| col(name, 252, &[2]).collation(45));
    let chunk = decode(&plan(&columns, &[], &policies), 30, &[&image(&[two(b"abcd"), two(b"abcd")])]).unwrap();
    assert_eq!((texts(&chunk, 0), texts(&chunk, 1)), (vec![Some("abc")], vec![Some("abcd")]));
}

#[test]
fn repaired_text_never_outgrows_its_type() {
    let plan = compile(&[col("a", 15, &[4, 0]).collation(45)], &[]);
    let chunk = decode(&plan, 30, &[&[0, 2, 0xff, b'b'], &[0, 4, 0xff, 0xff, b'c', b'd']]).unwrap();
    assert_eq!(texts(&chunk, 0), [Some("\u{fffd}b"), Some("??cd")]);
}

#[test]
fn of_bytes_and_documents_a_part_is_worth_nothing() {
    let bounds = Bounds { binary: Some(3), json: Some(9), json_string: Some(4), row: None };
    let columns = [col("b", 252, &[2]).collation(63), col("j", 245, &[2])];
    // [true, true] in binary JSON: an array of two literals; "abcde" is a string.
    let long = [2, 2, 0, 10, 0, 4, 1, 0, 4, 1, 0];
    let string = |text: &[u8]| [&[0x0c, text.len() as u8][..], text].concat();
    for (policy, kept, cut) in [(LongValues::Cut, Some("\"abcd\""), 1), (LongValues::Null, None, 0)] {
        let plan = plan(&columns, &[], &limited(policy, 1, bounds));
        let images = [
            image(&[two(b"xyz"), two(&string(b"abcd"))]),
            image(&[two(b"wxyz"), two(&string(b"abcde"))]),
            image(&[two(b""), two(&long)]),
        ];
        let chunk = decode(&plan, 30, &images.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        let bytes: Vec<_> = chunk.columns[0].as_binary::<i32>().iter().collect();
        assert_eq!(bytes, [Some(&b"xyz"[..]), None, Some(b"")]);
        assert_eq!(texts(&chunk, 1), [Some("\"abcd\""), kept, None]);
        assert_eq!((chunk.notes.count(0, Note::LongValue), chunk.notes.count(1, Note::CutText)), (1, cut));
        assert_eq!(chunk.notes.count(1, Note::LongValue), 2 - cut);
    }
    let park = plan(&columns, &[], &limited(LongValues::Refuse, 1, bounds));
    assert!(is_long(&decode(&park, 30, &[&image(&[two(b""), two(&string(b"abcde"))])]).unwrap_err()));
}

#[test]
fn the_longest_values_of_a_long_row_give_way() {
    let bounds = Bounds { row: Some(100), ..Bounds::default() };
    let columns = ["a", "b", "c"].map(|name| col(name, 252, &[2]).collation(45));
    let row = |a: usize, b: usize, c: usize| image(&[two(&vec![b'a'; a]), two(&vec![b'b'; b]), two(&vec![b'c'; c])]);
    let lengths = |chunk: &Chunk| (0..3).map(|i| texts(chunk, i)[0].map(str::len)).collect::<Vec<_>>();
    // Sixteen bytes a column are counted for their own sake: 52 are left.
    let cut = plan(&columns, &[], &limited(LongValues::Cut, 1000, bounds));
    assert_eq!(lengths(&decode(&cut, 30, &[&row(10, 30, 12)]).unwrap()), [Some(10), Some(30), Some(12)]);
    let chunk = decode(&cut, 30, &[&row(10, 31, 12)]).unwrap();
    assert_eq!(lengths(&chunk), [Some(10), Some(30), Some(12)]);
    assert_eq!(chunk.notes.iter().collect::<Vec<_>>(), [(1, Note::CutText, 1)]);
    assert_eq!(lengths(&decode(&cut, 30, &[&row(10, 60, 200)]).unwrap()), [Some(10), Some(42), Some(0)]);

    let null = plan(&columns, &[], &limited(LongValues::Null, 1000, bounds));
    let chunk = decode(&null, 30, &[&row(10, 60, 200)]).unwrap();
    assert_eq!(lengths(&chunk), [Some(10), None, None]);
    assert_eq!((chunk.notes.count(1, Note::LongValue), chunk.notes.count(2, Note::LongValue)), (1, 1));
    // Rows before and behind stay as they are.
    let chunk = decode(&null, 30, &[&row(1, 2, 3), &row(0, 0, 90), &row(3, 2, 1)]).unwrap();
    assert_eq!(texts(&chunk, 2), [Some("ccc"), None, Some("c")]);

    let key = ["a", "b", "c"].map(|name| col(name, 252, &[2]).collation(45).not_null());
    for plan in [
        plan(&columns, &[], &limited(LongValues::Refuse, 1000, bounds)),
        plan(&key, &[0, 1, 2], &limited(LongValues::Cut, 1000, bounds)),
    ] {
        let error = decode(&plan, 30, &[&row(10, 60, 200)]).unwrap_err();
        assert!(matches!(error, DecodeError::Value { fault: Fault::LongRow, .. }), "{error}");
    }
}

proptest! {
    /// Whatever the rows are, nothing is longer than it may be.
    #[test]
    fn limits_hold_for_any_image(
        refuse in any::<bool>(),
        images in proptest::collection::vec(prop_oneof![3 => Just(0_u8), 2 => any::<u8>(), 2 => 0_u8..12], 0..900),
    ) {
        let columns = everything();
        let bounds = Bounds { binary: Some(5), json: Some(12), json_string: Some(3), row: Some(450) };
        let policy = if refuse { LongValues::Null } else { LongValues::Cut };
        let plan = plan(&columns, &[0], &limited(policy, 6, bounds));
        let body = rows_event(30, columns.len(), &[&images]);
        let mut rows = plan.rows(RowsEvent::parse(30, &body).unwrap()).unwrap();
        let (mut out, mut seq) = (ChunkBuilder::new(plan.schema()), Seq(0));
        while let Ok(true) = rows.next_into(&mut out, &mut seq, TIME) {}
        let chunk = out.finish();
        for row in 0..chunk.rows() {
            let mut total = 16 * columns.len();
            for (array, column) in chunk.columns.iter().zip(&plan.schema().columns) {
                let bytes = match array.data_type() {
                    DataType::Utf8 => array.as_string::<i32>().value(row).len(),
                    DataType::Binary => array.as_binary::<i32>().value(row).len(),
                    _ => 0,
                };
                total += bytes;
                match column.name.as_str() {
                    "text" | "latin" | "char" => prop_assert!(bytes <= 6),
                    "blob" | "geo" => prop_assert!(bytes <= 5),
                    "json" => prop_assert!(bytes <= 12),
                    _ => {}
                }
            }
            prop_assert!(total <= 450, "row of {total}");
        }
    }
}
