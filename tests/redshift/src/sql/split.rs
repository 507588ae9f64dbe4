//! Cutting the text of a simple query into statements.

/// Cuts at every semicolon outside of quotes and comments. Empty statements are left out.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\'' => at = quoted(bytes, at, b'\'', true),
            b'"' => at = quoted(bytes, at, b'"', false),
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = line_comment(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = block_comment(bytes, at),
            b'$' => at = dollar_quoted(text, at),
            b';' => {
                parts.push(&text[start..at]);
                at += 1;
                start = at;
            }
            _ => at += 1,
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !is_blank(part));
    parts
}

/// The place behind a quoted text that begins at `at`.
fn quoted(bytes: &[u8], at: usize, quote: u8, backslash: bool) -> usize {
    let mut at = at + 1;
    while let Some(&byte) = bytes.get(at) {
        if backslash && byte == b'\\' {
            at += 2;
        } else if byte == quote {
            return at + 1;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn line_comment(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| at + length + 1)
}

/// Block comments nest, as in PostgreSQL.
fn block_comment(bytes: &[u8], at: usize) -> usize {
    let (mut at, mut depth) = (at + 2, 1);
    while depth > 0 {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'*'), Some(b'/')) => (at, depth) = (at + 2, depth - 1),
            (Some(b'/'), Some(b'*')) => (at, depth) = (at + 2, depth + 1),
            (Some(_), _) => at += 1,
            (None, _) => return bytes.len(),
        }
    }
    at
}

fn dollar_quoted(text: &str, at: usize) -> usize {
    let rest = &text[at + 1..];
    let Some(end) = rest.find('$') else { return at + 1 };
    let tag = &rest[..end];
    if !tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || tag.starts_with(|c: char| c.is_ascii_digit()) {
        return at + 1;
    }
    let body = at + end + 2;
    let close = format!("${tag}$");
    text[body..].find(&close).map_or(text.len(), |length| body + length + close.len())
}

/// Whether there is nothing but white space and comments.
fn is_blank(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = line_comment(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = block_comment(bytes, at),
            _ if byte.is_ascii_whitespace() => at += 1,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn semicolons_in_quotes_and_comments_do_not_count() {
        assert_eq!(split("a; b;"), ["a", " b"]);
        assert_eq!(split(r"select 'x;\';' ; b"), [r"select 'x;\';' ", " b"]);
        assert_eq!(split("a -- ; \n ; /* ; /* ; */ */ ;"), ["a -- ; \n "]);
        assert_eq!(split("select \";\"; x $$;$$"), ["select \";\"", " x $$;$$"]);
        assert_eq!(split(" ;; \n -- nothing"), Vec::<&str>::new());
        assert_eq!(split("'open;"), ["'open;"]);
    }
}
