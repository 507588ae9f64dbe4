//! SQL that only PostgreSQL understands.

use crate::{
    model::{ColumnType, Target},
    warehouse::{
        definition::{NOT_A_PLACE, Naming},
        plan::{Layout, Place},
        session::Statement,
        sql::{Dialect, TableSql, list, private_name, quote, quoted_place, text_literal},
    },
};

use super::types;

/// Schema of the private state.
pub(crate) const PRIVATE: &str = "_tailwater";
/// NAMEDATALEN - 1: longer identifiers are cut silently.
const IDENTIFIER_BYTES_MAX: usize = 63;
/// A schema change waits this long for readers of the table and is then tried again.
const LOCK_WAIT: &str = "10s";

#[derive(Debug)]
pub(crate) struct PostgresDialect {
    /// Schema of targets whose name has none.
    pub(crate) schema: String,
}

impl Naming for PostgresDialect {
    fn place(&self, target: &Target) -> Result<Place, String> {
        if let Some(target) = target.shadowed() {
            return Ok(Place { schema: Some(PRIVATE.to_owned()), table: private_name("rebuild", &target) });
        }
        let (schema, table) = match target.as_str().split_once('.') {
            None => (self.schema.as_str(), target.as_str()),
            Some(parts) => parts,
        };
        if schema.is_empty() || table.is_empty() || table.contains('.') || target.as_str().contains('\0') {
            return Err(NOT_A_PLACE.to_owned());
        }
        if schema == PRIVATE || schema.starts_with("pg_") || schema == "information_schema" {
            return Err(format!("schema {schema} is not for targets; choose another"));
        }
        Ok(Place { schema: Some(schema.to_owned()), table: table.to_owned() })
    }

    fn folded(&self, place: &Place) -> String {
        quoted_place(place)
    }

    fn folded_column(&self, name: &str) -> String {
        name.to_owned()
    }

    fn identifier_bytes_max(&self) -> usize {
        IDENTIFIER_BYTES_MAX
    }

    fn reserved_columns(&self) -> &'static [&'static str] {
        // Documentation, "System Columns".
        &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"]
    }

    fn literal(&self, ty: ColumnType, text: &str) -> Result<String, String> {
        types::literal(ty, text)
    }
}

impl Dialect for PostgresDialect {
    fn private(&self, name: &str) -> String {
        format!("{}.{}", quote(PRIVATE), quote(name))
    }

    fn temporary(&self, name: &str) -> String {
        format!("pg_temp.{}", quote(name))
    }

    fn now(&self) -> &'static str {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    }

    fn for_update(&self) -> &'static str {
        " FOR UPDATE"
    }

    fn instant(&self, column: &str, ty: ColumnType) -> String {
        match ty {
            ColumnType::Timestamp => format!("{column} AT TIME ZONE 'UTC'"),
            _ => column.to_owned(),
        }
    }

    fn column_type(&self, ty: ColumnType, key: bool) -> String {
        types::column_type(ty, key)
    }

    fn system_type(&self, name: &str) -> &'static str {
        types::system_type(name)
    }

    fn comparable(&self, ty: ColumnType) -> bool {
        ty != ColumnType::Json
    }

    fn schema(&self, place: &Place) -> Option<(Statement, Statement)> {
        place.schema.as_deref().map(schema)
    }

    fn columns_of(&self, place: &Place) -> Statement {
        Statement::new(
            "SELECT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        )
        .bind(place.schema.as_deref())
        .bind(place.table.as_str())
    }

    fn key_of(&self, place: &Place) -> Statement {
        Statement::new(
            "SELECT a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace \
             CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (attnum, place) \
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum \
             WHERE n.nspname = $1 AND c.relname = $2 AND i.indisprimary ORDER BY k.place",
        )
        .bind(place.schema.as_deref())
        .bind(place.table.as_str())
    }

    fn widen(&self, table: &str, column: &str, from: ColumnType, to: ColumnType) -> Result<Option<Statement>, String> {
        // With the collation of keys, which a new type would otherwise lose; for columns beside the key it is harmless,
        // because no text type is ever widened into another.
        let (old, new) = (types::column_type(from, true), types::column_type(to, true));
        let statement = || Statement::new(format!("ALTER TABLE {table} ALTER COLUMN {} TYPE {new}", quote(column)));
        Ok((old != new).then(statement))
    }

    fn limit_lock_wait(&self) -> Option<Statement> {
        Some(Statement::new(format!("SET LOCAL lock_timeout = {}", text_literal(LOCK_WAIT))))
    }

    fn attached(&self, place: &Place) -> Statement {
        // Names of the primary key, which was named by the server.
        Statement::new(
            "SELECT k.conname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND k.contype = 'p'",
        )
        .bind(place.schema.as_deref())
        .bind(place.table.as_str())
    }

    fn reshape(
        &self,
        sql: &TableSql<'_>,
        known: &Layout,
        missing: &[Statement],
        attached: &[String],
    ) -> (Vec<Statement>, Vec<Statement>) {
        let (to, table) = (sql.layout, &sql.target);
        let alter = |action: String| Statement::new(format!("ALTER TABLE {table} {action}"));
        let mut before: Vec<Statement> =
            attached.iter().map(|key| alter(format!("DROP CONSTRAINT {}", quote(key)))).collect();
        let (had, has) = (known.system(), to.system());
        before.extend(had.iter().filter(|c| !has.contains(c)).map(|c| alter(format!("DROP COLUMN {}", quote(c)))));
        before.extend(has.iter().filter(|c| !had.contains(c)).map(|c| alter(format!("ADD COLUMN {}", sql.system(c)))));
        before.extend_from_slice(missing);
        for column in &to.columns {
            let name = &column.column.name;
            let Some(was) = known.column(name) else { continue };
            let ty = types::column_type(column.column.ty, to.is_key(name));
            let quoted = quote(name);
            if ty != types::column_type(was.column.ty, known.is_key(name)) {
                before.push(alter(format!("ALTER COLUMN {quoted} DROP DEFAULT")));
                before.push(alter(format!("ALTER COLUMN {quoted} TYPE {ty} USING NULL")));
            }
            if known.is_key(name) && !to.is_key(name) {
                before.push(alter(format!("ALTER COLUMN {quoted} DROP NOT NULL")));
            }
        }
        if !to.append_only() {
            before.push(alter(format!("ADD PRIMARY KEY ({})", list(to.physical_key()))));
        }
        (before, Vec::new())
    }
}

/// One transaction at a time creates the private state: CREATE … IF NOT EXISTS is not safe against itself.
pub(crate) fn lock_creation() -> Statement {
    // An arbitrary constant of our own.
    Statement::new("SELECT pg_advisory_xact_lock(7744581021)")
}

/// Whether the newest table of the private state exists (one row).
pub(crate) fn state_exists() -> Statement {
    Statement::new("SELECT 1::bigint WHERE to_regclass('_tailwater.target') IS NOT NULL")
}

/// Asks for the schema of the private state (one row) and creates it.
pub(crate) fn private_schema() -> (Statement, Statement) {
    schema(PRIVATE)
}

fn schema(name: &str) -> (Statement, Statement) {
    (
        Statement::new("SELECT 1::bigint FROM pg_namespace WHERE nspname = $1").bind(name),
        Statement::new(format!("CREATE SCHEMA IF NOT EXISTS {}", quote(name))),
    )
}

/// Settings of every connection.
pub(crate) fn settings(statement_seconds: u64, lock_seconds: u64) -> Vec<Statement> {
    [
        "SET timezone = 'UTC'".to_owned(),
        "SET standard_conforming_strings = on".to_owned(),
        // What is reported as applied must survive a crash of the server.
        "SET synchronous_commit = on".to_owned(),
        "SET client_min_messages = warning".to_owned(),
        format!("SET statement_timeout = '{statement_seconds}s'"),
        format!("SET lock_timeout = '{lock_seconds}s'"),
    ]
    .map(Statement::new)
    .to_vec()
}

/// Begins a transaction that sees what the fence's last holder committed once the fence is locked.
pub(crate) fn begin() -> Statement {
    Statement::new("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
}

/// Gives the space of deleted staging rows back, without growth of the catalog.
pub(crate) fn vacuum(stage: &str) -> Statement {
    Statement::new(format!("VACUUM {stage}"))
}

/// Tells the planner about a large stage.
pub(crate) fn analyze(stage: &str, key: &str) -> Statement {
    Statement::new(format!("ANALYZE {stage} ({key})"))
}

/// Loads rows in binary form.
pub(crate) fn copy(stage: &str, columns: &str) -> String {
    format!("COPY {stage} ({columns}) FROM STDIN (FORMAT binary)")
}

/// Version, encoding, read-only or standby (0/1), TEMP right, CREATE right on the database, private schema exists,
/// right to write there, default schema exists, CREATE right there.
pub(crate) fn facts(schema: &str) -> Statement {
    Statement::new(
        "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), \
         (pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on')::int::bigint, \
         has_database_privilege(current_database(), 'TEMP')::int::bigint, \
         has_database_privilege(current_database(), 'CREATE')::int::bigint, \
         (SELECT has_schema_privilege(oid, 'CREATE')::int::bigint FROM pg_namespace WHERE nspname = '_tailwater'), \
         (SELECT has_schema_privilege(oid, 'CREATE')::int::bigint FROM pg_namespace WHERE nspname = $1), \
         current_user::text, current_database()::text",
    )
    .bind(schema)
}
