//! Character sets of MySQL columns.

/// A character set.
#[derive(Clone, Debug)]
pub struct Charset {
    binary: bool,
}

/// How a text came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    replaced: bool,
}

impl Decoded {
    /// Whether bytes were replaced.
    pub fn replaced(self) -> bool {
        self.replaced
    }
}

impl Charset {
    /// The character set of a collation id.
    pub fn from_collation(collation: u16) -> Option<Self> {
        let utf8 = matches!(collation, 33 | 45 | 46 | 83 | 76 | 192..=215 | 223..=247 | 255..=323);
        (utf8 || collation == 63).then_some(Self { binary: collation == 63 })
    }

    /// Whether it is bytes.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Whether it is UTF-8.
    pub fn is_utf8(&self) -> bool {
        !self.binary
    }

    /// Appends `bytes` as UTF-8.
    pub fn decode_into(&self, bytes: &[u8], out: &mut Vec<u8>) -> Decoded {
        let text = String::from_utf8_lossy(bytes);
        out.extend_from_slice(text.as_bytes());
        Decoded { replaced: matches!(text, std::borrow::Cow::Owned(_)) }
    }
}
