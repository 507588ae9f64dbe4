//! From tokens to a [`Statement`].

use super::{
    Change, Ddl, Statement, TableName, alter,
    lex::{Token, lex},
};
use crate::source::mysql::{assembler::xid, query_event::SqlMode};

/// Tokens of a DML statement that are looked at: its values can be gigabytes.
const DML_TOKENS: usize = 64;

/// Tokens of any other statement. A CREATE TABLE with 4096 columns has fewer.
const TOKENS: usize = 1 << 18;

/// Reads over tokens.
#[derive(Clone, Copy)]
pub(super) struct Parser<'a> {
    pub(super) tokens: &'a [Token],
    pub(super) database: &'a str,
    fold_names: bool,
}

impl<'a> Parser<'a> {
    /// The same context over other tokens.
    pub(super) fn over(self, tokens: &'a [Token]) -> Self {
        Self { tokens, ..self }
    }

    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.first()
    }

    pub(super) fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Takes the keywords if all of them come next.
    pub(super) fn eat(&mut self, keywords: &[&str]) -> bool {
        let here = self.tokens.len() >= keywords.len() && self.tokens.iter().zip(keywords).all(|(t, k)| t.is(k));
        if here {
            self.tokens = self.tokens.get(keywords.len()..).unwrap_or_default();
        }
        here
    }

    /// Takes one of the keywords.
    pub(super) fn eat_any(&mut self, keywords: &[&str]) -> bool {
        keywords.iter().any(|k| self.eat(&[k]))
    }

    pub(super) fn eat_sign(&mut self, sign: char) -> bool {
        let here = self.peek() == Some(&Token::Sign(sign));
        if here {
            self.next();
        }
        here
    }

    /// A column or index name.
    pub(super) fn name(&mut self) -> Option<String> {
        self.next()?.name().map(str::to_owned)
    }

    fn folded(&mut self) -> Option<String> {
        let name = self.next()?.name()?;
        Some(if self.fold_names { name.to_lowercase() } else { name.to_owned() })
    }

    /// `table` or `database.table`; also `.table` (ODBC).
    pub(super) fn table(&mut self) -> Option<TableName> {
        if self.eat_sign('.') {
            return Some(TableName { database: self.database.to_owned(), table: self.folded()? });
        }
        let first = self.folded()?;
        if !self.eat_sign('.') {
            return Some(TableName { database: self.database.to_owned(), table: first });
        }
        Some(TableName { database: first, table: self.folded()? })
    }

    fn tables(&mut self) -> Option<Vec<TableName>> {
        let mut tables = vec![self.table()?];
        while self.eat_sign(',') {
            tables.push(self.table()?);
        }
        Some(tables)
    }

    /// Every name, and every qualified name, that could be a table's.
    fn mentions(&self) -> Vec<TableName> {
        let mut mentions = Vec::new();
        for at in 0..self.tokens.len() {
            let mut here = self.over(self.tokens.get(at..).unwrap_or_default());
            mentions.extend(here.table());
            let mut alone = self.over(self.tokens.get(at..=at).unwrap_or_default());
            mentions.extend(alone.table());
        }
        mentions.sort_unstable();
        mentions.dedup();
        mentions
    }
}

/// Classifies `sql`, run with the default `database`.
pub fn classify(sql: &str, database: &str, mode: SqlMode) -> Statement {
    // The four texts the server itself writes most.
    match sql {
        "BEGIN" => return Statement::Begin,
        "COMMIT" => return Statement::Commit,
        "ROLLBACK" => return Statement::Rollback,
        _ => {}
    }
    let start = lex(sql, mode, DML_TOKENS);
    let parser = Parser { tokens: &start, database, fold_names: mode.fold_names };
    if let Some(statement) = short(parser) {
        return statement;
    }
    let all = lex(sql, mode, TOKENS);
    let parser = Parser { tokens: &all, database, fold_names: mode.fold_names };
    let unknown = || Statement::Ddl(Ddl { change: Change::Unknown { mentions: parser.mentions() } });
    long(parser).unwrap_or_else(unknown)
}

/// Statements that their first tokens decide; `None` for all others.
fn short(mut p: Parser<'_>) -> Option<Statement> {
    let Some(first) = p.next() else { return Some(Statement::Irrelevant) };
    let Token::Word(word) = first else { return None };
    Some(match word.to_ascii_uppercase().as_str() {
        "BEGIN" => Statement::Begin,
        "START" if p.eat(&["TRANSACTION"]) => Statement::Begin,
        "COMMIT" => Statement::Commit,
        "ROLLBACK" => rollback(p),
        "SAVEPOINT" | "RELEASE" => Statement::Within,
        "XA" => xa(p)?,
        "INSERT" | "REPLACE" => insert(p),
        "UPDATE" => update(p),
        "DELETE" => delete(p),
        "LOAD" => load(p),
        "WITH" => Statement::Dml { tables: None },
        "SET" if !p.eat(&["STATEMENT"]) => Statement::Irrelevant,
        "GRANT" | "REVOKE" | "FLUSH" | "ANALYZE" | "OPTIMIZE" | "REPAIR" | "CHECK" | "CHECKSUM" | "INSTALL"
        | "UNINSTALL" | "LOCK" | "UNLOCK" | "CACHE" | "KILL" | "RESET" | "PURGE" | "SHOW" | "USE" | "DO" | "SELECT"
        | "CLONE" | "RESTART" | "SHUTDOWN" | "CHANGE" | "STOP" | "SIGNAL" => Statement::Irrelevant,
        _ => return None,
    })
}

fn rollback(mut p: Parser<'_>) -> Statement {
    p.eat(&["WORK"]);
    if p.eat(&["TO"]) { Statement::Within } else { Statement::Rollback }
}

fn xa(mut p: Parser<'_>) -> Option<Statement> {
    Some(match p.next()? {
        t if t.is("START") || t.is("BEGIN") => Statement::XaBegin,
        t if t.is("END") || t.is("PREPARE") => Statement::Within,
        t if t.is("COMMIT") => Statement::XaCommit { xid: read_xid(&mut p)? },
        t if t.is("ROLLBACK") => Statement::XaRollback { xid: read_xid(&mut p)? },
        _ => return None,
    })
}

/// `gtrid[, bqual[, format]]`, each part text, `X'hex'` or `0xhex`.
fn read_xid(p: &mut Parser<'_>) -> Option<String> {
    let gtrid = xid_part(p)?;
    let bqual = if p.eat_sign(',') { xid_part(p)? } else { Vec::new() };
    // The default format is 1 (MySQL Reference Manual, "XA Transaction SQL Statements").
    let format = if p.eat_sign(',') { p.next()?.name()?.parse().ok()? } else { 1 };
    Some(xid(&gtrid, &bqual, format))
}

fn xid_part(p: &mut Parser<'_>) -> Option<Vec<u8>> {
    match p.next()? {
        Token::Text(text) => Some(text.as_bytes().to_vec()),
        Token::Word(x) if x.eq_ignore_ascii_case("x") => match p.next()? {
            Token::Text(digits) => from_hex(digits),
            _ => None,
        },
        Token::Word(word) => from_hex(word.strip_prefix("0x")?),
        _ => None,
    }
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibbles: Option<Vec<u8>> = digits.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
    let nibbles = nibbles.filter(|n| n.len() % 2 == 0)?;
    Some(nibbles.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, n| byte << 4 | n)).collect())
}

fn written(table: Option<TableName>) -> Statement {
    Statement::Dml { tables: table.map(|table| vec![table]) }
}

fn insert(mut p: Parser<'_>) -> Statement {
    while p.eat_any(&["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"]) {}
    written(p.table())
}

fn update(mut p: Parser<'_>) -> Statement {
    while p.eat_any(&["LOW_PRIORITY", "IGNORE"]) {}
    let table = p.table();
    if !p.tokens.first().is_some_and(|t| t.is("SET")) {
        p.eat(&["AS"]);
        p.next(); // an alias
    }
    if p.eat(&["SET"]) { written(table) } else { written(None) }
}

fn delete(mut p: Parser<'_>) -> Statement {
    while p.eat_any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) {}
    if !p.eat(&["FROM"]) {
        return written(None);
    }
    let table = p.table();
    let single = match p.peek() {
        None => true,
        Some(t) => ["WHERE", "ORDER", "LIMIT", "PARTITION", "RETURNING"].iter().any(|k| t.is(k)),
    };
    written(table.filter(|_| single))
}

fn load(mut p: Parser<'_>) -> Statement {
    while p.peek().is_some() {
        if p.eat(&["INTO", "TABLE"]) {
            return written(p.table());
        }
        p.next();
    }
    written(None)
}

/// Statements that are read whole. `None` when not understood.
fn long(mut p: Parser<'_>) -> Option<Statement> {
    if p.eat(&["SET", "STATEMENT"]) {
        // MariaDB: SET STATEMENT variable = value, … FOR statement
        while !p.eat(&["FOR"]) {
            p.next()?;
        }
        return short(p).or_else(|| long(p));
    }
    let change = match p.next()? {
        t if t.is("CREATE") => return create(p),
        t if t.is("DROP") => return drop_objects(p),
        t if t.is("ALTER") => return alter_object(p),
        t if t.is("TRUNCATE") => {
            p.eat(&["TABLE"]);
            Change::Truncate(p.table()?)
        }
        t if t.is("RENAME") => {
            if p.eat(&["USER"]) {
                return Some(Statement::Irrelevant);
            }
            if !p.eat_any(&["TABLE", "TABLES"]) {
                return None;
            }
            p.eat(&["IF", "EXISTS"]);
            Change::Rename(renames(p)?)
        }
        _ => return None,
    };
    Some(Statement::Ddl(Ddl { change }))
}

fn renames(mut p: Parser<'_>) -> Option<Vec<(TableName, TableName)>> {
    let mut pairs = Vec::new();
    loop {
        let from = p.table()?;
        wait_option(&mut p);
        if !p.eat(&["TO"]) {
            return None;
        }
        pairs.push((from, p.table()?));
        if !p.eat_sign(',') {
            return Some(pairs);
        }
    }
}

/// MariaDB: `WAIT n` or `NOWAIT` behind a table.
fn wait_option(p: &mut Parser<'_>) {
    if p.eat(&["WAIT"]) {
        p.next();
    } else {
        p.eat(&["NOWAIT"]);
    }
}

/// Objects without rows that are captured. INDEX only makes rows findable; a SEQUENCE of MariaDB logs its own rows.
const ROWLESS: [&str; 22] = [
    "VIEW",
    "INDEX",
    "KEY",
    "TRIGGER",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "USER",
    "ROLE",
    "SERVER",
    "TABLESPACE",
    "LOGFILE",
    "UNDO",
    "RESOURCE",
    "PACKAGE",
    "SEQUENCE",
    "REFERENCE",
    "LIBRARY",
    "INSTANCE",
    "PREPARE",
    "CATALOG",
    "TEMPORARY",
];

/// Words between CREATE, ALTER or DROP and the kind of the object: OR REPLACE, DEFINER = x@y, ALGORITHM = z, UNIQUE …
const MODIFIERS_MAX: usize = 24;

#[derive(PartialEq)]
enum Object {
    Table,
    Database,
    Rowless,
}

fn object(p: &mut Parser<'_>) -> Option<Object> {
    for _ in 0..MODIFIERS_MAX {
        match p.next()? {
            t if t.is("TABLE") || t.is("TABLES") => return Some(Object::Table),
            t if t.is("DATABASE") || t.is("SCHEMA") => return Some(Object::Database),
            t if ROWLESS.iter().any(|k| t.is(k)) => return Some(Object::Rowless),
            _ => {}
        }
    }
    None
}

fn create(mut p: Parser<'_>) -> Option<Statement> {
    let or_replace = p.eat(&["OR", "REPLACE"]);
    if object(&mut p)? != Object::Table {
        return Some(Statement::Irrelevant);
    }
    let if_not_exists = p.eat(&["IF", "NOT", "EXISTS"]);
    let table = p.table()?;
    Some(Statement::Ddl(Ddl { change: Change::CreateTable { table, if_not_exists, or_replace } }))
}

fn drop_objects(mut p: Parser<'_>) -> Option<Statement> {
    let object = object(&mut p)?;
    p.eat(&["IF", "EXISTS"]);
    let change = match object {
        Object::Table => Change::DropTables(p.tables()?),
        Object::Database => Change::DropDatabase(p.table()?.table),
        Object::Rowless => return Some(Statement::Irrelevant),
    };
    Some(Statement::Ddl(Ddl { change }))
}

fn alter_object(mut p: Parser<'_>) -> Option<Statement> {
    if object(&mut p)? != Object::Table {
        return Some(Statement::Irrelevant);
    }
    p.eat(&["IF", "EXISTS"]);
    let table = p.table()?;
    wait_option(&mut p);
    Some(Statement::Ddl(Ddl { change: Change::Alter(alter::read(table, p)) }))
}
