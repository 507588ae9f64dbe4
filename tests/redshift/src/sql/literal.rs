//! String literals: a backslash escapes, as in PostgreSQL 8.0 (L2).

/// What a literal stands for. `raw` is the text between the quotes, as written.
pub(crate) fn unescape(raw: &str) -> String {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\'' => {
                // The second of a doubled quote.
                rest.next_if_eq(&b'\'');
                text.push(b'\'');
            }
            b'\\' => match rest.next() {
                Some(b'b') => text.push(0x08),
                Some(b'f') => text.push(0x0c),
                Some(b'n') => text.push(b'\n'),
                Some(b'r') => text.push(b'\r'),
                Some(b't') => text.push(b'\t'),
                Some(first @ b'0'..=b'7') => {
                    let mut value = first - b'0';
                    for _ in 0..2 {
                        let Some(digit) = rest.next_if(u8::is_ascii_digit) else { break };
                        value = value.wrapping_mul(8).wrapping_add(digit - b'0');
                    }
                    text.push(value);
                }
                Some(other) => text.push(other),
                None => text.push(b'\\'),
            },
            other => text.push(other),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::unescape;

    #[test]
    fn backslashes_escape() {
        assert_eq!(unescape(r"a\\b"), r"a\b");
        assert_eq!(unescape(r"it\'s, it''s"), "it's, it's");
        assert_eq!(unescape(r"\n\t\101\%"), "\n\tA%");
        assert_eq!(unescape("ü"), "ü");
    }
}
