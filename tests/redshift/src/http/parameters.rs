//! Parameters of statements: `:name` in the text, a value as text.

/// A parameter of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) value: String,
}

/// The text with literals in place of the parameters. Redshift finds a literal's type from where it stands, as it
/// does a parameter's.
///
/// # Errors
/// When a name has no value; the second list of the result are the parameters that were used.
pub(super) fn bind(sql: &str, parameters: &[Parameter]) -> Result<(String, Vec<String>), String> {
    let mut bound = String::with_capacity(sql.len());
    let mut used = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if verbatim(rest) > 0 => verbatim(rest),
            ':' if rest.starts_with("::") => 2,
            ':' => {
                let name = &rest[1..];
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                let name = &name[..end];
                if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                    let parameter = parameters.iter().find(|parameter| parameter.name == name);
                    let parameter = parameter.ok_or_else(|| format!("Parameter {name} has no value"))?;
                    bound += &literal(&parameter.value);
                    used.push(name.to_owned());
                    rest = &rest[1 + end..];
                    continue;
                }
                1
            }
            _ => first.len_utf8(),
        };
        bound += &rest[..length];
        rest = &rest[length..];
    }
    Ok((bound, used))
}

/// Whether the text is one statement, with or without a semicolon at its end.
pub(super) fn is_single(sql: &str) -> bool {
    let mut rest = sql;
    let mut ended = false;
    while let Some(first) = rest.chars().next() {
        let comment = rest.starts_with("--") || rest.starts_with("/*");
        if ended && !comment && !first.is_whitespace() && first != ';' {
            return false;
        }
        ended |= first == ';';
        rest = &rest[verbatim(rest).max(first.len_utf8())..];
    }
    true
}

/// Bytes of the quoted piece or comment that the text begins with; 0 where it begins with neither.
fn verbatim(text: &str) -> usize {
    match text.as_bytes() {
        [b'\'', ..] => quoted(text, '\''),
        [b'"', ..] => quoted(text, '"'),
        [b'-', b'-', ..] => text.find('\n').unwrap_or(text.len()),
        [b'/', b'*', ..] => text.find("*/").map_or(text.len(), |end| end + 2),
        _ => 0,
    }
}

/// Bytes of a quoted piece, up to and with its last quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' && quote == '\'' {
            chars.next();
        } else if c == quote {
            // A doubled quote begins another quoted piece, which comes to the same.
            return at + 1;
        }
    }
    text.len()
}

/// A text of Redshift, where the backslash is an escape.
fn literal(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn bound(sql: &str) -> String {
        let parameters = [("id", "7"), ("name", "o'h\\")]
            .map(|(name, value)| Parameter { name: name.to_owned(), value: value.to_owned() });
        bind(sql, &parameters).unwrap().0
    }

    #[test]
    fn names_become_literals_outside_of_quotes_and_comments() {
        assert_eq!(
            bound("SELECT :id::int, ':id', \":id\" -- :id\n, :name"),
            "SELECT '7'::int, ':id', \":id\" -- :id\n, 'o''h\\\\'"
        );
        assert_eq!(
            bound("SELECT /* :id */ 'it''s :id' || '\\':id' || :id"),
            "SELECT /* :id */ 'it''s :id' || '\\':id' || '7'"
        );
        assert_eq!(bound("SELECT a[1:2], ':"), "SELECT a[1:2], ':");
    }

    #[test]
    fn a_second_statement_is_seen() {
        for one in ["SELECT 1", "SELECT ';' ; -- ;x\n /* ; x */ ;", ""] {
            assert!(is_single(one), "{one}");
        }
        assert!(!is_single("SELECT 1; SELECT 2"));
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert_eq!(bind("SELECT :x", &[]).unwrap_err(), "Parameter x has no value");
    }
}
