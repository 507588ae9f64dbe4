//! Values JSON has no type for, kept as a column type and its bytes: decimals, temporals and
//! binary strings.

use super::number::{padded, unsigned};
use super::{JsonError, Printer, first};

/// Column type codes of the protocol that have a text form of their own inside JSON.
mod column {
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const VAR_STRING: u8 = 253;
}

/// Digits in one full group of a packed decimal, and the bytes it takes.
const GROUP_DIGITS: usize = 9;
const GROUP_BYTES: usize = 4;
/// Bytes of a group that holds fewer than nine digits.
const PARTIAL_BYTES: [usize; GROUP_DIGITS] = [0, 1, 1, 2, 2, 3, 3, 4, 4];
/// The server's own arithmetic carries at most nine groups.
const DECIMAL_DIGITS_MAX: usize = 9 * GROUP_DIGITS;

impl Printer<'_> {
    pub(super) fn opaque(&mut self, column_type: u8, data: &[u8]) -> Result<(), JsonError> {
        let printed = match column_type {
            column::NEWDECIMAL => decimal(data, self.out),
            column::DATE => temporal(data).and_then(|v| date(v, self.out)),
            column::DATETIME | column::TIMESTAMP => temporal(data).and_then(|v| datetime(v, self.out)),
            column::TIME => temporal(data).map(|v| time(v, self.out)),
            column::VAR_STRING => {
                let text = self.cut(data);
                self.string(text);
                Some(())
            }
            _ => {
                let start = self.out.len() + 1;
                self.out.extend_from_slice(b"\"base64:type");
                unsigned(column_type.into(), self.out);
                self.out.push(b':');
                base64(data, self.out);
                if self.out.len() - start > self.string_max {
                    // ASCII: every byte is a character.
                    self.out.truncate(start + self.string_max);
                    self.cut = true;
                }
                self.out.push(b'"');
                Some(())
            }
        };
        printed.ok_or(JsonError::MalformedOpaque(column_type))
    }
}

/// The packed form of all temporals: 24 bits of microseconds below the rest, the sign for all.
fn temporal(data: &[u8]) -> Option<i64> {
    if data.len() != 8 {
        return None;
    }
    first(data).ok().map(i64::from_le_bytes)
}

fn microseconds(packed: u64, out: &mut Vec<u8>) {
    out.push(b'.');
    padded(packed & 0xff_ffff, 6, out);
}

fn clock(hour: u64, packed: u64, out: &mut Vec<u8>) {
    padded(hour, if hour < 100 { 2 } else { 3 }, out);
    out.push(b':');
    padded(packed >> 30 & 0x3f, 2, out);
    out.push(b':');
    padded(packed >> 24 & 0x3f, 2, out);
    microseconds(packed, out);
}

/// Bits 46 and up: year × 13 + month; 41..46: day. Zero and partial dates print as they are.
fn calendar(packed: u64, out: &mut Vec<u8>) -> Option<()> {
    let year_month = packed >> 46;
    let year = year_month / 13;
    // Only a damaged value is beyond the four digits of a year.
    if year > 9999 {
        return None;
    }
    padded(year, 4, out);
    out.push(b'-');
    padded(year_month % 13, 2, out);
    out.push(b'-');
    padded(packed >> 41 & 0x1f, 2, out);
    Some(())
}

fn date(value: i64, out: &mut Vec<u8>) -> Option<()> {
    let packed = u64::try_from(value).ok()?;
    out.push(b'"');
    calendar(packed, out)?;
    out.push(b'"');
    Some(())
}

fn datetime(value: i64, out: &mut Vec<u8>) -> Option<()> {
    let packed = u64::try_from(value).ok()?;
    out.push(b'"');
    calendar(packed, out)?;
    out.push(b' ');
    clock(packed >> 36 & 0x1f, packed, out);
    out.push(b'"');
    Some(())
}

fn time(value: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    if value < 0 {
        out.push(b'-');
    }
    let packed = value.unsigned_abs();
    clock(packed >> 36 & 0x3ff, packed, out);
    out.push(b'"');
}

/// Precision, scale, then the digits as in a DECIMAL column: groups of nine in four bytes,
/// big-endian, the short group at either end; top bit set = positive, all bits inverted = negative.
fn decimal(data: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (&[precision, scale], packed) = data.split_first_chunk()?;
    let (precision, scale) = (usize::from(precision), usize::from(scale));
    let whole = precision.checked_sub(scale)?;
    if precision == 0 || precision > DECIMAL_DIGITS_MAX {
        return None;
    }
    let groups = |digits: usize| {
        let partial = PARTIAL_BYTES.get(digits % GROUP_DIGITS);
        digits / GROUP_DIGITS * GROUP_BYTES + partial.copied().unwrap_or(0)
    };
    if packed.len() != groups(whole) + groups(scale) {
        return None;
    }
    let positive = packed.first()? & 0x80 != 0;
    if !positive {
        out.push(b'-');
    }
    let mut reader = Groups { packed, flip: if positive { 0 } else { 0xff }, sign: 0x80 };
    reader.whole_digits(whole, out)?;
    if scale > 0 {
        out.push(b'.');
        reader.fraction_digits(scale, out)?;
    }
    Some(())
}

struct Groups<'a> {
    packed: &'a [u8],
    flip: u8,
    /// The inverted sign bit, in the first byte only.
    sign: u8,
}

impl Groups<'_> {
    fn next(&mut self, digits: usize) -> Option<u64> {
        let bytes = match digits {
            GROUP_DIGITS => GROUP_BYTES,
            partial => *PARTIAL_BYTES.get(partial)?,
        };
        let (group, rest) = self.packed.split_at_checked(bytes)?;
        self.packed = rest;
        let mut value = 0;
        for &byte in group {
            value = value << 8 | u64::from(byte ^ self.flip ^ self.sign);
            self.sign = 0;
        }
        // A group that holds more than its digits is damage.
        let limit = 10u64.pow(digits as u32);
        (value < limit).then_some(value)
    }

    /// Without leading zeros, but with one digit at least.
    fn whole_digits(&mut self, digits: usize, out: &mut Vec<u8>) -> Option<()> {
        let mut seen = false;
        let partial = digits % GROUP_DIGITS;
        let sizes = (partial > 0).then_some(partial).into_iter();
        for size in sizes.chain(std::iter::repeat_n(GROUP_DIGITS, digits / GROUP_DIGITS)) {
            let value = self.next(size)?;
            if seen {
                padded(value, size, out);
            } else if value > 0 {
                unsigned(value, out);
                seen = true;
            }
        }
        if !seen {
            out.push(b'0');
        }
        Some(())
    }

    fn fraction_digits(&mut self, digits: usize, out: &mut Vec<u8>) -> Option<()> {
        let partial = digits % GROUP_DIGITS;
        let sizes = std::iter::repeat_n(GROUP_DIGITS, digits / GROUP_DIGITS);
        for size in sizes.chain((partial > 0).then_some(partial)) {
            let value = self.next(size)?;
            padded(value, size, out);
        }
        Some(())
    }
}

/// The server's base64 breaks lines after 76 characters, and JSON writes a line break as `\n`.
const BASE64_LINE_BYTES: usize = 76 / 4 * 3;

fn base64(data: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32, shift: u32| ALPHABET[(bits >> shift & 0x3f) as usize];
    let mut line_break: &[u8] = b"";
    for line in data.chunks(BASE64_LINE_BYTES) {
        out.extend_from_slice(line_break);
        line_break = b"\\n";
        for group in line.chunks(3) {
            let byte = |i: usize| group.get(i).copied().map_or(0, u32::from);
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            out.push(digit(bits, 18));
            out.push(digit(bits, 12));
            out.push(if group.len() > 1 { digit(bits, 6) } else { b'=' });
            out.push(if group.len() > 2 { digit(bits, 0) } else { b'=' });
        }
    }
}
