//! What is new in a table: the rows behind a place in the order of its key, or of a column that tells when they were changed.

use mysql_async::{Params, Row, Value, prelude::Queryable};

use super::{
    cell::{Cell, DateParts},
    key::Bound,
    session::{Fate, RowStream, Session, SnapshotError},
    shape::Shape,
    sql,
    stamp::{self, ServerTime, Stamp},
};
use crate::source::mysql::{
    start::{self, ViewPlace},
    table_map::MysqlType,
};

/// Where a window begins.
#[derive(Clone, Copy, Debug)]
pub enum Edge<'a> {
    /// With the first row.
    Open,
    /// With the rows of this time, which are included; microseconds in the sense of [`Stamp`].
    Since(i64),
    /// Behind the row at this place.
    Above(&'a Bound),
}

impl Session {
    /// Whether there is such a table. Servers do not tell users without rights on it, who get an error.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn is_there(&mut self, database: &str, table: &str) -> Result<bool, SnapshotError> {
        match self.conn.query_drop(crate::source::mysql::sql::may_select(database, table)).await {
            Ok(()) => Ok(true),
            Err(error) => match SnapshotError::from(error) {
                error if error.fate() == Fate::Gone => Ok(false),
                error => Err(error),
            },
        }
    }

    /// From here on, everything that the session reads is as it is now. Tables without transactions do not take part.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn begin_view(&mut self) -> Result<(), SnapshotError> {
        for statement in sql::BEGIN_VIEW {
            self.conn.query_drop(statement).await?;
        }
        Ok(())
    }

    /// As [`begin_view`](Self::begin_view), and tells which transactions it sees; `None`, without a view, where the server cannot
    /// say.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn begin_placed_view(&mut self) -> Result<Option<ViewPlace>, SnapshotError> {
        start::view(&mut self.conn, &sql::BEGIN_VIEW, sql::END_VIEW).await.map_err(SnapshotError::from_start)
    }

    /// Ends [`begin_view`](Self::begin_view).
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn end_view(&mut self) -> Result<(), SnapshotError> {
        Ok(self.conn.query_drop(sql::END_VIEW).await?)
    }

    /// The source's clock.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn clock(&mut self) -> Result<ServerTime, SnapshotError> {
        // Over the binary protocol, which has times in their parts.
        let row: Option<(Value, Value)> = self.conn.exec_first(sql::CLOCK, ()).await?;
        let (utc, zone) = row.unwrap_or((Value::NULL, Value::NULL));
        let utc = time(&utc).unwrap_or_default();
        Ok(ServerTime { utc, zone: time(&zone).unwrap_or(utc) })
    }

    /// The column that tells when a row was changed, or why it cannot.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn stamp(&mut self, shape: &Shape, name: &str) -> Result<Result<Stamp, String>, SnapshotError> {
        let Some(column) = shape.map.columns.iter().find(|c| c.name.as_deref() == Some(name)) else {
            return Ok(Err(format!("it has no column {name:?}, which updated_at of its rule names")));
        };
        let zoned = match column.kind {
            MysqlType::Timestamp { .. } => true,
            MysqlType::DateTime { .. } => false,
            _ => {
                return Ok(Err(format!(
                    "column {name:?}, which updated_at of its rule names, is neither DATETIME nor TIMESTAMP"
                )));
            }
        };
        let names = (shape.map.database.as_str(), shape.map.table.as_str(), name);
        let index: Option<String> = self.conn.exec_first(sql::INDEX_OF, names).await?;
        Ok(Ok(Stamp::new(name, index, zoned)))
    }

    /// The latest change that is not later than `until`; `None` where no row tells one.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn latest(&mut self, shape: &Shape, stamp: &Stamp, until: i64) -> Result<Option<i64>, SnapshotError> {
        let key = [stamp.column.clone()];
        let text = sql::latest(stamped(shape, stamp, &key));
        let row: Option<Row> = self.conn.exec_first(text, (stamp::value(until),)).await?;
        Ok(row.and_then(|row| row.as_ref(0).and_then(time)))
    }

    /// The key of the row that has `skip` rows behind it in the order of the key; `None` where there are not so many.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn last_key(&mut self, shape: &Shape, skip: u64) -> Result<Option<Bound>, SnapshotError> {
        let row: Option<Row> = self.conn.exec_first(sql::last_key(shape.from(), skip), ()).await?;
        row.map(|row| Bound::of(row.unwrap().into_iter()).ok_or(SnapshotError::NullKey)).transpose()
    }

    /// Reads rows from `edge` on. With `stamp` in the order of that column and the key, else of the key; the first `rows` of them, or
    /// all, in no particular order.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn window(
        &mut self,
        shape: &Shape,
        stamp: Option<&Stamp>,
        edge: Edge<'_>,
        rows: Option<u64>,
    ) -> Result<RowStream<'_>, SnapshotError> {
        let order: Vec<_> = stamp.map(|s| s.column.clone()).into_iter().chain(shape.key.iter().cloned()).collect();
        let from = match stamp {
            Some(stamp) => stamped(shape, stamp, &order),
            None => shape.from(),
        };
        let (begin, values) = match edge {
            Edge::Open => (sql::Begin::Open, Vec::new()),
            // TIMESTAMP begins a second behind 1970.
            Edge::Since(at) if stamp.is_some_and(|s| s.zoned) => {
                (sql::Begin::AtLeast, vec![stamp::value(at.max(1_000_000))])
            }
            Edge::Since(at) => (sql::Begin::AtLeast, vec![stamp::value(at)]),
            Edge::Above(bound) => (sql::Begin::Above, bound.parameters()),
        };
        let text = sql::window(from, &shape.columns, begin, rows);
        let values = if values.is_empty() { Params::Empty } else { Params::Positional(values) };
        Ok(RowStream::new(self.conn.exec_iter(text, values).await?, shape))
    }
}

fn stamped<'a>(shape: &'a Shape, stamp: &'a Stamp, order: &'a [super::KeyColumn]) -> sql::From<'a> {
    sql::From { index: stamp.index.as_deref().unwrap_or_default(), key: order, ..shape.from() }
}

fn time(value: &Value) -> Option<i64> {
    let Value::Date(year, month, day, hour, minute, second, micros) = *value else { return None };
    stamp::micros(Cell::Date(DateParts { year, month, day, hour, minute, second, micros }))
}
