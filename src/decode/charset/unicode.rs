//! The Unicode encodings.

use super::push;

/// Returns how many malformed sequences were replaced by U+FFFD.
pub(super) fn utf8(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    if let Ok(text) = std::str::from_utf8(bytes) {
        out.extend_from_slice(text.as_bytes());
        return 0;
    }
    let mut invalid = 0;
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            invalid += 1;
        }
    }
    invalid
}

/// Code units in the byte order `unit` reads; a lone surrogate or half a unit is replaced.
pub(super) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut Vec<u8>) -> usize {
    let (units, rest) = bytes.as_chunks();
    let points = char::decode_utf16(units.iter().map(|&bytes| unit(bytes)));
    let invalid: usize = points.map(|point| push(point.ok(), out)).sum();
    invalid + cut(rest, out)
}

/// A surrogate is no character here, also not in a pair.
pub(super) fn ucs2(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let (units, rest) = bytes.as_chunks();
    let points = units.iter().map(|&bytes| char::from_u32(u16::from_be_bytes(bytes).into()));
    let invalid: usize = points.map(|point| push(point, out)).sum();
    invalid + cut(rest, out)
}

pub(super) fn utf32(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let (units, rest) = bytes.as_chunks();
    let points = units.iter().map(|&bytes| char::from_u32(u32::from_be_bytes(bytes)));
    let invalid: usize = points.map(|point| push(point, out)).sum();
    invalid + cut(rest, out)
}

/// A character cut short at the end.
fn cut(rest: &[u8], out: &mut Vec<u8>) -> usize {
    if rest.is_empty() { 0 } else { push(None, out) }
}
