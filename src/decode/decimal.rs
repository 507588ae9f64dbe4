//! MySQL's packed DECIMAL: groups of nine digits in four big-endian bytes, with short groups at both ends.
//!
//! Layout: MySQL source documentation, `decimal2bin`. The first bit is inverted so that bytes sort as numbers; negative
//! numbers have all bytes complemented.

use super::temporal::write_padded;

/// Bytes that hold 0 to 8 leftover digits, and 9.
const BYTES_OF_DIGITS: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
const POWERS: [u32; 10] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
/// DECIMAL(65, s) takes at most 32 bytes.
const BYTES_MAX: usize = 32;

/// Where the digit groups of a DECIMAL(p, s) lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    precision: u8,
    /// Digits of the first, short group.
    lead: u8,
    whole_groups: u8,
    fraction_groups: u8,
    /// Digits of the last, short group.
    tail: u8,
    bytes: u8,
}

/// The bytes are no number of their shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDecimal;

impl Shape {
    /// The shape of a declaration; `None` beyond MySQL's limits (65 digits, 30 of them behind the point; MariaDB 38).
    pub(super) fn new(precision: u8, scale: u8) -> Option<Self> {
        let whole = precision.checked_sub(scale)?;
        if precision == 0 || precision > 65 {
            return None;
        }
        let leftover = |digits: u8| BYTES_OF_DIGITS.get(usize::from(digits % 9)).copied().unwrap_or(0);
        let bytes = leftover(whole) + leftover(scale) + 4 * (whole / 9 + scale / 9);
        Some(Self {
            precision,
            lead: whole % 9,
            whole_groups: whole / 9,
            fraction_groups: scale / 9,
            tail: scale % 9,
            bytes,
        })
    }

    /// Stored size.
    #[inline]
    pub(super) fn bytes(self) -> usize {
        usize::from(self.bytes)
    }

    /// Calls `group` with every group's value and its digits, most significant first; returns whether the number is
    /// negative.
    #[inline(always)]
    fn groups(self, packed: &[u8], mut group: impl FnMut(u32, u8)) -> Result<bool, NotDecimal> {
        let mut buffer = [0_u8; BYTES_MAX];
        let bytes = buffer.get_mut(..packed.len()).ok_or(NotDecimal)?;
        bytes.copy_from_slice(packed);
        let first = bytes.first_mut().ok_or(NotDecimal)?;
        let negative = *first & 0x80 == 0;
        *first ^= 0x80;
        if negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        let mut rest: &[u8] = bytes;
        let mut take = |digits: u8| {
            let size = BYTES_OF_DIGITS.get(usize::from(digits)).copied().unwrap_or(0);
            let (head, tail) = rest.split_at_checked(usize::from(size)).ok_or(NotDecimal)?;
            rest = tail;
            let value = head.iter().fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
            let limit = POWERS.get(usize::from(digits)).copied().unwrap_or(0);
            if value >= limit {
                return Err(NotDecimal);
            }
            group(value, digits);
            Ok(())
        };
        if self.lead > 0 {
            take(self.lead)?;
        }
        for _ in 0..self.whole_groups + self.fraction_groups {
            take(9)?;
        }
        if self.tail > 0 {
            take(self.tail)?;
        }
        Ok(negative)
    }

    /// The number without its point. The precision must be at most 38.
    #[inline]
    pub(super) fn unscaled(self, packed: &[u8]) -> Result<i128, NotDecimal> {
        let power = |digits: u8| POWERS.get(usize::from(digits)).copied().unwrap_or(1);
        if self.precision <= 18 {
            // One multiplication per group in one register instead of four.
            let mut value = 0_u64;
            let negative = self.groups(packed, |group, digits| {
                value = value.wrapping_mul(u64::from(power(digits))).wrapping_add(u64::from(group));
            })?;
            let value = i128::from(value);
            return Ok(if negative { -value } else { value });
        }
        let mut value = 0_i128;
        let negative = self.groups(packed, |group, digits| {
            value = value.wrapping_mul(i128::from(power(digits))).wrapping_add(i128::from(group));
        })?;
        Ok(if negative { -value } else { value })
    }

    fn scale(self) -> usize {
        usize::from(self.fraction_groups) * 9 + usize::from(self.tail)
    }

    /// Sign, whole digits without leading zeros (ZEROFILL columns have some) and fraction of a printed number.
    fn parts(self, text: &[u8]) -> Result<(bool, &[u8], &[u8]), NotDecimal> {
        let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
        let point = digits.iter().position(|b| *b == b'.');
        let (whole, fraction) = match point {
            Some(point) => (digits.get(..point).ok_or(NotDecimal)?, digits.get(point + 1..).ok_or(NotDecimal)?),
            None => (digits, &[][..]),
        };
        let zeros = whole.iter().take_while(|b| **b == b'0').count();
        let whole = whole.get(zeros..).ok_or(NotDecimal)?;
        let numeric = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        let fits = whole.len() + self.scale() <= usize::from(self.precision) && fraction.len() == self.scale();
        if numeric && fits && !digits.is_empty() { Ok((negative, whole, fraction)) } else { Err(NotDecimal) }
    }

    /// The number without its point, from its printed form. The precision must be at most 38.
    pub(super) fn unscaled_text(self, text: &[u8]) -> Result<i128, NotDecimal> {
        let (negative, whole, fraction) = self.parts(text)?;
        let digits = whole.iter().chain(fraction);
        let value = digits.fold(0_i128, |value, digit| value.wrapping_mul(10).wrapping_add(i128::from(digit - b'0')));
        Ok(if negative { -value } else { value })
    }

    /// Appends a printed number in the form of [`write_text`](Self::write_text).
    pub(super) fn normal_text(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), NotDecimal> {
        let (negative, whole, fraction) = self.parts(text)?;
        if negative && whole.iter().chain(fraction).any(|digit| *digit != b'0') {
            out.push(b'-');
        }
        out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
        if self.scale() > 0 {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        Ok(())
    }

    /// Appends the number as MySQL prints it.
    pub(super) fn write_text(self, packed: &[u8], out: &mut Vec<u8>) -> Result<(), NotDecimal> {
        let mut digits = Vec::with_capacity(usize::from(self.precision));
        let negative = self.groups(packed, |group, width| write_padded(group, usize::from(width), &mut digits))?;
        let scale = self.scale();
        let (whole, fraction) = digits.split_at_checked(digits.len() - scale).ok_or(NotDecimal)?;
        if negative && digits.iter().any(|digit| *digit != b'0') {
            out.push(b'-');
        }
        let significant = whole.iter().position(|digit| *digit != b'0').unwrap_or(whole.len());
        match whole.get(significant..) {
            Some(whole) if !whole.is_empty() => out.extend_from_slice(whole),
            _ => out.push(b'0'),
        }
        if scale > 0 {
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(p: u8, s: u8, packed: &[u8]) -> String {
        let mut out = Vec::new();
        Shape::new(p, s).unwrap().write_text(packed, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sizes_and_values_seen_on_a_server() {
        assert_eq!(Shape::new(65, 30).unwrap().bytes(), 30);
        assert_eq!(Shape::new(9, 9).unwrap().unscaled(&[0x7f, 0xff, 0xff, 0xfe]), Ok(-1));
        assert_eq!(Shape::new(1, 0).unwrap().unscaled(&[0x7e]), Ok(-1));
        // 1234567890.1234, the example of the manual.
        let packed = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        assert_eq!(Shape::new(14, 4).unwrap().unscaled(&packed), Ok(12_345_678_901_234));
        let negative: Vec<u8> = packed.iter().map(|b| !b).collect();
        assert_eq!(Shape::new(14, 4).unwrap().unscaled(&negative), Ok(-12_345_678_901_234));
        assert_eq!(text(14, 4, &negative), "-1234567890.1234");
    }

    #[test]
    fn wide_numbers_keep_every_digit() {
        let shape = Shape::new(38, 0).unwrap();
        let mut packed = vec![0x80 | 99];
        packed.extend([0x3b, 0x9a, 0xc9, 0xff].repeat(4));
        assert_eq!(shape.bytes(), packed.len());
        assert_eq!(shape.unscaled(&packed), Ok(10_i128.pow(38) - 1));
        assert_eq!(text(38, 0, &packed), "9".repeat(38));
        assert_eq!(text(3, 3, &[0x80, 0x01]), "0.001");
        assert_eq!(text(3, 3, &[0x7f, 0xff]), "0.000");
    }

    #[test]
    fn impossible_groups_are_refused() {
        assert_eq!(Shape::new(2, 0).unwrap().unscaled(&[0xff]), Err(NotDecimal));
        assert_eq!(Shape::new(2, 0).unwrap().unscaled(&[]), Err(NotDecimal));
        assert!(Shape::new(66, 0).is_none() && Shape::new(3, 4).is_none() && Shape::new(0, 0).is_none());
    }
}
