//! Documents that the server printed: the same limit on their strings as where Tailwater prints them.

/// Appends a printed document with its strings cut to `string_max` bytes each, counted before they were escaped. Answers whether
/// any was cut.
pub(crate) fn copy_within(document: &[u8], string_max: usize, out: &mut Vec<u8>) -> bool {
    // A printed string is never shorter than the string itself.
    if document.len() <= string_max {
        out.extend_from_slice(document);
        return false;
    }
    let mut cut = false;
    let mut rest = document;
    while let Some(quote) = rest.iter().position(|byte| *byte == b'"') {
        let (outside, from) = rest.split_at(quote);
        out.extend_from_slice(outside);
        let body = from.get(1..).unwrap_or_default();
        let (kept, end) = string(body, string_max);
        cut |= kept < end;
        out.push(b'"');
        out.extend_from_slice(body.get(..kept).unwrap_or_default());
        out.push(b'"');
        rest = body.get(end + 1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    cut
}

/// Of a printed string: how much of it fits, and where its closing quote is.
fn string(body: &[u8], string_max: usize) -> (usize, usize) {
    let (mut at, mut bytes) = (0, 0);
    let mut kept = None;
    while let Some(&byte) = body.get(at) {
        let (printed, meant) = match byte {
            b'"' => break,
            // Only control characters are printed as \u00xx: one byte each.
            b'\\' if body.get(at + 1) == Some(&b'u') => (6, 1),
            b'\\' => (2, 1),
            0xf0.. => (4, 4),
            0xe0.. => (3, 3),
            0xc0.. => (2, 2),
            _ => (1, 1),
        };
        bytes += meant;
        if bytes > string_max && kept.is_none() {
            kept = Some(at);
        }
        at += printed;
    }
    let end = at.min(body.len());
    (kept.unwrap_or(end), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_cut_where_the_printer_cuts_them() {
        let within = |text: &str, max| {
            let mut out = Vec::new();
            let cut = copy_within(text.as_bytes(), max, &mut out);
            (String::from_utf8_lossy(&out).into_owned(), cut)
        };
        let document = r#"{"key": ["abcdef", "a\"b\u0001c", "жжж", 12345678], "b": "x"}"#;
        assert_eq!(within(document, 1000), (document.to_owned(), false));
        assert_eq!(
            within(document, 5),
            (r#"{"key": ["abcde", "a\"b\u0001c", "жж", 12345678], "b": "x"}"#.to_owned(), true)
        );
        assert_eq!(within(r#""a\"b\u0001cd""#, 4), (r#""a\"b\u0001""#.to_owned(), true));
        // Bytes that are no text are a string of ASCII like any other.
        assert_eq!(within(r#""base64:type15:YWJj""#, 9), (r#""base64:ty""#.to_owned(), true));
        assert!(within(r#""unclosed"#, 3).1);
    }
}
