//! Reading tokens one after another.

use sqlparser::dialect::RedshiftSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::literal::unescape;
use super::reserved::is_reserved;
use crate::Refusal;
use crate::catalog::{IDENTIFIER_BYTES_MAX, Scope};

/// Words before the one at which the grammar fails that Redshift shows as context.
const CONTEXT_WORDS: usize = 3;

/// The tokens of one statement, without white space, names folded and literals unescaped.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    tokens: Vec<TokenWithSpan>,
    at: usize,
    /// Names that were cut to 127 bytes.
    pub(crate) truncated: Vec<String>,
}

impl Cursor {
    /// Reads a statement.
    pub(crate) fn new(text: &str, scope: &Scope) -> Result<Self, Refusal> {
        let dialect = RedshiftSqlDialect {};
        let mut tokens = Tokenizer::new(&dialect, text)
            .with_unescape(false)
            .tokenize_with_location()
            .map_err(|error| Refusal::new("42601", format!("syntax error: {}", error.message)))?;
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        let mut truncated = Vec::new();
        for token in &mut tokens {
            normalise(&mut token.token, scope, &mut truncated);
        }
        Ok(Self { tokens, at: 0, truncated })
    }

    /// The tokens that are left.
    pub(crate) fn rest(&self) -> &[TokenWithSpan] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    /// The next token.
    pub(crate) fn peek(&self) -> Option<&Token> {
        self.peek_at(0)
    }

    /// The token `ahead` places further.
    pub(crate) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|token| &token.token)
    }

    /// Goes on by one token.
    pub(crate) fn advance(&mut self) {
        self.at += 1;
    }

    /// Whether everything has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Whether the next word, without quotes, is this one.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    /// The same `ahead` places further.
    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.peek_at(ahead), Some(Token::Word(found)) if found.quote_style.is_none() && found.value == word)
    }

    /// Reads these words if they come next.
    pub(crate) fn accept(&mut self, words: &str) -> bool {
        let count = words.split(' ').count();
        let found = words.split(' ').enumerate().all(|(ahead, word)| self.is_word_at(ahead, word));
        if found {
            self.at += count;
        }
        found
    }

    /// Puts a word in front of the token `ahead` places further.
    pub(crate) fn insert_word(&mut self, ahead: usize, word: &str) {
        let token = Token::make_keyword(word);
        self.tokens.insert((self.at + ahead).min(self.tokens.len()), TokenWithSpan::wrap(token));
    }

    /// Reads these words.
    pub(crate) fn expect(&mut self, words: &str) -> Result<(), Refusal> {
        for word in words.split(' ') {
            if !self.accept(word) {
                return Err(self.syntax_error());
            }
        }
        Ok(())
    }

    /// Reads a token if it comes next.
    pub(crate) fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        if found {
            self.at += 1;
        }
        found
    }

    /// Reads a token.
    pub(crate) fn expect_token(&mut self, token: &Token) -> Result<(), Refusal> {
        if self.accept_token(token) { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// Reads a name.
    pub(crate) fn ident(&mut self) -> Result<String, Refusal> {
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_some() || !is_reserved(&word.value) => {
                let name = word.value.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// Reads any word, also a reserved one.
    pub(crate) fn word(&mut self) -> Result<String, Refusal> {
        match self.peek() {
            Some(Token::Word(word)) => {
                let name = word.value.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// Reads a whole number.
    pub(crate) fn number(&mut self) -> Result<i64, Refusal> {
        let negative = self.accept_token(&Token::Minus);
        match self.peek() {
            Some(Token::Number(digits, _)) => {
                let value: i64 = digits.parse().map_err(|_| self.syntax_error())?;
                self.at += 1;
                Ok(if negative { -value } else { value })
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// Reads a string literal.
    pub(crate) fn string(&mut self) -> Result<String, Refusal> {
        match self.peek() {
            Some(Token::SingleQuotedString(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.syntax_error()),
        }
    }

    /// Reads `(a, b, …)`.
    pub(crate) fn ident_list(&mut self) -> Result<Vec<String>, Refusal> {
        self.expect_token(&Token::LParen)?;
        let mut names = vec![self.ident()?];
        while self.accept_token(&Token::Comma) {
            names.push(self.ident()?);
        }
        self.expect_token(&Token::RParen)?;
        Ok(names)
    }

    /// Fails unless everything has been read.
    pub(crate) fn end(&self) -> Result<(), Refusal> {
        if self.is_done() { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// `syntax error at or near …` about the next token.
    pub(crate) fn syntax_error(&self) -> Refusal {
        self.syntax_error_at(self.at)
    }

    /// The same about the token at a place of the text.
    pub(crate) fn syntax_error_on(&self, location: Location) -> Refusal {
        let found = self.tokens.iter().position(|token| token.span.start == location);
        self.syntax_error_at(found.unwrap_or(self.tokens.len()))
    }

    /// The same about the first unquoted word that is this one.
    pub(crate) fn syntax_error_near(&self, word: &str) -> Refusal {
        let found = self.tokens.iter().position(|token| {
            matches!(&token.token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
        });
        found.map_or_else(
            || Refusal::new("42601", format!("syntax error at or near \"{word}\"")),
            |at| self.syntax_error_at(at),
        )
    }

    fn syntax_error_at(&self, at: usize) -> Refusal {
        let Some(token) = self.tokens.get(at) else {
            return Refusal::new("42601", "syntax error at end of input");
        };
        // "syntax error at or near "ENUM" in context "TYPE myenum AS ENUM"" was measured.
        let context: Vec<_> =
            self.tokens[at.saturating_sub(CONTEXT_WORDS)..=at].iter().map(|token| show(&token.token)).collect();
        let context = context.join(" ");
        Refusal::new("42601", format!("syntax error at or near \"{}\" in context \"{context}\"", show(&token.token)))
    }
}

/// A token in a message. Literals are not repeated: they may be somebody's data.
fn show(token: &Token) -> String {
    match token {
        Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) => "'…'".to_owned(),
        Token::Word(word) if word.quote_style.is_none() && word.keyword != Keyword::NoKeyword => {
            word.value.to_uppercase()
        }
        other => other.to_string(),
    }
}

fn normalise(token: &mut Token, scope: &Scope, truncated: &mut Vec<String>) {
    match token {
        Token::Word(word) => {
            let quoted = word.quote_style.is_some();
            let name = if quoted { word.value.replace("\"\"", "\"") } else { word.value.clone() };
            if name.len() > IDENTIFIER_BYTES_MAX {
                truncated.push(name.clone());
            }
            *word =
                Word { value: scope.fold(&name, quoted), quote_style: quoted.then_some('"'), keyword: word.keyword };
        }
        Token::SingleQuotedString(text) => *text = unescape(text),
        _ => {}
    }
}
