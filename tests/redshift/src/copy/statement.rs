//! The statement, parsed.
//!
//! `COPY table [(columns)] FROM 's3://…' authorization [[FORMAT] [AS] PARQUET] [parameters in any order]`: what stands
//! in no list of [`words`] is a syntax error, what Parquet does not admit is refused with Redshift's text.

mod authorization;
mod lexer;
mod words;

pub(crate) use authorization::Authorization;

use authorization::KeyParameters;
use lexer::Token;

use crate::Refusal;

/// Longest identifier in bytes; longer ones lose their end.
const IDENTIFIER_BYTES_MAX: usize = 127;

/// `COPY` from Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    /// The schema, where one is written.
    pub(crate) schema: Option<String>,
    /// The table.
    pub(crate) table: String,
    /// The list of columns, where one is written.
    pub(crate) columns: Option<Vec<String>>,
    /// Bucket of the source.
    pub(crate) bucket: String,
    /// Key of the manifest, or the beginning of the keys of files.
    pub(crate) key: String,
    /// Who reads.
    pub(crate) authorization: Authorization,
    /// Whether the source is a manifest.
    pub(crate) manifest: bool,
    /// Whether columns may be missing at the end of files.
    pub(crate) fill_record: bool,
    /// What an invalid byte becomes.
    pub(crate) accept_invalid: Option<char>,
    /// Whether SUPER columns may be loaded.
    pub(crate) serialize_to_json: bool,
    /// Whether the files have the values of identity columns.
    pub(crate) explicit_ids: bool,
}

/// Parses a statement. Names are folded to lower case, quoted ones only while the session does not distinguish case.
pub(crate) fn parse(text: &str, case_sensitive: bool) -> Result<Statement, Refusal> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser { tokens, at: 0, case_sensitive };
    let statement = parser.statement()?;
    parser.take_sign(';');
    match parser.peek() {
        None => Ok(statement),
        Some(_) => Err(parser.syntax_error()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    case_sensitive: bool,
}

/// What the parameters say.
#[derive(Default)]
struct Parameters {
    parquet: bool,
    other_format: bool,
    refused: Option<String>,
    seen: Vec<String>,
    authorization: Option<Authorization>,
    keys: KeyParameters,
    manifest: bool,
    fill_record: bool,
    accept_invalid: Option<char>,
    serialize_to_json: bool,
    explicit_ids: bool,
}

impl Parser {
    fn statement(&mut self) -> Result<Statement, Refusal> {
        self.expect_word("COPY")?;
        let first = self.name()?;
        let (schema, table) = if self.take_sign('.') { (Some(first), self.name()?) } else { (None, first) };
        let columns = if self.take_sign('(') { Some(self.columns()?) } else { None };
        if self.peek_word().as_deref() == Some("TO") {
            return Err(Refusal::new("0A000", "COPY TO is not supported"));
        }
        self.expect_word("FROM")?;
        let (bucket, key) = self.source()?;
        let mut parameters = Parameters::default();
        while self.peek().is_some() && self.peek() != Some(&Token::Sign(';')) {
            self.parameter(&mut parameters)?;
        }
        let authorization = parameters.check()?;
        Ok(Statement {
            schema,
            table,
            columns,
            bucket,
            key,
            authorization,
            manifest: parameters.manifest,
            fill_record: parameters.fill_record,
            accept_invalid: parameters.accept_invalid,
            serialize_to_json: parameters.serialize_to_json,
            explicit_ids: parameters.explicit_ids,
        })
    }

    fn columns(&mut self) -> Result<Vec<String>, Refusal> {
        let mut columns = vec![self.name()?];
        while self.take_sign(',') {
            columns.push(self.name()?);
        }
        if self.take_sign(')') { Ok(columns) } else { Err(self.syntax_error()) }
    }

    fn source(&mut self) -> Result<(String, String), Refusal> {
        let not_s3 = || {
            Refusal::new(
                "0A000",
                "LOAD source is not supported. (Hint: only S3 or DynamoDB or EMR based load is allowed)",
            )
        };
        let url = match self.next() {
            Some(Token::Text(url)) => url,
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("stdin") => return Err(not_s3()),
            _ => return Err(self.syntax_error_before()),
        };
        split_url(&url).ok_or_else(not_s3)
    }

    fn parameter(&mut self, parameters: &mut Parameters) -> Result<(), Refusal> {
        let Some(word) = self.next().and_then(|token| token.keyword()) else { return Err(self.syntax_error_before()) };
        if parameters.seen.contains(&word) {
            return Err(Refusal::new("42601", "conflicting or redundant options"));
        }
        match word.as_str() {
            "WITH" if matches!(self.peek_word().as_deref(), Some("CREDENTIALS" | "PARQUET")) => return Ok(()),
            "FORMAT" => {
                self.take_word("AS");
                match self.peek_word() {
                    Some(format) if format == "PARQUET" || words::OTHER_FORMATS.contains(&format.as_str()) => {}
                    _ => return Err(self.syntax_error()),
                }
            }
            "AS" if self.peek_word().as_deref() == Some("PARQUET") => return Ok(()),
            "PARQUET" => parameters.parquet = true,
            "MANIFEST" => parameters.manifest = true,
            "FILLRECORD" => parameters.fill_record = true,
            "SERIALIZETOJSON" => parameters.serialize_to_json = true,
            "EXPLICIT_IDS" => parameters.explicit_ids = true,
            "STATUPDATE" => {
                self.take_argument();
            }
            "ACCEPTINVCHARS" => parameters.accept_invalid = Some(self.replacement()?),
            "IAM_ROLE" if self.take_word("DEFAULT") => parameters.authorize(Authorization::DefaultRole)?,
            "IAM_ROLE" => {
                let roles = authorization::roles(&self.text()?)?;
                parameters.authorize(roles)?;
            }
            "CREDENTIALS" => {
                self.take_word("AS");
                let credentials = authorization::credentials(&self.text()?)?;
                parameters.authorize(credentials)?;
            }
            "ACCESS_KEY_ID" => parameters.keys.id = Some(self.text()?),
            "SECRET_ACCESS_KEY" => parameters.keys.secret = Some(self.text()?),
            "SESSION_TOKEN" => parameters.keys.token = Some(self.text()?),
            _ if words::OTHER_FORMATS.contains(&word.as_str()) => {
                parameters.other_format = true;
                self.take_word("AS");
                self.take_argument();
            }
            _ if words::REFUSED.contains(&word.as_str()) => {
                parameters.refused.get_or_insert_with(|| word.clone());
                self.take_word("AS");
                self.take_argument();
            }
            _ => return Err(self.syntax_error_before()),
        }
        parameters.seen.push(word);
        Ok(())
    }

    fn replacement(&mut self) -> Result<char, Refusal> {
        /// `ACCEPTINVCHARS` without an argument.
        const DEFAULT: char = '?';
        let stated = self.take_word("AS");
        let Some(Token::Text(text)) = self.peek() else {
            return if stated { Err(self.syntax_error()) } else { Ok(DEFAULT) };
        };
        let mut chars = text.chars();
        let replacement = match (chars.next(), chars.next()) {
            (Some(c), None) if c.is_ascii() && c != '\0' => c,
            _ => return Err(Refusal::new("22023", "ACCEPTINVCHARS replacement must be a single ASCII character")),
        };
        self.at += 1;
        Ok(replacement)
    }

    fn name(&mut self) -> Result<String, Refusal> {
        let name = match self.next() {
            Some(Token::Word(word)) => word.to_ascii_lowercase(),
            Some(Token::Quoted(name)) if self.case_sensitive => name,
            Some(Token::Quoted(name)) => name.to_ascii_lowercase(),
            _ => return Err(self.syntax_error_before()),
        };
        Ok(name[..name.floor_char_boundary(IDENTIFIER_BYTES_MAX)].to_owned())
    }

    fn text(&mut self) -> Result<String, Refusal> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            _ => Err(self.syntax_error_before()),
        }
    }

    /// Skips the argument of a parameter, where there is one.
    fn take_argument(&mut self) {
        let argument = match self.peek() {
            Some(Token::Text(_) | Token::Number(_)) => true,
            Some(token) => token.keyword().is_some_and(|word| words::ARGUMENTS.contains(&word.as_str())),
            None => false,
        };
        self.at += usize::from(argument);
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn peek_word(&self) -> Option<String> {
        self.peek().and_then(Token::keyword)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_word().as_deref() == Some(word);
        self.at += usize::from(found);
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take_word(word) { Ok(()) } else { Err(self.syntax_error()) }
    }

    fn syntax_error(&self) -> Refusal {
        let near = match self.peek() {
            Some(token) => format!("syntax error at or near \"{}\"", token.shown()),
            None => "syntax error at end of input".to_owned(),
        };
        Refusal::new("42601", near)
    }

    /// A syntax error at the token just taken.
    fn syntax_error_before(&mut self) -> Refusal {
        self.at = self.at.saturating_sub(1);
        self.syntax_error()
    }
}

impl Parameters {
    fn authorize(&mut self, authorization: Authorization) -> Result<(), Refusal> {
        match self.authorization.replace(authorization) {
            None => Ok(()),
            Some(_) => Err(Refusal::new("42601", "conflicting or redundant options")),
        }
    }

    /// What depends on several parameters.
    fn check(&mut self) -> Result<Authorization, Refusal> {
        if let Some(keys) = std::mem::take(&mut self.keys).finish()? {
            self.authorize(keys)?;
        }
        if self.parquet && self.other_format {
            return Err(Refusal::new("42601", "conflicting or redundant options"));
        }
        if !self.parquet {
            return Err(Refusal::new("0A000", "the stand-in loads FORMAT PARQUET only"));
        }
        if let Some(refused) = &self.refused {
            let text = format!("{refused} argument is not supported for PARQUET based COPY");
            return Err(Refusal::new("0A000", text));
        }
        self.authorization.take().ok_or_else(authorization::invalid_credentials)
    }
}

/// Bucket and key of an `s3://` URL. A key is taken as it is: `a//b` is another key than `a/b`.
pub(super) fn split_url(url: &str) -> Option<(String, String)> {
    let path = url.strip_prefix("s3://")?;
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    (!bucket.is_empty()).then(|| (bucket.to_owned(), key.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
