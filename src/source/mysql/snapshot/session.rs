//! A connection that reads chunks.

use mysql_async::{BinaryProtocol, Conn, Error as DriverFailure, Params, QueryResult, Row, Value, prelude::Queryable};

use super::{
    cell::{Cell, DateParts, TimeParts},
    key::Bound,
    shape::Shape,
    sql,
};
use crate::{
    model::checksum::{ComparedColumn, Key},
    source::mysql::{
        checksum,
        connect::{Address, ConnectError},
        start::{self, StartError, Visible},
    },
};

/// Reading a table failed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("cannot read rows of the source")]
    Query(#[from] DriverFailure),
    /// The place in the binlog cannot be told.
    #[error(transparent)]
    End(Box<StartError>),
    /// The server answered with something that is no key.
    #[error("the source answered with a key that has a NULL in it")]
    NullKey,
}

/// What to do about a [`SnapshotError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Try again; finished chunks stay.
    Again,
    /// The table is not what it was: its snapshot begins anew.
    Changed,
    /// There is no such table. If it was dropped, the binlog says so too.
    Gone,
    /// Only the operator can mend it.
    Refused,
}

/// ER_BAD_DB_ERROR, ER_BAD_TABLE_ERROR, ER_NO_SUCH_TABLE.
const GONE: [u16; 3] = [1049, 1051, 1146];

/// ER_BAD_FIELD_ERROR, ER_KEY_DOES_NOT_EXITS, ER_TABLE_DEF_CHANGED.
const CHANGED: [u16; 3] = [1054, 1176, 1412];

/// ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR.
const REFUSED: [u16; 4] = [1044, 1142, 1143, 1227];

impl SnapshotError {
    /// The place in the binlog cannot be told.
    pub(crate) fn from_start(error: StartError) -> Self {
        match error {
            StartError::Query(source) => Self::Query(source),
            other => Self::End(Box::new(other)),
        }
    }

    /// What to do about it.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Connect(e) if e.is_definite() => Fate::Refused,
            Self::Query(DriverFailure::Server(e)) if GONE.contains(&e.code) => Fate::Gone,
            Self::Query(DriverFailure::Server(e)) if CHANGED.contains(&e.code) => Fate::Changed,
            Self::Query(DriverFailure::Server(e)) if REFUSED.contains(&e.code) => Fate::Refused,
            Self::NullKey => Fate::Refused,
            _ => Fate::Again,
        }
    }
}

/// A part of a table by its key: above one bound, up to and including another. Without a bound it is open there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Excluded.
    pub above: Option<Bound>,
    /// Included.
    pub up_to: Option<Bound>,
}

impl Range {
    fn parameters(&self) -> Params {
        let bounds = [&self.above, &self.up_to].into_iter().flatten();
        let values: Vec<Value> = bounds.flat_map(Bound::parameters).collect();
        if values.is_empty() { Params::Empty } else { Params::Positional(values) }
    }
}

/// A session whose settings make rows arrive as they are stored.
#[derive(Debug)]
pub struct Session {
    pub(super) conn: Conn,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn open(address: &Address) -> Result<Self, SnapshotError> {
        let mut conn = address.connect().await?;
        for (n, statement) in sql::SESSION.into_iter().enumerate() {
            match conn.query_drop(statement).await {
                Err(DriverFailure::Server(_)) if n >= sql::SESSION_REQUIRED => {}
                done => done?,
            }
        }
        Ok(Self { conn })
    }

    /// The source's clock, UTC microseconds.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn now(&mut self) -> Result<i64, SnapshotError> {
        Ok(self.conn.query_first(sql::NOW).await?.unwrap_or_default())
    }

    /// What reads that begin now see.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn visible(&mut self) -> Result<Visible, SnapshotError> {
        start::visible(&mut self.conn).await.map_err(SnapshotError::from_start)
    }

    /// Threads that work on the server now.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn threads_running(&mut self) -> Result<u64, SnapshotError> {
        let row: Option<(Vec<u8>, Vec<u8>)> = self.conn.query_first(sql::THREADS_RUNNING).await?;
        let text = row.and_then(|(_, value)| String::from_utf8(value).ok());
        Ok(text.and_then(|t| t.parse().ok()).unwrap_or_default())
    }

    /// How far the server is behind the one that it replicates itself, in seconds; `None` where it replicates none, or cannot tell.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn replica_lag(&mut self) -> Result<Option<u64>, SnapshotError> {
        for statement in crate::source::mysql::sql::REPLICA_STATUS {
            let rows: Vec<Row> = match self.conn.query(statement).await {
                // The other name, or no privilege.
                Err(DriverFailure::Server(_)) => continue,
                rows => rows?,
            };
            let lag = |row: &Row| {
                let named = |c: &mysql_async::Column| sql::LAG_COLUMNS.contains(&&*c.name_str());
                let text: Option<Vec<u8>> = row.get_opt(row.columns_ref().iter().position(named)?)?.ok()?;
                String::from_utf8(text?).ok()?.parse().ok()
            };
            return Ok(rows.iter().filter_map(lag).max());
        }
        Ok(None)
    }

    /// The key of the row that is `rows` rows into the range; `None` when the range has fewer.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn boundary(&mut self, shape: &Shape, range: &Range, rows: u64) -> Result<Option<Bound>, SnapshotError> {
        let text = sql::boundary(shape.from(), rows, range.above.is_some(), range.up_to.is_some());
        let row: Option<Row> = self.conn.exec_first(text, range.parameters()).await?;
        row.map(|row| Bound::of(row.unwrap().into_iter()).ok_or(SnapshotError::NullKey)).transpose()
    }

    /// Least and greatest value of a key that is one integer; `None` for an empty table.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn extremes(&mut self, shape: &Shape) -> Result<Option<(i128, i128)>, SnapshotError> {
        let row: Option<Row> = self.conn.exec_first(sql::extremes(shape.from()), ()).await?;
        let number = |value: Value| Bound::of([value].into_iter()).and_then(|b| b.as_integer());
        let mut values = row.into_iter().flat_map(|row| row.unwrap()).map(number);
        Ok(values.next().flatten().zip(values.next().flatten()))
    }

    /// Reads the rows of a range, in no particular order.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn rows(&mut self, shape: &Shape, range: &Range) -> Result<RowStream<'_>, SnapshotError> {
        let text = sql::chunk(shape.from(), &shape.columns, range.above.is_some(), range.up_to.is_some());
        Ok(RowStream::new(self.conn.exec_iter(text, range.parameters()).await?, shape))
    }

    /// Reads the row whose key columns have exactly these canonical tokens, if there is one.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn row_of(
        &mut self,
        shape: &Shape,
        key: &[ComparedColumn],
        tokens: &Key,
    ) -> Result<Option<RowCells>, SnapshotError> {
        let text = sql::rows_where(shape.from(), &shape.columns, &checksum::exactly(key, tokens));
        Ok(self.conn.exec_first(text, ()).await?.map(|row| RowCells { row, len: shape.columns.len() }))
    }
}

/// Rows on their way.
#[derive(Debug)]
pub struct RowStream<'a> {
    result: QueryResult<'a, 'static, BinaryProtocol>,
    /// Columns of the table; bounds may stand behind them.
    len: usize,
}

impl<'a> RowStream<'a> {
    pub(super) fn new(result: QueryResult<'a, 'static, BinaryProtocol>, shape: &Shape) -> Self {
        Self { result, len: shape.columns.len() }
    }

    /// The next row. A stream that is not read to its end makes its session read the rest when it is used again.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub async fn next(&mut self) -> Result<Option<RowCells>, SnapshotError> {
        let len = self.len;
        Ok(self.result.next().await?.map(|row| RowCells { row, len }))
    }
}

/// A row that was read.
#[derive(Debug)]
pub struct RowCells {
    row: Row,
    len: usize,
}

impl RowCells {
    /// Columns.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The place of a row that was read in the order of a window.
    pub fn bound(&self) -> Option<Bound> {
        Bound::of((self.len..self.row.len()).map(|n| self.row.as_ref(n).cloned().unwrap_or(Value::NULL)))
    }

    /// The value of a column; NULL where there is none.
    #[inline]
    pub fn cell(&self, column: usize) -> Cell<'_> {
        match self.row.as_ref(column) {
            None | Some(Value::NULL) => Cell::Null,
            Some(Value::Int(n)) => Cell::Int(*n),
            Some(Value::UInt(n)) => Cell::UInt(*n),
            Some(Value::Float(n)) => Cell::Float(*n),
            Some(Value::Double(n)) => Cell::Double(*n),
            Some(Value::Bytes(bytes)) => Cell::Bytes(bytes),
            Some(Value::Date(year, month, day, hour, minute, second, micros)) => Cell::Date(DateParts {
                year: *year,
                month: *month,
                day: *day,
                hour: *hour,
                minute: *minute,
                second: *second,
                micros: *micros,
            }),
            Some(Value::Time(negative, days, hours, minutes, seconds, micros)) => Cell::Time(TimeParts {
                negative: *negative,
                hours: days * 24 + u32::from(*hours),
                minutes: *minutes,
                seconds: *seconds,
                micros: *micros,
            }),
        }
    }
}
