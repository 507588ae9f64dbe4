//! Tables of some size are brought into an empty warehouse while they are written to and the process is killed again and again.
//!
//! `TAILWATER_BOOTSTRAP_ROWS` sets the rows of all shards together, `TAILWATER_SEED` repeats statements and waiting times, though
//! not their timing.

use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mysql_async::{Conn, prelude::Queryable};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailwater_proof::compare::{Table, Warehouse, check_log, compare};
use tailwater_proof::program::Program;
use tailwater_proof::workload::{Shard, seed};
use tailwater_servers::{Mysql, MysqlOptions, PASSWORD, USER};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Shards, and rows of all of them together unless told otherwise.
const SHARDS: usize = 3;
const ROWS: u64 = 150_000;
/// Kills while rows are read.
const KILLS: usize = 10;
/// Longest life of a process that is killed. Starting takes part of it, so kills hit the claim, the beginning and the reading.
const LIFE_MAX: Duration = Duration::from_millis(3500);
/// Sessions that write to each shard, and statements in each of their transactions.
const WRITERS: u64 = 2;
const STATEMENTS: u64 = 25;
/// Time from the beginning of a transaction to that of the next: together 2,200 statements a second. A session that is late does
/// not rest.
const TURN: Duration = Duration::from_micros(1_000_000 * WRITERS * SHARDS as u64 * STATEMENTS / 2200);
/// Statements a second that the load must have come to where the rows are told: where they are not, machines may be busy.
const RATE_MIN: f64 = 2000.0;
/// Bound on the last run. Machines may be busy.
const FINISH_LIMIT: Duration = Duration::from_secs(300);

#[test]
fn tables_under_load_come_whole_through_kills() -> Result<()> {
    let seed = seed("TAILWATER_SEED")?;
    eprintln!("TAILWATER_SEED={seed}");
    let told = std::env::var("TAILWATER_BOOTSTRAP_ROWS").ok();
    let rows = told.as_ref().map_or(Ok(ROWS), |text| text.parse())? / SHARDS as u64;
    let options =
        || MysqlOptions::default().arg("--innodb-flush-log-at-trx-commit=0").arg("--innodb-redo-log-capacity=128M");
    let servers = (0..SHARDS).map(|_| Mysql::start(options())).collect::<Result<Vec<_>>>()?;
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("tailwater.toml"), configuration(&servers))?;
    servers.iter().zip(0..).try_for_each(|(server, place)| fill(server, place, rows))?;
    let shards: Vec<Shard> =
        servers.iter().zip(1..).map(|(server, n)| Shard { name: format!("s{n}"), url: server.root_url() }).collect();
    let program =
        Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path()).log_to(folder.path().join("tailwater.log"));

    let runtime = Runtime::new()?;
    let load = Load::start(&runtime, &shards, rows, seed);
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..KILLS {
        let mut running = program.start(&["run"])?;
        thread::sleep(random.random_range(Duration::ZERO..LIFE_MAX));
        running.kill9()?;
    }
    let (statements, took) = load.stop(&runtime)?;
    let rate = statements as f64 / took.as_secs_f64();
    eprintln!("{statements} statements in {took:?}, {rate:.0} a second");
    program.complete(&["run", "--once"], FINISH_LIMIT)?;

    let tables = ["ledger", "names", "parcels"].map(|name| Table {
        database: "shop".into(),
        name: name.into(),
        global_key: name == "parcels",
    });
    let warehouse = Warehouse::Sqlite(folder.path().join("warehouse.db"));
    let report = runtime.block_on(compare(&shards, &warehouse, &tables))?;
    eprintln!("{report}");
    ensure!(report.is_equal(), "source and warehouse differ:\n{report}\n{}", said(folder.path())?);
    let logs = check_log(&folder.path().join("lake"))?;
    ensure!(logs.len() == SHARDS, "there are logs of {} shards", logs.len());
    ensure!(report.rows() as u64 > rows, "too few rows to prove anything");
    ensure!(told.is_none() || rate >= RATE_MIN, "the load came to {rate:.0} statements a second");
    Ok(())
}

fn said(folder: &std::path::Path) -> Result<String> {
    let log = fs::read_to_string(folder.join("tailwater.log"))?;
    Ok(log.lines().filter(|line| !line.contains("\"progress\"")).collect::<Vec<_>>().join("\n"))
}

fn configuration(servers: &[Mysql]) -> String {
    let mut text = String::new();
    for (server, n) in servers.iter().zip(1..) {
        let url = format!("mysql://{USER}:{PASSWORD}@{}:{}", server.host(), server.port());
        let _ = writeln!(text, "[[source]]\nname = \"s{n}\"\nurl = \"{url}\"");
    }
    text + "[lake]\nurl = \"./lake\"\nflush_interval = \"500ms\"\n[warehouse]\ntick = \"500ms\"\nurl = \"sqlite:warehouse.db\"\n\
        [snapshot]\nchunk_rows_max = 2000\n\
        [[table]]\nmatch = \"shop.parcels\"\nkey = \"global\"\nupdated_at = \"updated_at\"\n[[table]]\nmatch = \"shop.*\""
}

/// A table with integer keys, one with text keys, and one whose rows move between shards.
fn fill(server: &Mysql, place: u64, rows: u64) -> Result<()> {
    server.sql(&format!(
        "CREATE DATABASE shop; USE shop; SET SESSION cte_max_recursion_depth = 100000000;
         CREATE TABLE ledger (id BIGINT UNSIGNED PRIMARY KEY, account VARCHAR(40), amount DECIMAL(12,2), n INT, at DATETIME(6));
         CREATE TABLE names (name VARCHAR(60) PRIMARY KEY, n INT, INDEX (n));
         CREATE TABLE parcels (id BIGINT PRIMARY KEY, n INT, updated_at DATETIME(6));
         INSERT INTO ledger WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < {rows})
           SELECT i, CONCAT('account ', i % 977), i / 7, i, '2026-01-01 00:00:00.5' FROM s;
         INSERT INTO names SELECT CONCAT('Name é', id * 7919 % 1000003), id FROM ledger WHERE id <= {rows} DIV 10;
         INSERT INTO parcels SELECT id * {SHARDS} + {place}, 0, '2026-01-01' FROM ledger WHERE id <= 500;"
    ))
}

/// Sessions that write until they are stopped.
struct Load {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Result<()>>,
    statements: Arc<AtomicU64>,
    began: Instant,
}

impl Load {
    fn start(runtime: &Runtime, shards: &[Shard], rows: u64, seed: u64) -> Self {
        let mut load = Self {
            stop: watch::Sender::new(false),
            tasks: JoinSet::new(),
            statements: Arc::default(),
            began: Instant::now(),
        };
        for (shard, place) in shards.iter().zip(0..) {
            for writer in 0..WRITERS {
                let random = StdRng::seed_from_u64(seed ^ (place * 31 + writer + 1));
                let (url, count, stop) = (shard.url.clone(), Arc::clone(&load.statements), load.stop.subscribe());
                load.tasks.spawn_on(write(url, rows, random, count, stop), runtime.handle());
            }
        }
        let urls = shards.iter().map(|s| s.url.clone()).collect();
        let random = StdRng::seed_from_u64(seed ^ 77);
        load.tasks.spawn_on(move_parcels(urls, random, load.stop.subscribe()), runtime.handle());
        load
    }

    fn stop(mut self, runtime: &Runtime) -> Result<(u64, Duration)> {
        self.stop.send_replace(true);
        let took = self.began.elapsed();
        runtime.block_on(async {
            while let Some(ended) = self.tasks.join_next().await {
                ended??;
            }
            Ok((self.statements.load(Ordering::Relaxed), took))
        })
    }
}

async fn write(
    url: String,
    rows: u64,
    mut random: StdRng,
    count: Arc<AtomicU64>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let mut conn = Conn::from_url(url).await?;
    let mut turns = tokio::time::interval(TURN);
    while !*stop.borrow() {
        turns.tick().await;
        // One trip for a transaction: what is measured is the source, not the way there.
        let statements: Vec<String> = (0..STATEMENTS).map(|_| statement(&mut random, rows)).collect();
        match conn.query_drop(format!("BEGIN; {}; COMMIT", statements.join("; "))).await {
            Ok(()) => _ = count.fetch_add(STATEMENTS, Ordering::Relaxed),
            // Deadlock, lock wait, duplicate key: none of them counts, whatever was done.
            Err(mysql_async::Error::Server(e)) if [1062, 1205, 1213].contains(&e.code) => {
                conn.query_drop("ROLLBACK").await?;
            }
            failed => failed?,
        }
    }
    Ok(())
}

fn statement(random: &mut StdRng, rows: u64) -> String {
    let (id, n) = (random.random_range(1..=rows), random.random::<i32>());
    match random.random_range(0..10) {
        0..4 => format!("UPDATE shop.ledger SET n = {n}, amount = amount + 1 WHERE id = {id}"),
        4 => format!("DELETE FROM shop.ledger WHERE id = {id}"),
        5 => format!("REPLACE INTO shop.ledger VALUES ({id}, 'back', 1.5, {n}, NOW(6))"),
        // Behind what was read, or in front of what will be.
        6 => {
            format!("UPDATE IGNORE shop.ledger SET id = {} WHERE id = {id}", random.random_range(1..=rows + rows / 10))
        }
        7 => format!("INSERT IGNORE INTO shop.names VALUES ('naMe É{}', {n})", random.random_range(0..1_000_003)),
        8 => {
            format!(
                "UPDATE IGNORE shop.names SET name = IF(n % 2, LOWER(name), UPPER(name)), n = n + 1 WHERE n = {}",
                id / 10
            )
        }
        _ => format!("DELETE FROM shop.names WHERE n = {}", id / 10),
    }
}

/// Moves rows from shard to shard: a delete here and an insert there, in either order.
async fn move_parcels(urls: Vec<String>, mut random: StdRng, stop: watch::Receiver<bool>) -> Result<()> {
    let mut conns = Vec::new();
    for url in urls {
        conns.push(Conn::from_url(url).await?);
    }
    while !*stop.borrow() {
        let (from, to) = (random.random_range(0..conns.len()), random.random_range(0..conns.len()));
        let pick = "SELECT id, n FROM shop.parcels ORDER BY RAND() LIMIT 1";
        let picked: Option<(i64, i32)> = conns[from].query_first(pick).await?;
        if let (Some((id, n)), true) = (picked, from != to) {
            let delete = format!("DELETE FROM shop.parcels WHERE id = {id}");
            let insert = format!("INSERT INTO shop.parcels VALUES ({id}, {}, NOW(6))", n + 1);
            let (first, second) =
                if random.random_bool(0.5) { ((from, delete), (to, insert)) } else { ((to, insert), (from, delete)) };
            conns[first.0].query_drop(first.1).await?;
            conns[second.0].query_drop(second.1).await?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
