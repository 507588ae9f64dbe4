//! Checksums computed by PostgreSQL, over a connection of their own.

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;

use crate::{
    model::{
        Target,
        checksum::{Form, Group, Key, RowDigest, Selection},
    },
    warehouse::{
        WarehouseError,
        checksum::{
            Checksums, ComparedTarget, Part,
            session::{Ask, Reader},
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
#[derive(Debug)]
pub(super) struct PostgresChecksums {
    session: PgSession,
    dialect: PostgresDialect,
    reader: Reader<PostgresHashing>,
}

impl PostgresChecksums {
    pub(super) async fn open(options: &PgConnectOptions, schema: &str) -> Result<Self, Failure> {
        let session = PgSession::connect(options).await?;
        let dialect = PostgresDialect { schema: schema.to_owned() };
        Ok(Self { session, dialect, reader: Reader::new(PostgresHashing) })
    }
}

#[async_trait]
impl Ask for PgSession {
    async fn ask(&mut self, sql: String) -> Result<Vec<Vec<Value>>, Failure> {
        self.query(&Statement::new(sql)).await
    }
}

#[async_trait]
impl Checksums for PostgresChecksums {
    async fn target(&mut self, target: &Target) -> Result<Option<ComparedTarget>, WarehouseError> {
        if self
            .session
            .query(&sql::state_exists())
            .await
            .map_err(|f| f.in_table(target, "compute checksums"))?
            .is_empty()
        {
            return Ok(None);
        }
        let Some(layout) = table::look(&mut self.session, &self.dialect, target).await? else { return Ok(None) };
        let sql = TableSql::new(&layout, &self.dialect);
        self.reader.learn(&layout, sql.target, sql.side);
        Ok(Some(ComparedTarget::of(&layout, true, |ty| Form::of_key(ty).orders_alike())))
    }

    async fn groups(
        &mut self,
        part: Part<'_>,
        selection: &Selection,
        digits: u8,
    ) -> Result<Vec<Group>, WarehouseError> {
        self.reader.groups(&mut self.session, part, selection, digits).await
    }

    async fn rows(&mut self, part: Part<'_>, selection: &Selection) -> Result<Vec<RowDigest>, WarehouseError> {
        self.reader.rows(&mut self.session, part, selection).await
    }

    async fn rows_of(&mut self, part: Part<'_>, keys: &[Key]) -> Result<Vec<RowDigest>, WarehouseError> {
        self.reader.rows_of(&mut self.session, part, keys).await
    }

    async fn values_of(&mut self, part: Part<'_>, key: &Key) -> Result<Option<Vec<Option<String>>>, WarehouseError> {
        self.reader.values_of(&mut self.session, part, key).await
    }
}
