//! The little that the shared code asks of a client: run a statement, count or read small rows.

use async_trait::async_trait;

use super::error::Failure;

/// A parameter or a cell: private state is kept in texts and 64-bit integers alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl Value {
    /// The integer, when it is one.
    pub(crate) fn int(&self) -> Option<i64> {
        if let Self::Int(i) = self { Some(*i) } else { None }
    }

    /// The text, when it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(t) = self { Some(t) } else { None }
    }
}

/// SQL with parameters `$1`, `$2`, …, which both PostgreSQL and SQLite (through sqlx) understand.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) parameters: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new() }
    }

    #[must_use]
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.parameters.push(value.into());
        self
    }
}

/// One connection. After a failure inside a transaction only [`rollback`](Session::rollback) is legal.
#[async_trait]
pub(crate) trait Session: Send {
    /// Runs a statement; answers the rows it changed.
    async fn execute(&mut self, statement: &Statement) -> Result<u64, Failure>;
    /// Runs a query of BIGINT and TEXT columns whose result is small.
    async fn query(&mut self, statement: &Statement) -> Result<Vec<Vec<Value>>, Failure>;
    /// Begins a transaction that is going to write.
    async fn begin(&mut self) -> Result<(), Failure>;
    /// Commits. A transient failure leaves the outcome unknown.
    async fn commit(&mut self) -> Result<(), Failure>;
    /// Undoes the transaction.
    async fn rollback(&mut self) -> Result<(), Failure>;
}
