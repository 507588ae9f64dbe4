//! Words, names, texts and signs of a statement, as Redshift reads them.

use crate::Refusal;

/// A piece of the statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// An unquoted word, as written.
    Word(String),
    /// A name in double quotes, without them.
    Quoted(String),
    /// The content of a text in single quotes.
    Text(String),
    /// Digits.
    Number(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// As an error text shows it. A text may be a secret key and is not shown.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) | Self::Number(word) => word.clone(),
            Self::Quoted(name) => format!("\"{name}\""),
            Self::Text(_) => "'...'".to_owned(),
            Self::Sign(sign) => sign.to_string(),
        }
    }

    /// The same word in upper case, where it is a word.
    pub(super) fn keyword(&self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_ascii_uppercase()),
            _ => None,
        }
    }
}

/// Splits a statement.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut rest = text;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            _ if first.is_whitespace() => rest.trim_start(),
            '-' if rest.starts_with("--") => rest.find('\n').map_or("", |end| &rest[end..]),
            '/' if rest.starts_with("/*") => after_comment(rest)?,
            '\'' => {
                let (text, after) = quoted_text(&rest[1..])?;
                tokens.push(Token::Text(text));
                after
            }
            '"' => {
                let (name, after) = quoted_name(&rest[1..])?;
                tokens.push(Token::Quoted(name));
                after
            }
            _ if first.is_alphabetic() || first == '_' || first == '#' => {
                let (word, after) = split_while(rest, |c| c.is_alphanumeric() || matches!(c, '_' | '$' | '#'));
                tokens.push(Token::Word(word.to_owned()));
                after
            }
            _ if first.is_ascii_digit() => {
                let (number, after) = split_while(rest, |c| c.is_ascii_digit());
                tokens.push(Token::Number(number.to_owned()));
                after
            }
            _ => {
                tokens.push(Token::Sign(first));
                &rest[first.len_utf8()..]
            }
        };
    }
    Ok(tokens)
}

fn split_while(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// What follows a comment; comments nest.
fn after_comment(text: &str) -> Result<&str, Refusal> {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        if let Some(inner) = rest.strip_prefix("/*") {
            depth += 1;
            rest = inner;
        } else if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
            if depth == 0 {
                return Ok(rest);
            }
        } else {
            let Some(c) = rest.chars().next() else { return Err(unterminated("/* comment")) };
            rest = &rest[c.len_utf8()..];
        }
    }
}

/// The content of a text and what follows it. A backslash is an escape in every text: Redshift has no
/// `standard_conforming_strings`.
fn quoted_text(text: &str) -> Result<(String, &str), Refusal> {
    let mut content = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' if chars.next_if(|(_, next)| *next == '\'').is_some() => content.push('\''),
            '\'' => return Ok((content, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'b')) => content.push('\u{8}'),
                Some((_, 'f')) => content.push('\u{c}'),
                Some((_, 'n')) => content.push('\n'),
                Some((_, 'r')) => content.push('\r'),
                Some((_, 't')) => content.push('\t'),
                Some((_, other)) => content.push(other),
                None => break,
            },
            _ => content.push(c),
        }
    }
    Err(unterminated("quoted string"))
}

fn quoted_name(text: &str) -> Result<(String, &str), Refusal> {
    let mut name = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            name.push('"');
        } else if name.is_empty() {
            return Err(Refusal::new("42601", "zero-length delimited identifier at or near \"\"\"\""));
        } else {
            return Ok((name, &text[at + 1..]));
        }
    }
    Err(unterminated("quoted identifier"))
}

fn unterminated(what: &str) -> Refusal {
    Refusal::new("42601", format!("unterminated {what}"))
}
