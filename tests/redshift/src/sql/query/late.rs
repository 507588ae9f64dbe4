//! Views WITH NO SCHEMA BINDING: nothing is known of them but their text, which is put in their place when they are read.

use sqlparser::ast::{Ident, ObjectNamePart, Statement, TableAlias, TableFactor};

use super::{Walk, parse_statement};
use crate::Refusal;
use crate::catalog::Scope;
use crate::sql::cursor::Cursor;

/// Views that one statement may read; more is a view that reads itself.
const EXPANSIONS_MAX: usize = 1_000;

/// Such a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LateView {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Its query, as written.
    pub(crate) text: String,
}

impl Walk<'_> {
    /// Puts a view's query in place of its name.
    pub(super) fn expand(&mut self, factor: &mut TableFactor) -> Result<(), Refusal> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else { return Ok(()) };
        let parts: Vec<_> = name
            .0
            .iter()
            .filter_map(|part| match part {
                ObjectNamePart::Identifier(ident) => Some(ident.value.as_str()),
                ObjectNamePart::Function(_) => None,
            })
            .collect();
        let Some(view) = self.find_view(&parts) else { return Ok(()) };
        self.expanded += 1;
        if self.expanded > EXPANSIONS_MAX {
            return Err(Refusal::new("54001", "infinite recursion in a view"));
        }
        let cursor = Cursor::new(&view.text, &self.values.scope)?;
        let Statement::Query(subquery) = parse_statement(&cursor)? else { return Err(cursor.syntax_error()) };
        let own =
            || TableAlias { explicit: true, name: Ident::with_quote('"', &view.name), columns: Vec::new(), at: None };
        let alias = alias.clone().unwrap_or_else(own);
        *factor = TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
        Ok(())
    }

    fn find_view(&self, parts: &[&str]) -> Option<super::LateView> {
        let Scope { search_path, .. } = &self.values.scope;
        let in_schema = |schema: &str, name: &str| {
            self.values.late_views.iter().find(|view| view.schema == schema && view.name == name).cloned()
        };
        match parts {
            [name] if !self.ctes.contains(*name) => search_path.iter().find_map(|schema| in_schema(schema, name)),
            [schema, name] | [_, schema, name] => in_schema(schema, name),
            _ => None,
        }
    }
}
