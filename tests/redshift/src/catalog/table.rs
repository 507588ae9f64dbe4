//! Looking up a table and its columns.

use sqlx::{PgConnection, Row};

use super::names::{Scope, quote_ident, sql_name};
use crate::{ColumnType, Refusal};

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Both as the private PostgreSQL knows them, quoted: `"public"."t"`.
    pub sql_name: String,
    /// PostgreSQL's and Redshift's number of it.
    pub oid: i64,
    /// `auto`, `even`, `key` or `all`.
    pub diststyle: String,
    /// Whether the sort key is interleaved.
    pub interleaved: bool,
    /// Columns, in their order.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The same as the private PostgreSQL knows it, quoted.
    pub sql_name: String,
    /// Its type. PostgreSQL keeps VARCHAR as `varchar` with a check of the bytes, VARBYTE as `bytea`, SUPER as
    /// `jsonb`, and the others under their own names.
    pub column_type: ColumnType,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// Its default, as an expression of PostgreSQL.
    pub default: Option<String>,
    /// Whether it is an IDENTITY column.
    pub identity: bool,
    /// Its encoding, `none` where it was left to Redshift.
    pub encoding: String,
    /// Whether it is the distribution key.
    pub distkey: bool,
    /// Its place in the sort key from 1, or 0.
    pub sortkey: i32,
    /// Whether it is in the declared primary key.
    pub in_key: bool,
    /// Whether it is in a declared UNIQUE or foreign key.
    pub constrained: bool,
}

/// Finds a table by folded names.
///
/// # Errors
/// 42P01 when there is none.
pub async fn table(
    connection: &mut PgConnection,
    scope: &Scope,
    schema: Option<&str>,
    name: &str,
) -> Result<Table, Refusal> {
    let missing = || {
        let full = schema.map_or_else(|| name.to_owned(), |schema| format!("{schema}.{name}"));
        Refusal::new("42P01", format!("relation \"{full}\" does not exist"))
    };
    let path: Vec<_> = schema.map_or_else(
        || scope.search_path.iter().map(|schema| sql_name(schema)).collect(),
        |schema| vec![sql_name(schema)],
    );
    let found = sqlx::query(FIND)
        .bind(&path)
        .bind(sql_name(name))
        .bind(schema.is_none())
        .fetch_optional(&mut *connection)
        .await
        .map_err(internal)?;
    let Some(found) = found else { return Err(missing()) };
    let oid: i64 = found.try_get("oid").map_err(internal)?;
    let schema: String = found.try_get("schema_name").map_err(internal)?;
    let rows = sqlx::query(COLUMNS).bind(oid).fetch_all(connection).await.map_err(internal)?;
    let columns = rows.iter().map(column).collect::<Result<_, _>>()?;
    let sql_name = format!("{}.{}", quote_ident(&sql_name(&schema)), quote_ident(&sql_name(name)));
    let diststyle = found.try_get("diststyle").map_err(internal)?;
    let interleaved = found.try_get("interleaved").map_err(internal)?;
    Ok(Table { schema, name: name.to_owned(), sql_name, oid, diststyle, interleaved, columns })
}

/// By the names that PostgreSQL has; the schema of a temporary table is PostgreSQL's affair.
const FIND: &str = "SELECT c.oid::bigint AS oid, r.schema_name, coalesce(r.about ->> 'diststyle', 'auto') AS diststyle, \
    coalesce(r.about ->> 'sortkind' = 'interleaved', false) AS interleaved FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN tw_is.relations r ON r.oid = c.oid \
    WHERE c.relname = $2 AND c.relkind = 'r' AND (n.nspname = ANY ($1) OR $3 AND n.oid = pg_my_temp_schema()) \
    ORDER BY c.relpersistence = 't' DESC, array_position($1, n.nspname::text) LIMIT 1";

const COLUMNS: &str = "SELECT column_name, type_name, type_size, type_scale, identity, NOT not_null AS nullable, default_value, \
    encoding, distkey, sortkey, in_key, constrained FROM tw_is.all_columns WHERE oid = $1::bigint::oid ORDER BY attnum";

fn column(row: &sqlx::postgres::PgRow) -> Result<Column, Refusal> {
    let name: String = row.try_get("column_name").map_err(internal)?;
    let kind: String = row.try_get("type_name").map_err(internal)?;
    let size: i32 = row.try_get("type_size").map_err(internal)?;
    let scale: i32 = row.try_get("type_scale").map_err(internal)?;
    let column_type = ColumnType::from_catalog(&kind, size, scale)
        .ok_or_else(|| Refusal::new("XX000", format!("the catalog has an unknown type \"{kind}\"")))?;
    Ok(Column {
        sql_name: quote_ident(&sql_name(&name)),
        name,
        column_type,
        nullable: row.try_get("nullable").map_err(internal)?,
        default: row.try_get("default_value").map_err(internal)?,
        identity: row.try_get("identity").map_err(internal)?,
        encoding: row.try_get("encoding").map_err(internal)?,
        distkey: row.try_get("distkey").map_err(internal)?,
        sortkey: row.try_get("sortkey").map_err(internal)?,
        in_key: row.try_get("in_key").map_err(internal)?,
        constrained: row.try_get("constrained").map_err(internal)?,
    })
}

/// The private database failed where it must not.
fn internal(error: sqlx::Error) -> Refusal {
    Refusal::new("XX000", format!("the stand-in's own catalog failed: {error}"))
}
