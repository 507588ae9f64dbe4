//! East Asian sets of one to four bytes a character, all with ASCII in place.

use super::single::{NONE, Single, UNITS};
use super::{push, split_ascii};

/// No character, but a code the server steps over whole.
const WHOLE: u16 = 0xfffe;
/// Leads the three-byte codes of the EUC sets.
const EUC_THREE_BYTES: u8 = 0x8f;
/// Lead bytes are 0x80 and up.
const LEADS: usize = 128;

/// A set of a table file; `tests/charsets/generate.py` describes the layout.
pub(super) struct Multi {
    single: Single,
    two_bytes: Plane,
    /// The EUC sets: what follows [`EUC_THREE_BYTES`].
    three_bytes: Option<Plane>,
    /// gb18030.
    four_bytes: Option<FourBytes>,
}

struct Plane {
    /// Bit sets of the bytes of which any pair is one code.
    leads: [u8; 32],
    trails: [u8; 32],
    rows: [Row; LEADS],
    /// Code points, two bytes each, little-endian.
    points: &'static [u8],
}

#[derive(Clone, Copy)]
struct Row {
    /// First trail byte, and how many follow it.
    first: u8,
    len: u8,
    /// Of its first code point in [`Plane::points`].
    start: u16,
}

/// The four-byte codes of gb18030, numbered from 81308130.
struct FourBytes {
    /// Number of the first code and its code point, two bytes each, little-endian, in order of both.
    ranges: &'static [u8],
    /// First number of the basic plane without a character.
    basic_end: u32,
}

/// What a code stands for and how many bytes it takes.
struct Code {
    point: Option<char>,
    len: usize,
}

impl Multi {
    pub(super) const fn two_bytes(table: &'static [u8]) -> Self {
        let (two_bytes, _) = Plane::new(table.split_at(2 * UNITS).1);
        Self::new(table, two_bytes, None, None)
    }

    pub(super) const fn euc(table: &'static [u8]) -> Self {
        let (two_bytes, rest) = Plane::new(table.split_at(2 * UNITS).1);
        let (three_bytes, _) = Plane::new(rest);
        Self::new(table, two_bytes, Some(three_bytes), None)
    }

    pub(super) const fn gb18030(table: &'static [u8]) -> Self {
        let (two_bytes, rest) = Plane::new(table.split_at(2 * UNITS).1);
        Self::new(table, two_bytes, None, Some(FourBytes::new(rest)))
    }

    const fn new(
        table: &'static [u8],
        two_bytes: Plane,
        three_bytes: Option<Plane>,
        four_bytes: Option<FourBytes>,
    ) -> Self {
        let single = Single::new(table);
        assert!(single.is_ascii(), "multi-byte sets have ASCII in place");
        Self { single, two_bytes, three_bytes, four_bytes }
    }

    /// Returns how many codes were replaced.
    pub(super) fn decode_into(&self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        out.reserve(bytes.len());
        let (plain, mut rest) = split_ascii(bytes);
        out.extend_from_slice(plain);
        let mut invalid = 0;
        while let Some((&first, tail)) = rest.split_first() {
            if first.is_ascii() {
                out.push(first);
                rest = tail;
                continue;
            }
            let code = self.code(first, tail);
            invalid += push(code.point, out);
            rest = rest.get(code.len..).unwrap_or_default();
        }
        invalid
    }

    /// The code that `first`, not ASCII, and then `tail` start with. Malformed ones are stepped over by one byte, as in
    /// the server; one cut short at the end takes all that is left.
    fn code(&self, first: u8, tail: &[u8]) -> Code {
        let point = self.single.point(first);
        if point != NONE {
            return Code { point: char::from_u32(point.into()), len: 1 };
        }
        let &[second, ref tail @ ..] = tail else {
            return Code { point: None, len: 1 };
        };
        if let (Some(plane), EUC_THREE_BYTES) = (&self.three_bytes, first) {
            return match tail.first() {
                Some(&third) => plane.code(second, third, 3),
                None if bit(&plane.leads, second) => Code { point: None, len: 2 },
                None => Code { point: None, len: 1 },
            };
        }
        match &self.four_bytes {
            Some(four_bytes) if second.is_ascii_digit() && bit(&self.two_bytes.leads, first) => {
                four_bytes.code(first, second, tail)
            }
            _ => self.two_bytes.code(first, second, 2),
        }
    }
}

impl Plane {
    /// Reads a plane; returns it and what follows it.
    const fn new(table: &'static [u8]) -> (Self, &'static [u8]) {
        let (leads, table) = table.split_at(32);
        let (trails, table) = table.split_at(32);
        let (header, table) = table.split_at(2 * LEADS);
        let (len, table) = table.split_at(2);
        let (points, rest) = table.split_at(2 * u16::from_le_bytes([len[0], len[1]]) as usize);
        let mut rows = [Row { first: 0, len: 0, start: 0 }; LEADS];
        let mut start = 0;
        let mut lead = 0;
        while lead < LEADS {
            let (first, len) = (header[2 * lead], header[2 * lead + 1]);
            rows[lead] = Row { first, len, start };
            start += len as u16;
            lead += 1;
        }
        (Self { leads: bit_set(leads), trails: bit_set(trails), rows, points }, rest)
    }

    /// The code of `len` bytes that ends with `lead` and `trail`.
    fn code(&self, lead: u8, trail: u8, len: usize) -> Code {
        match self.point(lead, trail) {
            Some(NONE) | None if bit(&self.leads, lead) && bit(&self.trails, trail) => Code { point: None, len },
            Some(WHOLE) => Code { point: None, len },
            Some(NONE) | None => Code { point: None, len: 1 },
            Some(point) => Code { point: char::from_u32(point.into()), len },
        }
    }

    fn point(&self, lead: u8, trail: u8) -> Option<u16> {
        let row = self.rows.get(usize::from(lead).checked_sub(LEADS)?)?;
        let column = trail.checked_sub(row.first).filter(|column| *column < row.len)?;
        let at = 2 * (usize::from(row.start) + usize::from(column));
        self.points.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
    }
}

impl FourBytes {
    const fn new(table: &'static [u8]) -> Self {
        let (len, table) = table.split_at(2);
        let (ranges, end) = table.split_at(4 * (u16::from_le_bytes([len[0], len[1]]) as usize - 1));
        Self { ranges, basic_end: u16::from_le_bytes([end[0], end[1]]) as u32 }
    }

    /// The four-byte code of `first`, `second` (a digit) and `tail`: lead byte, digit, lead byte, digit.
    fn code(&self, first: u8, second: u8, tail: &[u8]) -> Code {
        let is_lead = |byte: u8| (0x81..=0xfe).contains(&byte);
        match *tail {
            [third, fourth, ..] if is_lead(third) && fourth.is_ascii_digit() => {
                let digits = [(first, 0x81, 10), (second, b'0', 126), (third, 0x81, 10), (fourth, b'0', 1)];
                let index = digits
                    .iter()
                    .fold(0, |sum, &(byte, zero, next)| (sum + u32::from(byte.saturating_sub(zero))) * next);
                Code { point: self.point(index), len: 4 }
            }
            [third] if is_lead(third) => Code { point: None, len: 3 },
            [] => Code { point: None, len: 2 },
            _ => Code { point: None, len: 1 },
        }
    }

    fn point(&self, index: u32) -> Option<char> {
        /// Number of the code 90308130, which is U+10000; the rest follow in order.
        const SUPPLEMENTARY: u32 = 189_000;
        if let Some(above) = index.checked_sub(SUPPLEMENTARY) {
            return char::from_u32(0x1_0000 + above);
        }
        if index >= self.basic_end {
            return None;
        }
        let (ranges, _) = self.ranges.as_chunks();
        let split = |&[a, b, c, d]: &[u8; 4]| (u32::from(u16::from_le_bytes([a, b])), u16::from_le_bytes([c, d]));
        let at = ranges.partition_point(|range| split(range).0 <= index).checked_sub(1)?;
        let (start, point) = split(ranges.get(at)?);
        char::from_u32(u32::from(point) + (index - start))
    }
}

const fn bit_set(bytes: &[u8]) -> [u8; 32] {
    let mut set = [0; 32];
    let mut n = 0;
    while n < set.len() {
        set[n] = bytes[n];
        n += 1;
    }
    set
}

fn bit(set: &[u8; 32], byte: u8) -> bool {
    set[usize::from(byte / 8)] >> (byte % 8) & 1 == 1
}
