//! A database of the stand-in and a bucket, for one test.

use std::fs;
use std::sync::OnceLock;

use sqlx::{Connection, PgConnection, Row, ValueRef};
use tailwater_redshift::copy::{self, Context, LoadError};
use tailwater_redshift::{Loader, Refusal, Relax};
use tailwater_servers::{Postgres, S3};

pub const ROLE: &str = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'";

struct Servers {
    postgres: Postgres,
    s3: S3,
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| Servers { postgres: Postgres::start().unwrap(), s3: S3::start().unwrap() })
}

pub struct Cluster {
    client: PgConnection,
    bucket: &'static str,
    pub loader: Loader,
    pub errors: Vec<LoadError>,
}

impl Cluster {
    /// A database and a bucket of this name.
    pub async fn start(name: &'static str) -> Self {
        let servers = servers();
        let url = servers.postgres.create_database(name).unwrap();
        let bucket: &'static str = Box::leak(name.replace('_', "-").into_boxed_str());
        servers.s3.create_bucket(bucket).unwrap();
        let mut client = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(CATALOG).execute(&mut client).await.unwrap();
        let loader = Loader::new(servers.s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY);
        Self { client, bucket, loader, errors: Vec::new() }
    }

    pub fn relax(&mut self, relax: Relax) {
        self.loader.relax = relax;
    }

    pub fn s3(&self) -> &'static S3 {
        &servers().s3
    }

    pub async fn sql(&mut self, statements: &str) {
        let statements = statements.replace("VARBYTE(8)", "BYTEA");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut self.client).await.unwrap();
        sqlx::raw_sql(REGISTER).execute(&mut self.client).await.unwrap();
    }

    /// Rows, columns joined by `|`.
    pub async fn rows(&mut self, query: &str) -> Vec<String> {
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(query.to_owned())).fetch_all(&mut self.client).await.unwrap();
        let text = |row: &sqlx::postgres::PgRow, i| {
            let value = row.try_get_raw(i).unwrap();
            if value.is_null() { "NULL".to_owned() } else { value.as_str().unwrap().to_owned() }
        };
        rows.iter().map(|row| (0..row.len()).map(|i| text(row, i)).collect::<Vec<_>>().join("|")).collect()
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = servers().s3.bucket_folder(self.bucket).join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Puts a manifest with the exact lengths; every file is mandatory.
    pub fn put_manifest(&self, key: &str, files: &[(&str, usize)]) {
        let entry = |(file, length): &(&str, usize)| {
            format!(r#"{{"url":"s3://{}/{file}","mandatory":true,"meta":{{"content_length":{length}}}}}"#, self.bucket)
        };
        let entries: Vec<String> = files.iter().map(entry).collect();
        self.put(key, format!(r#"{{"entries":[{}]}}"#, entries.join(",")).as_bytes());
    }

    pub fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// Loads what lies under a key into `table`, a table's name with or without a list of columns.
    pub async fn copy(&mut self, table: &str, key: &str, parameters: &str) -> Result<u64, Refusal> {
        let statement = format!("COPY {table} FROM '{}' {ROLE} FORMAT AS PARQUET {parameters}", self.url(key));
        self.run(&statement).await
    }

    pub async fn run(&mut self, statement: &str) -> Result<u64, Refusal> {
        let context = Context {
            connection: &mut self.client,
            scope: &tailwater_redshift::catalog::Scope::default(),
            loader: &self.loader,
            user: "tw",
            query: 42,
            load_errors: &mut self.errors,
        };
        copy::run(statement, context).await.map(|loaded| loaded.rows)
    }

    /// Loads, and returns message and detail of the error.
    pub async fn refused(&mut self, table: &str, key: &str, parameters: &str) -> (String, String) {
        let refusal = self.copy(table, key, parameters).await.unwrap_err();
        (refusal.message, refusal.detail.unwrap_or_default())
    }
}

const CATALOG: &str = "CREATE SCHEMA tw_catalog; CREATE DOMAIN super AS jsonb;
    CREATE TABLE tw_catalog.tables (oid oid, schema_name text, table_name text, temporary boolean);
    CREATE TABLE tw_catalog.columns (oid oid, attnum int2, column_name text, type_name text, type_size int4,
        type_scale int4, identity boolean)";

const REGISTER: &str = "TRUNCATE tw_catalog.tables, tw_catalog.columns;
    INSERT INTO tw_catalog.tables SELECT oid, 'public', relname, false FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace;
    INSERT INTO tw_catalog.columns SELECT a.attrelid, a.attnum, a.attname,
        CASE WHEN t.typname = 'bytea' THEN 'binary varying' WHEN t.typname = 'super' THEN 'super'
            ELSE format_type(a.atttypid, NULL) END,
        CASE WHEN t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 WHEN t.typname = 'bytea' THEN 8
            WHEN t.typname = 'numeric' THEN (a.atttypmod - 4) >> 16 ELSE 0 END,
        CASE WHEN t.typname = 'numeric' THEN (a.atttypmod - 4) & 2047 ELSE 0 END, a.attidentity <> ''
    FROM pg_attribute a JOIN tw_catalog.tables c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attnum > 0";
