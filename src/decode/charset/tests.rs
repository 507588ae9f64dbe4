#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::Charset;

const ALL: [&str; 41] = [
    "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932",
    "dec8", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r",
    "koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis",
    "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4",
];

fn decode(charset: &str, bytes: &[u8]) -> (String, usize) {
    let mut out = b"before".to_vec();
    let decoded = Charset::from_name(charset).unwrap().decode_into(bytes, &mut out);
    let text = String::from_utf8(out.strip_prefix(b"before").unwrap().to_vec()).unwrap();
    assert_eq!(decoded.replaced(), decoded.invalid() > 0);
    (text, decoded.invalid())
}

#[test]
fn collations_lead_to_their_set() {
    for (collation, name) in [
        (8, "latin1"),
        (13, "sjis"),
        (28, "gbk"),
        (33, "utf8mb3"),
        (45, "utf8mb4"),
        (63, "binary"),
        (250, "gb18030"),
        (255, "utf8mb4"),
        (576, "utf8mb3"),
        (1032, "latin1"),
        (1152, "ucs2"),
        (1270, "utf8mb4"),
        (2304, "utf8mb4"),
        (3072, "utf32"),
    ] {
        assert_eq!(Charset::from_collation(collation).unwrap().name(), name, "{collation}");
    }
    for unknown in [0, 17, 100, 184, 500, 1024, 1041, 4000, u16::MAX] {
        assert_eq!(Charset::from_collation(unknown), None, "{unknown}");
    }
    for name in ALL {
        assert_eq!(Charset::from_name(name).unwrap().name(), name);
        assert!((1..=323).any(|id| Charset::from_collation(id).is_some_and(|set| set.name() == name)), "{name}");
    }
    assert!(Charset::from_collation(63).unwrap().is_binary());
    assert!(Charset::from_collation(33).unwrap().is_utf8());
}

#[test]
fn text_of_each_kind_of_set() {
    for (charset, bytes, text) in [
        ("latin1", &b"na\xefve \x80 \x81"[..], "na\u{ef}ve \u{20ac} \u{81}"),
        ("swe7", b"[a]", "\u{c4}a\u{c5}"),
        ("koi8r", b"\xf0\xd2\xc9", "При"),
        ("sjis", b"a\x81\x60\xb1", "a\u{301c}\u{ff71}"),
        ("cp932", b"a\x81\x60\xb1", "a\u{ff5e}\u{ff71}"),
        ("ujis", b"\xa4\xa2\x8e\xb1\x8f\xa2\xafz", "あ\u{ff71}\u{2d8}z"),
        ("big5", b"\xa4\xa4\xa4\xe5", "中文"),
        ("gbk", b"\xb0\xa1!", "啊!"),
        ("gb18030", b"\xb0\xa1\x81\x30\x81\x30\x94\x39\xfc\x36", "啊\u{80}\u{1f600}"),
        ("euckr", b"\xb0\xa1", "가"),
        ("utf16", b"\x00a\xd8\x3d\xde\x00", "a😀"),
        ("utf16le", b"a\x00\x3d\xd8\x00\xde", "a😀"),
        ("utf32", b"\x00\x01\xf6\x00", "😀"),
        ("ucs2", b"\x00a\x20\xac", "a€"),
        ("utf8mb3", "é".as_bytes(), "é"),
        ("utf8mb4", "é😀".as_bytes(), "é😀"),
    ] {
        assert_eq!(decode(charset, bytes), (text.to_owned(), 0), "{charset}");
    }
}

#[test]
fn what_is_no_character_is_replaced_and_counted() {
    for (charset, bytes, text, invalid) in [
        ("cp1250", &b"a\x81b"[..], "a?b", 1),
        ("ascii", b"a\xff\xfe", "a\u{fffd}\u{fffd}", 2),
        // A malformed pair costs one byte, a code without a character all its bytes, a cut one what is left.
        ("gbk", b"\x80a", "?a", 1),
        ("gbk", b"\xb0 x", "? x", 1),
        ("gbk", b"x\xb0", "x?", 1),
        ("ujis", b"\x8f\xa1\xa1x", "?x", 1),
        ("ujis", b"x\x8f\xa2", "x?", 1),
        ("gb18030", b"\x84\x31\xa5\x30x", "?x", 1),
        ("gb18030", b"x\x84\x31\xa5", "x?", 1),
        ("gb18030", b"\x84\x31x\x30", "?1x0", 1),
        ("utf16", b"\xd8\x3d\x00a\x00", "?a?", 2),
        ("ucs2", b"\xd8\x3d\xde\x00", "??", 2),
        ("utf32", b"\x00\x11\x00\x00\x00\x00\xd8\x00", "??", 2),
        ("utf8mb4", b"a\xff\xf0\x9f\x98z\xe9", "a\u{fffd}\u{fffd}z\u{fffd}", 3),
    ] {
        assert_eq!(decode(charset, bytes), (text.to_owned(), invalid), "{charset}");
    }
}

/// Digest of what the codes of one and two bytes give, so that a table cannot change unnoticed. `tests/it/charset.rs` checks
/// the codes themselves against a server.
#[test]
fn tables_are_the_ones_checked_against_a_server() {
    let mut crc = crc32fast::Hasher::new();
    for name in ALL {
        let set = Charset::from_name(name).unwrap();
        let mut out = Vec::new();
        for first in 0..=u8::MAX {
            let _ = set.decode_into(&[first], &mut out);
            for second in (0..=u8::MAX).filter(|_| first >= 0x80) {
                let _ = set.decode_into(&[first, second], &mut out);
            }
        }
        crc.update(&out);
    }
    assert_eq!(crc.finalize(), 3_897_162_413);
}

proptest! {
    #[test]
    fn any_bytes_give_utf8(name in proptest::sample::select(&ALL[..]), bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let (text, invalid) = decode(name, &bytes);
        prop_assert!(invalid <= bytes.len());
        prop_assert!(text.len() <= 3 * bytes.len());
    }

    #[test]
    fn lead_bytes_anywhere_give_utf8(
        name in proptest::sample::select(&["big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"][..]),
        bytes in proptest::collection::vec(prop_oneof![Just(0x8f), Just(0x8e), Just(b'0'), 0x81u8..=0xfe], 0..16),
    ) {
        let (_, invalid) = decode(name, &bytes);
        prop_assert!(invalid <= bytes.len());
    }
}
