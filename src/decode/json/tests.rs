#![allow(clippy::unwrap_used)]

mod encode;

use proptest::prelude::*;

use super::{DEPTH_MAX, JsonError, text::copy_within, write_text, write_text_within};
use encode::{Tree, tree};

fn text(doc: &[u8]) -> Result<String, JsonError> {
    let mut out = b"before".to_vec();
    let result = write_text(doc, &mut out);
    let text = out.strip_prefix(b"before").unwrap();
    if result.is_err() {
        assert_eq!(text, b"", "an error leaves the output as it was");
    }
    result.map(|()| String::from_utf8(text.to_vec()).unwrap())
}

/// Documents of a real server with the text it prints: `tests/json_docs/generate.py`.
fn server_documents() -> Vec<(Vec<u8>, String)> {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/json_docs.bin");
    let path = std::env::var("TAILWATER_JSON_DOCS").unwrap_or_else(|_| fixture.to_owned());
    let data = std::fs::read(path).unwrap();
    let mut rest = data.as_slice();
    let mut next = || {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (bytes, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
        rest = tail;
        Some(bytes.to_vec())
    };
    let mut pairs = Vec::new();
    while let Some(doc) = next() {
        pairs.push((doc, String::from_utf8(next().unwrap()).unwrap()));
    }
    pairs
}

#[test]
fn prints_what_the_server_prints() {
    let documents = server_documents();
    assert!(documents.len() > 200);
    for (doc, expected) in documents {
        assert_eq!(text(&doc).as_ref(), Ok(&expected), "{} bytes", doc.len());
    }
}

#[test]
fn every_cut_of_a_document_is_an_error() {
    for (doc, expected) in server_documents().iter().filter(|(doc, _)| doc.len() < 2000) {
        for len in 1..doc.len() {
            if let Ok(printed) = text(&doc[..len]) {
                // Only what an in-place update freed at the end may be missing.
                assert_eq!(&printed, expected);
            }
        }
    }
}

#[test]
fn numbers_follow_the_layout_of_the_server() {
    let double = |value: f64| {
        let mut doc = vec![0x0b];
        doc.extend_from_slice(&value.to_le_bytes());
        text(&doc)
    };
    for (value, expected) in [
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (1e15, "1e15"),
        (1e14, "100000000000000.0"),
        (1e-15, "0.000000000000001"),
        (1e-16, "1e-16"),
        (1_234_567_890_123_456.7, "1234567890123456.8"),
        (1.234_567_890_123_456_8e20, "1.2345678901234568e20"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e308"),
    ] {
        assert_eq!(double(value).as_deref(), Ok(expected));
    }
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(double(value), Err(JsonError::NotFinite));
    }
}

#[test]
fn escapes_are_found_at_any_place() {
    for byte in 0..0x80u8 {
        for at in 0..20 {
            let mut value = "é23456789abcdefghij".to_owned();
            value.insert(value.char_indices().nth(at).map_or(value.len(), |(at, _)| at), char::from(byte));
            let printed = text(&Tree::Text(value.clone()).encode()).unwrap();
            assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), value);
            assert_eq!(printed.contains('\\'), byte < 0x20 || byte == b'"' || byte == b'\\');
        }
    }
}

#[test]
fn nesting_is_bounded_as_in_the_server() {
    let nested = |depth: usize| {
        let mut tree = Tree::Array(vec![]);
        for _ in 1..depth {
            tree = Tree::Array(vec![tree]);
        }
        text(&tree.encode())
    };
    assert_eq!(nested(DEPTH_MAX).unwrap().len(), 2 * DEPTH_MAX);
    assert_eq!(nested(DEPTH_MAX + 1), Err(JsonError::TooDeep));
}

#[test]
fn shared_bytes_are_refused_before_they_multiply() {
    // Levels of arrays whose elements all point at the same next level: 2^30 leaves if followed.
    let levels = 30;
    let width = 4 + 2 * 3;
    let mut doc = vec![0x02];
    for level in 0..levels {
        let size = (width * (levels - level) + 4) as u16;
        doc.extend_from_slice(&2u16.to_le_bytes());
        doc.extend_from_slice(&size.to_le_bytes());
        for _ in 0..2 {
            doc.push(0x02);
            doc.extend_from_slice(&(width as u16).to_le_bytes());
        }
    }
    doc.extend_from_slice(&[0, 0, 4, 0]);
    assert_eq!(text(&doc), Err(JsonError::Overlap));
}

#[test]
fn damaged_documents_name_the_damage() {
    for (doc, error) in [
        (&[0x04, 0x03][..], JsonError::UnknownLiteral(3)),
        (&[0x0d, 0x00], JsonError::UnknownType(0x0d)),
        (&[0x0c], JsonError::Truncated),
        (&[0x0c, 0x80], JsonError::Truncated),
        (&[0x0c, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], JsonError::LengthOverflow),
        (&[0x0c, 0xff, 0xff, 0xff, 0xff, 0x7f], JsonError::LengthOverflow),
        (&[0x0c, 0x01, 0xff], JsonError::NotUtf8),
        (&[0x02, 0xff, 0xff, 0xff, 0xff], JsonError::Truncated),
        (&[0x02, 1, 0, 7, 0, 0x02, 0, 0], JsonError::Overlap),
        (&[0x0f, 246, 2, 5, 6], JsonError::MalformedOpaque(246)),
        (&[0x0f, 246, 3, 1, 0, 0x8a], JsonError::MalformedOpaque(246)),
        (&[0x0f, 10, 1, 0], JsonError::MalformedOpaque(10)),
        (&[0x0f, 12, 8, 0, 0, 0, 0, 0, 0, 0, 0xff], JsonError::MalformedOpaque(12)),
        (&[0x0f, 10, 8, 0, 0, 0, 0, 0, 0, 0, 0x7f], JsonError::MalformedOpaque(10)),
    ] {
        assert_eq!(text(doc), Err(error), "{doc:02x?}");
    }
}

/// Bytes of output per byte of document: an empty-key entry, an escape, a padded double.
const EXPANSION_MAX: usize = 40;

proptest! {
    #[test]
    fn a_double_reads_back(value in prop::num::f64::ANY) {
        prop_assume!(value.is_finite());
        let mut doc = vec![0x0b];
        doc.extend_from_slice(&value.to_le_bytes());
        let printed = text(&doc).unwrap();
        prop_assert!(printed.contains(['.', 'e']));
        prop_assert_eq!(printed.parse::<f64>().unwrap().to_bits(), value.to_bits());
    }

    #[test]
    fn a_tree_reads_back(tree in tree()) {
        let printed = text(&tree.encode()).unwrap();
        let parsed: serde_json::Value = serde_json::from_str(&printed).unwrap();
        prop_assert_eq!(parsed, tree.to_value());
    }

    /// The document with its strings cut, and nothing else: what a reader of the whole document would make of it.
    #[test]
    fn strings_are_cut_and_nothing_else(tree in tree(), string_max in 0_usize..16) {
        fn cut(value: &mut serde_json::Value, max: usize, any: &mut bool) {
            match value {
                serde_json::Value::String(text) if text.len() > max => {
                    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                    text.truncate(end);
                    *any = true;
                }
                serde_json::Value::Array(items) => items.iter_mut().for_each(|item| cut(item, max, any)),
                serde_json::Value::Object(map) => map.values_mut().for_each(|item| cut(item, max, any)),
                _ => {}
            }
        }
        let (mut wanted, mut any) = (tree.to_value(), false);
        cut(&mut wanted, string_max, &mut any);
        let mut printed = Vec::new();
        prop_assert_eq!(write_text_within(&tree.encode(), string_max, &mut printed), Ok(any));
        prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&printed).unwrap(), wanted);
        // Bytes that are no text are cut where the server printed them as they are where they are printed here.
        let opaque = [&[0x0f, 15, 9][..], b"123456789"].concat();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let cut = write_text_within(&opaque, string_max, &mut here);
        prop_assert_eq!(cut, Ok(copy_within(text(&opaque).unwrap().as_bytes(), string_max, &mut there)));
        prop_assert_eq!(here, there);
    }

    #[test]
    fn random_bytes_never_panic(doc in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(printed) = text(&doc) {
            prop_assert!(printed.len() <= EXPANSION_MAX * (doc.len() + 1));
        }
    }

    #[test]
    fn damaged_trees_never_panic(
        tree in tree(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut doc = tree.encode();
        for (at, byte) in damage {
            let at = at.index(doc.len());
            doc[at] = byte;
        }
        if let Ok(printed) = text(&doc) {
            prop_assert!(printed.len() <= EXPANSION_MAX * (doc.len() + 1));
        }
    }
}
