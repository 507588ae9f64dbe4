//! Every SQL text sent to Redshift.
//!
//! Names are folded here, as Redshift does itself unless told otherwise, so that its switch for case-sensitive identifiers
//! changes nothing. Values are written into the text: all of it goes by the simple protocol or the Data API.

pub(crate) mod catalog;
pub(crate) mod copy;
pub(crate) mod merge;
pub(crate) mod stage;
pub(crate) mod state;
pub(crate) mod table;

use std::time::Duration;

use crate::{
    model::{ColumnType, Target},
    warehouse::{
        definition::{NOT_A_PLACE, Naming},
        plan::Place,
        sql::{private_name, quote},
    },
};

use super::types;
pub(crate) use types::text_literal;

/// Longer identifiers are cut silently (developer guide, "Names and identifiers").
const IDENTIFIER_BYTES_MAX: usize = 127;

/// A name as an identifier, folded as the catalog shows it.
pub(crate) fn name(name: &str) -> String {
    quote(&fold(name))
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// Folded, quoted, comma-separated.
pub(crate) fn names<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> String {
    list.into_iter().map(|n| name(n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// The place, quoted.
pub(crate) fn quoted(place: &Place) -> String {
    let table = name(&place.table);
    place.schema.as_ref().map_or_else(|| table.clone(), |s| format!("{}.{table}", name(s)))
}

/// Where targets and the private state lie.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Schema of targets whose name has none.
    pub(crate) schema: String,
    /// Schema of Tailwater's own tables.
    pub(crate) private: String,
}

impl Names {
    /// A table of the private schema.
    pub(crate) fn private(&self, table: &str) -> String {
        format!("{}.{}", name(&self.private), name(table))
    }

    /// The side table of a target with a global key.
    pub(crate) fn side(&self, target: &Target) -> String {
        self.private(&private_name("side", target))
    }
}

impl Naming for Names {
    fn place(&self, target: &Target) -> Result<Place, String> {
        if let Some(target) = target.shadowed() {
            return Ok(Place { schema: Some(fold(&self.private)), table: fold(&private_name("rebuild", &target)) });
        }
        let text = fold(target.as_str());
        let (schema, table) = text.split_once('.').unwrap_or((self.schema.as_str(), text.as_str()));
        let schema = fold(schema);
        if schema.is_empty() || table.is_empty() || table.contains('.') || text.contains('\0') {
            return Err(NOT_A_PLACE.to_owned());
        }
        if schema == fold(&self.private) || schema.starts_with("pg_") || schema == "information_schema" {
            return Err(format!("schema {schema} is not for targets; choose another"));
        }
        if table.starts_with('#') {
            return Err("tables whose name begins with # are temporary in Redshift; rename it".to_owned());
        }
        Ok(Place { schema: Some(schema), table: table.to_owned() })
    }

    fn folded(&self, place: &Place) -> String {
        quoted(place)
    }

    fn folded_column(&self, name: &str) -> String {
        fold(name)
    }

    fn identifier_bytes_max(&self) -> usize {
        IDENTIFIER_BYTES_MAX
    }

    fn reserved_columns(&self) -> &'static [&'static str] {
        // Developer guide, "System column names".
        &["oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"]
    }

    fn literal(&self, ty: ColumnType, text: &str) -> Result<String, String> {
        types::literal(ty, text)
    }

    fn key_type(&self, ty: ColumnType) -> ColumnType {
        types::key_type(ty)
    }
}

/// Creates a schema where it is missing.
pub(crate) fn create_schema(schema: &str) -> String {
    format!("CREATE SCHEMA IF NOT EXISTS {}", name(schema))
}

/// What a superuser grants: the private schema is the user's own, in the others it creates its tables.
pub(crate) fn grants(private: &str, schemas: &[String], user: &str) -> Vec<String> {
    let user = quote(user);
    let mut statements = vec![format!("{} AUTHORIZATION {user}", create_schema(private))];
    for schema in schemas {
        statements.push(create_schema(schema));
        statements.push(format!("GRANT USAGE, CREATE ON SCHEMA {} TO {user}", name(schema)));
    }
    statements
}

/// Settings of every connection. Its queue is chosen by query group, where the cluster's WLM has one for it.
pub(crate) fn session(statement_max: Duration) -> Vec<String> {
    vec!["SET query_group TO 'tailwater'".to_owned(), statement_timeout(statement_max)]
}

/// Longest time for a statement.
pub(crate) fn statement_timeout(max: Duration) -> String {
    format!("SET statement_timeout TO {}", max.as_millis())
}

/// Whether `predicate` holds, as a statement that fails when it does not: for transactions that nobody watches. A count
/// that is another one becomes a division by zero, one that is right becomes 1.
pub(crate) fn guard(count: &str, expected: i64) -> String {
    format!("SELECT 1 / CASE WHEN ({count}) = {expected} THEN 1 ELSE 0 END")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_as_the_catalog_does() {
        let names = Names { schema: "Public".to_owned(), private: "_Tailwater".to_owned() };
        let place = |target: &str| names.place(&Target::new(target)).map(|p| quoted(&p));
        assert_eq!(place("Shop.Größe").unwrap(), "\"shop\".\"größe\"");
        assert_eq!(place("orders").unwrap(), "\"public\".\"orders\"");
        assert_eq!(names.private("fence_x"), "\"_tailwater\".\"fence_x\"");
        for bad in ["", "a.b.c", ".a", "a.", "pg_x.a", "_TAILWATER.a", "s.#t", "a\0b"] {
            place(bad).unwrap_err();
        }
    }

    #[test]
    fn a_guard_divides_by_the_answer() {
        assert_eq!(
            guard("SELECT count(*) FROM t", 2),
            "SELECT 1 / CASE WHEN (SELECT count(*) FROM t) = 2 THEN 1 ELSE 0 END"
        );
    }
}
