#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// Columns: id INT UNSIGNED, y YEAR, v VECTOR(3), n VARCHAR(63) latin1, j JSON, e ENUM, s SET, g GEOMETRY, t TEXT sjis,
/// i INT INVISIBLE.
const CODES: [u8; 10] = [3, 13, 242, 15, 245, 254, 254, 255, 252, 3];
const METADATA: [u8; 10] = [4, 63, 0, 4, 0xf7, 1, 0xf8, 1, 4, 2];

fn event(optional: &[u8]) -> Vec<u8> {
    let mut out = vec![5, 0];
    out.extend(b"\x04shop\0\x06orders\0");
    out.push(CODES.len() as u8);
    out.extend(CODES);
    out.push(METADATA.len() as u8);
    out.extend(METADATA);
    out.extend([0b1111_1110, 0b01]);
    out.extend(optional);
    out
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind, value.len() as u8][..], value].concat()
}

fn full(charsets: &[u8]) -> Vec<u8> {
    event(
        &[
            // SIGNEDNESS counts id, y and i, most significant bit first.
            field(1, &[0b1100_0000]),
            field(3, charsets),
            field(4, b"\x02id\x01y\x01v\x01n\x01j\x01e\x01s\x01g\x01t\x01i"),
            field(5, b"\x02\x01p\x01q"),
            field(6, b"\x03\x01a\x01b\x02cc"),
            field(7, &[1]),
            field(8, &[0]),
            field(10, &[45, 1, 8]),
            field(12, &[0xff, 0x80]),
            field(13, &[3]),
            // A field of a later server.
            field(200, b"??"),
        ]
        .concat(),
    )
}

#[test]
fn full_metadata_describes_the_table() {
    let map = TableMap::parse(&full(&[63, 8, 13]), Flavor::MySql).unwrap();
    assert_eq!((map.database.as_str(), map.table.as_str(), map.flags), ("shop", "orders", 5));
    assert!(map.full_metadata);
    assert_eq!(map.primary_key, [PrimaryKeyPart { column: 0, prefix: 0 }]);
    let names: Vec<_> = map.columns.iter().filter_map(|c| c.name.as_deref()).collect();
    assert_eq!(names, ["id", "y", "v", "n", "j", "e", "s", "g", "t", "i"]);
    let unsigned: Vec<bool> = map.columns.iter().map(|c| c.unsigned).collect();
    assert_eq!(unsigned, [true, true, false, false, false, false, false, false, false, false]);
    // VECTOR is counted among the texts, JSON and GEOMETRY are not.
    let collations: Vec<_> = map.columns.iter().map(|c| c.collation).collect();
    assert_eq!(collations, [None, None, Some(63), Some(8), None, Some(45), Some(8), None, Some(13), None]);
    assert_eq!(map.columns[5].labels, [b"a".to_vec(), b"b".to_vec(), b"cc".to_vec()]);
    assert_eq!(map.columns[6].labels, [b"p".to_vec(), b"q".to_vec()]);
    assert_eq!((map.columns[7].geometry, map.columns[2].dimensions), (Some(1), Some(3)));
    assert!(map.columns[8].visible && !map.columns[9].visible);
    assert!(!map.columns[0].nullable && map.columns[7].nullable && map.columns[8].nullable);
    assert_eq!(map.columns[3].kind, MysqlType::VarChar { bytes: 63 });
}

#[test]
fn mariadb_counts_geometry_among_the_texts() {
    // No VECTOR entry, one for GEOMETRY.
    let map = TableMap::parse(&full(&[8, 63, 13]), Flavor::MariaDb).unwrap();
    let collations: Vec<_> = map.columns.iter().map(|c| c.collation).collect();
    assert_eq!((collations[2], collations[3], collations[7], collations[8]), (None, Some(8), Some(63), Some(13)));
}

#[test]
fn default_collations_have_exceptions_by_index_among_the_texts() {
    let map = TableMap::parse(&event(&field(2, &[252, 255, 0, 2, 28])), Flavor::MySql).unwrap();
    let collations: Vec<_> = map.columns.iter().map(|c| c.collation).collect();
    assert_eq!((collations[2], collations[3], collations[8]), (Some(255), Some(255), Some(28)));
    assert!(!map.full_metadata && map.primary_key.is_empty());
}

#[test]
fn primary_keys_may_have_prefixes() {
    let map = TableMap::parse(&event(&field(9, &[3, 10, 0, 0])), Flavor::MySql).unwrap();
    assert_eq!(map.primary_key, [PrimaryKeyPart { column: 3, prefix: 10 }, PrimaryKeyPart { column: 0, prefix: 0 }]);
    for bad in [&[10][..], &[1, 1]] {
        let error = TableMap::parse(&event(&field(8, bad)), Flavor::MySql).unwrap_err();
        assert!(matches!(error, TableMapError::Corrupt(_)), "{error}");
    }
}

#[test]
fn names_need_no_more_than_the_names() {
    assert_eq!(TableMap::names(b"\0\0\x02db\0\x01t\0").unwrap(), ("db", "t"));
    assert!(TableMap::names(b"\0\0\x02db\0\x01").is_err());
    assert_eq!(TableMap::names(b"\0\0\x01\xff\0\x01t\0"), Err(TableMapError::Name("database")));
}

#[test]
fn char_lengths_above_255_hide_in_the_type_byte() {
    let read = |metadata: [u8; 2]| MysqlType::read(254, &mut Cursor::new(&metadata)).unwrap().unwrap();
    assert_eq!(read([0xee, 0x54]), MysqlType::Char { bytes: 340 });
    assert_eq!(read([0xce, 0xfc]), MysqlType::Char { bytes: 1020 });
    assert_eq!(read([0xfe, 40]), MysqlType::Char { bytes: 40 });
    assert_eq!(MysqlType::read(16, &mut Cursor::new(&[7, 7])).unwrap(), Some(MysqlType::Bit { bits: 63 }));
}

#[test]
fn columns_behind_an_unknown_type_are_unknown() {
    let mut bytes = b"\0\0\x01d\0\x01t\0\x03".to_vec();
    bytes.extend([3, 141, 15, 4, 9, 0, 9, 0, 0]);
    let map = TableMap::parse(&bytes, Flavor::MariaDb).unwrap();
    let kinds: Vec<_> = map.columns.iter().map(|c| c.kind).collect();
    assert_eq!(kinds, [MysqlType::Long, MysqlType::Unknown { code: 141 }, MysqlType::Unknown { code: 15 }]);
}

proptest! {
    #[test]
    fn any_bytes_parse_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = TableMap::parse(&bytes, Flavor::MySql);
        let _ = TableMap::names(&bytes);
    }

    #[test]
    fn any_truncation_parses_or_fails(cut in 0_usize..150) {
        let event = full(&[63, 8, 13]);
        let _ = TableMap::parse(&event[..cut.min(event.len())], Flavor::MySql);
    }
}
