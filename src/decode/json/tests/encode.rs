//! A value tree and its binary form, so that properties can be tested without a server.

use proptest::prelude::*;
use serde_json::Value;

#[derive(Debug, Clone)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Double(f64),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

pub(super) fn tree() -> impl Strategy<Value = Tree> {
    let text = prop_oneof![".{0,12}", "[a-c\"\\\\/\u{0}-\u{1f}]{0,8}", "x{120,140}"];
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Signed),
        (-70_000i64..70_000).prop_map(Tree::Signed),
        any::<u64>().prop_map(Tree::Unsigned),
        // Few digits: the parser of the comparison does not round the last one correctly.
        any::<i32>().prop_map(|n| Tree::Double(f64::from(n) / 8.0)),
        text.clone().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let keys = proptest::collection::btree_map(text.clone(), inner.clone(), 0..6);
        prop_oneof![
            proptest::collection::vec(inner, 0..6).prop_map(Tree::Array),
            keys.prop_map(|map| Tree::Object(map.into_iter().collect())),
        ]
    })
}

impl Tree {
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Signed(value) => (*value).into(),
            Self::Unsigned(value) => (*value).into(),
            Self::Double(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
            Self::Array(items) => items.iter().map(Self::to_value).collect(),
            Self::Object(items) => items.iter().map(|(k, v)| (k.clone(), v.to_value())).collect(),
        }
    }

    /// In the small form where it fits, else in the large one.
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, body) = self.body();
        let mut doc = vec![kind];
        doc.extend_from_slice(&body);
        doc
    }

    fn body(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Null => (0x04, vec![0]),
            Self::Bool(value) => (0x04, vec![if *value { 1 } else { 2 }]),
            Self::Signed(value) => signed(*value),
            Self::Unsigned(value) => unsigned(*value),
            Self::Double(value) => (0x0b, value.to_le_bytes().to_vec()),
            Self::Text(value) => {
                let mut body = varint(value.len());
                body.extend_from_slice(value.as_bytes());
                (0x0c, body)
            }
            Self::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| (None, item)).collect();
                match container(&items, 2) {
                    Some(body) => (0x02, body),
                    None => (0x03, container(&items, 4).unwrap()),
                }
            }
            Self::Object(items) => {
                let items: Vec<_> = items.iter().map(|(k, v)| (Some(k.as_str()), v)).collect();
                match container(&items, 2) {
                    Some(body) => (0x00, body),
                    None => (0x01, container(&items, 4).unwrap()),
                }
            }
        }
    }
}

fn signed(value: i64) -> (u8, Vec<u8>) {
    if let Ok(value) = i16::try_from(value) {
        (0x05, value.to_le_bytes().to_vec())
    } else if let Ok(value) = i32::try_from(value) {
        (0x07, value.to_le_bytes().to_vec())
    } else {
        (0x09, value.to_le_bytes().to_vec())
    }
}

fn unsigned(value: u64) -> (u8, Vec<u8>) {
    if let Ok(value) = u16::try_from(value) {
        (0x06, value.to_le_bytes().to_vec())
    } else if let Ok(value) = u32::try_from(value) {
        (0x08, value.to_le_bytes().to_vec())
    } else {
        (0x0a, value.to_le_bytes().to_vec())
    }
}

fn varint(mut len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes
}

/// None where the container does not fit offsets of `width` bytes.
fn container(items: &[(Option<&str>, &Tree)], width: usize) -> Option<Vec<u8>> {
    let put = |value: usize, out: &mut Vec<u8>| {
        let bytes = (value as u64).to_le_bytes();
        out.extend_from_slice(&bytes[..width]);
        (width == 4 || value <= usize::from(u16::MAX)).then_some(())
    };
    let keyed = items.first().is_some_and(|(key, _)| key.is_some());
    let entry = 1 + width + if keyed { width + 2 } else { 0 };
    let header = 2 * width + items.len() * entry;
    let mut tail = Vec::new();
    let mut keys = Vec::new();
    for (key, _) in items {
        if let Some(key) = key {
            put(header + tail.len(), &mut keys)?;
            keys.extend_from_slice(&(key.len() as u16).to_le_bytes());
            tail.extend_from_slice(key.as_bytes());
        }
    }
    let mut values = Vec::new();
    for (_, tree) in items {
        let (kind, body) = tree.body();
        values.push(kind);
        if matches!(kind, 0x04..=0x06) || width == 4 && matches!(kind, 0x07 | 0x08) {
            let mut inline = body;
            inline.resize(width, 0);
            values.extend_from_slice(&inline);
        } else {
            put(header + tail.len(), &mut values)?;
            tail.extend_from_slice(&body);
        }
    }
    let mut out = Vec::new();
    put(items.len(), &mut out)?;
    put(header + tail.len(), &mut out)?;
    out.extend_from_slice(&keys);
    out.extend_from_slice(&values);
    out.extend_from_slice(&tail);
    Some(out)
}
