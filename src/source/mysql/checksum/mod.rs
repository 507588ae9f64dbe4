//! Checksums of one table, computed by the source itself; see [`crate::model::checksum`] for what is computed.
//!
//! Every statement reads one range of one index and ends; nothing is locked, no transaction stays open. What a range costs is
//! the caller's choice of its size: each of its rows is examined once to find the range's end and once to sum it up.

mod mark;
mod sql;

use std::{collections::BTreeMap, sync::Arc};

use mysql_async::{Conn, Error as DriverFailure, Row, prelude::Queryable};

use super::{
    catalog,
    connect::{Address, ConnectError},
    start::StartError,
};
use crate::model::checksum::{ComparedColumn, Comparison, Group, Key, RowDigest, Selection};

pub use mark::Mark;

/// The condition of having exactly this key, byte by byte, whatever the collation.
pub(super) fn exactly(key: &[ComparedColumn], tokens: &Key) -> String {
    sql::exactly(key, tokens)
}

/// Keys that one statement asks for: MySQL's range optimizer takes this many alternatives without falling back to a scan.
const KEYS_MAX: usize = 200;

/// A table of the source that is compared.
#[derive(Clone, Debug)]
pub struct SourceTable {
    /// Database.
    pub database: String,
    /// Name.
    pub table: String,
    /// The index over the key, where it is known.
    pub index: Option<String>,
    /// What is compared.
    pub comparison: Arc<Comparison>,
}

/// Checksums could not be had from the source.
#[derive(Debug, thiserror::Error)]
pub enum ChecksumError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The position could not be read.
    #[error(transparent)]
    Position(#[from] StartError),
    /// A statement failed. Its message holds no value.
    #[error("the source could not compute checksums of {table}")]
    Query {
        /// `database.table`.
        table: String,
        /// What the server or the client library says.
        #[source]
        source: DriverFailure,
    },
    /// An answer that is none.
    #[error("the source answered checksums of {table} in an unexpected form")]
    Answer {
        /// `database.table`.
        table: String,
    },
}

impl ChecksumError {
    /// Whether a new connection may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(e) => !e.is_definite(),
            Self::Position(StartError::Query(source)) | Self::Query { source, .. } => {
                !matches!(source, DriverFailure::Server(_))
            }
            Self::Position(_) | Self::Answer { .. } => false,
        }
    }
}

/// Values of one row: hexadecimal digits of texts and bytes, tokens of the rest, `None` for NULL.
pub type RowValues = Vec<Option<String>>;

/// What reading checksums has cost the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Statements that read the table.
    pub statements: u64,
    /// The longest of them.
    pub longest: std::time::Duration,
}

/// One connection that reads checksums.
#[derive(Debug)]
pub struct ChecksumReader {
    conn: Conn,
    load: Load,
}

impl ChecksumReader {
    /// Connects and sets the session up.
    ///
    /// # Errors
    /// [`ChecksumError::Connect`], [`ChecksumError::Query`].
    pub async fn connect(address: &Address) -> Result<Self, ChecksumError> {
        let mut conn = address.connect().await?;
        for (n, statement) in sql::SESSION.into_iter().enumerate() {
            match conn.query_drop(statement).await {
                Err(DriverFailure::Server(_)) if n >= sql::SESSION_REQUIRED => {}
                set => set.map_err(|source| ChecksumError::Query { table: "the session".to_owned(), source })?,
            }
        }
        Ok(Self { conn, load: Load::default() })
    }

    /// Ends the connection.
    pub async fn close(self) {
        // Whether the server hears of it does not matter.
        let _ = self.conn.disconnect().await;
    }

    /// What was asked so far.
    pub fn load(&self) -> Load {
        self.load
    }

    /// Everything that the source has committed: what a read that began before this call saw is in it.
    ///
    /// # Errors
    /// [`ChecksumError::Position`].
    pub async fn mark(&mut self) -> Result<Mark, ChecksumError> {
        Ok(mark::read(&mut self.conn).await?)
    }

    /// Names of the table's columns now; empty when it does not exist.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn columns(&mut self, database: &str, table: &str) -> Result<Vec<String>, ChecksumError> {
        let columns = catalog::columns(&mut self.conn, database, table).await;
        let columns =
            columns.map_err(|source| ChecksumError::Query { table: format!("{database}.{table}"), source })?;
        Ok(columns.into_iter().map(|column| column.name).collect())
    }

    /// The unique index that has exactly the key's columns in the key's order.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn index(&mut self, database: &str, table: &str, key: &[&str]) -> Result<Option<String>, ChecksumError> {
        let rows: Result<Vec<(String, String)>, _> = self.conn.exec(sql::UNIQUE_INDEXES, (database, table)).await;
        let rows = rows.map_err(|source| ChecksumError::Query { table: format!("{database}.{table}"), source })?;
        let mut indexes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (index, column) in &rows {
            indexes.entry(index).or_default().push(column);
        }
        let fits = |name: &&str| indexes.get(name).is_some_and(|columns| columns[..] == *key);
        Ok(rows.iter().map(|(index, _)| index.as_str()).find(fits).map(str::to_owned))
    }

    /// Estimated rows of the table. InnoDB's estimate can be off by half.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn estimated_rows(&mut self, database: &str, table: &str) -> Result<u64, ChecksumError> {
        let rows: Result<Option<Option<u64>>, _> = self.conn.exec_first(sql::ESTIMATED_ROWS, (database, table)).await;
        let rows = rows.map_err(|source| ChecksumError::Query { table: format!("{database}.{table}"), source })?;
        Ok(rows.flatten().unwrap_or_default())
    }

    /// The leading `columns` key columns of the `rows`-th row behind `after`, in the source's own order; `None` when there are
    /// fewer rows.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn bound(
        &mut self,
        table: &SourceTable,
        after: Option<&Key>,
        columns: usize,
        rows: u64,
    ) -> Result<Option<Key>, ChecksumError> {
        let rows = self.ask(table, sql::bound(table, after, columns, rows)).await?;
        rows.first().map(|row| texts(table, row, 0, columns)).transpose()
    }

    /// Counts and sums of the selected rows by bucket of `digits` digits, in no order.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn groups(
        &mut self,
        table: &SourceTable,
        selection: &Selection,
        digits: u8,
    ) -> Result<Vec<Group>, ChecksumError> {
        let rows = self.ask(table, sql::groups(table, selection, digits)).await?;
        let group = |row: &Row| {
            Some(Group {
                bucket: row.get_opt(0)?.ok()?,
                rows: row.get_opt(1)?.ok()?,
                sum: row.get_opt::<String, _>(2)?.ok()?.parse().ok()?,
            })
        };
        rows.iter().map(group).collect::<Option<_>>().ok_or_else(|| unexpected(table))
    }

    /// The selected rows, one by one.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn rows(&mut self, table: &SourceTable, selection: &Selection) -> Result<Vec<RowDigest>, ChecksumError> {
        let rows = self.ask(table, sql::rows(table, selection)).await?;
        rows.iter().map(|row| digest(table, row)).collect()
    }

    /// The rows of the keys that exist.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn rows_of(&mut self, table: &SourceTable, keys: &[Key]) -> Result<Vec<RowDigest>, ChecksumError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_MAX) {
            let rows = self.ask(table, sql::rows_of(table, keys)).await?;
            for row in &rows {
                let row = digest(table, row)?;
                // The source's collation may call two keys equal which are two in the warehouse.
                if keys.contains(&row.key) {
                    found.push(row);
                }
            }
        }
        Ok(found)
    }

    /// The whole row of a key, `None` when there is none.
    ///
    /// # Errors
    /// [`ChecksumError::Query`].
    pub async fn values_of(&mut self, table: &SourceTable, key: &Key) -> Result<Option<RowValues>, ChecksumError> {
        let rows = self.ask(table, sql::values_of(table, std::slice::from_ref(key))).await?;
        let width = table.comparison.key.len();
        for row in &rows {
            if texts(table, row, 0, width)? == *key {
                let value = |index| row.get_opt::<Option<String>, _>(index).and_then(Result::ok);
                let values = (width..row.len()).map(value).collect::<Option<RowValues>>();
                return values.map(Some).ok_or_else(|| unexpected(table));
            }
        }
        Ok(None)
    }

    async fn ask(&mut self, table: &SourceTable, statement: String) -> Result<Vec<Row>, ChecksumError> {
        let began = std::time::Instant::now();
        let rows = self.conn.query(statement).await;
        self.load.statements += 1;
        self.load.longest = self.load.longest.max(began.elapsed());
        let table = || format!("{}.{}", table.database, table.table);
        rows.map_err(|source| ChecksumError::Query { table: table(), source: without_values(source) })
    }
}

/// Errors whose messages name tables, columns and accounts alone: no such column or table, no right, and statements that waited
/// or took too long.
const PLAIN_CODES: [u16; 8] = [1054, 1142, 1143, 1146, 1176, 1205, 1317, 3024];

/// The failure with a message that can hold no key: other messages may quote a literal.
fn without_values(failure: DriverFailure) -> DriverFailure {
    match failure {
        DriverFailure::Server(mut e) if !PLAIN_CODES.contains(&e.code) => {
            e.message = "(the message is left out, it may hold a key)".to_owned();
            DriverFailure::Server(e)
        }
        other => other,
    }
}

fn unexpected(table: &SourceTable) -> ChecksumError {
    ChecksumError::Answer { table: format!("{}.{}", table.database, table.table) }
}

fn texts(table: &SourceTable, row: &Row, from: usize, count: usize) -> Result<Key, ChecksumError> {
    let text = |index| row.get_opt::<String, _>(index).and_then(Result::ok);
    (from..from + count).map(text).collect::<Option<Key>>().ok_or_else(|| unexpected(table))
}

fn digest(table: &SourceTable, row: &Row) -> Result<RowDigest, ChecksumError> {
    let content = row.get_opt(0).and_then(Result::ok).ok_or_else(|| unexpected(table))?;
    Ok(RowDigest { key: texts(table, row, 1, table.comparison.key.len())?, content, seq: None })
}
