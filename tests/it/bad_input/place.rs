//! A folder with a configuration, and the program in it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, ConnectOptions, sqlite::SqliteConnectOptions};
use tailwater_proof::program::{Program, Running};
use tailwater_servers::{Mysql, MysqlOptions, PASSWORD, USER};
use tokio::runtime::Runtime;

/// Bound on one run of the program. Runs take a second or two, those that retry some ten; machines may be busy.
pub(super) const LIMIT: Duration = Duration::from_secs(90);

/// Derived ids are those of pipeline, shard and machine, which the tests of a shared server have in common.
static NEXT_SERVER_ID: AtomicU32 = AtomicU32::new(700_000_000);

/// A fit server that tests share; each has a database of its own.
pub(super) fn fit_server() -> &'static Mysql {
    static SERVER: OnceLock<Mysql> = OnceLock::new();
    SERVER.get_or_init(|| Mysql::start(MysqlOptions::default()).unwrap())
}

/// The URL of a source as the configuration wants it.
pub(super) fn url(server: &Mysql) -> String {
    login(server, USER, PASSWORD)
}

pub(super) fn login(server: &Mysql, user: &str, password: &str) -> String {
    format!("mysql://{user}:{password}@{}:{}", server.host(), server.port())
}

/// Where the program runs. The lake is in `lake`, the warehouse in `warehouse.db`.
pub(super) struct Place {
    folder: tempfile::TempDir,
    program: Program,
}

impl Place {
    /// Copies `tables` of the sources `s1`, `s2`, … by their URLs.
    pub(super) fn new(sources: &[String], tables: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("tailwater.log");
        let program = Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path())
            .log_to(log)
            .env("TAILWATER_LOG_LEVEL", "info")
            .env("TAILWATER_LOG_FORMAT", "text");
        let place = Self { folder, program };
        place.configure(sources, tables, "./lake", "warehouse.db")?;
        Ok(place)
    }

    pub(super) fn configure(&self, sources: &[String], tables: &str, lake: &str, warehouse: &str) -> Result<()> {
        let source = |(n, url): (usize, &String)| {
            let id = NEXT_SERVER_ID.fetch_add(1, Ordering::Relaxed);
            format!(
                "[[source]]\nname = \"s{n}\"\nserver_id = {id}\nstart = \"earliest\"\nurl = \"{url}\"\ntls.mode = \"disabled\"\n"
            )
        };
        let text = format!(
            "{}[lake]\nurl = \"{lake}\"\nflush_interval = \"200ms\"\n[warehouse]\nurl = \"sqlite:{warehouse}\"\ntick = \
             \"200ms\"\n[limits]\nonce_patience = \"3s\"\n[[table]]\nmatch = \"{tables}\"\n",
            (1..).zip(sources).map(source).collect::<String>()
        );
        Ok(fs::write(self.path("tailwater.toml"), text)?)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running> {
        self.program.start(arguments)
    }

    /// Runs the program to an end with this exit code; returns what it said on both outputs, which shows no secret.
    pub(super) fn ends_with(&self, code: i32, arguments: &[&str]) -> Result<String> {
        let before = self.said()?.len();
        let status = self.start(arguments)?.wait(LIMIT)?;
        let said = self.said()?.split_off(before);
        ensure!(status.code() == Some(code), "{arguments:?} ended with {status}, not {code}:\n{said}");
        ensure!(!said.contains(PASSWORD) && !said.contains("hunter2"), "a secret is shown:\n{said}");
        Ok(said)
    }

    /// As [`ends_with`](Self::ends_with); the error has all of `parts` and stands alone.
    pub(super) fn refuses(&self, code: i32, arguments: &[&str], parts: &[&str]) -> Result<String> {
        let said = self.ends_with(code, arguments)?;
        let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        ensure!(errors == 1, "{errors} errors:\n{said}");
        let error = said.split_once("error: ").map(|(_, error)| error.to_owned()).unwrap_or_default();
        for part in parts {
            ensure!(error.contains(part), "no {part:?} in:\n{said}");
        }
        Ok(error)
    }

    /// Everything that the program has said so far.
    pub(super) fn said(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path("tailwater.log")).unwrap_or_default())
    }

    /// Entries in the log of a shard.
    pub(super) fn entries(&self, shard: &str) -> usize {
        let folder = self.path("lake").join("default/log").join(shard);
        let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
        names.filter(|name| name.to_string_lossy().starts_with('0')).count()
    }

    /// The one number that a query of the warehouse answers.
    pub(super) fn number(&self, query: &str) -> Result<i64> {
        number(&self.path("warehouse.db"), query)
    }
}

pub(super) fn number(file: &Path, query: &str) -> Result<i64> {
    let query = query.to_owned();
    Runtime::new()?.block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(file).connect().await?;
        sqlx::query_scalar(AssertSqlSafe(query.clone())).fetch_one(&mut conn).await.with_context(|| query)
    })
}

/// Runs statements on an SQLite file, which is made.
pub(super) fn execute(file: &Path, statement: &str) -> Result<()> {
    let statement = statement.to_owned();
    Runtime::new()?.block_on(async {
        let mut conn = SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await?;
        Ok(())
    })
}
