//! One statement, recognised by its first words.

use sqlparser::tokenizer::Token;

use super::STATEMENT_BYTES_MAX;
use super::cursor::Cursor;
use super::ddl::{self, AlterTable, CreateTable, Name, parse_name};
use super::kind::Kind;
use crate::Refusal;
use crate::catalog::Scope;

/// A statement.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) kind: Kind,
    pub(crate) command: Command,
    /// Names that were cut to 127 bytes.
    pub(crate) truncated: Vec<String>,
}

/// What it says.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Begin {
        read_only: bool,
    },
    Commit,
    Rollback,
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    Reset(String),
    Show(String),
    SetSchema,
    /// COPY, read elsewhere.
    Copy,
    /// SELECT, INSERT, UPDATE, DELETE, MERGE: the tokens go to `sqlparser`.
    Query(Box<Cursor>),
    Explain(Box<Cursor>),
    CreateTable(Box<CreateTable>),
    AlterTable(Box<AlterTable>),
    DropTable {
        if_exists: bool,
        names: Vec<Name>,
        cascade: bool,
    },
    CreateView {
        or_replace: bool,
        name: Name,
        columns: Vec<String>,
        query: String,
    },
    DropView {
        if_exists: bool,
        names: Vec<Name>,
        cascade: bool,
    },
    CreateSchema {
        if_not_exists: bool,
        name: String,
        owner: Option<String>,
    },
    DropSchema {
        if_exists: bool,
        name: String,
        cascade: bool,
    },
    Truncate(Name),
    Lock(Vec<Name>),
    /// ANALYZE, and VACUUM, which no transaction allows.
    Maintain {
        vacuum: bool,
        table: Option<Name>,
    },
    CreateUser {
        name: String,
        password: Option<String>,
        superuser: bool,
    },
    DropUser {
        if_exists: bool,
        name: String,
    },
    /// GRANT and REVOKE, in PostgreSQL's words.
    Grant(String),
}

/// Reads one statement.
pub(crate) fn parse(text: &str, scope: &Scope) -> Result<Statement, Refusal> {
    if text.len() > STATEMENT_BYTES_MAX {
        let message = format!(
            "Statement is too large. Statement Size: {} bytes. Maximum Allowed: {STATEMENT_BYTES_MAX} bytes",
            text.len()
        );
        return Err(Refusal::new("54000", message));
    }
    if first_word(text).eq_ignore_ascii_case("copy") {
        return Ok(Statement { kind: Kind::Copy, command: Command::Copy, truncated: Vec::new() });
    }
    let mut cursor = Cursor::new(text, scope)?;
    let truncated = std::mem::take(&mut cursor.truncated);
    let (kind, command) = command(&mut cursor, text)?;
    Ok(Statement { kind, command, truncated })
}

/// The first word behind white space and comments.
fn first_word(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, behind)| behind).trim_start();
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, behind)| behind).trim_start();
        } else {
            break;
        }
    }
    rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn command(cursor: &mut Cursor, text: &str) -> Result<(Kind, Command), Refusal> {
    let query = |kind, cursor: &Cursor| Ok((kind, Command::Query(Box::new(cursor.clone()))));
    if cursor.peek() == Some(&Token::LParen) {
        return query(Kind::Select, cursor);
    }
    let word = match cursor.peek() {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.clone(),
        _ => return Err(cursor.syntax_error()),
    };
    match word.as_str() {
        "select" | "with" => query(Kind::Select, cursor),
        "insert" => query(Kind::Insert, cursor),
        "update" => query(Kind::Update, cursor),
        "delete" => {
            // `DELETE t` is Redshift's alone.
            if !cursor.is_word_at(1, "from") {
                cursor.insert_word(1, "FROM");
            }
            query(Kind::Delete, cursor)
        }
        "merge" => query(Kind::Merge, cursor),
        "explain" => {
            cursor.advance();
            let _ = cursor.accept("verbose");
            Ok((Kind::Other, Command::Explain(Box::new(cursor.clone()))))
        }
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" => transaction(cursor),
        "set" | "reset" | "show" => Ok((Kind::Other, setting(cursor)?)),
        "truncate" => {
            cursor.advance();
            let _ = cursor.accept("table");
            let name = parse_name(cursor)?;
            cursor.end()?;
            Ok((Kind::Truncate, Command::Truncate(name)))
        }
        "lock" => {
            cursor.advance();
            let _ = cursor.accept("table");
            let names = name_list(cursor)?;
            cursor.end()?;
            Ok((Kind::Lock, Command::Lock(names)))
        }
        "analyze" | "vacuum" => Ok((Kind::Other, maintenance(cursor)?)),
        "create" | "alter" | "drop" | "grant" | "revoke" => Ok((Kind::Definition, definition(cursor, text)?)),
        _ => Err(cursor.syntax_error()),
    }
}

fn transaction(cursor: &mut Cursor) -> Result<(Kind, Command), Refusal> {
    let word = cursor.word()?;
    match word.as_str() {
        "begin" | "start" => {
            if word == "start" {
                cursor.expect("transaction")?;
            } else if !cursor.accept("work") {
                let _ = cursor.accept("transaction");
            }
            // Every level means serializable, or snapshot: the database decides.
            if cursor.accept("isolation level") {
                let known = ["serializable", "read committed", "read uncommitted", "repeatable read"];
                if !known.iter().any(|level| cursor.accept(level)) {
                    return Err(cursor.syntax_error());
                }
                let _ = cursor.accept_token(&Token::Comma);
            }
            let read_only = cursor.accept("read only");
            if !read_only {
                let _ = cursor.accept("read write");
            }
            cursor.end()?;
            Ok((Kind::Begin, Command::Begin { read_only }))
        }
        "commit" | "end" => {
            end_of_transaction(cursor)?;
            Ok((Kind::Commit, Command::Commit))
        }
        _ => {
            end_of_transaction(cursor)?;
            Ok((Kind::Rollback, Command::Rollback))
        }
    }
}

/// ROLLBACK TO ends here as a syntax error (R8).
fn end_of_transaction(cursor: &mut Cursor) -> Result<(), Refusal> {
    if !cursor.accept("work") {
        let _ = cursor.accept("transaction");
    }
    cursor.end()
}

fn setting(cursor: &mut Cursor) -> Result<Command, Refusal> {
    let word = cursor.word()?;
    match word.as_str() {
        "show" => {
            let name = parameter_name(cursor)?;
            cursor.end()?;
            Ok(Command::Show(name))
        }
        "reset" => {
            let name = parameter_name(cursor)?;
            cursor.end()?;
            Ok(Command::Reset(name))
        }
        _ => set(cursor),
    }
}

fn set(cursor: &mut Cursor) -> Result<Command, Refusal> {
    let local = cursor.accept("local");
    let _ = cursor.accept("session");
    if cursor.is_word("transaction") || cursor.accept("characteristics as transaction") {
        cursor.advance();
        while !cursor.is_done() {
            cursor.word()?;
            let _ = cursor.accept_token(&Token::Comma);
        }
        return Ok(Command::SetSchema);
    }
    let name = if cursor.accept("time zone") { "timezone".to_owned() } else { parameter_name(cursor)? };
    if name != "timezone" || cursor.is_word("to") || cursor.peek() == Some(&Token::Eq) {
        let _ = cursor.accept("to") || cursor.accept_token(&Token::Eq);
    }
    let mut values = vec![set_value(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        values.push(set_value(cursor)?);
    }
    cursor.end()?;
    let value = if values == ["default"] { None } else { Some(values.join(", ")) };
    Ok(Command::Set { name, value, local })
}

fn parameter_name(cursor: &mut Cursor) -> Result<String, Refusal> {
    let mut name = cursor.word()?;
    while cursor.accept_token(&Token::Period) {
        name = format!("{name}.{}", cursor.word()?);
    }
    Ok(name)
}

fn set_value(cursor: &mut Cursor) -> Result<String, Refusal> {
    match cursor.peek() {
        Some(Token::SingleQuotedString(_)) => cursor.string(),
        Some(Token::Number(..) | Token::Minus) => {
            let number = cursor.number()?;
            // `5min`: number and unit are two tokens.
            let unit = if matches!(cursor.peek(), Some(Token::Word(_))) { cursor.word()? } else { String::new() };
            Ok(format!("{number}{unit}"))
        }
        _ => cursor.word(),
    }
}

fn maintenance(cursor: &mut Cursor) -> Result<Command, Refusal> {
    let vacuum = cursor.word()? == "vacuum";
    for option in ["full", "sort only", "delete only", "reindex", "recluster", "verbose", "compression"] {
        let _ = cursor.accept(option);
    }
    let table = if cursor.is_done() { None } else { Some(parse_name(cursor)?) };
    if !vacuum && cursor.peek() == Some(&Token::LParen) {
        cursor.ident_list()?;
    }
    if cursor.accept("to") {
        cursor.number()?;
        cursor.expect("percent")?;
        let _ = cursor.accept("boost");
    } else {
        let _ = cursor.accept("boost") || cursor.accept("predicate columns") || cursor.accept("all columns");
    }
    cursor.end()?;
    Ok(Command::Maintain { vacuum, table })
}

fn definition(cursor: &mut Cursor, text: &str) -> Result<Command, Refusal> {
    let start = cursor.clone();
    match cursor.word()?.as_str() {
        "create" => create(cursor, text, &start),
        "alter" => {
            if cursor.accept("table") {
                return Ok(Command::AlterTable(Box::new(ddl::parse_alter(cursor)?)));
            }
            Err(cursor.syntax_error())
        }
        "drop" => drop_something(cursor),
        _ => super::grant::parse(&start).map(Command::Grant),
    }
}

fn create(cursor: &mut Cursor, text: &str, start: &Cursor) -> Result<Command, Refusal> {
    let temporary = cursor.accept("local temporary")
        || cursor.accept("local temp")
        || cursor.accept("temporary")
        || cursor.accept("temp");
    if cursor.accept("table") {
        return Ok(Command::CreateTable(Box::new(ddl::parse_create(cursor, text, temporary)?)));
    }
    if temporary {
        return Err(cursor.syntax_error());
    }
    if cursor.is_word("index") || cursor.is_word("unique") {
        // R1; the text of the statement stands in the message.
        return Err(Refusal::new("0A000", format!("SQL command \"{}\" not supported on Redshift tables", text.trim())));
    }
    if cursor.is_word("type") {
        return Err(start.syntax_error_near("enum"));
    }
    if cursor.accept("schema") {
        let if_not_exists = cursor.accept("if not exists");
        let name = cursor.ident()?;
        let owner = if cursor.accept("authorization") { Some(cursor.ident()?) } else { None };
        cursor.end()?;
        return Ok(Command::CreateSchema { if_not_exists, name, owner });
    }
    if cursor.accept("user") {
        return create_user(cursor);
    }
    let or_replace = cursor.accept("or replace");
    cursor.expect("view")?;
    create_view(cursor, text, or_replace)
}

fn create_view(cursor: &mut Cursor, text: &str, or_replace: bool) -> Result<Command, Refusal> {
    let name = parse_name(cursor)?;
    let columns = if cursor.peek() == Some(&Token::LParen) { cursor.ident_list()? } else { Vec::new() };
    cursor.expect("as")?;
    let Some(first) = cursor.rest().first() else { return Err(cursor.syntax_error()) };
    let query = ddl::text_from(text, first.span.start.line, first.span.start.column).trim();
    const LATE: &str = "with no schema binding";
    let tail = query.len().checked_sub(LATE.len()).and_then(|at| query.get(at..));
    if tail.is_some_and(|tail| tail.eq_ignore_ascii_case(LATE)) {
        return Err(Refusal::new("0A000", "late-binding views are not served by the stand-in"));
    }
    Ok(Command::CreateView { or_replace, name, columns, query: query.to_owned() })
}

fn create_user(cursor: &mut Cursor) -> Result<Command, Refusal> {
    let name = cursor.ident()?;
    let _ = cursor.accept("with");
    let (mut password, mut superuser) = (None, false);
    while !cursor.is_done() {
        if cursor.accept("password") {
            password = if cursor.accept("disable") { None } else { Some(cursor.string()?) };
        } else if cursor.accept("createuser") {
            superuser = true;
        } else if cursor.accept("nocreateuser") || cursor.accept("nocreatedb") || cursor.accept("createdb") {
        } else {
            return Err(cursor.syntax_error());
        }
    }
    Ok(Command::CreateUser { name, password, superuser })
}

fn drop_something(cursor: &mut Cursor) -> Result<Command, Refusal> {
    let what = cursor.word()?;
    if !matches!(what.as_str(), "table" | "view" | "schema" | "user") {
        return Err(cursor.syntax_error());
    }
    let if_exists = cursor.accept("if exists");
    let command = match what.as_str() {
        "schema" => {
            let name = cursor.ident()?;
            Command::DropSchema { if_exists, name, cascade: cascade(cursor) }
        }
        "user" => Command::DropUser { if_exists, name: cursor.ident()? },
        "view" => {
            let names = name_list(cursor)?;
            Command::DropView { if_exists, names, cascade: cascade(cursor) }
        }
        _ => {
            let names = name_list(cursor)?;
            Command::DropTable { if_exists, names, cascade: cascade(cursor) }
        }
    };
    cursor.end()?;
    Ok(command)
}

fn cascade(cursor: &mut Cursor) -> bool {
    cursor.accept("cascade") || {
        let _ = cursor.accept("restrict");
        false
    }
}

fn name_list(cursor: &mut Cursor) -> Result<Vec<Name>, Refusal> {
    let mut names = vec![parse_name(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        names.push(parse_name(cursor)?);
    }
    Ok(names)
}
