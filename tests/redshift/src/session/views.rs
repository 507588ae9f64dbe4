//! Views: those that PostgreSQL keeps, and those WITH NO SCHEMA BINDING, which it must know nothing of.

use sqlx::Row;

use super::errors::translate;
use super::statement::done;
use super::{Outcome, Session};
use crate::Refusal;
use crate::catalog::{Table, quote_ident, quote_literal, sql_name};
use crate::sql::{self, LateView, Name};

impl Session {
    /// Checks a statement and prints it for PostgreSQL.
    pub(super) async fn rewrite(
        &mut self,
        parsed: &sql::Parsed,
        table: Option<&Table>,
    ) -> Result<sql::Rewritten, Refusal> {
        self.values.scope = self.scope();
        self.values.late_views.clear();
        if self.server.has_late_views(&self.database) {
            self.values.late_views = self.late_views().await?;
        }
        sql::rewrite(parsed, table, &self.values)
    }

    async fn late_views(&mut self) -> Result<Vec<LateView>, Refusal> {
        let situation = self.situation;
        let rows = sqlx::query("SELECT schema_name, view_name, query FROM tw_log.late_views")
            .fetch_all(&mut self.connection)
            .await;
        let read = |row: &sqlx::postgres::PgRow| {
            Ok(LateView { schema: row.try_get(0)?, name: row.try_get(1)?, text: row.try_get(2)? })
        };
        let views = rows.and_then(|rows| rows.iter().map(read).collect());
        views.map_err(|error| translate(&error, situation))
    }

    pub(super) async fn create_view(
        &mut self,
        or_replace: bool,
        name: &Name,
        columns: &[String],
        query: &str,
    ) -> Result<Outcome, Refusal> {
        let cursor = sql::Cursor::new(query, &self.scope())?;
        let text = self.rewrite(&sql::parse_query(&cursor)?, None).await?.sql;
        let path = self.path_to_create(name);
        let columns: Vec<_> = columns.iter().map(|column| quote_ident(&sql_name(column))).collect();
        let columns = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
        let or_replace = if or_replace { "OR REPLACE " } else { "" };
        self.postgres(&format!("CREATE {or_replace}VIEW {path}{columns} AS {text}")).await?;
        let note = quote_literal(&serde_json::json!({ "name": name.name }).to_string());
        self.postgres(&format!("COMMENT ON VIEW {path} IS {note}")).await?;
        Ok(done("CREATE VIEW"))
    }

    /// Keeps the text; whether its tables exist is found out when it is read.
    pub(super) async fn create_late_view(
        &mut self,
        or_replace: bool,
        name: &Name,
        query: &str,
    ) -> Result<Outcome, Refusal> {
        let cursor = sql::Cursor::new(query, &self.scope())?;
        // Redshift reads it as well, and wants every table with its schema.
        let rewritten = self.rewrite(&sql::parse_query(&cursor)?, None).await?;
        if rewritten.has_bare_relation {
            let message =
                "All the relation names inside should be qualified when creating views with no schema binding.";
            return Err(Refusal::new("42601", message));
        }
        let schema = self.schema_to_create(name);
        let taken = Refusal::new("42P07", format!("relation \"{}\" already exists", name.name));
        if self.exists(&self.path_to_create(name), false).await? {
            return Err(taken);
        }
        let there = self.late_views().await?.iter().any(|view| view.schema == schema && view.name == name.name);
        if there && !or_replace {
            return Err(taken);
        }
        self.forget_late_view(name).await?;
        let values = [schema.as_str(), &name.name, query].map(quote_literal).join(", ");
        self.postgres(&format!("INSERT INTO tw_log.late_views (schema_name, view_name, query) VALUES ({values})"))
            .await?;
        self.server.note_late_views(&self.database);
        Ok(done("CREATE VIEW"))
    }

    /// Drops views of either kind.
    pub(super) async fn drop_views(&mut self, if_exists: bool, names: &[Name], cascade: bool) -> Result<(), Refusal> {
        let mut bound = Vec::with_capacity(names.len());
        for name in names {
            if !self.forget_late_view(name).await? {
                bound.push(name.clone());
            }
        }
        if bound.is_empty() { Ok(()) } else { self.drop_all("VIEW", if_exists, &bound, cascade).await }
    }

    /// Whether there was one.
    async fn forget_late_view(&mut self, name: &Name) -> Result<bool, Refusal> {
        if !self.server.has_late_views(&self.database) {
            return Ok(false);
        }
        let situation = self.situation;
        let schema = self.schema_to_create(name);
        let gone = sqlx::query("DELETE FROM tw_log.late_views WHERE schema_name = $1 AND view_name = $2")
            .bind(schema)
            .bind(&name.name)
            .execute(&mut self.connection)
            .await;
        gone.map(|done| done.rows_affected() > 0).map_err(|error| translate(&error, situation))
    }
}
