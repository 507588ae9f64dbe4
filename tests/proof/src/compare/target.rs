//! The rows of a target.

use anyhow::{Context, Result, anyhow};
use futures::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row, ValueRef};

use super::source::SourceTable;
use super::value::Kind;
use super::{Table, Warehouse};

/// An open warehouse, only read.
#[derive(Debug)]
pub(crate) enum Target {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    /// Spoken to by the simple protocol alone, as Redshift's own tools do.
    Redshift(PgConnection),
}

/// A row of a target; values in the order of the source's columns.
pub(super) struct TargetRow {
    pub(super) origin: String,
    pub(super) seq: i64,
    pub(super) values: Vec<Option<String>>,
}

/// What a target holds.
pub(super) struct TargetRows {
    /// Columns of the source that the target does not have; their values read as NULL.
    pub(super) absent: Vec<String>,
    pub(super) rows: Vec<TargetRow>,
}

/// Schema and name of the table that a source table is copied to by default.
fn place(warehouse: &Target, table: &Table) -> (String, String) {
    match warehouse {
        Target::Sqlite(_) => ("main".to_owned(), format!("{}_{}", table.database, table.name)),
        Target::Postgres(_) => (table.database.clone(), table.name.clone()),
        Target::Redshift(_) => (table.database.to_lowercase(), table.name.to_lowercase()),
    }
}

impl Target {
    pub(crate) async fn open(warehouse: &Warehouse) -> Result<Self> {
        Ok(match warehouse {
            Warehouse::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path).read_only(true);
                Self::Sqlite(options.connect().await.with_context(|| format!("cannot open {}", path.display()))?)
            }
            Warehouse::Postgres(url) => {
                let options: PgConnectOptions = url.parse().context("the URL of PostgreSQL")?;
                Self::Postgres(options.connect().await.context("cannot connect to PostgreSQL")?)
            }
            Warehouse::Redshift(url) => {
                let options: PgConnectOptions = url.parse().context("the URL of Redshift")?;
                let options = options.statement_cache_capacity(0);
                Self::Redshift(options.connect().await.context("cannot connect to Redshift")?)
            }
        })
    }

    /// Reads a whole target; `None` when there is none.
    pub(super) async fn read(&mut self, table: &Table, layout: &SourceTable) -> Result<Option<TargetRows>> {
        let (schema, name) = place(self, table);
        let columns = self.columns(&schema, &name).await?;
        if columns.is_empty() {
            return Ok(None);
        }
        let mut absent = Vec::new();
        let mut expressions = vec![quoted("_tw_origin"), quoted("_tw_seq")];
        for column in &layout.columns {
            match columns.iter().find(|(name, _)| *name == column.name) {
                Some((_, ty)) => expressions.push(self.expression(&column.name, ty, column.kind)),
                None => {
                    absent.push(column.name.clone());
                    expressions.push("CAST(NULL AS VARCHAR(1))".to_owned());
                }
            }
        }
        let condition =
            if columns.iter().any(|(name, _)| name == "_tw_deleted") { " WHERE NOT _tw_deleted" } else { "" };
        let sql = format!("SELECT {} FROM {}.{}{condition}", expressions.join(", "), quoted(&schema), quoted(&name));
        let rows = self.rows(sql, layout).await.with_context(|| format!("reading {schema}.{name}"))?;
        Ok(Some(TargetRows { absent, rows }))
    }

    /// Whether the warehouse holds a value as well as it can although it gives another text.
    pub(super) fn holds(&self, kind: Kind, source: &Option<String>, target: &Option<String>) -> bool {
        match (self, source, target) {
            (Self::Redshift(_), Some(source), Some(target)) => kind.held_by_redshift(source, target),
            _ => false,
        }
    }

    /// The newest `id` of a target by origin; nothing while there is no such target.
    pub(crate) async fn newest(&mut self, table: &Table) -> Result<Vec<(String, i64)>> {
        let (schema, name) = place(self, table);
        if self.columns(&schema, &name).await?.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT _tw_origin, MAX(id) FROM {}.{} GROUP BY 1", quoted(&schema), quoted(&name));
        Ok(match self {
            Self::Sqlite(conn) => sqlx::query_as(AssertSqlSafe(sql)).fetch_all(conn).await?,
            Self::Postgres(conn) => sqlx::query_as(AssertSqlSafe(sql)).fetch_all(conn).await?,
            Self::Redshift(conn) => {
                let rows = texts(conn, sql).await?.into_iter();
                rows.map(|row| Ok((text(&row, 0)?, text(&row, 1)?.parse()?))).collect::<Result<_>>()?
            }
        })
    }

    /// What an aggregate answers over all rows of a target; `None` where there is no target, or the answer is NULL.
    pub(super) async fn number(&mut self, table: &Table, what: &str) -> Result<Option<i64>> {
        let (schema, name) = place(self, table);
        if self.columns(&schema, &name).await?.is_empty() {
            return Ok(None);
        }
        let sql = format!("SELECT {what} FROM {}.{}", quoted(&schema), quoted(&name));
        Ok(match self {
            Self::Sqlite(conn) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await?,
            Self::Postgres(conn) => sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(conn).await?,
            Self::Redshift(conn) => {
                let rows = texts(conn, sql).await?;
                let number = rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
                number.map(|digits| digits.parse()).transpose()?
            }
        })
    }

    /// Names and types of the target's columns.
    async fn columns(&mut self, schema: &str, name: &str) -> Result<Vec<(String, String)>> {
        Ok(match self {
            Self::Sqlite(conn) => {
                let sql = "SELECT name, type FROM pragma_table_info(?)";
                sqlx::query_as(sql).bind(name).fetch_all(conn).await?
            }
            Self::Postgres(conn) => {
                let sql = "SELECT column_name::text, udt_name::text FROM information_schema.columns \
                           WHERE table_schema = $1 AND table_name = $2";
                sqlx::query_as(sql).bind(schema).bind(name).fetch_all(conn).await?
            }
            Self::Redshift(conn) => {
                let sql = format!(
                    "SELECT column_name, data_type FROM svv_all_columns WHERE database_name = current_database() \
                     AND schema_name = '{}' AND table_name = '{}' ORDER BY ordinal_position",
                    literal(schema),
                    literal(name)
                );
                let rows = texts(conn, sql).await?.into_iter();
                rows.map(|row| Ok((text(&row, 0)?, text(&row, 1)?))).collect::<Result<_>>()?
            }
        })
    }

    /// The expression by which the warehouse brings a column to text. SQLite gives floats as they
    /// are: its own text of them may lose digits.
    fn expression(&self, column: &str, ty: &str, kind: Kind) -> String {
        let column = quoted(column);
        match self {
            Self::Sqlite(_) if kind == Kind::Float => column,
            Self::Sqlite(_) => {
                format!("CASE typeof({column}) WHEN 'blob' THEN 'x' || hex({column}) ELSE CAST({column} AS TEXT) END")
            }
            Self::Postgres(_) => match ty {
                "bytea" => format!("'x' || upper(encode({column}, 'hex'))"),
                "timestamp" => format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
                "timestamptz" => format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"),
                "date" => format!("to_char({column}, 'YYYY-MM-DD')"),
                "float4" | "float8" => format!("{column}::float8::text"),
                _ => format!("{column}::text"),
            },
            Self::Redshift(_) => match ty {
                "binary varying" | "varbyte" => format!("'x' || UPPER(TO_HEX({column}))"),
                "super" => format!("JSON_SERIALIZE({column})"),
                "timestamp without time zone" => format!("TO_CHAR({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
                // The session's zone is UTC.
                "timestamp with time zone" => format!("TO_CHAR({column}, 'YYYY-MM-DD HH24:MI:SS.US')"),
                "date" => format!("TO_CHAR({column}, 'YYYY-MM-DD')"),
                "boolean" => format!("CASE WHEN {column} THEN 'true' WHEN NOT {column} THEN 'false' END"),
                // The protocol's own text has every digit, of the type that it is asked for.
                "real" => format!("CAST({column} AS DOUBLE PRECISION)"),
                _ => column,
            },
        }
    }

    async fn rows(&mut self, sql: String, layout: &SourceTable) -> Result<Vec<TargetRow>> {
        let mut rows = Vec::new();
        match self {
            Self::Sqlite(conn) => {
                let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(conn);
                while let Some(row) = stream.try_next().await? {
                    let mut values = Vec::with_capacity(layout.columns.len());
                    for (column, place) in layout.columns.iter().zip(2..) {
                        let value = match column.kind {
                            Kind::Float => row.try_get::<Option<f64>, _>(place)?.map(|number| format!("{number:?}")),
                            kind => row.try_get::<Option<String>, _>(place)?.map(|text| kind.normal(text)),
                        };
                        values.push(value);
                    }
                    rows.push(TargetRow { origin: row.try_get(0)?, seq: row.try_get(1)?, values });
                }
            }
            Self::Postgres(conn) => {
                let mut stream = sqlx::query(AssertSqlSafe(sql)).fetch(conn);
                while let Some(row) = stream.try_next().await? {
                    let mut values = Vec::with_capacity(layout.columns.len());
                    for (column, place) in layout.columns.iter().zip(2..) {
                        values.push(row.try_get::<Option<String>, _>(place)?.map(|text| column.kind.normal(text)));
                    }
                    rows.push(TargetRow { origin: row.try_get(0)?, seq: row.try_get(1)?, values });
                }
            }
            Self::Redshift(conn) => {
                for row in texts(conn, sql).await? {
                    let values = layout.columns.iter().zip(row.iter().skip(2));
                    let values = values.map(|(column, value)| value.clone().map(|text| column.kind.normal(text)));
                    let values = values.collect();
                    rows.push(TargetRow { origin: text(&row, 0)?, seq: text(&row, 1)?.parse()?, values });
                }
            }
        }
        Ok(rows)
    }
}

/// Rows of a query by the simple protocol, whose values are all texts.
async fn texts(conn: &mut PgConnection, sql: String) -> Result<Vec<Vec<Option<String>>>> {
    let mut rows = Vec::new();
    let mut stream = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(conn);
    while let Some(row) = stream.try_next().await? {
        let value = |place| -> Result<Option<String>> {
            let raw = row.try_get_raw(place)?;
            match raw.is_null() {
                true => Ok(None),
                false => Ok(Some(raw.as_str().map_err(|e| anyhow!("a value is no text: {e}"))?.to_owned())),
            }
        };
        rows.push((0..row.len()).map(value).collect::<Result<_>>()?);
    }
    Ok(rows)
}

/// A value that is never NULL.
fn text(row: &[Option<String>], place: usize) -> Result<String> {
    row.get(place).cloned().flatten().context("a value is NULL that never should be")
}

/// A name inside of a literal of Redshift, where a backslash escapes.
fn literal(name: &str) -> String {
    name.replace('\\', "\\\\").replace('\'', "''")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
