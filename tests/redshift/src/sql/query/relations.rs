//! Names of relations: Redshift's catalog instead of PostgreSQL's.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::Walk;
use crate::Refusal;

/// Relations of `pg_catalog` that Redshift has and that are served as they are.
const POSTGRES_OWN: &[&str] = &[
    "pg_class",
    "pg_namespace",
    "pg_attribute",
    "pg_attrdef",
    "pg_database",
    "pg_user",
    "pg_tables",
    "pg_views",
    "pg_index",
    "pg_description",
    "pg_proc",
    "pg_constraint",
    "pg_depend",
    "pg_am",
];

/// Relations that the stand-in makes itself, in the schema `redshift`.
const OWN: &[&str] = &[
    "pg_type",
    "pg_table_def",
    "svv_table_info",
    "svv_all_columns",
    "svv_all_tables",
    "svv_all_schemas",
    "svv_columns",
    "svv_tables",
    "svv_redshift_columns",
    "svv_redshift_tables",
    "svv_redshift_schemas",
    "stv_db_isolation_level",
    "sys_load_error_detail",
    "stl_load_errors",
    "svl_s3log",
    "stl_commit_stats",
];

/// Views of `information_schema` that are served.
const INFORMATION_SCHEMA: &[&str] = &["schemata", "tables", "columns"];

/// Schemas that belong to the stand-in.
const HIDDEN: &[&str] = &["redshift", "tw_is", "tw_log"];

impl Walk<'_> {
    /// Resolves a name, and notes it when it is a user's.
    pub(super) fn relation(&mut self, relation: &mut ObjectName) -> Result<(), Refusal> {
        let mut parts = Vec::with_capacity(relation.0.len());
        for part in &relation.0 {
            let ObjectNamePart::Identifier(ident) = part else { return Err(self.refuse("from")) };
            parts.push(ident.value.clone());
        }
        // database.schema.name
        if parts.len() == 3 {
            relation.0.remove(0);
            parts.remove(0);
        }
        let missing = || Refusal::new("42P01", format!("relation \"{}\" does not exist", parts.join(".")));
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name),
            [schema, name] => (Some(schema.as_str()), name),
            _ => return Err(self.refuse("from")),
        };
        let lower = name.to_ascii_lowercase();
        match schema {
            None if self.ctes.contains(name) || lower == "generate_series" => Ok(()),
            None | Some("pg_catalog") if OWN.contains(&lower.as_str()) => {
                *relation = object_name("redshift", &lower);
                Ok(())
            }
            None | Some("pg_catalog") if POSTGRES_OWN.contains(&lower.as_str()) => {
                *relation = object_name("pg_catalog", &lower);
                Ok(())
            }
            Some("pg_catalog") => Err(missing()),
            None if lower.starts_with("pg_") => Err(missing()),
            Some("information_schema") if INFORMATION_SCHEMA.contains(&lower.as_str()) => {
                *relation = object_name("tw_is", &lower);
                Ok(())
            }
            Some("information_schema") => Err(missing()),
            Some(schema) if HIDDEN.contains(&schema) => Err(missing()),
            _ => {
                self.has_user_relation = true;
                Ok(())
            }
        }
    }
}

fn object_name(schema: &str, name: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new(schema), Ident::new(name)])
}
