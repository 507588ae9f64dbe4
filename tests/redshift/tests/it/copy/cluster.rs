//! A database of the stand-in and a bucket, for one test, seen through an ordinary PostgreSQL client.

use std::fs;
use std::sync::{Arc, OnceLock};

use sqlx::postgres::{PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, ValueRef};
use tailwater_redshift::{Loader, Options, Redshift, Refusal, Relax, Server};
use tailwater_servers::S3;

pub const ROLE: &str = "IAM_ROLE 'arn:aws:iam::123456789012:role/loader'";

fn s3() -> &'static S3 {
    static S3_SERVER: OnceLock<S3> = OnceLock::new();
    S3_SERVER.get_or_init(|| S3::start().unwrap())
}

fn options() -> Options {
    Options { loader: Loader::new(s3().endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY), ..Options::default() }
}

/// For tests that leave the loader as it is.
fn shared() -> &'static Redshift {
    static REDSHIFT: OnceLock<Redshift> = OnceLock::new();
    REDSHIFT.get_or_init(|| Redshift::start(options()).unwrap())
}

pub struct Cluster {
    client: PgConnection,
    bucket: String,
    own: Option<Redshift>,
}

impl Cluster {
    /// A database and a bucket of this name.
    pub async fn start(name: &str) -> Self {
        Self::on(shared(), name).await
    }

    /// A server of its own, whose loader can be changed.
    pub async fn start_own(name: &str) -> Self {
        let redshift = Redshift::start(options()).unwrap();
        let mut cluster = Self::on(&redshift, name).await;
        cluster.own = Some(redshift);
        cluster
    }

    async fn on(redshift: &Redshift, name: &str) -> Self {
        let url = redshift.create_database(name).unwrap();
        let bucket = name.replace('_', "-");
        s3().create_bucket(&bucket).unwrap();
        Self { client: PgConnection::connect(&url).await.unwrap(), bucket, own: None }
    }

    /// Changes how COPY reads.
    pub fn change(&self, change: impl FnOnce(&mut Loader)) {
        let redshift = self.redshift();
        let mut loader = redshift.loader();
        change(&mut loader);
        redshift.set_loader(loader);
    }

    /// The server of its own.
    pub fn redshift(&self) -> &Redshift {
        self.own.as_ref().expect("a server of its own")
    }

    pub fn server(&self) -> &Arc<Server> {
        self.redshift().server()
    }

    pub fn relax(&self, relax: Relax) {
        self.change(|loader| loader.relax = relax);
    }

    pub fn s3(&self) -> &'static S3 {
        s3()
    }

    pub async fn sql(&mut self, statements: &str) {
        self.run(statements).await.unwrap();
    }

    /// Rows, columns joined by `|`.
    pub async fn rows(&mut self, query: &str) -> Vec<String> {
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut self.client).await.unwrap();
        let text = |row: &PgRow, i| {
            let value = row.try_get_raw(i).unwrap();
            if value.is_null() { "NULL".to_owned() } else { value.as_str().unwrap().to_owned() }
        };
        rows.iter().map(|row| (0..row.len()).map(|i| text(row, i)).collect::<Vec<_>>().join("|")).collect()
    }

    /// The last row of the view, one string a column.
    pub async fn load_error(&mut self, columns: &str) -> String {
        let query = format!("SELECT {columns} FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1");
        self.rows(&query).await.pop().unwrap()
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        let path = s3().bucket_folder(&self.bucket).join(key);
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

    /// Loads what lies under a key into `table`, a table's name with or without a list of columns; returns the rows.
    pub async fn copy(&mut self, table: &str, key: &str, parameters: &str) -> Result<u64, Refusal> {
        let statement = format!("COPY {table} FROM '{}' {ROLE} FORMAT AS PARQUET {parameters}", self.url(key));
        self.run(&statement).await?;
        Ok(self.rows("SELECT pg_last_copy_count()").await[0].parse().unwrap())
    }

    pub async fn run(&mut self, statements: &str) -> Result<(), Refusal> {
        let done = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut self.client).await;
        done.map(drop).map_err(|error| {
            let error = error.into_database_error().unwrap().downcast::<PgDatabaseError>();
            let refusal = Refusal::new(error.code(), error.message());
            match error.detail() {
                Some(detail) => refusal.with_detail(detail),
                None => refusal,
            }
        })
    }

    /// Loads, and returns message and detail of the error.
    pub async fn refused(&mut self, table: &str, key: &str, parameters: &str) -> (String, String) {
        let refusal = self.copy(table, key, parameters).await.unwrap_err();
        (refusal.message, refusal.detail.unwrap_or_default())
    }
}
