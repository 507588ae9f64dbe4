//! Checksums computed by PostgreSQL, over a connection of their own.

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;

use crate::{
    model::Target,
    warehouse::{
        WarehouseError,
        checksum::{
            session::{Ask, Found, Reader, WHAT},
            sql::PostgresHashing,
        },
        error::Failure,
        session::{Session, Statement, Value},
        sql::TableSql,
        table,
    },
};

use super::{client::PgSession, sql, sql::PostgresDialect};

/// A connection that only reads.
pub(super) async fn open(
    options: &PgConnectOptions,
    schema: &str,
) -> Result<Reader<PostgresAsked, PostgresHashing>, Failure> {
    let session = PgSession::connect(options).await?;
    let dialect = PostgresDialect { schema: schema.to_owned() };
    Ok(Reader::new(PostgresAsked { session, dialect }, PostgresHashing))
}

#[derive(Debug)]
pub(super) struct PostgresAsked {
    session: PgSession,
    dialect: PostgresDialect,
}

#[async_trait]
impl Ask for PostgresAsked {
    const JSON_TEXT: bool = true;

    async fn ask(&mut self, sql: String) -> Result<Vec<Vec<Value>>, Failure> {
        self.session.query(&Statement::new(sql)).await
    }

    async fn look(&mut self, target: &Target) -> Result<Option<Found>, WarehouseError> {
        let state = self.session.query(&sql::state_exists()).await.map_err(|f| f.in_table(target, WHAT))?;
        if state.is_empty() {
            return Ok(None);
        }
        let Some(layout) = table::look(&mut self.session, &self.dialect, target).await? else { return Ok(None) };
        let sql = TableSql::new(&layout, &self.dialect);
        let (table, side) = (sql.target, sql.side);
        Ok(Some(Found { layout, table, side }))
    }
}
