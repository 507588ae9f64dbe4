//! One server for all tests, a database for each.

use std::str::FromStr;
use std::sync::OnceLock;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, ValueRef};
use tailwater_redshift::{Isolation, Options, Redshift};

pub fn snapshot() -> &'static Redshift {
    static SERVER: OnceLock<Redshift> = OnceLock::new();
    SERVER.get_or_init(|| Redshift::start(Options::default()).unwrap())
}

pub fn serializable() -> &'static Redshift {
    static SERVER: OnceLock<Redshift> = OnceLock::new();
    SERVER
        .get_or_init(|| Redshift::start(Options { isolation: Isolation::Serializable, ..Options::default() }).unwrap())
}

/// A client of the stand-in.
pub struct Client {
    pub connection: PgConnection,
}

/// What an error says.
#[derive(Debug)]
pub struct Refused {
    pub code: String,
    pub message: String,
    pub detail: String,
}

impl Client {
    /// A client of a database of its own.
    pub async fn new(database: &str) -> Self {
        let url = snapshot().create_database(database).unwrap();
        Self::at(&url).await
    }

    pub async fn at(url: &str) -> Self {
        Self { connection: options(url).connect().await.unwrap() }
    }

    pub async fn run(&mut self, text: &str) {
        if let Err(error) = self.attempt(text).await {
            panic!("{text}: {error}");
        }
    }

    pub async fn attempt(&mut self, text: &str) -> Result<u64, sqlx::Error> {
        let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut self.connection).await?;
        Ok(done.rows_affected())
    }

    /// The error that a statement ends with.
    pub async fn refused(&mut self, text: &str) -> Refused {
        match self.attempt(text).await {
            Ok(_) => panic!("this was accepted: {text}"),
            Err(error) => refused(&error),
        }
    }

    /// Code and message of the error that a statement ends with.
    pub async fn error(&mut self, text: &str) -> (String, String) {
        let Refused { code, message, .. } = self.refused(text).await;
        (code, message)
    }

    /// Rows, columns joined by `|`.
    pub async fn rows(&mut self, text: &str) -> Vec<String> {
        match sqlx::raw_sql(AssertSqlSafe(text.to_owned())).fetch_all(&mut self.connection).await {
            Ok(rows) => rows.iter().map(show).collect(),
            Err(error) => panic!("{text}: {error}"),
        }
    }

    /// The only value of the only row.
    pub async fn value(&mut self, text: &str) -> String {
        let rows = self.rows(text).await;
        assert_eq!(rows.len(), 1, "{text}");
        rows.into_iter().next().unwrap()
    }

    pub async fn close(self) {
        let _ = self.connection.close().await;
    }
}

/// As Tailwater connects: no cache of statements.
pub fn options(url: &str) -> PgConnectOptions {
    PgConnectOptions::from_str(url).unwrap().statement_cache_capacity(0)
}

pub fn refused(error: &sqlx::Error) -> Refused {
    let Some(error) = error.as_database_error() else { panic!("no answer of the server: {error}") };
    let error: &PgDatabaseError = error.downcast_ref();
    Refused {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().unwrap_or_default().to_owned(),
    }
}

fn show(row: &PgRow) -> String {
    let value = |index| {
        let value = row.try_get_raw(index).unwrap();
        if value.is_null() { "NULL".to_owned() } else { value.as_str().unwrap().to_owned() }
    };
    (0..row.len()).map(value).collect::<Vec<_>>().join("|")
}
