//! CREATE TABLE and ALTER TABLE (D1–D4).

mod alter;
mod create;

pub(crate) use alter::{AlterAction, AlterTable, parse_alter};
pub(crate) use create::{
    ColumnSpec, CreateTable, DistStyle, Key, KeyKind, Shape, SortKind, TableAttributes, parse_create, text_from,
};

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::Refusal;

/// A table's or view's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The schema, where one is given.
    pub(crate) schema: Option<String>,
    /// The name.
    pub(crate) name: String,
}

/// Reads `schema.name` or `name`.
pub(crate) fn parse_name(cursor: &mut Cursor) -> Result<Name, Refusal> {
    let first = cursor.ident()?;
    if !cursor.accept_token(&Token::Period) {
        return Ok(Name { schema: None, name: first });
    }
    let second = cursor.ident()?;
    if !cursor.accept_token(&Token::Period) {
        return Ok(Name { schema: Some(first), name: second });
    }
    // database.schema.name: the database is looked at by nobody, as there is no other.
    Ok(Name { schema: Some(second), name: cursor.ident()? })
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
