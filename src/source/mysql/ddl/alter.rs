//! The list of changes of an ALTER TABLE.

use super::{AddedColumn, AddedDefault, Alter, TableName, lex::Token, parse::Parser};

/// Reads what follows the table's name. What is not understood counts as rewriting rows.
pub(super) fn read(table: TableName, p: Parser<'_>) -> Alter {
    let mut alter = Alter {
        table,
        renamed_to: None,
        others: Vec::new(),
        adds: Vec::new(),
        drops: Vec::new(),
        renames: Vec::new(),
        rewrites_rows: false,
        changes_key: false,
    };
    let mut list = None;
    for part in split(p.tokens) {
        if one(&mut alter, p.over(part)).is_some() {
            list = List::begun_by(part);
        } else if !list.is_some_and(|list| list.continues(part)) {
            alter.rewrites_rows = true;
        }
    }
    alter
}

/// Changes that have commas of their own.
#[derive(Clone, Copy)]
enum List {
    /// ORDER BY a, b DESC
    Order,
    /// REBUILD PARTITION p, q and the like, which stand alone in their statement.
    Partitions,
}

impl List {
    fn begun_by(part: &[Token]) -> Option<Self> {
        let [first, second, ..] = part else { return None };
        if first.is("ORDER") {
            return Some(Self::Order);
        }
        second.is("PARTITION").then_some(Self::Partitions)
    }

    fn continues(self, part: &[Token]) -> bool {
        match (self, part) {
            (Self::Partitions, _) => true,
            (Self::Order, [column]) => column.name().is_some(),
            (Self::Order, [column, direction]) => {
                column.name().is_some() && (direction.is("ASC") || direction.is("DESC"))
            }
            _ => false,
        }
    }
}

/// Splits at commas outside of brackets.
fn split(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    let mut depth = 0u32;
    tokens
        .split(move |token| {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth = depth.saturating_sub(1),
                Token::Sign(',') => return depth == 0,
                _ => {}
            }
            false
        })
        .filter(|part| !part.is_empty())
}

/// One change; `None` when not understood.
fn one(alter: &mut Alter, mut p: Parser<'_>) -> Option<()> {
    let Token::Word(word) = p.next()? else { return None };
    match word.to_ascii_uppercase().as_str() {
        "ADD" => add(alter, p),
        "DROP" => drop_part(alter, p),
        "MODIFY" => {
            alter.rewrites_rows = true;
            Some(())
        }
        "CHANGE" => {
            alter.rewrites_rows = true;
            p.eat(&["COLUMN"]);
            p.eat(&["IF", "EXISTS"]);
            let (from, to) = (p.name()?, p.name()?);
            if from != to {
                alter.renames.push((from, to));
            }
            Some(())
        }
        "RENAME" => rename(alter, p),
        "EXCHANGE" => {
            alter.rewrites_rows = true;
            other_table(alter, p, &["WITH", "TABLE"])
        }
        // CONVERT TO CHARACTER SET; MariaDB: CONVERT PARTITION p TO TABLE t, CONVERT TABLE t TO PARTITION p
        "CONVERT" => {
            alter.rewrites_rows = true;
            if p.eat(&["PARTITION"]) {
                return other_table(alter, p, &["TO", "TABLE"]);
            }
            other_table(alter, p, &["TABLE"]).or(Some(()))
        }
        "TRUNCATE" | "DISCARD" | "IMPORT" => {
            alter.rewrites_rows = true;
            Some(())
        }
        word if METADATA.contains(&word) => Some(()),
        _ => None,
    }
}

/// Parts of ALTER TABLE that change neither rows nor columns, by first word.
const METADATA: [&str; 54] = [
    "ALTER",
    "ORDER",
    "ENABLE",
    "DISABLE",
    "FORCE",
    "ALGORITHM",
    "LOCK",
    "WITH",
    "WITHOUT",
    "PARTITION",
    "COALESCE",
    "REORGANIZE",
    "REBUILD",
    "OPTIMIZE",
    "ANALYZE",
    "CHECK",
    "REPAIR",
    "REMOVE",
    "UPGRADE",
    "DEFAULT",
    "CHARACTER",
    "CHARSET",
    "COLLATE",
    "ENGINE",
    "TYPE",
    "AUTO_INCREMENT",
    "AVG_ROW_LENGTH",
    "CHECKSUM",
    "TABLE_CHECKSUM",
    "COMMENT",
    "COMPRESSION",
    "CONNECTION",
    "DATA",
    "INDEX",
    "DELAY_KEY_WRITE",
    "ENCRYPTION",
    "ENCRYPTED",
    "ENCRYPTION_KEY_ID",
    "ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE_ATTRIBUTE",
    "SECONDARY_ENGINE",
    "SECONDARY_LOAD",
    "SECONDARY_UNLOAD",
    "INSERT_METHOD",
    "KEY_BLOCK_SIZE",
    "MAX_ROWS",
    "MIN_ROWS",
    "PACK_KEYS",
    "PAGE_COMPRESSED",
    "PAGE_COMPRESSION_LEVEL",
    "ROW_FORMAT",
    "STATS_AUTO_RECALC",
    "STATS_PERSISTENT",
    "STATS_SAMPLE_PAGES",
];

fn other_table(alter: &mut Alter, mut p: Parser<'_>, behind: &[&str]) -> Option<()> {
    while !p.eat(behind) {
        p.next()?;
    }
    alter.others.push(p.table()?);
    Some(())
}

fn rename(alter: &mut Alter, mut p: Parser<'_>) -> Option<()> {
    if p.eat(&["COLUMN"]) {
        p.eat(&["IF", "EXISTS"]);
        let from = p.name()?;
        if !p.eat(&["TO"]) {
            return None;
        }
        alter.renames.push((from, p.name()?));
    } else if !p.eat_any(&["INDEX", "KEY"]) {
        if !p.eat_any(&["TO", "AS"]) {
            p.eat_sign('=');
        }
        alter.renamed_to = Some(p.table()?);
    }
    Some(())
}

fn drop_part(alter: &mut Alter, mut p: Parser<'_>) -> Option<()> {
    if !p.eat(&["COLUMN"]) {
        if p.eat(&["PRIMARY", "KEY"]) {
            alter.changes_key = true;
            return Some(());
        }
        if p.eat(&["PARTITION"]) {
            alter.rewrites_rows = true;
            return Some(());
        }
        let system_versioning = p.clone().eat(&["SYSTEM", "VERSIONING"]);
        let period = p.clone().eat(&["PERIOD", "FOR"]);
        if p.eat_any(&["INDEX", "KEY", "FOREIGN", "CONSTRAINT", "CHECK"]) || system_versioning || period {
            alter.rewrites_rows |= system_versioning;
            return Some(());
        }
    }
    p.eat(&["IF", "EXISTS"]);
    alter.drops.push(p.name()?);
    Some(())
}

fn add(alter: &mut Alter, mut p: Parser<'_>) -> Option<()> {
    if !p.eat(&["COLUMN"]) {
        if key(alter, p) {
            return Some(());
        }
        if p.clone().eat(&["SYSTEM", "VERSIONING"]) {
            alter.rewrites_rows = true;
            return Some(());
        }
    }
    p.eat(&["IF", "NOT", "EXISTS"]);
    if p.eat_sign('(') {
        // The bracket closes at the end of the part, maybe before FIRST or an option.
        for part in split(inside(p.tokens)) {
            let item = p.over(part);
            if !key(alter, item) {
                column(alter, item)?;
            }
        }
        return Some(());
    }
    column(alter, p)
}

/// The tokens up to the bracket that closes the one already taken.
fn inside(tokens: &[Token]) -> &[Token] {
    let mut depth = 1u32;
    let end = tokens.iter().position(|token| {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    tokens.get(..end.unwrap_or(tokens.len())).unwrap_or_default()
}

/// Whether an index, constraint or partition is added, not a column.
fn key(alter: &mut Alter, mut p: Parser<'_>) -> bool {
    if p.eat(&["CONSTRAINT"]) {
        if p.clone().eat(&["PRIMARY", "KEY"]) || p.tokens.get(1).is_some_and(|t| t.is("PRIMARY")) {
            alter.changes_key = true;
        }
        return true;
    }
    if p.eat(&["PRIMARY", "KEY"]) {
        alter.changes_key = true;
        return true;
    }
    let reserved = ["INDEX", "KEY", "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "PARTITION"];
    p.eat_any(&reserved) || p.eat(&["PERIOD", "FOR"]) || p.eat(&["VECTOR", "INDEX"]) || p.eat(&["VECTOR", "KEY"])
}

/// `name definition [FIRST | AFTER column]`
fn column(alter: &mut Alter, mut p: Parser<'_>) -> Option<()> {
    let name = p.name()?;
    let default = default(p);
    if p.tokens.iter().any(|t| t.is("PRIMARY")) {
        alter.changes_key = true;
    }
    alter.adds.push(AddedColumn { name, default });
    Some(())
}

/// What a column definition gives to existing rows.
fn default(mut p: Parser<'_>) -> AddedDefault {
    // TIMESTAMP may get CURRENT_TIMESTAMP by itself (explicit_defaults_for_timestamp), SERIAL counts up.
    let mut found = match p.peek() {
        Some(t) if t.is("TIMESTAMP") || t.is("SERIAL") => AddedDefault::Unknown,
        Some(_) => AddedDefault::Null,
        None => return AddedDefault::Unknown,
    };
    let mut depth = 0u32;
    let mut explicit = false;
    while let Some(token) = p.next() {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            t if t.is("GENERATED") || t.is("AS") || t.is("AUTO_INCREMENT") => return AddedDefault::Unknown,
            t if t.is("DEFAULT") => {
                found = literal(&mut p);
                explicit = true;
            }
            // The names behind these are no keywords.
            t if t.is("AFTER") || t.is("COLLATE") || t.is("CHARSET") => drop(p.next()),
            // The order matters: NULL is eaten with its NOT also where a default was found before.
            t if t.is("NOT") && p.eat(&["NULL"]) && !explicit && found == AddedDefault::Null => {
                found = AddedDefault::Implicit;
            }
            t if t.is("PRIMARY") && !explicit && found == AddedDefault::Null => found = AddedDefault::Implicit,
            t if t.is("NULL") && !explicit => found = AddedDefault::Null,
            _ => {}
        }
    }
    found
}

/// The value behind DEFAULT.
fn literal(p: &mut Parser<'_>) -> AddedDefault {
    let sign = if p.eat_sign('-') { "-" } else { "" };
    p.eat_sign('+');
    let Some(token) = p.next() else { return AddedDefault::Unknown };
    match token {
        t if t.is("NULL") => AddedDefault::Null,
        t if t.is("TRUE") => AddedDefault::Literal("1".into()),
        t if t.is("FALSE") => AddedDefault::Literal("0".into()),
        Token::Text(text) => AddedDefault::Literal(joined(text, p)),
        Token::Sign('.') => match p.next() {
            Some(Token::Word(digits)) if is_number(digits) => AddedDefault::Literal(format!("{sign}0.{digits}")),
            _ => AddedDefault::Unknown,
        },
        Token::Word(number) if is_number(number) => AddedDefault::Literal(format!("{sign}{number}")),
        // _utf8mb4'x', N'x', DATE '2024-01-01'; but X'61' and B'1' are bytes.
        Token::Word(prefix) => match p.peek() {
            Some(Token::Text(text)) if is_text_prefix(prefix) => {
                p.next();
                AddedDefault::Literal(joined(text, p))
            }
            _ => AddedDefault::Unknown,
        },
        _ => AddedDefault::Unknown,
    }
}

fn is_number(word: &str) -> bool {
    let shape = word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    shape && word.bytes().next().is_some_and(|b| b.is_ascii_digit())
}

fn is_text_prefix(word: &str) -> bool {
    let word = word.to_ascii_uppercase();
    (word.starts_with("_UTF8") || word == "_ASCII" || word == "_LATIN1")
        || matches!(&*word, "N" | "DATE" | "TIME" | "TIMESTAMP")
}

/// Adjacent string literals are one.
fn joined(first: &str, p: &mut Parser<'_>) -> String {
    let mut text = first.to_owned();
    while let Some(Token::Text(more)) = p.peek() {
        text.push_str(more);
        p.next();
    }
    text
}
