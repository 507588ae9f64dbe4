//! SQLite has no hash function and runs in this process: its rows are read as they are and hashed here.

use crate::{
    model::{
        checksum::{ComparedColumn, Form, Key, KeyRange, float_of, text_of},
        table::system,
    },
    warehouse::{
        checksum::Part,
        session::Statement,
        sql::{quote, text_literal},
    },
};

use super::{Literals, Tables, in_range, one_of};

/// Values as they are stored: decimals, dates and times are text.
#[derive(Clone, Copy, Debug)]
struct Stored;

impl Literals for Stored {
    fn literal(&self, column: &ComparedColumn, token: &str) -> String {
        match Form::of_key(column.ty) {
            Form::Boolean | Form::Integer => token.to_owned(),
            Form::Float => format!("{:e}", float_of(token).unwrap_or_default()),
            Form::Bytes => format!("X'{token}'"),
            Form::Text => text_literal(text_of(token)),
            _ => text_literal(token),
        }
    }
}

/// Statements that read rows of a part: `_tw_seq`, then the compared columns.
#[derive(Debug)]
pub(crate) struct RowSql<'a> {
    pub(crate) part: Part<'a>,
    pub(crate) tables: &'a Tables,
}

impl RowSql<'_> {
    fn rows(&self, condition: Vec<String>) -> Statement {
        let names = self.part.comparison.columns.iter().map(|c| quote(&c.name));
        let columns: Vec<String> = std::iter::once(quote(system::SEQ)).chain(names).collect();
        let mut conditions = self.tables.own();
        conditions.extend(condition);
        Statement::new(self.tables.select(&columns.join(", "), &conditions)).bind(self.part.origin.to_string())
    }

    /// Rows of a range.
    pub(crate) fn range(&self, range: &KeyRange) -> Statement {
        self.rows(in_range(&Stored, self.part.comparison, range))
    }

    /// Rows of some keys.
    pub(crate) fn keys(&self, keys: &[Key]) -> Statement {
        self.rows(vec![one_of(&Stored, self.part.comparison, keys)])
    }
}
