//! What the server's catalog adds to a table map: display widths, and unique keys of tables without a primary key.

mod listing;

use mysql_async::{Conn, prelude::Queryable};

use super::{
    connect::{Address, ConnectError},
    snapshot::{Shape, ShapeError},
    sql,
    start::{self, StartError, Visible},
    table_map::Flavor,
};

pub use listing::{ListedColumn, ListedTable, columns, tables};
pub(super) use listing::{cascading, keyed};

/// What the catalog says of a table now. The table map of a row stays the truth; these are only added where the column's
/// name and type still fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Columns declared TINYINT(1), which table maps do not tell from TINYINT.
    pub booleans: Vec<String>,
    /// Columns of the first UNIQUE key without NULL, in key order.
    pub unique_key: Vec<String>,
}

/// The catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The place in the binlog cannot be told.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The query failed.
    #[error("cannot read the catalog of MySQL at {at}")]
    Query {
        /// `host:port`.
        at: String,
        /// What the server or the client library says.
        #[source]
        source: mysql_async::Error,
    },
}

/// Reads the catalog over a connection of its own, made when it is first needed and made anew when it broke.
#[derive(Debug)]
pub struct CatalogReader {
    address: Address,
    conn: Option<Conn>,
}

impl CatalogReader {
    /// A reader that has not connected yet.
    pub fn new(address: Address) -> Self {
        Self { address, conn: None }
    }

    /// What the catalog says of `database.table`; empty when the table is no longer there.
    ///
    /// # Errors
    /// When the server cannot be asked, after one more try on a new connection.
    pub async fn declared(&mut self, database: &str, table: &str) -> Result<Declared, CatalogError> {
        if let Some(conn) = &mut self.conn
            && let Ok(declared) = ask(conn, database, table).await
        {
            return Ok(declared);
        }
        let mut conn = self.address.connect().await?;
        let declared = ask(&mut conn, database, table).await.map_err(|source| self.failed(source))?;
        self.conn = Some(conn);
        Ok(declared)
    }

    /// Every base table but those of the server itself.
    ///
    /// # Errors
    /// As [`Self::declared`].
    pub async fn tables(&mut self) -> Result<Vec<ListedTable>, CatalogError> {
        if let Some(conn) = &mut self.conn
            && let Ok(listed) = tables(conn).await
        {
            return Ok(listed);
        }
        let mut conn = self.address.connect().await?;
        let listed = tables(&mut conn).await.map_err(|source| self.failed(source))?;
        self.conn = Some(conn);
        Ok(listed)
    }

    /// The shape of a table for a snapshot; `None` when there is no such table.
    ///
    /// # Errors
    /// As [`Self::declared`], and for a column that a snapshot cannot read.
    pub async fn shape(&mut self, database: &str, table: &str, flavor: Flavor) -> Result<Option<Shape>, ShapeError> {
        if let Some(conn) = &mut self.conn {
            match Shape::read(conn, database, table, flavor).await {
                Err(ShapeError::Query(_)) => {}
                answer => return answer,
            }
        }
        let mut conn = self.address.connect().await.map_err(|e| ShapeError::Catalog(e.into()))?;
        let shape = Shape::read(&mut conn, database, table, flavor).await;
        self.conn = Some(conn);
        match shape {
            Err(ShapeError::Query(source)) => Err(ShapeError::Catalog(self.failed(source))),
            answer => answer,
        }
    }

    /// What reads that begin behind this call see, see [`start::visible`].
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn visible(&mut self) -> Result<Visible, CatalogError> {
        if let Some(conn) = &mut self.conn
            && let Ok(visible) = start::visible(conn).await
        {
            return Ok(visible);
        }
        let mut conn = self.address.connect().await?;
        let visible = start::visible(&mut conn).await?;
        self.conn = Some(conn);
        Ok(visible)
    }

    fn failed(&self, source: mysql_async::Error) -> CatalogError {
        CatalogError::Query { at: format!("{}:{}", self.address.host, self.address.port), source }
    }
}

async fn ask(conn: &mut Conn, database: &str, table: &str) -> Result<Declared, mysql_async::Error> {
    let booleans = conn.exec(sql::BOOLEAN_COLUMNS, (database, table)).await?;
    let keys: Vec<(String, String)> = conn.exec(sql::UNIQUE_KEYS, (database, table)).await?;
    let first = keys.first().map(|(name, _)| name.clone());
    let unique_key =
        keys.into_iter().filter(|(name, _)| Some(name) == first.as_ref()).map(|(_, column)| column).collect();
    Ok(Declared { booleans, unique_key })
}
