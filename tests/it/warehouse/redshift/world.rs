//! Redshift's stand-in under test: files go to a server of the S3 protocol before they are staged.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch},
    datatypes::{Field, Schema},
};
use async_trait::async_trait;
use futures::TryStreamExt;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::Compression,
    file::properties::{EnabledStatistics, WriterProperties},
};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions, postgres::PgSslMode};
use tailwater::{
    lake::{ObjectPath, S3, S3Options, StaticKeys, Store},
    model::{ColumnType, TableSchema, Target},
    warehouse::{
        BatchStream, Checksums, Claim, Fence, Finding, GroupState, Merge, MergeReport, ReadError, ReadFiles,
        RebuildChange, StageOutcome, StagedFile, Swap, SwapReport, TableFiles, TablePlan, TableState, TargetColumn,
        TickId, Warehouse, WarehouseError,
        redshift::{CopyAccess, DataApiTarget, Login, Redshift, RedshiftOptions, TlsMode},
    },
};
use tailwater_redshift::{Loader, Options};

use crate::warehouse::world::{World, texts};

const BUCKET: &str = "lake";
const CLUSTER: &str = "stand-in";

/// One stand-in and one S3 server for all tests of the binary; a database and a prefix for each.
struct Servers {
    redshift: tailwater_redshift::Redshift,
    s3: tailwater_servers::S3,
    runtime: tokio::runtime::Runtime,
}

static SERVERS: OnceLock<Servers> = OnceLock::new();
static DATABASES: AtomicU64 = AtomicU64::new(0);

fn servers() -> &'static Servers {
    SERVERS.get_or_init(|| {
        let s3 = tailwater_servers::S3::with_bucket(BUCKET).unwrap();
        let options = options(&s3);
        let redshift = tailwater_redshift::Redshift::start(options).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Servers { redshift, s3, runtime }
    })
}

/// A stand-in that loads from this S3 server and watches what Redshift would pass over: rows twice under a primary key, and
/// columns of a file that stand in another order than the table's.
pub(crate) fn options(s3: &tailwater_servers::S3) -> Options {
    use tailwater_servers::S3;
    let mut loader = Loader::new(s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY);
    loader.strict_names = true;
    Options { loader, check_keys: true, http: Some(([127, 0, 0, 1], 0).into()), ..Options::default() }
}

/// A way in which a table's rows get into staging, and statements to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// COPY, whatever there is to load.
    Copy,
    /// INSERT where there are few rows.
    Insert,
    /// COPY, through the Data API.
    DataApi,
}

/// A database of the stand-in.
#[derive(Debug)]
pub(crate) struct RedshiftWorld {
    pub(crate) database: String,
    way: Way,
    pub(crate) store: Arc<dyn Store>,
    /// Address of a proxy in front of the stand-in, where there is one.
    pub(crate) through: Option<std::net::SocketAddr>,
}

impl RedshiftWorld {
    pub(crate) fn new() -> Self {
        Self::by(Way::Copy)
    }

    pub(crate) fn inserting() -> Self {
        Self::by(Way::Insert)
    }

    pub(crate) fn by(way: Way) -> Self {
        let servers = servers();
        let database = format!("w{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        servers.redshift.create_database(&database).unwrap();
        let prefix = database.clone();
        // On a runtime of its own: tests are async, and their worlds are made before they wait for anything.
        let opened = std::thread::scope(|scope| {
            let open = || servers.runtime.block_on(S3::open(lake(&servers.s3, prefix)));
            scope.spawn(open).join().unwrap()
        });
        Self { database, way, store: Arc::new(opened.unwrap()), through: None }
    }

    pub(crate) fn server(&self) -> &'static tailwater_redshift::Redshift {
        &servers().redshift
    }

    pub(crate) fn s3(&self) -> &'static tailwater_servers::S3 {
        &servers().s3
    }

    /// Options of the warehouse under test.
    pub(crate) fn options(&self) -> RedshiftOptions {
        let server = self.server();
        let address = self.through.unwrap_or_else(|| server.address());
        let defaults = Options::default();
        RedshiftOptions {
            host: address.ip().to_string(),
            port: address.port(),
            database: self.database.clone(),
            user: defaults.user.clone(),
            tls: TlsMode::Disable,
            ca: None,
            schema: "public".to_owned(),
            private_schema: "_tailwater".to_owned(),
            login: Login::Password(defaults.password),
            data_api: (self.way == Way::DataApi)
                .then(|| DataApiTarget::Cluster { cluster: CLUSTER.to_owned(), user: Some(defaults.user.clone()) }),
            copy: CopyAccess::Role("arn:aws:iam::123456789012:role/tailwater".to_owned()),
            connections: 2,
            insert_rows_max: if self.way == Way::Insert { 1_000 } else { 0 },
            region: Some("us-east-1".to_owned()),
            endpoint: Some(format!("http://{}", server.http_address().unwrap())),
            keys: Some(keys()),
        }
    }

    /// The warehouse itself, without the upload of what is to be staged.
    pub(crate) fn redshift(&self, options: RedshiftOptions) -> Redshift {
        Redshift::new(options, Arc::clone(&self.store)).unwrap()
    }

    pub(crate) fn uploading(&self, options: RedshiftOptions) -> Uploading {
        Uploading { inner: self.redshift(options), store: Arc::clone(&self.store) }
    }
}

pub(crate) fn keys() -> StaticKeys {
    use tailwater_servers::S3;
    StaticKeys {
        access_key_id: S3::ACCESS_KEY.to_owned(),
        secret_access_key: S3::SECRET_KEY.to_owned(),
        session_token: None,
    }
}

fn lake(s3: &tailwater_servers::S3, prefix: String) -> S3Options {
    S3Options {
        bucket: BUCKET.to_owned(),
        prefix,
        region: Some(tailwater_servers::S3::REGION.to_owned()),
        endpoint: Some(s3.endpoint()),
        path_style: true,
        keys: Some(keys()),
        request_timeout: None,
    }
}

#[async_trait]
impl World for RedshiftWorld {
    fn connect(&self) -> Box<dyn Warehouse> {
        Box::new(self.uploading(self.options()))
    }

    async fn query(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let options = self.options();
        let Login::Password(password) = &options.login else { unreachable!() };
        let server = self.server().address();
        let mut connection = PgConnectOptions::new_without_pgpass()
            .host(&server.ip().to_string())
            .port(server.port())
            .database(&self.database)
            .username(&options.user)
            .password(password)
            .ssl_mode(PgSslMode::Disable)
            .connect()
            .await
            .unwrap();
        let rows = texts(&mut connection, sql).await;
        connection.close().await.unwrap();
        rows
    }

    fn table(&self, target: &str) -> String {
        let target = target.to_ascii_lowercase();
        match target.split_once('.') {
            Some((schema, table)) => format!("\"{schema}\".\"{table}\""),
            None => format!("\"public\".\"{target}\""),
        }
    }

    async fn spoil(&self, target: &str, column: &str) {
        let table = self.table(target);
        self.query(&format!("ALTER TABLE {table} DROP COLUMN {column}")).await;
        self.query(&format!("ALTER TABLE {table} ADD COLUMN {column} VARCHAR(2)")).await;
    }

    async fn private(&self, prefix: &str) -> Vec<String> {
        let sql = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = '_tailwater' \
             AND substring(table_name, 1, {}) = '{prefix}'",
            prefix.len()
        );
        self.query(&sql).await.into_iter().filter_map(|r| r[0].clone()).map(|n| format!("_tailwater.\"{n}\"")).collect()
    }
}

/// Redshift, with files of the tests' memory uploaded before they are staged.
#[derive(Debug)]
pub(crate) struct Uploading {
    pub(crate) inner: Redshift,
    store: Arc<dyn Store>,
}

static UPLOADS: AtomicU64 = AtomicU64::new(0);

impl Uploading {
    async fn upload(&self, file: &StagedFile, reader: &dyn ReadFiles) -> StagedFile {
        let path = format!("data/{}.parquet", UPLOADS.fetch_add(1, Ordering::Relaxed));
        let renamed = |bytes| StagedFile { path: path.clone(), bytes, ..file.clone() };
        // A file that the reader does not have is one that the bucket does not have.
        let Ok(batches) = reader.open(file).await else { return renamed(1) };
        let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        let content = parquet(&file.schema, &batches);
        let bytes = content.len() as u64;
        self.store.put(&ObjectPath::parse(&path).unwrap(), content.into()).await.unwrap();
        renamed(bytes)
    }
}

/// The tests' files by the names under which they were uploaded.
struct Renamed<'a> {
    reader: &'a dyn ReadFiles,
    renamed: HashMap<String, StagedFile>,
}

#[async_trait]
impl ReadFiles for Renamed<'_> {
    async fn open(&self, file: &StagedFile) -> Result<BatchStream, ReadError> {
        self.reader.open(&self.renamed[&file.path]).await
    }
}

/// Rows of any origins as the lake's files for COPY have them.
fn parquet(schema: &TableSchema, batches: &[RecordBatch]) -> Vec<u8> {
    let stored = |batch: &RecordBatch| {
        let columns = batch.columns().iter().zip(batch.schema_ref().fields()).map(|(array, field)| {
            let json = schema.column(field.name()).is_some_and(|c| c.ty == ColumnType::Json);
            let array: ArrayRef = match json {
                true => Arc::new(BinaryArray::from(array.as_string::<i32>().clone())),
                false => Arc::clone(array),
            };
            (Field::new(field.name(), array.data_type().clone(), true), array)
        });
        let (fields, arrays): (Vec<_>, Vec<_>) = columns.unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
    };
    let batches: Vec<RecordBatch> = batches.iter().map(stored).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

#[async_trait]
impl Warehouse for Uploading {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn check(&self) -> Vec<Finding> {
        self.inner.check().await
    }

    async fn open_group(&self, claim: &Claim) -> Result<(Fence, GroupState), WarehouseError> {
        self.inner.open_group(claim).await
    }

    async fn close_group(&self, fence: &Fence) -> Result<(), WarehouseError> {
        self.inner.close_group(fence).await
    }

    async fn group_state(&self, group: &str) -> Result<Option<GroupState>, WarehouseError> {
        self.inner.group_state(group).await
    }

    async fn preview_table(&self, group: &str, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        self.inner.preview_table(group, plan).await
    }

    async fn ensure_table(&self, fence: &Fence, plan: &TablePlan) -> Result<TableState, WarehouseError> {
        self.inner.ensure_table(fence, plan).await
    }

    async fn recall_table(&self, fence: &Fence, target: &Target) -> Result<bool, WarehouseError> {
        self.inner.recall_table(fence, target).await
    }

    async fn columns(&self, fence: &Fence, target: &Target) -> Result<Option<Vec<TargetColumn>>, WarehouseError> {
        self.inner.columns(fence, target).await
    }

    async fn drop_shadow(
        &self,
        fence: &Fence,
        target: &Target,
        rebuilds: &[RebuildChange],
    ) -> Result<(), WarehouseError> {
        self.inner.drop_shadow(fence, target, rebuilds).await
    }

    async fn swap(&self, swap: &Swap) -> Result<SwapReport, WarehouseError> {
        self.inner.swap(swap).await
    }

    async fn checksums(&self) -> Result<Box<dyn Checksums>, WarehouseError> {
        self.inner.checksums().await
    }

    async fn stage(
        &self,
        tick: &TickId,
        tables: &[TableFiles],
        reader: &dyn ReadFiles,
    ) -> Result<Vec<StageOutcome>, WarehouseError> {
        let (mut uploaded, mut renamed) = (Vec::new(), HashMap::new());
        for table in tables {
            let mut files = Vec::new();
            for file in &table.files {
                let there = self.upload(file, reader).await;
                renamed.insert(there.path.clone(), file.clone());
                files.push(there);
            }
            uploaded.push(TableFiles { files, ..table.clone() });
        }
        self.inner.stage(tick, &uploaded, &Renamed { reader, renamed }).await
    }

    async fn merge(&self, merge: &Merge) -> Result<MergeReport, WarehouseError> {
        self.inner.merge(merge).await
    }
}
