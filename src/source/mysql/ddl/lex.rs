//! Tokens of MySQL's SQL: enough to find keywords and names.

use crate::source::mysql::query_event::SqlMode;

/// A token. Comments and white space are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word or number.
    Word(String),
    /// A quoted identifier.
    Quoted(String),
    /// A string literal without quotes and escapes.
    Text(String),
    /// Any other character.
    Sign(char),
}

impl Token {
    /// Whether this is the keyword, in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// The identifier, if it can be one.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Word(name) | Self::Quoted(name) => Some(name),
            _ => None,
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    mode: SqlMode,
    /// Inside `/*! … */`.
    versioned: bool,
}

/// The first `limit` tokens of `sql`.
pub(super) fn lex(sql: &str, mode: SqlMode, limit: usize) -> Vec<Token> {
    let mut lexer = Lexer { rest: sql, mode, versioned: false };
    std::iter::from_fn(|| lexer.next()).take(limit).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<Token> {
        self.skip();
        let first = self.rest.chars().next()?;
        Some(match first {
            '`' => Token::Quoted(self.quoted('`', false)),
            '"' if self.mode.ansi_quotes => Token::Quoted(self.quoted('"', false)),
            '\'' | '"' => Token::Text(self.quoted(first, !self.mode.no_backslash_escapes)),
            c if is_word(c) => Token::Word(self.word()),
            sign => {
                self.advance(sign.len_utf8());
                Token::Sign(sign)
            }
        })
    }

    fn advance(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Skips white space and comments, and the brackets of comments that are executed.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let line_comment = self.rest.starts_with('#')
                || self.rest.strip_prefix("--").is_some_and(|r| r.is_empty() || r.starts_with(|c: char| c <= ' '));
            if line_comment {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(end);
            } else if let Some(inside) = self.rest.strip_prefix("/*!").or_else(|| self.rest.strip_prefix("/*M!")) {
                self.rest = inside.trim_start_matches(|c: char| c.is_ascii_digit());
                self.versioned = true;
            } else if self.rest.starts_with("/*") {
                let end = self.rest.find("*/").map_or(self.rest.len(), |at| at + 2);
                self.advance(end);
            } else if self.versioned && self.rest.starts_with("*/") {
                self.versioned = false;
                self.advance(2);
            } else {
                return;
            }
        }
    }

    /// The content of a quoted token; the quote doubled stands for itself.
    fn quoted(&mut self, quote: char, escapes: bool) -> String {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                if chars.peek().is_some_and(|(_, next)| *next == quote) {
                    chars.next();
                } else {
                    end = at + c.len_utf8();
                    break;
                }
            } else if c == '\\' && escapes {
                if let Some((_, escaped)) = chars.next() {
                    text.push_str(unescape(escaped));
                    if unescape(escaped).is_empty() {
                        text.push(escaped);
                    }
                }
                continue;
            }
            text.push(c);
        }
        self.advance(end);
        text
    }

    /// A word, or a number with fraction and exponent.
    fn word(&mut self) -> String {
        let mut end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits(self.rest.get(..end).unwrap_or_default()) {
            let fraction = self.rest.get(end..).and_then(|r| r.strip_prefix('.')).unwrap_or_default();
            if fraction.starts_with(|c: char| c.is_ascii_digit()) {
                end += 1 + fraction.find(|c| !is_word(c)).unwrap_or(fraction.len());
            }
        }
        let exponent = self.rest.get(..end).is_some_and(|w| {
            w.starts_with(|c: char| c.is_ascii_digit()) && !w.starts_with("0x") && w.ends_with(['e', 'E'])
        });
        if exponent && let Some(tail) = self.rest.get(end..).and_then(|r| r.strip_prefix(['-', '+'])) {
            end += 1 + tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        }
        let word = self.rest.get(..end).unwrap_or_default().to_owned();
        self.advance(end);
        word
    }
}

/// What an escaped character stands for; empty: for itself (MySQL Reference Manual, "String Literals").
fn unescape(c: char) -> &'static str {
    match c {
        '0' => "\0",
        'b' => "\u{8}",
        'n' => "\n",
        'r' => "\r",
        't' => "\t",
        'Z' => "\u{1a}",
        _ => "",
    }
}
