//! A pipeline of a test: a database on shared sources, a lake, a warehouse and the program.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row, ValueRef};
use tailwater_proof::compare::{Table, Warehouse, check_log, compare};
use tailwater_proof::program::{Program, Running};
use tailwater_proof::workload::Shard;
use tailwater_redshift::{Loader, Options};
use tailwater_servers::{MariaDb, Mysql, MysqlOptions, PASSWORD, Postgres, Proxy, S3, USER};
use tokio::runtime::Runtime;

/// Bound on one run of the program and on what a test waits for. Runs take a second or two; machines may be busy.
pub(super) const LIMIT: Duration = Duration::from_secs(90);
/// How often a waiting test looks, at most: a look that takes longer is followed by a pause as long, so that comparing whole
/// tables again and again does not take the processor from what is waited for.
const POLL: Duration = Duration::from_millis(50);
/// Sources that tests share.
const SOURCES: usize = 2;
const BUCKET: &str = "lake";

/// Started once and stopped with the process: a start takes longer than most tests.
fn sources() -> &'static [Mysql] {
    static SERVERS: OnceLock<Vec<Mysql>> = OnceLock::new();
    SERVERS.get_or_init(|| (0..SOURCES).map(|_| Mysql::start(MysqlOptions::default()).unwrap()).collect())
}

/// A MariaDB that tests share.
fn mariadb() -> Arc<MariaDb> {
    static SERVER: OnceLock<Arc<MariaDb>> = OnceLock::new();
    Arc::clone(SERVER.get_or_init(|| Arc::new(MariaDb::start(&[]).unwrap())))
}

pub(super) fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().unwrap())
}

/// A stand-in of Redshift and the only place that it loads from.
struct Redshift {
    server: tailwater_redshift::Redshift,
    s3: Arc<S3>,
}

fn redshift() -> &'static Redshift {
    static SERVER: OnceLock<Redshift> = OnceLock::new();
    SERVER.get_or_init(|| {
        let s3 = S3::with_bucket(BUCKET).unwrap();
        let loader = Loader::new(s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY);
        let server = tailwater_redshift::Redshift::start(Options {
            loader,
            http: Some(([127, 0, 0, 1], 0).into()),
            ..Options::default()
        })
        .unwrap();
        Redshift { server, s3: Arc::new(s3) }
    })
}

/// Where rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
    Redshift,
}

impl Engine {
    pub(super) const ALL: [Self; 3] = [Self::Sqlite, Self::Postgres, Self::Redshift];
}

/// How a pipeline differs from the default: two shards, SQLite, a lake in a folder.
pub(super) struct Setup {
    name: String,
    shards: usize,
    warehouse: Engine,
    s3: bool,
    /// Options of sources that are the test's own.
    own_servers: Option<MysqlOptions>,
    /// A MariaDB instead.
    mariadb: Option<Arc<MariaDb>>,
    start: &'static str,
    /// URL of the first source, where it is not the server's own.
    url: Option<String>,
    /// Redshift is reached through a proxy.
    proxied: bool,
    /// Further keys of `[lake]`.
    lake: String,
    /// Further keys of `[warehouse]`.
    keys: String,
    lines: String,
}

impl Setup {
    /// `name` is the database on the sources, the database in PostgreSQL and the pipeline.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            shards: 2,
            warehouse: Engine::Sqlite,
            s3: false,
            own_servers: None,
            mariadb: None,
            start: "earliest",
            url: None,
            proxied: false,
            lake: String::new(),
            keys: String::new(),
            lines: String::new(),
        }
    }

    /// Keys of `[lake]`.
    pub(super) fn lake(mut self, keys: &str) -> Self {
        let _ = writeln!(self.lake, "{keys}");
        self
    }

    /// Keys of `[warehouse]`.
    pub(super) fn warehouse_keys(mut self, keys: &str) -> Self {
        let _ = writeln!(self.keys, "{keys}");
        self
    }

    pub(super) fn one_shard(mut self) -> Self {
        self.shards = 1;
        self
    }

    pub(super) fn to(mut self, warehouse: Engine) -> Self {
        self.warehouse = warehouse;
        self.name = format!("{}_{}", self.name, format!("{warehouse:?}").to_lowercase());
        self
    }

    /// Sources that no other test reads or writes.
    pub(super) fn own_servers(self) -> Self {
        self.servers_with(MysqlOptions::default())
    }

    /// As [`own_servers`](Self::own_servers), set up otherwise.
    pub(super) fn servers_with(mut self, options: MysqlOptions) -> Self {
        self.own_servers = Some(options);
        self
    }

    /// One MariaDB, which tests share, is the source.
    pub(super) fn mariadb(self) -> Self {
        self.mariadb_of(mariadb())
    }

    /// One MariaDB of the test's own is the source.
    pub(super) fn mariadb_of(mut self, server: Arc<MariaDb>) -> Self {
        self.name = format!("{}_maria", self.name);
        self.mariadb = Some(server);
        self.one_shard()
    }

    /// Where the log begins; `earliest` unless told otherwise.
    pub(super) fn begins(mut self, start: &'static str) -> Self {
        self.start = start;
        self
    }

    pub(super) fn on_s3(mut self) -> Self {
        self.s3 = true;
        self
    }

    /// Reaches the first source by another address.
    pub(super) fn through(mut self, url: impl FnOnce(&Mysql) -> Result<String>) -> Result<Self> {
        self.url = Some(url(&sources()[0])?);
        Ok(self)
    }

    /// To Redshift, which the program reaches through a proxy.
    pub(super) fn by_proxy_to_redshift(mut self) -> Self {
        self.proxied = true;
        self.to(Engine::Redshift)
    }

    /// Keys of a `[[table]]` rule for one table; `*` follows for the rest.
    pub(super) fn rule(mut self, table: &str, keys: &str) -> Self {
        let _ = writeln!(self.lines, "[[table]]\nmatch = \"{}.{table}\"\n{keys}", self.name);
        self
    }

    /// Other tables of the configuration.
    pub(super) fn lines(mut self, lines: &str) -> Self {
        let _ = writeln!(self.lines, "{lines}");
        self
    }

    pub(super) fn start(self) -> Result<Scene> {
        let folder = tempfile::tempdir()?;
        let servers = match (&self.mariadb, &self.own_servers) {
            (Some(server), _) => Sources::MariaDb(Arc::clone(server)),
            (None, Some(options)) => {
                Sources::Own((0..self.shards).map(|_| Mysql::start(options.clone())).collect::<Result<_>>()?)
            }
            (None, None) => Sources::Shared(&sources()[..self.shards]),
        };
        let warehouse = match self.warehouse {
            Engine::Sqlite => Warehouse::Sqlite(folder.path().join("warehouse.db")),
            Engine::Postgres => Warehouse::Postgres(postgres().create_database(&self.name)?),
            Engine::Redshift => Warehouse::Redshift(redshift().server.create_database(&self.name)?),
        };
        let s3 = match self.warehouse {
            Engine::Redshift => Some(Arc::clone(&redshift().s3)),
            _ if self.s3 => Some(Arc::new(S3::with_bucket(BUCKET)?)),
            _ => None,
        };
        let proxy = if self.proxied { Some(Proxy::start(redshift().server.address())?) } else { None };
        let reached = match (&proxy, &warehouse) {
            (Some(proxy), Warehouse::Redshift(url)) => Warehouse::Redshift(proxy.url(url)),
            _ => warehouse.clone(),
        };
        fs::write(folder.path().join("tailwater.toml"), self.configuration(&servers, &reached, s3.as_deref()))?;
        let mut program = Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path())
            .log_to(folder.path().join("tailwater.log"))
            .env("TAILWATER_LOG_LEVEL", "info")
            // Where a retention is set: nothing of these scenes sleeps for longer and writes afterwards.
            .env("TAILWATER_TEST_GC_WAIT_MS", "300");
        if s3.is_some() {
            program = program.env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY);
        }
        let shards = (1..).zip(servers.readers()).map(|(n, url)| Shard { name: format!("s{n}"), url }).collect();
        let scene = Scene { name: self.name, servers, shards, warehouse, proxy, program, s3, folder };
        let create = format!("CREATE DATABASE {}", scene.name);
        (0..scene.shards.len()).try_for_each(|shard| scene.servers.run(shard, &create).map(drop))?;
        Ok(scene)
    }

    fn configuration(&self, servers: &Sources, warehouse: &Warehouse, s3: Option<&S3>) -> String {
        let mut text = format!("pipeline = \"{}\"\n", self.name);
        let mut line = |line: &str| {
            let _ = writeln!(text, "{line}");
        };
        for (url, n) in servers.urls().into_iter().zip(1..) {
            let url = match &self.url {
                Some(url) if n == 1 => url.clone(),
                _ => url,
            };
            line(&format!("[[source]]\nname = \"s{n}\"\nstart = \"{}\"\nurl = \"{url}\"", self.start));
        }
        line(&match s3 {
            None => "[lake]\nurl = \"./lake\"".to_owned(),
            Some(s3) => format!(
                "[lake]\nurl = \"s3://{BUCKET}/tw\"\nendpoint = \"{}\"\nregion = \"{}\"",
                s3.endpoint(),
                S3::REGION
            ),
        });
        line(&self.lake);
        line("flush_interval = \"200ms\"\n[warehouse]\ntick = \"200ms\"");
        line(&self.keys);
        line(&warehouse.configuration());
        line(&self.lines);
        line(&format!("[[table]]\nmatch = \"{}.*\"", self.name));
        text
    }
}

/// Keys of `[warehouse]` for the stand-in's Data API: the address without its password.
fn data_api(url: &str) -> String {
    let (user, place) = url.trim_start_matches("postgres://").split_once('@').unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    let http = redshift().server.http_address().map(|a| a.to_string()).unwrap_or_default();
    format!(
        "url = \"redshift://{user}@{place}\"\n[warehouse.redshift]\ndata_api = true\ncluster = \"stand-in\"\n\
         endpoint = \"http://{http}\"\niam_role = \"arn:aws:iam::123456789012:role/copy\""
    )
}

/// Servers of a scene.
enum Sources {
    Shared(&'static [Mysql]),
    Own(Vec<Mysql>),
    MariaDb(Arc<MariaDb>),
}

impl Sources {
    fn mysql(&self) -> &[Mysql] {
        match self {
            Self::Shared(servers) => servers,
            Self::Own(servers) => servers,
            Self::MariaDb(_) => &[],
        }
    }

    /// Runs statements on one of them.
    fn run(&self, shard: usize, statements: &str) -> Result<Vec<String>> {
        match self {
            Self::MariaDb(server) => server.query(statements),
            _ => self.mysql()[shard].query(statements),
        }
    }

    /// As the program reaches them.
    fn urls(&self) -> Vec<String> {
        match self {
            Self::MariaDb(server) => vec![server.url()],
            _ => {
                let url = |server: &Mysql| format!("mysql://{USER}:{PASSWORD}@{}:{}", server.host(), server.port());
                self.mysql().iter().map(url).collect()
            }
        }
    }

    /// As those reach them who compare.
    fn readers(&self) -> Vec<String> {
        match self {
            Self::MariaDb(server) => vec![server.url()],
            _ => self.mysql().iter().map(Mysql::root_url).collect(),
        }
    }
}

/// A pipeline that is set up; nothing runs yet.
pub(super) struct Scene {
    pub(super) name: String,
    servers: Sources,
    shards: Vec<Shard>,
    warehouse: Warehouse,
    proxy: Option<Proxy>,
    program: Program,
    /// Of all scenes with Redshift the same.
    s3: Option<Arc<S3>>,
    folder: tempfile::TempDir,
}

impl Scene {
    /// Runs statements on one shard, in one session, in the test's database.
    pub(super) fn sql(&self, shard: usize, statements: &str) -> Result<()> {
        self.source_rows(shard, statements).map(drop)
    }

    /// The rows of a query on one shard, columns apart by tabs.
    pub(super) fn source_rows(&self, shard: usize, query: &str) -> Result<Vec<String>> {
        self.servers.run(shard, &format!("SET NAMES utf8mb4; USE {};\n{query}", self.name))
    }

    /// Runs statements on every shard.
    pub(super) fn sql_all(&self, statements: &str) -> Result<()> {
        (0..self.shards.len()).try_for_each(|shard| self.sql(shard, statements))
    }

    /// A source that no other test reads, to be stopped and started.
    pub(super) fn own_server(&mut self, shard: usize) -> Result<&mut Mysql> {
        match &mut self.servers {
            Sources::Own(servers) => servers.get_mut(shard).context("there is no such server"),
            _ => Err(anyhow!("the server is other tests', too")),
        }
    }

    /// The sources that tests share, to be written to by a load beside the test.
    pub(super) fn shared_sources(&self) -> Result<&'static [Mysql]> {
        match self.servers {
            Sources::Shared(servers) => Ok(servers),
            _ => Err(anyhow!("the servers are the test's own")),
        }
    }

    pub(super) fn s3(&self) -> Result<&S3> {
        self.s3.as_deref().context("the lake is in a folder")
    }

    /// From now on Redshift is reached through its Data API.
    pub(super) fn turn_to_data_api(&self) -> Result<()> {
        let Warehouse::Redshift(url) = &self.warehouse else { anyhow::bail!("the warehouse is no Redshift") };
        let file = self.folder.path().join("tailwater.toml");
        let text = fs::read_to_string(&file)?;
        let turned = text.replace(&self.warehouse.configuration(), &data_api(url));
        ensure!(turned != text, "{text}");
        Ok(fs::write(file, turned)?)
    }

    /// What the stand-in of Redshift executed for this scene, in order; the oldest may be forgotten.
    pub(super) fn executed(&self) -> Vec<tailwater_redshift::Executed> {
        redshift().server.statements().into_iter().filter(|s| s.database == self.name).collect()
    }

    /// The proxy in front of the warehouse.
    pub(super) fn proxy(&self) -> Result<&Proxy> {
        self.proxy.as_ref().context("the warehouse is reached without a proxy")
    }

    /// Where the program runs.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Folder of the lake's files.
    pub(super) fn lake(&self) -> PathBuf {
        match &self.s3 {
            Some(s3) => s3.bucket_folder(BUCKET).join("tw").join(&self.name),
            None => self.folder.path().join("lake"),
        }
    }

    /// Starts the program.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Running> {
        self.program.start(arguments)
    }

    /// Runs the program to its end; the error has the end of its log.
    pub(super) fn complete(&self, arguments: &[&str]) -> Result<()> {
        self.program.complete(arguments, LIMIT)
    }

    /// `run --once`.
    pub(super) fn once(&self) -> Result<()> {
        self.complete(&["run", "--once"])
    }

    /// Runs the program to an end with this exit code; returns what it said.
    pub(super) fn ends_with(&self, arguments: &[&str], code: i32) -> Result<String> {
        let before = self.log()?.len();
        let status = self.start(arguments)?.wait(LIMIT)?;
        let said = self.log()?.split_off(before);
        ensure!(status.code() == Some(code), "{arguments:?} ended with {status}, not {code}:\n{said}");
        Ok(said)
    }

    /// Everything that the program has said so far.
    pub(super) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("tailwater.log")).unwrap_or_default())
    }

    /// The report on tables, `""` when they are equal to their sources.
    fn differences(&self, tables: &[(&str, bool)]) -> Result<String> {
        let tables: Vec<Table> = tables
            .iter()
            .map(|(name, global_key)| Table {
                database: self.name.clone(),
                name: (*name).to_owned(),
                global_key: *global_key,
            })
            .collect();
        let report = Runtime::new()?.block_on(compare(&self.shards, &self.warehouse, &tables))?;
        Ok(if report.is_equal() { String::new() } else { report.to_string() })
    }

    /// Every row and column of the tables is in the warehouse as it is in the sources.
    pub(super) fn equal(&self, tables: &[&str]) -> Result<()> {
        let tables: Vec<_> = tables.iter().map(|name| (*name, false)).collect();
        let differences = self.differences(&tables)?;
        ensure!(differences.is_empty(), "source and warehouse differ:\n{differences}");
        Ok(())
    }

    /// As [`equal`](Self::equal), for tables with a global key.
    pub(super) fn equal_globally(&self, tables: &[&str]) -> Result<()> {
        let tables: Vec<_> = tables.iter().map(|name| (*name, true)).collect();
        let differences = self.differences(&tables)?;
        ensure!(differences.is_empty(), "source and warehouse differ:\n{differences}");
        Ok(())
    }

    /// Waits until the tables are equal.
    pub(super) fn becomes_equal(&self, tables: &[&str], running: &mut Running) -> Result<()> {
        self.wait("equality", running, || Ok(self.equal(tables).is_ok())).or_else(|e| {
            self.equal(tables).with_context(|| self.log().unwrap_or_default())?;
            Err(e)
        })
    }

    /// Waits while the program runs.
    pub(super) fn wait(&self, what: &str, running: &mut Running, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        let mut looked = Instant::now();
        while !done()? {
            if let Some(status) = running.ended()? {
                anyhow::bail!("the program ended with {status} before {what}:\n{}", self.log()?);
            }
            ensure!(Instant::now() < deadline, "no {what} within {LIMIT:?}:\n{}", self.log()?);
            thread::sleep(looked.elapsed().max(POLL));
            looked = Instant::now();
        }
        Ok(())
    }

    /// The log of each shard has no gap and every file that it names.
    pub(super) fn log_is_whole(&self) -> Result<()> {
        let logs = check_log(&self.lake())?;
        ensure!(logs.len() == self.shards.len(), "there are logs of {} shards", logs.len());
        Ok(())
    }

    /// Name of a target in the warehouse's SQL.
    pub(super) fn target(&self, table: &str) -> String {
        match &self.warehouse {
            Warehouse::Sqlite(_) => format!("\"{}_{table}\"", self.name),
            Warehouse::Postgres(_) | Warehouse::Redshift(_) => format!("\"{}\".\"{table}\"", self.name),
        }
    }

    /// Name of a table in the warehouse's SQL, by its schema and name.
    pub(super) fn place(&self, schema: &str, table: &str) -> String {
        match &self.warehouse {
            Warehouse::Sqlite(_) => format!("\"{schema}_{table}\""),
            Warehouse::Postgres(_) | Warehouse::Redshift(_) => format!("\"{schema}\".\"{table}\""),
        }
    }

    /// Changes the warehouse behind the program's back.
    pub(super) fn change(&self, statement: &str) -> Result<()> {
        match &self.warehouse {
            Warehouse::Sqlite(path) => Runtime::new()?.block_on(async {
                let options = SqliteConnectOptions::new().filename(path).busy_timeout(LIMIT);
                let mut conn = options.connect().await?;
                sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut conn).await?;
                Ok(())
            }),
            Warehouse::Postgres(_) => postgres().query(&self.name, statement).map(drop),
            Warehouse::Redshift(url) => Runtime::new()?.block_on(async {
                let mut conn = url.parse::<PgConnectOptions>()?.connect().await?;
                sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut conn).await?;
                Ok(())
            }),
        }
    }

    /// The rows of a query with one text column; `{table}` in braces becomes the target's name.
    pub(super) fn rows(&self, query: &str) -> Result<Vec<String>> {
        let mut sql = String::new();
        for part in query.split('{') {
            match part.split_once('}') {
                Some((table, rest)) => sql += &format!("{}{rest}", self.target(table)),
                None => sql += part,
            }
        }
        match &self.warehouse {
            Warehouse::Sqlite(path) => Runtime::new()?.block_on(async {
                let mut conn = SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
                let rows: Vec<Option<String>> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut conn).await?;
                Ok(rows.into_iter().map(|row| row.unwrap_or_else(|| "NULL".to_owned())).collect())
            }),
            Warehouse::Postgres(_) => postgres().query(&self.name, &sql),
            Warehouse::Redshift(url) => Runtime::new()?.block_on(async {
                let mut conn = url.parse::<PgConnectOptions>()?.connect().await?;
                let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut conn).await?;
                let text = |row: &PgRow| {
                    let value = row.try_get_raw(0)?;
                    let text = value.as_str().map_err(|e| anyhow!("a value is no text: {e}"));
                    if value.is_null() { Ok("NULL".to_owned()) } else { text.map(str::to_owned) }
                };
                rows.iter().map(text).collect()
            }),
        }
    }
}
