//! Numbers as the server prints them inside a JSON text.

use super::JsonError;

/// Between these two positions of the decimal point (value = 0.digits × 10^point) the server
/// writes a double in full, outside them with an exponent: 15 is `DBL_DIG`. Measured on MySQL 9.7.
const PLAIN_POINT: std::ops::RangeInclusive<i32> = -14..=15;

const DIGIT_PAIRS: [u8; 200] = digit_pairs();

const fn digit_pairs() -> [u8; 200] {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[2 * n] = b'0' + (n / 10) as u8;
        pairs[2 * n + 1] = b'0' + (n % 10) as u8;
        n += 1;
    }
    pairs
}

pub(super) fn unsigned(mut value: u64, out: &mut Vec<u8>) {
    // 20 digits are 2^64.
    let mut digits = [0; 20];
    let mut at = digits.len();
    while value >= 10 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at] = DIGIT_PAIRS[pair];
        digits[at + 1] = DIGIT_PAIRS[pair + 1];
    }
    if value > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

pub(super) fn signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// The last `width` (at most 20) decimal digits of `value`, with leading zeros.
pub(super) fn padded(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[digits.len().saturating_sub(width)..]);
}

/// The shortest digits that read back as `value`, laid out as the server does: in full or with an
/// exponent by [`PLAIN_POINT`], with `.0` where nothing else would say that it is a double.
pub(super) fn double(value: f64, out: &mut Vec<u8>) -> Result<(), JsonError> {
    if !value.is_finite() {
        return Err(JsonError::NotFinite);
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value == 0.0 {
        out.extend_from_slice(b"0.0");
        return Ok(());
    }
    let mut buffer = ryu::Buffer::new();
    let mut digits = [0; MAX_DIGITS];
    let (len, point) = parse(buffer.format_finite(value.abs()), &mut digits);
    let digits = &digits[..len];
    // A fraction shows that all digits are needed, so the number is written in full.
    let has_fraction = point > 0 && len > point as usize;
    if PLAIN_POINT.contains(&point) || has_fraction {
        plain(digits, point, out);
    } else {
        scientific(digits, point - 1, out);
    }
    Ok(())
}

/// A double needs at most 17 digits; Ryu pads whole numbers below 1e16 with zeros, which are
/// not kept.
const MAX_DIGITS: usize = 24;

/// Takes Ryu's text apart: the number of significant digits stored, and the position of the
/// decimal point relative to the first of them.
fn parse(text: &str, digits: &mut [u8; MAX_DIGITS]) -> (usize, i32) {
    let (mantissa, exponent) = match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().unwrap_or(0)),
        None => (text, 0),
    };
    let mut len = 0;
    let mut significant = 0;
    let mut point = 0;
    let mut after_point = false;
    for byte in mantissa.bytes() {
        if byte == b'.' {
            after_point = true;
            continue;
        }
        if len == 0 && byte == b'0' {
            // A leading zero: after the point it moves the point to the left.
            point -= i32::from(after_point);
            continue;
        }
        point += i32::from(!after_point);
        if let Some(slot) = digits.get_mut(len) {
            *slot = byte;
            len += 1;
            if byte != b'0' {
                significant = len;
            }
        }
    }
    (significant, point + exponent)
}

fn plain(digits: &[u8], point: i32, out: &mut Vec<u8>) {
    if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
        out.extend_from_slice(digits);
        return;
    }
    let point = point.unsigned_abs() as usize;
    match digits.split_at_checked(point) {
        Some((whole, fraction)) if !fraction.is_empty() => {
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        _ => {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', point - digits.len()));
            out.extend_from_slice(b".0");
        }
    }
}

fn scientific(digits: &[u8], exponent: i32, out: &mut Vec<u8>) {
    if let Some((first, rest)) = digits.split_first() {
        out.push(*first);
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
    }
    out.push(b'e');
    signed(exponent.into(), out);
}
