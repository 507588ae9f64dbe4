//! MySQL's binary JSON, as it stands in a row image, to the text MySQL prints for it.
//!
//! The layout is described in the server's `json_binary.h`: a type byte, then a body. Objects and
//! arrays start with an element count and their own size, then fixed-width entries (key offset and
//! length; value type and offset, or the value itself where it fits), then the keys and values the
//! offsets point at, counted from the start of the container. "Small" containers use 16-bit
//! counts and offsets, "large" ones 32-bit.
//!
//! A snapshot reads `SELECT json_col`, the stream reads this form. Both must give the same bytes,
//! or a row that never changed would look changed; so the text is the server's own, blank for
//! blank and digit for digit, and the tests compare against documents a server printed.

mod number;
mod opaque;
#[cfg(test)]
mod tests;
pub(crate) mod text;

use thiserror::Error;

/// Containers nested deeper than this are refused, by the server too (`JSON_DOCUMENT_MAX_DEPTH`).
/// It bounds the recursion here.
pub const DEPTH_MAX: usize = 100;

/// Why a binary document could not be printed. Any of these means damaged bytes or a column that
/// is not JSON; the text never says what the document holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonError {
    /// An offset, length or count points outside the document or its container.
    #[error("json document ends inside a value")]
    Truncated,
    /// Bytes belong to more than one value: offsets overlap.
    #[error("json document uses the same bytes for several values")]
    Overlap,
    /// Unknown value type byte.
    #[error("json value type {0:#04x} is unknown")]
    UnknownType(u8),
    /// A literal other than null, true and false.
    #[error("json literal {0:#04x} is unknown")]
    UnknownLiteral(u8),
    /// More than [`DEPTH_MAX`] nested containers.
    #[error("json document is nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// A length of more than 32 bits.
    #[error("json length does not fit 32 bits")]
    LengthOverflow,
    /// Infinity or NaN, which JSON cannot hold.
    #[error("json number is not finite")]
    NotFinite,
    /// A decimal or temporal value whose packed form is not one.
    #[error("json value of column type {0} is malformed")]
    MalformedOpaque(u8),
    /// A key or string that is not UTF-8.
    #[error("json text is not utf-8")]
    NotUtf8,
}

/// Appends the text of the binary document `doc` to `out`, exactly as MySQL prints it.
///
/// What is appended is valid UTF-8. A document of length 0 is the JSON null (the server stores
/// one where `INSERT IGNORE` or an `ALTER` had no better value). Bytes after the document are
/// ignored, as an in-place update may leave some.
///
/// Time and output are linear in `doc.len()` whatever the bytes are: in a well-formed document
/// every byte belongs to one value, so at most `doc.len()` bytes are ever read, and no byte read
/// gives more than six of output (`\u001f`), but for containers, decimals and doubles, whose output
/// is bounded by a small constant per byte of their own.
///
/// # Errors
/// Damaged bytes; `out` is then as it was.
pub fn write_text(doc: &[u8], out: &mut Vec<u8>) -> Result<(), JsonError> {
    write_text_within(doc, usize::MAX, out).map(|_| ())
}

/// As [`write_text`], with every string (not keys, which MySQL keeps below 64 KiB) cut behind the last whole character that
/// fits `string_max` bytes; answers whether one was.
///
/// # Errors
/// As [`write_text`].
pub fn write_text_within(doc: &[u8], string_max: usize, out: &mut Vec<u8>) -> Result<bool, JsonError> {
    let start = out.len();
    let result = print(doc, string_max, out).and_then(|cut| {
        let text = out.get(start..).unwrap_or_default();
        std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
        Ok(cut)
    });
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn print(doc: &[u8], string_max: usize, out: &mut Vec<u8>) -> Result<bool, JsonError> {
    let Some((&kind, body)) = doc.split_first() else {
        out.extend_from_slice(b"null");
        return Ok(false);
    };
    // One allocation for most documents: quotes, separators and digits about double the bytes.
    out.reserve(doc.len().saturating_mul(2));
    let mut printer = Printer { out, unread: body.len(), string_max, cut: false };
    printer.value(kind, body, 0)?;
    Ok(printer.cut)
}

mod kind {
    pub(super) const SMALL_OBJECT: u8 = 0x00;
    pub(super) const LARGE_OBJECT: u8 = 0x01;
    pub(super) const SMALL_ARRAY: u8 = 0x02;
    pub(super) const LARGE_ARRAY: u8 = 0x03;
    pub(super) const LITERAL: u8 = 0x04;
    pub(super) const INT16: u8 = 0x05;
    pub(super) const UINT16: u8 = 0x06;
    pub(super) const INT32: u8 = 0x07;
    pub(super) const UINT32: u8 = 0x08;
    pub(super) const INT64: u8 = 0x09;
    pub(super) const UINT64: u8 = 0x0a;
    pub(super) const DOUBLE: u8 = 0x0b;
    pub(super) const STRING: u8 = 0x0c;
    pub(super) const OPAQUE: u8 = 0x0f;
}

/// Width in bytes of counts and offsets in a small and in a large container.
const SMALL: usize = 2;
const LARGE: usize = 4;
/// A key entry is an offset and a 16-bit length in both forms.
const KEY_LENGTH: usize = 2;

struct Printer<'a> {
    out: &'a mut Vec<u8>,
    /// Bytes of the document not yet taken by a value; see [`write_text`] for why this is enough.
    unread: usize,
    /// Most bytes of a string.
    string_max: usize,
    /// Whether a string was cut.
    cut: bool,
}

impl Printer<'_> {
    fn take(&mut self, len: usize) -> Result<(), JsonError> {
        self.unread = self.unread.checked_sub(len).ok_or(JsonError::Overlap)?;
        Ok(())
    }

    /// Prints the value whose body starts `bytes`.
    fn value(&mut self, kind: u8, bytes: &[u8], depth: usize) -> Result<(), JsonError> {
        match kind {
            kind::SMALL_OBJECT => self.object::<SMALL>(bytes, depth + 1),
            kind::LARGE_OBJECT => self.object::<LARGE>(bytes, depth + 1),
            kind::SMALL_ARRAY => self.array::<SMALL>(bytes, depth + 1),
            kind::LARGE_ARRAY => self.array::<LARGE>(bytes, depth + 1),
            kind::STRING => {
                let text = self.data(bytes)?;
                let text = self.cut(text);
                self.string(text);
                Ok(())
            }
            kind::OPAQUE => {
                let (&column_type, rest) = bytes.split_first().ok_or(JsonError::Truncated)?;
                self.take(1)?;
                let data = self.data(rest)?;
                self.opaque(column_type, data)
            }
            _ => {
                let taken = self.scalar(kind, bytes)?;
                self.take(taken)
            }
        }
    }

    /// Prints a value of fixed width and returns that width in bytes.
    fn scalar(&mut self, kind: u8, bytes: &[u8]) -> Result<usize, JsonError> {
        let out = &mut *self.out;
        match kind {
            kind::LITERAL => {
                out.extend_from_slice(match bytes.first().ok_or(JsonError::Truncated)? {
                    0 => b"null",
                    1 => b"true",
                    2 => b"false",
                    other => return Err(JsonError::UnknownLiteral(*other)),
                });
                return Ok(1);
            }
            kind::INT16 => number::signed(i16::from_le_bytes(first(bytes)?).into(), out),
            kind::UINT16 => number::unsigned(u16::from_le_bytes(first(bytes)?).into(), out),
            kind::INT32 => number::signed(i32::from_le_bytes(first(bytes)?).into(), out),
            kind::UINT32 => number::unsigned(u32::from_le_bytes(first(bytes)?).into(), out),
            kind::INT64 => number::signed(i64::from_le_bytes(first(bytes)?), out),
            kind::UINT64 => number::unsigned(u64::from_le_bytes(first(bytes)?), out),
            kind::DOUBLE => number::double(f64::from_le_bytes(first(bytes)?), out)?,
            other => return Err(JsonError::UnknownType(other)),
        }
        Ok(match kind {
            kind::INT16 | kind::UINT16 => 2,
            kind::INT32 | kind::UINT32 => 4,
            _ => 8,
        })
    }

    /// Cuts a container to its own size and splits off its entries: `(container, entries)`.
    fn open<'d, const W: usize>(
        &mut self,
        bytes: &'d [u8],
        entry_width: usize,
        depth: usize,
    ) -> Result<(&'d [u8], &'d [u8]), JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        let count = integer::<W>(bytes)?;
        let size = integer::<W>(bytes.get(W..).unwrap_or_default())?;
        let container = bytes.get(..size).ok_or(JsonError::Truncated)?;
        // At most 2^32 entries of 11 bytes: no overflow in 64 bits, and checked all the same.
        let header = count.checked_mul(entry_width).and_then(|n| n.checked_add(2 * W));
        let header = header.ok_or(JsonError::Truncated)?;
        let entries = container.get(2 * W..header).ok_or(JsonError::Truncated)?;
        self.take(header)?;
        Ok((container, entries))
    }

    fn array<const W: usize>(&mut self, bytes: &[u8], depth: usize) -> Result<(), JsonError> {
        let (container, entries) = self.open::<W>(bytes, 1 + W, depth)?;
        let header = 2 * W + entries.len();
        self.out.push(b'[');
        let mut separator: &[u8] = b"";
        for entry in entries.chunks_exact(1 + W) {
            self.out.extend_from_slice(separator);
            separator = b", ";
            self.entry::<W>(container, header, entry, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object<const W: usize>(&mut self, bytes: &[u8], depth: usize) -> Result<(), JsonError> {
        let (container, entries) = self.open::<W>(bytes, W + KEY_LENGTH + 1 + W, depth)?;
        let header = 2 * W + entries.len();
        let count = entries.len() / (W + KEY_LENGTH + 1 + W);
        let (keys, values) = entries.split_at_checked(count * (W + KEY_LENGTH)).ok_or(JsonError::Truncated)?;
        self.out.push(b'{');
        let mut separator: &[u8] = b"";
        let entries = keys.chunks_exact(W + KEY_LENGTH).zip(values.chunks_exact(1 + W));
        for (key, value) in entries {
            self.out.extend_from_slice(separator);
            separator = b", ";
            let at = integer::<W>(key)?;
            let len = integer::<KEY_LENGTH>(key.get(W..).unwrap_or_default())?;
            let key = container.get(at..).and_then(|rest| rest.get(..len));
            self.take(len)?;
            self.string(key.ok_or(JsonError::Truncated)?);
            self.out.extend_from_slice(b": ");
            self.entry::<W>(container, header, value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Prints the value of one entry: held in the entry itself where it fits, else at an offset.
    fn entry<const W: usize>(
        &mut self,
        container: &[u8],
        header: usize,
        entry: &[u8],
        depth: usize,
    ) -> Result<(), JsonError> {
        let (&kind, rest) = entry.split_first().ok_or(JsonError::Truncated)?;
        match kind {
            kind::LITERAL | kind::INT16 | kind::UINT16 => {
                self.scalar(kind, rest)?;
                return Ok(());
            }
            kind::INT32 | kind::UINT32 if W == LARGE => {
                self.scalar(kind, rest)?;
                return Ok(());
            }
            _ => {}
        }
        let at = integer::<W>(rest)?;
        if at < header {
            return Err(JsonError::Overlap);
        }
        let bytes = container.get(at..).ok_or(JsonError::Truncated)?;
        self.value(kind, bytes, depth)
    }

    /// Reads a length (7 bits a byte, lowest first, top bit = more) and the bytes it counts.
    fn data<'d>(&mut self, bytes: &'d [u8]) -> Result<&'d [u8], JsonError> {
        let mut len = 0u64;
        // Five bytes carry 35 bits: all that a 32-bit length needs.
        for (i, &byte) in bytes.iter().take(5).enumerate() {
            len |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                let len = u32::try_from(len).map_err(|_| JsonError::LengthOverflow)? as usize;
                let rest = bytes.get(i + 1..).unwrap_or_default();
                self.take(i + 1 + len)?;
                return rest.get(..len).ok_or(JsonError::Truncated);
            }
        }
        Err(if bytes.len() < 5 { JsonError::Truncated } else { JsonError::LengthOverflow })
    }

    /// `text` without what is behind the last whole character within the limit.
    fn cut<'d>(&mut self, text: &'d [u8]) -> &'d [u8] {
        if text.len() <= self.string_max {
            return text;
        }
        self.cut = true;
        let mut end = self.string_max;
        while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        text.get(..end).unwrap_or_default()
    }

    /// Prints `text` in quotes. The server escapes the quote, the backslash and the control
    /// characters below space, nothing else: not `/`, not DEL, nothing outside ASCII.
    fn string(&mut self, text: &[u8]) {
        let out = &mut *self.out;
        out.push(b'"');
        let mut rest = text;
        loop {
            let (plain, tail) = rest.split_at(plain_prefix(rest));
            out.extend_from_slice(plain);
            let Some((&byte, tail)) = tail.split_first() else { break };
            escape(byte, out);
            rest = tail;
        }
        out.push(b'"');
    }
}

/// How many bytes `text` starts with that are printed as they are.
fn plain_prefix(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks();
    // Eight bytes at a time up to the word that holds an escape, then one by one.
    let skip = 8 * words.iter().take_while(|&&word| !word_needs_escape(u64::from_le_bytes(word))).count();
    let rest = text.get(skip..).unwrap_or_default();
    skip + rest.iter().take_while(|&&byte| !needs_escape(byte)).count()
}

/// Whether any of the eight bytes needs an escape. Borrows may also mark a byte above one that does, never one alone.
fn word_needs_escape(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) & (ONES * 0x80) != 0
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let short = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 0x0f));
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn first<const N: usize>(bytes: &[u8]) -> Result<[u8; N], JsonError> {
    bytes.first_chunk().copied().ok_or(JsonError::Truncated)
}

/// The little-endian integer of `W` bytes that starts `bytes`.
fn integer<const W: usize>(bytes: &[u8]) -> Result<usize, JsonError> {
    let value: [u8; W] = first(bytes)?;
    Ok(value.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
}
