//! Warehouses under test, rows made of text, and eyes of one's own to look at the result.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, OnceLock, atomic::AtomicU64, atomic::Ordering},
};

use arrow::{
    array::{ArrayRef, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, TimeUnit},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use futures::StreamExt;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, TypeInfo, ValueRef};
use tailwater::{
    model::{Column, ColumnDefault, ColumnType, Op, Origin, Shard, TableSchema, Target},
    warehouse::{
        BatchStream, Deletes, KeyMode, Physical, ReadError, ReadFiles, StagedFile, TablePlan, TargetColumn, Warehouse,
        postgres::Postgres,
        sqlite::{Durability, Sqlite},
    },
};

/// A place to make warehouses on, and to look into them beside the code under test.
#[async_trait]
pub(crate) trait World: Send + Sync + Debug {
    /// Another process' view of the same warehouse.
    fn connect(&self) -> Box<dyn Warehouse>;
    /// Rows of a query as text; SQL that both products understand.
    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>>;
    /// The table of a target, quoted.
    fn table(&self, target: &str) -> String;
    /// Makes the product refuse to merge two rows of four equal letters in a text column of the target.
    async fn spoil(&self, target: &str, column: &str);
    /// Private tables whose name begins so, quoted.
    async fn private(&self, prefix: &str) -> Vec<String>;
}

#[derive(Debug)]
pub(crate) struct SqliteWorld {
    folder: tempfile::TempDir,
}

impl SqliteWorld {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("warehouse.db")
    }
}

#[async_trait]
impl World for SqliteWorld {
    fn connect(&self) -> Box<dyn Warehouse> {
        Box::new(Sqlite::new(self.path(), Durability::None))
    }

    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path());
        let mut connection = options.connect().await.unwrap();
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        let rows = rows.iter().map(|row| {
            let cell = |i: usize| {
                let raw = row.try_get_raw(i).unwrap();
                let kind = raw.type_info().name().to_owned();
                match (raw.is_null(), kind.as_str()) {
                    (true, _) => None,
                    (_, "INTEGER" | "BOOLEAN") => Some(row.get::<i64, _>(i).to_string()),
                    (_, "REAL") => Some(row.get::<f64, _>(i).to_string()),
                    (_, "BLOB") => Some(hex(&row.get::<Vec<u8>, _>(i))),
                    _ => Some(row.get::<String, _>(i)),
                }
            };
            (0..row.columns().len()).map(cell).collect()
        });
        let rows = rows.collect();
        connection.close().await.unwrap();
        rows
    }

    fn table(&self, target: &str) -> String {
        format!("\"{}\"", target.replace('.', "_"))
    }

    async fn spoil(&self, target: &str, column: &str) {
        self.query(&format!("CREATE UNIQUE INDEX operators ON {} ({column})", self.table(target))).await;
    }

    async fn private(&self, prefix: &str) -> Vec<String> {
        let sql = format!(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '\\_tailwater\\_{prefix}%' ESCAPE '\\'"
        );
        self.query(&sql).await.into_iter().filter_map(|r| r[0].clone()).map(|n| format!("\"{n}\"")).collect()
    }
}

/// One server for all tests of the binary, a database for each.
#[derive(Debug)]
pub(crate) struct PostgresWorld {
    pub(crate) url: String,
}

static SERVER: OnceLock<tailwater_servers::Postgres> = OnceLock::new();
static DATABASES: AtomicU64 = AtomicU64::new(0);

impl PostgresWorld {
    pub(crate) fn new() -> Self {
        let server = SERVER.get_or_init(|| tailwater_servers::Postgres::start().unwrap());
        let name = format!("w{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        Self { url: server.create_database(&name).unwrap() }
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        SERVER.get().unwrap().address()
    }
}

#[async_trait]
impl World for PostgresWorld {
    fn connect(&self) -> Box<dyn Warehouse> {
        Box::new(Postgres::new(&self.url, "public").unwrap())
    }

    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql("SET timezone = 'UTC'").execute(&mut connection).await.unwrap();
        let rows = texts(&mut connection, sql).await;
        connection.close().await.unwrap();
        rows
    }

    fn table(&self, target: &str) -> String {
        match target.split_once('.') {
            Some((schema, table)) => format!("\"{schema}\".\"{table}\""),
            None => format!("\"public\".\"{target}\""),
        }
    }

    async fn spoil(&self, target: &str, column: &str) {
        self.query(&format!("CREATE UNIQUE INDEX operators ON {} ({column})", self.table(target))).await;
    }

    async fn private(&self, prefix: &str) -> Vec<String> {
        let sql = format!(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = '_tailwater' AND tablename LIKE '{prefix}%'"
        );
        self.query(&sql).await.into_iter().filter_map(|r| r[0].clone()).map(|n| format!("_tailwater.\"{n}\"")).collect()
    }
}

/// Rows of a query by the simple protocol, which answers everything as text.
pub(crate) async fn texts(connection: &mut sqlx::PgConnection, sql: &str) -> Vec<Vec<Option<String>>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let rows = rows.iter().map(|row| {
        let cell = |i: usize| {
            let raw = row.try_get_raw(i).unwrap();
            (!raw.is_null()).then(|| raw.as_str().unwrap().to_owned())
        };
        (0..row.columns().len()).map(cell).collect()
    });
    rows.collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    format!("\\x{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())
}

// ---------------------------------------------------------------------- plans and rows

pub(crate) fn origin(shard: &str, table: &str) -> Origin {
    Origin::new(&Shard::new(shard), "shop", table)
}

/// A column; the key's place makes it a key column.
pub(crate) fn column(name: &str, ty: ColumnType, key: Option<u16>) -> Column {
    Column { name: name.to_owned(), ty, nullable: key.is_none(), key, source: String::new() }
}

pub(crate) const TEXT: ColumnType = ColumnType::Text { bytes_max: None };

pub(crate) fn schema(columns: &[Column]) -> Arc<TableSchema> {
    Arc::new(TableSchema { columns: columns.to_vec() })
}

pub(crate) fn plan(target: &str, columns: &[Column], key_mode: KeyMode, deletes: Deletes) -> TablePlan {
    let mut key: Vec<&Column> = columns.iter().filter(|c| c.key.is_some()).collect();
    key.sort_by_key(|c| c.key);
    TablePlan {
        target: Target::new(target),
        key: key.iter().map(|c| c.name.clone()).collect(),
        columns: columns
            .iter()
            .map(|column| TargetColumn { column: column.clone(), default: ColumnDefault::Null })
            .collect(),
        key_mode,
        deletes,
        physical: Physical::default(),
    }
}

/// A row of a file; values in the text form that Arrow's cast from text understands.
#[derive(Clone, Debug)]
pub(crate) struct LakeRow {
    pub(crate) origin: Origin,
    pub(crate) seq: i64,
    pub(crate) op: Op,
    /// UTC microseconds.
    pub(crate) committed_at: i64,
    pub(crate) values: Vec<Option<String>>,
}

pub(crate) fn row(origin: &Origin, seq: i64, op: Op, values: &[&str]) -> LakeRow {
    LakeRow {
        origin: origin.clone(),
        seq,
        op,
        committed_at: seq * 1_000_000,
        values: values.iter().map(|v| (*v != "NULL").then(|| (*v).to_owned())).collect(),
    }
}

/// The rows as a file of the schema has them.
pub(crate) fn batch(schema: &TableSchema, rows: &[LakeRow]) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.origin.to_string()))),
        Arc::new(arrow::array::Int64Array::from_iter_values(rows.iter().map(|r| r.seq))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.op.as_str()))),
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.committed_at)).with_timezone("UTC")),
    ];
    for (i, column) in schema.columns.iter().enumerate() {
        let text: StringArray = rows.iter().map(|r| r.values[i].as_deref()).collect();
        columns.push(typed(&text, column.ty));
    }
    // Tests may want NULL where files have none.
    let fields: Vec<_> = schema.arrow().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap()
}

fn typed(text: &StringArray, ty: ColumnType) -> ArrayRef {
    use arrow::array::{BinaryArray, Decimal128Array, PrimitiveArray};
    use arrow::datatypes as dt;
    fn numbers<T: dt::ArrowPrimitiveType>(text: &StringArray) -> ArrayRef
    where
        T::Native: std::str::FromStr<Err: Debug>,
    {
        Arc::new(text.iter().map(|v| v.map(|v| v.parse::<T::Native>().unwrap())).collect::<PrimitiveArray<T>>())
    }
    match ty {
        ColumnType::Boolean => {
            Arc::new(text.iter().map(|v| v.map(|v| v == "true")).collect::<arrow::array::BooleanArray>())
        }
        ColumnType::Int16 => numbers::<dt::Int16Type>(text),
        ColumnType::Int32 => numbers::<dt::Int32Type>(text),
        ColumnType::Int64 => numbers::<dt::Int64Type>(text),
        ColumnType::Float32 => numbers::<dt::Float32Type>(text),
        ColumnType::Float64 => numbers::<dt::Float64Type>(text),
        // Unscaled digits, days, microseconds: the raw numbers.
        ColumnType::Decimal { .. } => {
            let DataType::Decimal128(p, s) = ty.arrow() else { unreachable!() };
            let values: Decimal128Array = text.iter().map(|v| v.map(|v| v.parse::<i128>().unwrap())).collect();
            Arc::new(values.with_precision_and_scale(p, s).unwrap())
        }
        ColumnType::Date => numbers::<dt::Date32Type>(text),
        ColumnType::Timestamp | ColumnType::TimestampTz => {
            let values: TimestampMicrosecondArray = text.iter().map(|v| v.map(|v| v.parse::<i64>().unwrap())).collect();
            match ty.arrow() {
                DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) => Arc::new(values.with_timezone(zone)),
                _ => Arc::new(values),
            }
        }
        ColumnType::Text { .. } | ColumnType::Json => Arc::new(text.clone()),
        ColumnType::Binary { .. } => Arc::new(text.iter().map(|v| v.map(str::as_bytes)).collect::<BinaryArray>()),
    }
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    batches: HashMap<String, Vec<RecordBatch>>,
}

impl Files {
    /// Adds a file and answers how the log names it. Its rows come in two batches.
    pub(crate) fn add(&mut self, schema: &Arc<TableSchema>, rows: &[LakeRow]) -> StagedFile {
        let path = format!("data/{}.parquet", self.batches.len());
        let (a, b) = rows.split_at(rows.len() / 2);
        self.batches.insert(path.clone(), vec![batch(schema, a), batch(schema, b)]);
        StagedFile { path, rows: rows.len() as u64, bytes: 0, schema: Arc::clone(schema) }
    }

    /// Adds a file of one large batch.
    pub(crate) fn add_batch(&mut self, schema: &Arc<TableSchema>, batch: RecordBatch) -> StagedFile {
        let path = format!("data/{}.parquet", self.batches.len());
        let rows = batch.num_rows() as u64;
        self.batches.insert(path.clone(), vec![batch]);
        StagedFile { path, rows, bytes: 0, schema: Arc::clone(schema) }
    }
}

#[async_trait]
impl ReadFiles for Files {
    async fn open(&self, file: &StagedFile) -> Result<BatchStream, ReadError> {
        let batches = self.batches.get(&file.path).cloned().ok_or_else(|| ReadError {
            path: file.path.clone(),
            transient: false,
            source: "no such object".into(),
        })?;
        Ok(futures::stream::iter(batches.into_iter().map(Ok)).boxed())
    }
}
