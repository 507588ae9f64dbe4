//! A pipeline from servers without binlogs, as a user who may only SELECT.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tailwater_proof::compare::{Table, Warehouse, check_log, compare};
use tailwater_proof::program::{Program, Running};
use tailwater_proof::workload::Shard;
use tailwater_servers::{Mysql, MysqlOptions, Postgres};
use tokio::runtime::Runtime;

/// Bound on one run and on what a test waits for. Runs take a second or two; machines may be busy.
pub(super) const LIMIT: Duration = Duration::from_secs(90);

/// How often a waiting test looks, at most.
const POLL: Duration = Duration::from_millis(50);

/// Two servers that log nothing, shared by the tests; each has a database of its own.
fn servers() -> &'static [Arc<Mysql>] {
    static SERVERS: OnceLock<Vec<Arc<Mysql>>> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let start = || Arc::new(Mysql::start(MysqlOptions::default().without_binlog().time_zone("+05:30")).unwrap());
        (0..2).map(|_| start()).collect()
    })
}

fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

/// A pipeline that is set up; nothing runs yet.
pub(super) struct Scene {
    name: String,
    servers: Vec<Arc<Mysql>>,
    shards: Vec<Shard>,
    warehouse: Warehouse,
    program: Program,
    folder: tempfile::TempDir,
}

impl Scene {
    /// `source` are keys of every `[[source]]`, `rest` is the end of the configuration. `name` is the database.
    pub(super) fn new(name: &str, shards: usize, source: &str, rest: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let warehouse = Warehouse::Sqlite(folder.path().join("warehouse.db"));
        Self::to(name, &servers()[..shards], source, rest, folder, warehouse)
    }

    pub(super) fn to_postgres(name: &str, source: &str, rest: &str) -> Result<Self> {
        let warehouse = Warehouse::Postgres(postgres().create_database(name)?);
        Self::to(name, &servers()[..1], source, rest, tempfile::tempdir()?, warehouse)
    }

    /// From a server whose binlog can be followed, by a user who may.
    pub(super) fn from_followable(name: &str, source: &str, rest: &str) -> Result<Self> {
        let server = Arc::new(Mysql::start(MysqlOptions::default())?);
        let folder = tempfile::tempdir()?;
        let warehouse = Warehouse::Sqlite(folder.path().join("warehouse.db"));
        let scene = Self::to(name, &[Arc::clone(&server)], source, rest, folder, warehouse)?;
        server.sql(&format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {name}@'%'"))?;
        Ok(scene)
    }

    fn to(
        name: &str,
        servers: &[Arc<Mysql>],
        source: &str,
        rest: &str,
        folder: tempfile::TempDir,
        warehouse: Warehouse,
    ) -> Result<Self> {
        let mut urls = Vec::new();
        for server in servers {
            server.sql(&format!(
                "CREATE DATABASE {name}; CREATE USER {name}@'%' IDENTIFIED BY 'p'; GRANT SELECT ON {name}.* TO {name}@'%'"
            ))?;
            urls.push(format!("mysql://{name}:p@{}:{}", server.host(), server.port()));
        }
        let program =
            Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path()).log_to(folder.path().join("tailwater.log"));
        let shards =
            (1..).zip(servers).map(|(n, server)| Shard { name: format!("s{n}"), url: server.root_url() }).collect();
        let scene = Self { name: name.to_owned(), servers: servers.to_vec(), shards, warehouse, program, folder };
        scene.configure(&urls, source, rest)?;
        Ok(scene)
    }

    /// Writes the configuration.
    fn configure(&self, urls: &[String], source: &str, rest: &str) -> Result<()> {
        let mut text = String::new();
        for (url, n) in urls.iter().zip(1..) {
            writeln!(text, "[[source]]\nname = \"s{n}\"\nurl = \"{url}\"\n{source}")?;
        }
        write!(
            text,
            "[lake]\nurl = \"./lake\"\nflush_interval = \"200ms\"\n[warehouse]\ntick = \"200ms\"\n{}\n[poll]\ninterval = \"1s\"\n\
             overlap = \"1h\"\n{rest}\n[[table]]\nmatch = \"{}.*\"\n",
            self.warehouse.configuration(),
            self.name
        )?;
        Ok(fs::write(self.folder.path().join("tailwater.toml"), text)?)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a text of the configuration.
    pub(super) fn reconfigure(&self, from: &str, to: &str) -> Result<()> {
        let path = self.folder.path().join("tailwater.toml");
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{from:?} is not in the configuration:\n{text}");
        Ok(fs::write(path, text.replace(from, to))?)
    }

    /// A connection of root's to a source.
    pub(super) async fn connection(&self, shard: usize) -> Result<mysql_async::Conn> {
        Ok(mysql_async::Conn::from_url(format!("{}{}", self.shards[shard].url, self.name)).await?)
    }

    /// Runs statements in the test's database.
    pub(super) fn sql(&self, shard: usize, statements: &str) -> Result<()> {
        self.servers[shard].sql(&format!("SET NAMES utf8mb4; USE {};\n{statements}", self.name))
    }

    pub(super) fn sql_all(&self, statements: &str) -> Result<()> {
        (0..self.servers.len()).try_for_each(|shard| self.sql(shard, statements))
    }

    pub(super) fn start(&self) -> Result<Running> {
        self.program.start(&["run"])
    }

    pub(super) fn complete(&self, arguments: &[&str]) -> Result<()> {
        self.program.complete(arguments, LIMIT)
    }

    pub(super) fn once(&self) -> Result<()> {
        self.complete(&["run", "--once"])
    }

    /// Runs the program to an end with this exit code; returns what it said.
    pub(super) fn ends_with(&self, arguments: &[&str], code: i32) -> Result<String> {
        let before = self.log().len();
        let status = self.program.start(arguments)?.wait(LIMIT)?;
        let said = self.log().split_off(before);
        ensure!(status.code() == Some(code), "{arguments:?} ended with {status}, not {code}:\n{said}");
        Ok(said)
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("tailwater.log")).unwrap_or_default()
    }

    fn differences(&self, tables: &[&str]) -> Result<String> {
        let table = |name: &&str| Table { database: self.name.clone(), name: (*name).into(), global_key: false };
        let tables: Vec<Table> = tables.iter().map(table).collect();
        let report = Runtime::new()?.block_on(compare(&self.shards, &self.warehouse, &tables))?;
        Ok(if report.is_equal() { String::new() } else { report.to_string() })
    }

    /// The tables are in the warehouse as they are on the sources, and the log is whole.
    pub(super) fn equal(&self, tables: &[&str]) -> Result<()> {
        let differences = self.differences(tables)?;
        ensure!(differences.is_empty(), "source and warehouse differ:\n{differences}\n{}", self.log());
        check_log(&self.folder.path().join("lake"))?;
        Ok(())
    }

    /// Waits until they are.
    pub(super) fn becomes_equal(&self, tables: &[&str]) -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            let looked = Instant::now();
            match self.differences(tables) {
                Ok(differences) if differences.is_empty() => return Ok(()),
                Ok(differences) if Instant::now() > until => bail!("they differ:\n{differences}\n{}", self.log()),
                Err(e) if Instant::now() > until => return Err(e.context(self.log())),
                // As long as the look took: comparing must not take the processor from what is waited for.
                _ => thread::sleep(looked.elapsed().max(POLL)),
            }
        }
    }

    /// One column from the warehouse as text; `{name}` stands for a target.
    pub(super) fn rows(&self, sql: &str) -> Result<Vec<String>> {
        let mut sql = sql.to_owned();
        while let Some((before, rest)) = sql.split_once('{') {
            let Some((name, after)) = rest.split_once('}') else { bail!("no end of a name") };
            let target = match self.warehouse {
                Warehouse::Sqlite(_) => format!("\"{}_{name}\"", self.name),
                _ => format!("\"{}\".\"{name}\"", self.name),
            };
            sql = format!("{before}{target}{after}");
        }
        match &self.warehouse {
            Warehouse::Sqlite(path) => Runtime::new()?.block_on(async {
                let mut conn = SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
                let rows: Vec<Option<String>> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut conn).await?;
                Ok(rows.into_iter().map(|row| row.unwrap_or_else(|| "NULL".to_owned())).collect())
            }),
            _ => postgres().query(&self.name, &sql),
        }
    }
}
