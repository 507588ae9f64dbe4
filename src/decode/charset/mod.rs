//! Character sets of MySQL and MariaDB columns, to UTF-8.
//!
//! The tables under `tables/` hold what a MySQL server itself converts (`tests/charsets/generate.py`): its sets differ in
//! places from the standards and from the web's encodings of the same name (`sjis` 0x8160 is U+301C, `gbk` has no 0x80,
//! `latin1` is cp1252 with its five holes filled by C1 controls), and a snapshot reads text the server has converted.

mod collation;
mod multi;
mod single;
mod tables;
#[cfg(test)]
mod tests;
mod unicode;

use std::fmt;

use multi::Multi;
use single::Single;

/// A character set, found by the collation id a TABLE_MAP event or the catalog gives.
#[derive(Clone, Copy)]
pub struct Charset {
    name: &'static str,
    encoding: Encoding,
}

#[derive(Clone, Copy)]
enum Encoding {
    Binary,
    /// `utf8mb4`, and with it `utf8mb3` and `ascii`: where an old column holds more than its set allows, the server
    /// sends that unconverted too.
    Utf8,
    Utf16Be,
    Utf16Le,
    /// UTF-16 without surrogates.
    Ucs2,
    Utf32,
    Single(&'static Single),
    Multi(&'static Multi),
}

/// How a text came out; see [`Charset::decode_into`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Decoded {
    invalid: usize,
}

impl Decoded {
    /// Whether anything in the input had no character and was replaced.
    pub fn replaced(self) -> bool {
        self.invalid > 0
    }

    /// How many characters were replaced.
    pub fn invalid(self) -> usize {
        self.invalid
    }
}

impl Charset {
    /// The character set of a collation id of MySQL 5.7 to 9.7 or MariaDB 10 and 11, none if unknown.
    pub fn from_collation(collation: u16) -> Option<Self> {
        Self::from_name(collation::charset_name(collation)?)
    }

    /// The character set the server calls `name` (`SHOW CHARACTER SET`), none if unknown.
    pub fn from_name(name: &str) -> Option<Self> {
        tables::find(name)
    }

    /// The server's name of the character set.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the column holds bytes, not text.
    pub fn is_binary(&self) -> bool {
        matches!(self.encoding, Encoding::Binary)
    }

    /// Whether the column's bytes, where valid, are UTF-8 as they stand: `utf8mb4`, `utf8mb3` and `ascii`.
    pub fn is_utf8(&self) -> bool {
        matches!(self.encoding, Encoding::Utf8)
    }

    /// Appends the text of `bytes` to `out`; what is appended is always valid UTF-8.
    ///
    /// What is no character of the set is replaced and counted, never refused: the caller knows the column's policy.
    /// The replacement is the server's own, `?`, so that a snapshot (converted by the server) and the stream agree. The
    /// server sends [`is_utf8`](Self::is_utf8) columns unconverted, so there each malformed sequence becomes U+FFFD. [`is_binary`] columns
    /// are no text; their bytes are taken for UTF-8.
    ///
    /// [`is_binary`]: Self::is_binary
    pub fn decode_into(&self, bytes: &[u8], out: &mut Vec<u8>) -> Decoded {
        let invalid = match self.encoding {
            Encoding::Utf8 | Encoding::Binary => unicode::utf8(bytes, out),
            Encoding::Utf16Be => unicode::utf16(bytes, u16::from_be_bytes, out),
            Encoding::Utf16Le => unicode::utf16(bytes, u16::from_le_bytes, out),
            Encoding::Ucs2 => unicode::ucs2(bytes, out),
            Encoding::Utf32 => unicode::utf32(bytes, out),
            Encoding::Single(set) => set.decode_into(bytes, out),
            Encoding::Multi(set) => set.decode_into(bytes, out),
        };
        Decoded { invalid }
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charset").field(&self.name).finish()
    }
}

impl PartialEq for Charset {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Charset {}

/// What the server writes for bytes it has no character for.
const REPLACEMENT: u8 = b'?';

/// Appends a character, or [`REPLACEMENT`] where there is none; returns how many were replaced.
#[inline]
fn push(point: Option<char>, out: &mut Vec<u8>) -> usize {
    let Some(point) = point else {
        out.push(REPLACEMENT);
        return 1;
    };
    // `encode_utf8` gives a slice of unknown length; arrays of known length are stored without a call to copy them.
    let point = u32::from(point);
    let tail = |shift: u32| 0x80 | (point >> shift & 0x3f) as u8;
    match point {
        0..0x80 => out.push(point as u8),
        0x80..0x800 => out.extend_from_slice(&[0xc0 | (point >> 6) as u8, tail(0)]),
        0x800..0x1_0000 => out.extend_from_slice(&[0xe0 | (point >> 12) as u8, tail(6), tail(0)]),
        _ => out.extend_from_slice(&[0xf0 | (point >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
    0
}

/// Splits off the ASCII characters `bytes` starts with.
fn split_ascii(bytes: &[u8]) -> (&[u8], &[u8]) {
    // Most text is all ASCII or none: `is_ascii` looks at many bytes at once.
    if bytes.is_ascii() {
        return (bytes, &[]);
    }
    bytes.split_at(bytes.iter().take_while(|byte| byte.is_ascii()).count())
}
