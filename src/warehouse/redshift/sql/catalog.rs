//! What is asked of Redshift's own catalog.

use crate::warehouse::plan::Place;

use super::{fold, text_literal};

/// Columns of a table, in order; no rows when there is no such table.
pub(crate) fn columns_of(place: &Place) -> String {
    format!(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = {} AND table_name = {} \
         ORDER BY ordinal_position",
        text_literal(&fold(place.schema.as_deref().unwrap_or_default())),
        text_literal(&fold(&place.table))
    )
}

/// One row when the schema exists.
pub(crate) fn schema_exists(schema: &str) -> String {
    format!("SELECT nspname FROM pg_namespace WHERE nspname = {}", text_literal(&fold(schema)))
}

/// Tables of a schema whose name begins so.
pub(crate) fn tables_of(schema: &str, prefix: &str) -> String {
    let prefix = text_literal(&fold(prefix));
    // substring instead of LIKE, where the names' own underscores would be wildcards.
    format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND substring(table_name, 1, {}) = {prefix} \
         ORDER BY table_name",
        text_literal(&fold(schema)),
        prefix.len() - 2
    )
}

/// User, database, right to create schemas (0/1).
pub(crate) fn facts() -> &'static str {
    "SELECT current_user, current_database(), \
     CASE WHEN has_database_privilege(current_database(), 'CREATE') THEN 1 ELSE 0 END"
}

/// Right to create tables in a schema (0/1); asked only of schemas that exist.
pub(crate) fn may_create_in(schema: &str) -> String {
    format!(
        "SELECT CASE WHEN has_schema_privilege({0}, 'CREATE') AND has_schema_privilege({0}, 'USAGE') THEN 1 ELSE 0 END",
        text_literal(&fold(schema))
    )
}

/// The server's process of this connection.
pub(crate) fn backend() -> &'static str {
    "SELECT pg_backend_pid()"
}

/// The newest load error of a connection: file, column, its type, what is wrong. The view's texts are padded.
pub(crate) fn load_error(backend: i64) -> String {
    format!(
        "SELECT trim(file_name), trim(column_name), trim(column_type), trim(error_message) FROM sys_load_error_detail \
         WHERE session_id = {backend} ORDER BY start_time DESC LIMIT 1"
    )
}
