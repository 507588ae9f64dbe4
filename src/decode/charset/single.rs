//! Sets of one byte a character.

use super::{push, split_ascii};

/// No character: neither U+FFFF nor U+FFFE is one.
pub(super) const NONE: u16 = 0xffff;
/// First byte values a table has units for.
pub(super) const UNITS: usize = 256;

/// The code point of each byte, [`NONE`] for a hole.
pub(super) struct Single {
    points: [u16; UNITS],
    /// Bytes below 0x80 are ASCII; `swe7` alone puts its letters there.
    ascii: bool,
}

impl Single {
    /// Reads the first 512 bytes of a table: `tests/charsets/generate.py` describes it.
    pub(super) const fn new(table: &[u8]) -> Self {
        let mut points = [0; UNITS];
        let mut ascii = true;
        let mut n = 0;
        while n < UNITS {
            points[n] = u16::from_le_bytes([table[2 * n], table[2 * n + 1]]);
            ascii = ascii && (n >= 0x80 || points[n] as usize == n);
            n += 1;
        }
        Self { points, ascii }
    }

    pub(super) const fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The code point of one byte.
    pub(super) fn point(&self, byte: u8) -> u16 {
        self.points[usize::from(byte)]
    }

    /// Returns how many bytes were replaced.
    pub(super) fn decode_into(&self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        out.reserve(bytes.len());
        let mut invalid = 0;
        let mut rest = bytes;
        if self.ascii {
            let (plain, tail) = split_ascii(bytes);
            out.extend_from_slice(plain);
            rest = tail;
        }
        for &byte in rest {
            match self.point(byte) {
                NONE => invalid += push(None, out),
                point => invalid += push(char::from_u32(point.into()), out),
            }
        }
        invalid
    }
}
