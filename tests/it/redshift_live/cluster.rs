//! A cluster with a bucket, and a schema and a prefix in them that belong to one run.

use std::{
    env,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_config::BehaviorVersion;
use aws_sdk_s3::{
    Client,
    config::{Credentials, Region},
    primitives::ByteStream,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Either, PgConnection, Row, postgres::PgConnectOptions};

use futures::TryStreamExt;

/// Longest time for one statement: a workgroup that sleeps takes ten seconds to wake up.
const STATEMENT_MAX: Duration = Duration::from_secs(120);
/// Characters of an answer that are shown.
const SHOWN_MAX: usize = 600;

/// What a statement answers: the first column of each row as text, or what the server says against it.
pub(crate) type Said = Result<Vec<Option<String>>, String>;

/// A cluster, and where on it this run is.
pub(crate) struct Cluster {
    pub(crate) options: PgConnectOptions,
    s3: Client,
    bucket: String,
    /// COPY's clause for reading the bucket.
    access: String,
    /// Schema of this run.
    pub(crate) schema: String,
}

impl Cluster {
    /// The cluster that the environment names.
    pub(crate) async fn from_environment() -> Result<Self, String> {
        let variable = |name: &str| env::var(format!("TAILWATER_TEST_REDSHIFT_{name}")).ok().filter(|v| !v.is_empty());
        let needed = |name: &str| variable(name).ok_or_else(|| format!("TAILWATER_TEST_REDSHIFT_{name} is not set"));
        let role = variable("IAM_ROLE").unwrap_or_else(|| "default".to_owned());
        let endpoint = variable("S3_ENDPOINT");
        Self::new(&needed("URL")?, &needed("BUCKET")?, &role, endpoint, None).await
    }

    pub(crate) async fn new(
        url: &str,
        bucket: &str,
        role: &str,
        endpoint: Option<String>,
        keys: Option<(&str, &str, &str)>,
    ) -> Result<Self, String> {
        let url = url.replacen("redshift://", "postgres://", 1);
        let options = PgConnectOptions::from_str(&url).map_err(|_| "the address cannot be read".to_owned())?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some((id, secret, region)) = keys {
            let credentials = Credentials::new(id, secret, None, None, "test");
            loader = loader.credentials_provider(credentials).region(Region::new(region.to_owned()));
        }
        let mut config = aws_sdk_s3::config::Builder::from(&Box::pin(loader.load()).await);
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|e| e.to_string())?;
        Ok(Self {
            options: options.statement_cache_capacity(0),
            s3: Client::from_conf(config.build()),
            bucket: bucket.to_owned(),
            access: if role == "default" { "IAM_ROLE default".to_owned() } else { format!("IAM_ROLE '{role}'") },
            schema: format!("tailwater_live_{}", now.as_micros()),
        })
    }

    /// Makes the schema.
    pub(crate) async fn open(&self) -> Result<(), String> {
        let mut session = self.connect().await?;
        session.run(&format!("CREATE SCHEMA {}", self.schema)).await.map(|_| ())
    }

    /// Removes the schema with everything in it, and the objects.
    pub(crate) async fn close(&self) -> Result<(), String> {
        let prefix = format!("{}/", self.schema);
        let listed = self.s3.list_objects_v2().bucket(&self.bucket).prefix(prefix).send().await;
        for object in listed.map_err(|e| format!("{e:?}"))?.contents() {
            let Some(key) = object.key() else { continue };
            let removed = self.s3.delete_object().bucket(&self.bucket).key(key).send().await;
            removed.map_err(|e| format!("{e:?}"))?;
        }
        let mut session = self.connect().await?;
        // Everything in it is the suite's own; table by table, as nothing here is ever dropped by CASCADE.
        let tables = format!("SELECT table_name FROM information_schema.tables WHERE table_schema = '{}'", self.schema);
        for table in session.run(&tables).await?.into_iter().flatten() {
            session.run(&format!("DROP TABLE {}.{table}", self.schema)).await?;
        }
        session.run(&format!("DROP SCHEMA {}", self.schema)).await.map(|_| ())
    }

    pub(crate) async fn connect(&self) -> Result<Session, String> {
        // The server's notices and the statements are the suite's own business.
        let options = self.options.clone().disable_statement_logging();
        let connection = tokio::time::timeout(STATEMENT_MAX, options.connect()).await;
        let connection = connection.map_err(|_| "no connection in time".to_owned())?.map_err(|e| words(&e))?;
        Ok(Session { connection })
    }

    /// Loads one file by COPY with further `options` into a table of one column `c`, made for it.
    pub(crate) async fn copy(
        &self,
        table: &str,
        column_type: &str,
        file: Vec<u8>,
        options: &str,
    ) -> Result<Session, String> {
        let mut session = self.connect().await?;
        let place = format!("{}.{table}", self.schema);
        session.run(&format!("CREATE TABLE {place} (c {column_type})")).await?;
        let (key, bytes) = (format!("{}/{table}.parquet", self.schema), file.len());
        self.put(&key, file).await?;
        let manifest = serde_json::json!({ "entries": [{
            "url": format!("s3://{}/{key}", self.bucket), "mandatory": true, "meta": { "content_length": bytes },
        }]});
        let manifest_key = format!("{}/{table}.manifest.json", self.schema);
        self.put(&manifest_key, manifest.to_string().into_bytes()).await?;
        let copy = format!(
            "COPY {place} (c) FROM 's3://{}/{manifest_key}' {} FORMAT AS PARQUET MANIFEST {options}",
            self.bucket, self.access
        );
        session.run(&copy).await?;
        Ok(session)
    }

    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), String> {
        let put = self.s3.put_object().bucket(&self.bucket).key(key).body(ByteStream::from(content)).send().await;
        put.map(|_| ()).map_err(|e| format!("cannot write s3://{}/{key}: {e:?}", self.bucket))
    }
}

/// One connection.
pub(crate) struct Session {
    pub(crate) connection: PgConnection,
}

impl Session {
    /// Runs a statement by the simple protocol.
    pub(crate) async fn run(&mut self, sql: &str) -> Said {
        let rows = async {
            let mut rows = Vec::new();
            let mut answers = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_many(&mut self.connection);
            while let Some(answer) = answers.try_next().await? {
                if let Either::Right(row) = answer
                    && !row.is_empty()
                {
                    rows.push(row.try_get_unchecked::<Option<String>, _>(0)?);
                }
            }
            Ok(rows)
        };
        match tokio::time::timeout(STATEMENT_MAX, rows).await {
            Ok(rows) => rows.map_err(|e: sqlx::Error| words(&e)),
            Err(_) => Err(format!("no answer within {} s", STATEMENT_MAX.as_secs())),
        }
    }

    /// The first value of a statement's first row.
    pub(crate) async fn one(&mut self, sql: &str) -> Result<String, String> {
        let rows = self.run(sql).await?;
        Ok(rows.into_iter().next().flatten().unwrap_or_else(|| "NULL".to_owned()))
    }

    pub(crate) async fn close(self) {
        // A server that went away needs no goodbye.
        let _ = self.connection.close().await;
    }
}

/// What the server said: code, message and detail in one line.
pub(crate) fn words(error: &sqlx::Error) -> String {
    let text = match error.as_database_error() {
        None => error.to_string(),
        Some(database) => {
            let detail = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().and_then(|e| e.detail());
            let code = database.code().unwrap_or_default();
            format!("{code} {} | {}", database.message(), detail.unwrap_or_default())
        }
    };
    // COPY's details come between rules of dashes.
    let rule = |word: &&str| word.chars().all(|c| c == '-');
    let line = text.split_whitespace().filter(|word| !rule(word)).collect::<Vec<_>>().join(" ");
    // Presigned addresses end in a signature.
    let line = line.split("X-Amz-").next().unwrap_or_default();
    line.chars().take(SHOWN_MAX).collect()
}
