//! GRANT and REVOKE: privileges of schemas, tables and databases to users.

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::ddl::parse_name;
use crate::Refusal;
use crate::catalog::{quote_ident, sql_name};

/// Privileges that PostgreSQL has under the same name.
const PRIVILEGES: &[&str] =
    &["select", "insert", "update", "delete", "references", "usage", "create", "temp", "temporary", "all", "truncate"];

/// Rewrites a statement; PostgreSQL checks the rest.
pub(super) fn parse(start: &Cursor) -> Result<String, Refusal> {
    let mut cursor = start.clone();
    let grant = cursor.word()? == "grant";
    let mut privileges = Vec::new();
    loop {
        let at = cursor.clone();
        let privilege = cursor.word()?;
        // ALTER and DROP are privileges of Redshift alone; here the owner has them.
        if !PRIVILEGES.contains(&privilege.as_str()) {
            return Err(at.syntax_error());
        }
        if privilege == "all" {
            let _ = cursor.accept("privileges");
        }
        privileges.push(privilege);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect("on")?;
    let object = object(&mut cursor)?;
    cursor.expect(if grant { "to" } else { "from" })?;
    let mut grantees = vec![grantee(&mut cursor)?];
    while cursor.accept_token(&Token::Comma) {
        grantees.push(grantee(&mut cursor)?);
    }
    cursor.end()?;
    let (verb, direction) = if grant { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
    Ok(format!("{verb} {} ON {object} {direction} {}", privileges.join(", "), grantees.join(", ")))
}

fn object(cursor: &mut Cursor) -> Result<String, Refusal> {
    let quoted = |name: &str| quote_ident(&sql_name(name));
    if cursor.accept("all tables in schema") {
        return Ok(format!("ALL TABLES IN SCHEMA {}", quoted(&cursor.ident()?)));
    }
    let kind = if cursor.accept("schema") {
        "SCHEMA"
    } else if cursor.accept("database") {
        "DATABASE"
    } else {
        let _ = cursor.accept("table");
        "TABLE"
    };
    let mut names = Vec::new();
    loop {
        let name = parse_name(cursor)?;
        names.push(match &name.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
            None => quoted(&name.name),
        });
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    Ok(format!("{kind} {}", names.join(", ")))
}

fn grantee(cursor: &mut Cursor) -> Result<String, Refusal> {
    if cursor.accept("public") {
        return Ok("PUBLIC".to_owned());
    }
    if cursor.is_word("group") || cursor.is_word("role") {
        return Err(cursor.syntax_error());
    }
    Ok(quote_ident(&cursor.ident()?))
}
