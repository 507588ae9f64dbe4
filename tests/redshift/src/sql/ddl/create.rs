//! CREATE TABLE (D1, D2, D3; R2, R6).

use sqlparser::tokenizer::Token;

use super::{Name, parse_name};
use crate::sql::cursor::Cursor;
use crate::sql::reserved::is_system_column;
use crate::sql::types;
use crate::{ColumnType, Refusal};

/// Most columns of a table (D23).
const COLUMNS_MAX: usize = 1_600;

/// A parsed CREATE TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreateTable {
    pub(crate) temporary: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) name: Name,
    pub(crate) shape: Shape,
    pub(crate) attributes: TableAttributes,
}

/// Where the columns come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// They are listed.
    Columns(Vec<ColumnSpec>, Vec<Key>),
    /// `(LIKE parent [INCLUDING DEFAULTS])`.
    Like { parent: Name, defaults: bool },
    /// `AS SELECT …`: names of the columns if given, text of the query.
    Query(Vec<String>, String),
}

/// A column as defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnSpec {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    pub(crate) not_null: bool,
    /// Text of the default.
    pub(crate) default: Option<String>,
    /// Seed and step, and whether a value may be given.
    pub(crate) identity: Option<(i64, i64, bool)>,
    pub(crate) encoding: Option<String>,
    pub(crate) distkey: bool,
    pub(crate) sortkey: bool,
    pub(crate) key: Option<KeyKind>,
}

/// A key that nobody enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) kind: KeyKind,
    pub(crate) columns: Vec<String>,
}

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Primary,
    Unique,
    Foreign,
}

/// DISTSTYLE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DistStyle {
    #[default]
    Auto,
    Even,
    Key,
    All,
}

/// SORTKEY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SortKind {
    #[default]
    Auto,
    Compound,
    Interleaved,
}

/// Physical attributes behind the columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableAttributes {
    pub(crate) diststyle: Option<DistStyle>,
    pub(crate) distkey: Option<String>,
    pub(crate) sortkey: Vec<String>,
    pub(crate) sortkind: SortKind,
}

/// Reads what follows `CREATE [TEMP] TABLE`.
pub(crate) fn parse_create(cursor: &mut Cursor, text: &str, temporary: bool) -> Result<CreateTable, Refusal> {
    let if_not_exists = cursor.accept("if not exists");
    let name = parse_name(cursor)?;
    let temporary = temporary || name.name.starts_with('#');
    if temporary && name.schema.is_some() {
        return Err(Refusal::new("42P16", "cannot create temporary relation in non-temporary schema"));
    }
    let mut attributes = TableAttributes::default();
    let shape = if is_query_next(cursor) {
        parse_attributes(cursor, &mut attributes)?;
        cursor.expect("as")?;
        query_shape(cursor, text, Vec::new())?
    } else if has_bare_names(cursor) {
        let names = cursor.ident_list()?;
        parse_attributes(cursor, &mut attributes)?;
        cursor.expect("as")?;
        query_shape(cursor, text, names)?
    } else {
        let shape = parse_columns(cursor)?;
        parse_attributes(cursor, &mut attributes)?;
        cursor.end()?;
        shape
    };
    Ok(CreateTable { temporary, if_not_exists, name, shape, attributes })
}

fn is_query_next(cursor: &Cursor) -> bool {
    cursor.peek() != Some(&Token::LParen)
}

/// Whether a list of names without types follows.
fn has_bare_names(cursor: &Cursor) -> bool {
    !cursor.is_word_at(1, "like") && matches!(cursor.peek_at(2), Some(Token::Comma | Token::RParen))
}

fn query_shape(cursor: &mut Cursor, text: &str, names: Vec<String>) -> Result<Shape, Refusal> {
    let Some(first) = cursor.rest().first() else { return Err(cursor.syntax_error()) };
    let location = first.span.start;
    let query = text_from(text, location.line, location.column).to_owned();
    while !cursor.is_done() {
        cursor.advance();
    }
    Ok(Shape::Query(names, query))
}

/// The text from a line and column (both from 1, in characters) on.
pub(crate) fn text_from(text: &str, line: u64, column: u64) -> &str {
    let (mut at_line, mut at_column) = (1, 1);
    for (at, character) in text.char_indices() {
        if (at_line, at_column) == (line, column) {
            return &text[at..];
        }
        if character == '\n' {
            (at_line, at_column) = (at_line + 1, 1);
        } else {
            at_column += 1;
        }
    }
    ""
}

fn parse_columns(cursor: &mut Cursor) -> Result<Shape, Refusal> {
    cursor.expect_token(&Token::LParen)?;
    if cursor.accept("like") {
        let parent = parse_name(cursor)?;
        let defaults = cursor.accept("including defaults");
        if !defaults {
            let _ = cursor.accept("excluding defaults");
        }
        cursor.expect_token(&Token::RParen)?;
        return Ok(Shape::Like { parent, defaults });
    }
    let (mut columns, mut keys) = (Vec::new(), Vec::new());
    loop {
        match parse_key(cursor)? {
            Some(key) => keys.push(key),
            None => columns.push(parse_column(cursor)?),
        }
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    if columns.len() > COLUMNS_MAX {
        return Err(Refusal::new("54011", format!("tables can have at most {COLUMNS_MAX} columns")));
    }
    for (index, column) in columns.iter().enumerate() {
        if columns[..index].iter().any(|other| other.name == column.name) {
            return Err(Refusal::new("42701", format!("column \"{}\" duplicated", column.name)));
        }
    }
    Ok(Shape::Columns(columns, keys))
}

/// Reads a table constraint if one comes next.
pub(super) fn parse_key(cursor: &mut Cursor) -> Result<Option<Key>, Refusal> {
    if cursor.accept("constraint") {
        cursor.ident()?;
    }
    if cursor.is_word("check") {
        return Err(check_refused());
    }
    if cursor.is_word("exclude") && cursor.is_word_at(1, "using") {
        return Err(cursor.syntax_error());
    }
    let kind = if cursor.accept("primary key") {
        KeyKind::Primary
    } else if cursor.accept("unique") {
        KeyKind::Unique
    } else if cursor.accept("foreign key") {
        KeyKind::Foreign
    } else {
        return Ok(None);
    };
    let columns = cursor.ident_list()?;
    if kind == KeyKind::Foreign {
        parse_references(cursor)?;
    }
    Ok(Some(Key { kind, columns }))
}

/// The message was measured.
fn check_refused() -> Refusal {
    Refusal::new("0A000", "CREATE TABLE CHECK constraint is not supported")
}

fn parse_references(cursor: &mut Cursor) -> Result<(), Refusal> {
    cursor.expect("references")?;
    parse_name(cursor)?;
    if cursor.peek() == Some(&Token::LParen) {
        cursor.ident_list()?;
    }
    Ok(())
}

/// Reads a column with its attributes and constraints.
pub(crate) fn parse_column(cursor: &mut Cursor) -> Result<ColumnSpec, Refusal> {
    let name = cursor.ident()?;
    if is_system_column(&name) {
        return Err(Refusal::new("42701", format!("column name \"{name}\" conflicts with a system column name")));
    }
    let column_type = types::parse(cursor)?.column_type;
    let mut column = ColumnSpec {
        name,
        column_type,
        not_null: false,
        default: None,
        identity: None,
        encoding: None,
        distkey: false,
        sortkey: false,
        key: None,
    };
    while parse_column_part(cursor, &mut column)? {}
    Ok(column)
}

/// Reads one attribute or constraint of a column.
fn parse_column_part(cursor: &mut Cursor, column: &mut ColumnSpec) -> Result<bool, Refusal> {
    if cursor.is_word("constraint") {
        cursor.advance();
        cursor.ident()?;
    }
    if cursor.accept("not null") {
        column.not_null = true;
    } else if cursor.accept("null") {
    } else if cursor.accept("default") {
        column.default = Some(parse_default(cursor)?);
    } else if cursor.accept("identity") {
        column.identity = Some(parse_identity(cursor, false)?);
    } else if cursor.accept("generated by default as identity") {
        column.identity = Some(parse_identity(cursor, true)?);
    } else if cursor.accept("encode") {
        column.encoding = Some(parse_encoding(cursor, &column.name, column.column_type)?);
    } else if cursor.accept("distkey") {
        column.distkey = true;
    } else if cursor.accept("sortkey") {
        column.sortkey = true;
    } else if cursor.accept("primary key") {
        column.key = Some(KeyKind::Primary);
    } else if cursor.accept("unique") {
        column.key = Some(KeyKind::Unique);
    } else if cursor.is_word("references") {
        parse_references(cursor)?;
        column.key = Some(KeyKind::Foreign);
    } else if cursor.is_word("check") {
        return Err(check_refused());
    } else if cursor.accept("collate") {
        // CASE_SENSITIVE is the default; CASE_INSENSITIVE would need every comparison to know.
        if !cursor.accept("case_sensitive") {
            return Err(cursor.syntax_error());
        }
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Reads a default: a literal, a cast of one, or a call without arguments.
fn parse_default(cursor: &mut Cursor) -> Result<String, Refusal> {
    let start = cursor.clone();
    let mut depth = 0_usize;
    let mut parts = Vec::new();
    while let Some(token) = cursor.peek() {
        let ends = match token {
            Token::LParen => {
                depth += 1;
                false
            }
            Token::RParen if depth == 0 => true,
            Token::RParen => {
                depth -= 1;
                false
            }
            Token::Comma => depth == 0,
            Token::Word(word) if word.quote_style.is_none() && depth == 0 && !parts.is_empty() => matches!(
                word.value.as_str(),
                "not"
                    | "null"
                    | "encode"
                    | "distkey"
                    | "sortkey"
                    | "primary"
                    | "unique"
                    | "references"
                    | "identity"
                    | "check"
            ),
            _ => false,
        };
        if ends {
            break;
        }
        parts.push(match token {
            Token::SingleQuotedString(text) => crate::catalog::quote_literal(text),
            other => other.to_string(),
        });
        cursor.advance();
    }
    if parts.is_empty() { Err(start.syntax_error()) } else { Ok(parts.join(" ")) }
}

fn parse_identity(cursor: &mut Cursor, by_default: bool) -> Result<(i64, i64, bool), Refusal> {
    cursor.expect_token(&Token::LParen)?;
    let seed = cursor.number()?;
    cursor.expect_token(&Token::Comma)?;
    let step = cursor.number()?;
    cursor.expect_token(&Token::RParen)?;
    Ok((seed, step, by_default))
}

/// Reads an encoding and checks that the type can have it.
pub(crate) fn parse_encoding(cursor: &mut Cursor, column: &str, column_type: ColumnType) -> Result<String, Refusal> {
    let start = cursor.clone();
    let name = cursor.word()?;
    let text = matches!(column_type, ColumnType::Char(_) | ColumnType::Varchar(_) | ColumnType::Varbyte(_));
    let is_super = column_type == ColumnType::Super;
    let boolean = column_type == ColumnType::Boolean;
    let floating = matches!(column_type, ColumnType::Real | ColumnType::Double);
    let legal = match name.as_str() {
        "raw" | "auto" => true,
        "az64" | "delta" => !text && !is_super && !boolean && !floating,
        "delta32k" | "mostly8" | "mostly16" | "mostly32" => !text && !is_super && !boolean && !floating,
        "bytedict" => !boolean && !is_super,
        "lzo" => !boolean && !floating,
        "runlength" => !is_super,
        "text255" | "text32k" => matches!(column_type, ColumnType::Varchar(_)),
        "zstd" => true,
        _ => return Err(start.syntax_error()),
    };
    if !legal {
        return Err(Refusal::new(
            "0A000",
            format!("invalid encoding type specified for column \"{column}\": {name} is not valid for {column_type}"),
        ));
    }
    Ok(name)
}

/// Reads DISTSTYLE, DISTKEY, SORTKEY, ENCODE AUTO and BACKUP in any order.
fn parse_attributes(cursor: &mut Cursor, attributes: &mut TableAttributes) -> Result<(), Refusal> {
    loop {
        if cursor.accept("backup") {
            if !cursor.accept("yes") && !cursor.accept("no") {
                return Err(cursor.syntax_error());
            }
        } else if cursor.accept("diststyle") {
            attributes.diststyle = Some(parse_diststyle(cursor)?);
        } else if cursor.accept("distkey") {
            attributes.distkey = single(cursor)?;
        } else if cursor.accept("compound sortkey") || cursor.accept("sortkey") {
            if cursor.accept("auto") {
                continue;
            }
            attributes.sortkind = SortKind::Compound;
            attributes.sortkey = cursor.ident_list()?;
        } else if cursor.accept("interleaved sortkey") {
            attributes.sortkind = SortKind::Interleaved;
            attributes.sortkey = cursor.ident_list()?;
        } else if cursor.accept("encode auto") {
        } else {
            return Ok(());
        }
    }
}

/// Reads `AUTO`, `EVEN`, `KEY` or `ALL`.
pub(crate) fn parse_diststyle(cursor: &mut Cursor) -> Result<DistStyle, Refusal> {
    let start = cursor.clone();
    Ok(match cursor.word()?.as_str() {
        "auto" => DistStyle::Auto,
        "even" => DistStyle::Even,
        "key" => DistStyle::Key,
        "all" => DistStyle::All,
        _ => return Err(start.syntax_error()),
    })
}

fn single(cursor: &mut Cursor) -> Result<Option<String>, Refusal> {
    let start = cursor.clone();
    let names = cursor.ident_list()?;
    if names.len() > 1 { Err(start.syntax_error()) } else { Ok(names.into_iter().next()) }
}
