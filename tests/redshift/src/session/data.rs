//! Queries, data manipulation, COPY and locks.

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Column, Either, Executor, Row, Statement as _, ValueRef};

use super::errors::translate;
use super::statement::done;
use super::transaction::{Enclosed, State};
use super::{Description, Field, Notice, Outcome, Rows, Session};
use crate::Refusal;
use crate::catalog::{self, Table};
use crate::copy;
use crate::server::Isolation;
use crate::sql::{self, Command, Kind, Name, Parameters};

/// Bound on the values of one answer, which are kept until they are sent.
const ANSWER_BYTES_MAX: usize = 512 * 1024 * 1024;
/// What Redshift calls the type of SUPER.
const SUPER_OID: u32 = 4_000;
/// What Redshift calls the type of VARBYTE.
const VARBYTE_OID: u32 = 6_551;
/// PostgreSQL's numbers of the types behind them.
const JSONB_OID: u32 = 3_802;
const BYTEA_OID: u32 = 17;

impl Session {
    pub(super) async fn query(&mut self, kind: Kind, cursor: &sql::Cursor) -> Result<Outcome, Refusal> {
        let parsed = sql::parse_query(cursor)?;
        let enclosed = if kind == Kind::Select && self.state == State::Idle { None } else { Some(self.enter().await?) };
        let result = self.run_parsed(kind, &parsed, enclosed).await;
        match enclosed {
            Some(enclosed) => self.leave(enclosed, result).await,
            None => result,
        }
    }

    async fn run_parsed(
        &mut self,
        kind: Kind,
        parsed: &sql::Parsed,
        enclosed: Option<Enclosed>,
    ) -> Result<Outcome, Refusal> {
        let mut table = None;
        if let Some(target) = &parsed.target {
            self.lock_for_writing(kind, target, enclosed == Some(Enclosed::Clients)).await?;
            table = Some(self.table(target).await?);
        }
        if let Some(source) = &parsed.merge_source {
            self.table(source).await?;
        }
        let rewritten = sql::rewrite(parsed, table.as_ref(), &self.values)?;
        self.situation.from_query = rewritten.from_query;
        if let Some(table) = &table {
            self.situation.table = table.oid;
            self.written.insert(table.oid);
        }
        self.snapshot = true;
        self.send(kind, &rewritten.sql).await
    }

    /// The target of a statement.
    async fn table(&mut self, name: &Name) -> Result<Table, Refusal> {
        let scope = self.scope();
        catalog::table(&mut self.connection, &scope, name.schema.as_deref(), &name.name).await
    }

    /// Writers of one table wait for each other: those that delete under both levels, those that only add under
    /// serializable. In a client's transaction the snapshot is older than the wait, as in Redshift.
    async fn lock_for_writing(&mut self, kind: Kind, target: &Name, in_transaction: bool) -> Result<(), Refusal> {
        let serializable = self.server.options.isolation == Isolation::Serializable;
        let mode = match kind {
            _ if serializable => "SHARE ROW EXCLUSIVE",
            Kind::Update | Kind::Delete | Kind::Merge => "SHARE UPDATE EXCLUSIVE",
            _ => return Ok(()),
        };
        if in_transaction && !self.snapshot {
            self.postgres("SELECT 1").await?;
            self.snapshot = true;
        }
        self.postgres(&format!("LOCK TABLE ONLY {} IN {mode} MODE", Self::sql_path(target))).await
    }

    /// Runs a statement for PostgreSQL and collects what it answers.
    async fn send(&mut self, kind: Kind, text: &str) -> Result<Outcome, Refusal> {
        let situation = self.situation;
        let failed = |error: sqlx::Error| translate(&error, situation);
        let (mut rows, mut count, mut bytes) = (Vec::new(), 0, 0);
        let mut fields: Option<Vec<Field>> = None;
        {
            let mut answers = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).fetch_many(&mut self.connection);
            while let Some(answer) = answers.try_next().await.map_err(failed)? {
                match answer {
                    Either::Left(end) => count += end.rows_affected(),
                    Either::Right(row) => {
                        let fields = fields.get_or_insert_with(|| fields_of(row.columns()));
                        let values = values(&row, fields)?;
                        bytes += values.iter().flatten().map(String::len).sum::<usize>();
                        if bytes > ANSWER_BYTES_MAX {
                            return Err(Refusal::new(
                                "53200",
                                format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"),
                            ));
                        }
                        rows.push(values);
                    }
                }
            }
        }
        let tag = match kind {
            Kind::Insert => format!("INSERT 0 {count}"),
            Kind::Update => format!("UPDATE {count}"),
            Kind::Delete => format!("DELETE {count}"),
            Kind::Merge => "MERGE".to_owned(),
            _ => {
                let fields = match fields {
                    Some(fields) => fields,
                    None => self.columns_of(text).await?,
                };
                let fields = self.whole_names(fields).await?;
                let tag = if kind == Kind::Select { "SELECT" } else { "EXPLAIN" };
                return Ok(Outcome {
                    count: rows.len() as u64,
                    rows: Some(Rows { fields, rows }),
                    tag: tag.to_owned(),
                    notices: Vec::new(),
                });
            }
        };
        Ok(Outcome { tag, count, ..Outcome::default() })
    }

    /// The columns of a query that had no row to tell them.
    async fn columns_of(&mut self, text: &str) -> Result<Vec<Field>, Refusal> {
        let situation = self.situation;
        let statement = self.connection.prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(text.to_owned()))).await;
        statement.map(|statement| fields_of(statement.columns())).map_err(|error| translate(&error, situation))
    }

    /// Puts names of columns that PostgreSQL has shortened back to their length.
    async fn whole_names(&mut self, mut fields: Vec<Field>) -> Result<Vec<Field>, Refusal> {
        let situation = self.situation;
        for field in fields.iter_mut().filter(|field| catalog::is_shortened(&field.name)) {
            let query = "SELECT column_name FROM tw_is.all_columns WHERE attname = $1 LIMIT 1";
            let found = sqlx::query(query).bind(&field.name).fetch_optional(&mut self.connection).await;
            if let Some(row) = found.map_err(|error| translate(&error, situation))? {
                field.name = row.try_get(0).map_err(|error| translate(&error, situation))?;
            }
        }
        Ok(fields)
    }

    /// Finds parameters and columns. `types` are what the client said about parameters, 0 where nothing.
    pub(crate) async fn describe(&mut self, text: &str, types: &[u32]) -> Result<Description, Refusal> {
        let parts = sql::split(text);
        let part = match parts.as_slice() {
            [] => return Ok(Description::default()),
            [part] => part,
            _ => return Err(Refusal::new("42601", "cannot insert multiple commands into a prepared statement")),
        };
        let mut names = Vec::with_capacity(types.len());
        for oid in types {
            let unknown = || Refusal::new("42704", format!("type with OID {oid} does not exist"));
            names.push(if *oid == 0 { None } else { Some(sql::type_name_of_oid(*oid).ok_or_else(unknown)?) });
        }
        let statement = sql::parse(part, &self.scope())?;
        match &statement.command {
            Command::Query(cursor) => self.describe_query(statement.kind, cursor, names).await,
            Command::Show(name) => {
                let rows = self.show_fields(name);
                Ok(Description { parameters: Vec::new(), fields: Some(rows) })
            }
            Command::Explain(_) => {
                let field = Field { name: "QUERY PLAN".to_owned(), type_oid: 25 };
                Ok(Description { parameters: Vec::new(), fields: Some(vec![field]) })
            }
            _ => Ok(Description::default()),
        }
    }

    fn show_fields(&self, name: &str) -> Vec<Field> {
        let names: &[&str] = if name == "all" { &["name", "setting"] } else { &[name] };
        names.iter().map(|name| Field { name: (*name).to_owned(), type_oid: 1043 }).collect()
    }

    async fn describe_query(
        &mut self,
        kind: Kind,
        cursor: &sql::Cursor,
        types: Vec<Option<&'static str>>,
    ) -> Result<Description, Refusal> {
        if self.state == State::Failed {
            return Err(Refusal::new(
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        let parsed = sql::parse_query(cursor)?;
        self.values.parameters = Parameters::Types(types.clone());
        let mut table = None;
        if let Some(target) = &parsed.target {
            table = Some(self.table(target).await?);
        }
        let rewritten = sql::rewrite(&parsed, table.as_ref(), &self.values)?;
        let situation = self.situation;
        let statement = self.connection.prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(rewritten.sql))).await;
        let statement = statement.map_err(|error| translate(&error, situation))?;
        let parameters = match statement.parameters() {
            Some(Either::Left(types)) => types.iter().map(|known| known.oid().map_or(0, |oid| oid.0)).collect(),
            _ => Vec::new(),
        };
        let fields =
            if kind == Kind::Select { Some(self.whole_names(fields_of(statement.columns())).await?) } else { None };
        Ok(Description { parameters, fields })
    }

    pub(super) async fn explain(&mut self, cursor: &sql::Cursor) -> Result<Outcome, Refusal> {
        let parsed = sql::parse_query(cursor)?;
        let rewritten = sql::rewrite(&parsed, None, &self.values)?;
        self.send(Kind::Other, &format!("EXPLAIN {}", rewritten.sql)).await
    }

    pub(super) async fn copy(&mut self, text: &str) -> Result<Outcome, Refusal> {
        let enclosed = self.enter().await?;
        self.snapshot = true;
        let scope = self.scope();
        let loader = self.server.loader();
        let query = self.values.last_query_id;
        let mut load_errors = Vec::new();
        let context = copy::Context {
            connection: &mut self.connection,
            scope: &scope,
            loader: &loader,
            user: &self.user,
            query,
            load_errors: &mut load_errors,
        };
        let loaded = copy::run(text, context).await;
        let loaded = self.leave(enclosed, loaded).await;
        if !load_errors.is_empty() {
            self.report(query, load_errors).await;
        }
        let loaded = loaded?;
        self.values.last_copy_count = loaded.rows;
        self.values.last_copy_id = query;
        let notices =
            loaded.notices.into_iter().map(|message| Notice { severity: "INFO", code: "00000", message }).collect();
        Ok(Outcome { notices, rows: None, tag: "COPY".to_owned(), count: loaded.rows })
    }

    /// Writes what could not be loaded, in a transaction of its own.
    async fn report(&self, query: i64, load_errors: Vec<copy::LoadError>) {
        let Ok(mut connection) = self.server.connect(&self.database).await else { return };
        for error in load_errors {
            let written = sqlx::query(
                "INSERT INTO tw_log.load_errors (query_id, transaction_id, session_id, table_id, table_name, file_name, line_number, column_name, \
                 column_type, column_length, error_code, error_message) VALUES ($1, $1, $2, $11::oid, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(query)
            .bind(self.id)
            .bind(error.table)
            .bind(error.file)
            .bind(error.line)
            .bind(error.column)
            .bind(error.column_type)
            .bind(error.column_length)
            .bind(error.code)
            .bind(error.message)
            .bind(error.table_id)
            .execute(&mut connection)
            .await;
            if let Err(error) = written {
                eprintln!("a load error cannot be written down: {error}");
            }
        }
        let _ = sqlx::Connection::close(connection).await;
    }

    /// Takes no snapshot, so it can be the fence at the head of a transaction.
    pub(super) async fn lock(&mut self, names: &[Name]) -> Result<Outcome, Refusal> {
        if self.state == State::Idle {
            return Err(Refusal::new("25P01", "LOCK TABLE can only be used in transaction blocks"));
        }
        for name in names {
            self.postgres(&format!("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE", Self::sql_path(name))).await?;
        }
        Ok(done("LOCK TABLE"))
    }

    /// Empties a table and commits whatever transaction it is in (D5).
    pub(super) async fn truncate(&mut self, name: &Name) -> Result<Outcome, Refusal> {
        self.enter().await?;
        let emptied = self.postgres(&format!("TRUNCATE TABLE ONLY {}", Self::sql_path(name))).await;
        if emptied.is_ok() {
            self.server.definitions.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        self.leave(Enclosed::Own, emptied).await?;
        Ok(done("TRUNCATE TABLE"))
    }

    pub(super) async fn maintain(&mut self, vacuum: bool, table: Option<&Name>) -> Result<Outcome, Refusal> {
        let table = table.map(Self::sql_path).unwrap_or_default();
        if vacuum {
            self.outside_only("VACUUM")?;
            self.postgres(&format!("VACUUM {table}")).await?;
            return Ok(done("VACUUM"));
        }
        self.postgres(&format!("ANALYZE {table}")).await?;
        Ok(done("ANALYZE"))
    }
}

fn fields_of(columns: &[sqlx::postgres::PgColumn]) -> Vec<Field> {
    let field = |column: &sqlx::postgres::PgColumn| Field {
        name: column.name().to_owned(),
        type_oid: match column.type_info().oid().map_or(0, |oid| oid.0) {
            JSONB_OID => SUPER_OID,
            BYTEA_OID => VARBYTE_OID,
            other => other,
        },
    };
    columns.iter().map(field).collect()
}

fn values(row: &sqlx::postgres::PgRow, fields: &[Field]) -> Result<Vec<Option<String>>, Refusal> {
    let broken =
        |error: String| Refusal::new("XX000", format!("the private database answered something unreadable: {error}"));
    let mut values = Vec::with_capacity(fields.len());
    for (index, field) in fields.iter().enumerate() {
        let value = row.try_get_raw(index).map_err(|error| broken(error.to_string()))?;
        if value.is_null() {
            values.push(None);
            continue;
        }
        let text = value.as_str().map_err(|error| broken(error.to_string()))?;
        values.push(Some(match field.type_oid {
            SUPER_OID => compact(text),
            // Redshift shows bytes as hexadecimal digits.
            VARBYTE_OID => text.trim_start_matches("\\x").to_owned(),
            _ => text.to_owned(),
        }));
    }
    Ok(values)
}

/// JSON without the blanks that PostgreSQL puts behind `:` and `,`.
fn compact(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        if quoted {
            quoted = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character == '"' {
            quoted = true;
        } else if character == ' ' {
            continue;
        }
        result.push(character);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn json_is_compact() {
        assert_eq!(compact(r#"{"a b": [1, "x, \" y"], "c": null}"#), r#"{"a b":[1,"x, \" y"],"c":null}"#);
    }
}
