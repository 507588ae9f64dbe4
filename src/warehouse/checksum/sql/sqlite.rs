//! SQLite has no hash function and runs in this process: its rows are read as they are and hashed here.

use crate::{
    model::{
        checksum::{ComparedColumn, Form, Key, KeyRange, float_of, text_of},
        table::system,
    },
    warehouse::{
        checksum::Part,
        sql::{quote, text_literal},
    },
};

use super::{Literals, Tables, in_range, one_of};

/// Values as they are stored: decimals, dates and times are text.
#[derive(Clone, Copy, Debug)]
struct Stored;

impl Literals for Stored {
    fn name(&self, name: &str) -> String {
        quote(name)
    }

    fn text(&self, text: &str) -> String {
        text_literal(text)
    }

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
    fn rows(&self, condition: Vec<String>) -> String {
        let names = self.part.comparison.columns.iter().map(|c| Stored.name(&c.name));
        let columns: Vec<String> = std::iter::once(Stored.name(system::SEQ)).chain(names).collect();
        let mut conditions = self.tables.own(&Stored, self.part.origin);
        conditions.extend(condition);
        self.tables.select(&columns.join(", "), &conditions)
    }

    /// Rows of a range.
    pub(crate) fn range(&self, range: &KeyRange) -> String {
        self.rows(in_range(&Stored, self.part.comparison, range))
    }

    /// Rows of some keys.
    pub(crate) fn keys(&self, keys: &[Key]) -> String {
        self.rows(vec![one_of(&Stored, self.part.comparison, keys)])
    }
}
