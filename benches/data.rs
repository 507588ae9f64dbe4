//! The mixed OLTP binlog that extraction is measured on, generated once and kept.
//!
//! Two tables: `sbtest1` as sysbench makes it, and `orders` with 20 columns of mixed types. Two
//! sessions write them at the same time, so their transactions alternate in the binlog. The content
//! follows from a fixed seed; only the interleaving of the two sessions is left to chance.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailwater_servers::{Mysql, MysqlOptions};

/// Part of the name of the kept folder; a change of what is generated changes it.
const GENERATION: &str = "oltp-1";
/// Seed of the content.
const SEED: u64 = 20_261_121;
/// Rows of the largest transaction.
const TRANSACTION_ROWS_MAX: u64 = 1000;
/// Bound on writing changed pages before the server is stopped in good order.
const FLUSH_LIMIT: Duration = Duration::from_secs(180);
/// First value of `orders.created_at`, in seconds since the epoch (2026-01-01).
const EPOCH: u64 = 1_767_225_600;

/// How many row changes are generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) name: &'static str,
    pub(crate) sbtest_inserts: u64,
    pub(crate) sbtest_updates: u64,
    pub(crate) orders_inserts: u64,
    pub(crate) orders_updates: u64,
    pub(crate) orders_deletes: u64,
}

impl Size {
    /// About 1.5 GB of binlog.
    pub(crate) const FULL: Self = Self {
        name: "full",
        sbtest_inserts: 3_000_000,
        sbtest_updates: 1_000_000,
        orders_inserts: 1_000_000,
        orders_updates: 500_000,
        orders_deletes: 50_000,
    };
    /// A fiftieth of it: shows that everything runs, measures nothing.
    pub(crate) const QUICK: Self = Self {
        name: "quick",
        sbtest_inserts: 60_000,
        sbtest_updates: 20_000,
        orders_inserts: 20_000,
        orders_updates: 10_000,
        orders_deletes: 1_000,
    };

    pub(crate) fn row_changes(&self) -> u64 {
        self.sbtest_inserts + self.sbtest_updates + self.orders_inserts + self.orders_updates + self.orders_deletes
    }
}

/// Measures on a server whose binlogs hold the data, or a fiftieth of it when it shall be `quick`.
pub(crate) fn on_server<T>(
    quick: bool,
    measure: impl FnOnce(&tokio::runtime::Runtime, &Mysql, Size) -> Result<T>,
) -> Result<T> {
    let size = if quick { Size::QUICK } else { Size::FULL };
    let runtime = tokio::runtime::Runtime::new()?;
    let mut mysql = server(&runtime, size)?;
    let outcome = measure(&runtime, &mysql, size);
    mysql.stop()?;
    outcome
}

/// Starts a server whose binlogs hold the data, generating it when it is not there yet.
fn server(runtime: &tokio::runtime::Runtime, size: Size) -> Result<Mysql> {
    let folder = folder(size)?;
    if !folder.is_dir() {
        let draft = folder.with_extension("draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).with_context(|| format!("cannot remove {}", draft.display()))?;
        }
        generate(runtime, size, &draft)?;
        fs::rename(&draft, &folder).with_context(|| format!("cannot rename {}", draft.display()))?;
    }
    Mysql::start(options(&folder)).context("cannot start MySQL on the kept data")
}

fn folder(size: Size) -> Result<PathBuf> {
    let bench = tailwater_servers::cache_folder()?.join("bench");
    fs::create_dir_all(&bench).with_context(|| format!("cannot make {}", bench.display()))?;
    Ok(bench.join(format!("{GENERATION}-{}", size.name)))
}

fn options(folder: &Path) -> MysqlOptions {
    MysqlOptions::default()
        .datadir(folder)
        .max_binlog_size(1 << 30)
        .arg("--innodb-buffer-pool-size=2G")
        .arg("--innodb-redo-log-capacity=2G")
        .arg("--binlog-cache-size=4M")
        .arg("--binlog-expire-logs-seconds=0")
}

fn generate(runtime: &tokio::runtime::Runtime, size: Size, folder: &Path) -> Result<()> {
    eprintln!("generating {} row changes (once; kept in {})", size.row_changes(), folder.with_extension("").display());
    let started = Instant::now();
    let mut mysql = Mysql::start(options(folder))?;
    mysql.sql(SCHEMA)?;
    let url = format!("{}bench", mysql.root_url());
    runtime.block_on(async {
        let sbtest = tokio::spawn(sbtest(connect(&url).await?, size));
        let orders = tokio::spawn(orders(connect(&url).await?, size));
        sbtest.await??;
        orders.await??;
        anyhow::Ok(())
    })?;
    let found = mysql.query("SELECT COUNT(*) FROM bench.sbtest1 UNION ALL SELECT COUNT(*) FROM bench.orders")?;
    let wanted = [size.sbtest_inserts.to_string(), (size.orders_inserts - size.orders_deletes).to_string()];
    if found != wanted {
        bail!("the generated tables have {found:?} rows instead of {wanted:?}");
    }
    eprintln!("generated in {:.0?}; writing it to disk", started.elapsed());
    flush(&mysql)?;
    mysql.stop()?;
    eprintln!("ready after {:.0?}", started.elapsed());
    Ok(())
}

async fn connect(url: &str) -> Result<Conn> {
    Conn::new(Opts::from_url(url)?).await.context("cannot connect")
}

/// Waits until the changed pages are on disk: the stop that follows is then quick.
fn flush(mysql: &Mysql) -> Result<()> {
    mysql.sql(
        "SET GLOBAL innodb_io_capacity_max = 40000; SET GLOBAL innodb_io_capacity = 20000; \
         SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0; SET GLOBAL innodb_max_dirty_pages_pct = 0",
    )?;
    let deadline = Instant::now() + FLUSH_LIMIT;
    loop {
        let row = mysql.query("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")?;
        let dirty = row.first().and_then(|row| row.split('\t').nth(1)?.parse::<u64>().ok());
        if dirty.is_some_and(|pages| pages < 1000) || Instant::now() > deadline {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
    }
}

const SCHEMA: &str = "
CREATE DATABASE bench;
CREATE TABLE bench.sbtest1 (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  k INT NOT NULL DEFAULT 0,
  c CHAR(120) NOT NULL DEFAULT '',
  pad CHAR(60) NOT NULL DEFAULT ''
);
CREATE TABLE bench.orders (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  customer_id BIGINT UNSIGNED NOT NULL,
  number VARCHAR(24) CHARACTER SET ascii NOT NULL,
  status ENUM('new','paid','packed','shipped','delivered','returned','cancelled') NOT NULL,
  currency CHAR(3) NOT NULL,
  total DECIMAL(12,2) NOT NULL,
  tax DECIMAL(12,2) NOT NULL,
  discount DECIMAL(12,2),
  items INT UNSIGNED NOT NULL,
  weight DOUBLE,
  is_paid TINYINT(1) NOT NULL,
  is_gift TINYINT(1),
  name VARCHAR(120) NOT NULL,
  email VARCHAR(190),
  note TEXT,
  attributes JSON,
  ship_date DATE,
  created_at DATETIME(6) NOT NULL,
  updated_at TIMESTAMP NOT NULL,
  cancelled_at DATETIME(6)
) DEFAULT CHARSET utf8mb4;
";

/// Row changes still to be made in one table, and how far its ids reach.
struct Plan {
    inserts: u64,
    updates: u64,
    deletes: u64,
    inserts_all: u64,
    ids: u64,
}

impl Plan {
    fn new(inserts: u64, updates: u64, deletes: u64) -> Self {
        Self { inserts, updates, deletes, inserts_all: inserts, ids: 0 }
    }

    fn left(&self) -> u64 {
        self.inserts + self.updates + self.deletes
    }

    /// Draws the next change by what is left; the first fifth of the inserts comes first, so that
    /// updates find rows spread over a table of some size.
    fn draw(&self, random: &mut StdRng) -> (Change, u64) {
        let size = random.random_range(1..=TRANSACTION_ROWS_MAX);
        let seeded = (self.inserts_all - self.inserts) * 5 >= self.inserts_all;
        let place = random.random_range(0..self.left());
        if self.inserts > 0 && (!seeded || place < self.inserts) {
            (Change::Insert, size.min(self.inserts))
        } else if place < self.inserts + self.updates && self.updates > 0 || self.deletes == 0 {
            (Change::Update, size.min(self.updates))
        } else {
            (Change::Delete, size.min(self.deletes))
        }
    }
}

#[derive(Clone, Copy)]
enum Change {
    Insert,
    Update,
    Delete,
}

async fn sbtest(mut conn: Conn, size: Size) -> Result<()> {
    let random = &mut StdRng::seed_from_u64(SEED);
    let mut plan = Plan::new(size.sbtest_inserts, size.sbtest_updates, 0);
    let mut sql = String::new();
    while plan.left() > 0 {
        sql.clear();
        match plan.draw(random) {
            (Change::Insert, rows) => {
                sql.push_str("INSERT INTO sbtest1 (id, k, c, pad) VALUES ");
                for _ in 0..rows {
                    plan.ids += 1;
                    write!(sql, "({},{},'", plan.ids, random.random_range(1..=1_000_000))?;
                    digits(&mut sql, random, 10);
                    sql.push_str("','");
                    digits(&mut sql, random, 5);
                    sql.push_str("'),");
                }
                sql.pop();
                conn.query_drop(&sql).await?;
                plan.inserts -= rows;
            }
            (_, rows) => {
                sql.push_str(
                    "UPDATE sbtest1 SET k = k + 1, c = CONCAT(SUBSTRING(c, 13), '-', LEFT(c, 11)) WHERE id IN (",
                );
                ids(&mut sql, random, plan.ids, rows);
                conn.query_drop(&sql).await?;
                plan.updates -= conn.affected_rows();
            }
        }
    }
    conn.disconnect().await?;
    Ok(())
}

/// `groups` groups of eleven digits with `-` between, as sysbench fills its columns.
fn digits(sql: &mut String, random: &mut StdRng, groups: usize) {
    for group in 0..groups {
        let separator = if group == 0 { "" } else { "-" };
        // Writing to a String cannot fail.
        let _ = write!(sql, "{separator}{:011}", random.random_range(0..100_000_000_000_u64));
    }
}

/// `rows` ids out of `1..=last`; a number drawn twice changes one row, the caller counts.
fn ids(sql: &mut String, random: &mut StdRng, last: u64, rows: u64) {
    for place in 0..rows {
        let separator = if place == 0 { "" } else { "," };
        let _ = write!(sql, "{separator}{}", random.random_range(1..=last));
    }
    sql.push(')');
}

async fn orders(mut conn: Conn, size: Size) -> Result<()> {
    let random = &mut StdRng::seed_from_u64(SEED + 1);
    let mut plan = Plan::new(size.orders_inserts, size.orders_updates, size.orders_deletes);
    let mut sql = String::new();
    conn.query_drop("SET time_zone = '+00:00'").await?;
    while plan.left() > 0 {
        sql.clear();
        match plan.draw(random) {
            (Change::Insert, rows) => {
                sql.push_str("INSERT INTO orders VALUES ");
                for _ in 0..rows {
                    plan.ids += 1;
                    order(&mut sql, random, plan.ids)?;
                }
                sql.pop();
                conn.query_drop(&sql).await?;
                plan.inserts -= rows;
            }
            (Change::Update, rows) => {
                let step: u32 = random.random_range(1..1000);
                write!(
                    sql,
                    "UPDATE orders SET status = 1 + (id + {step}) % 7, total = total + 0.25, is_paid = 1, \
                     note = IF(id % 3 = 0, CONCAT('changed at step {step} of order ', number), note), \
                     attributes = IF(id % 2 = 0, JSON_SET(attributes, '$.step', {step}), attributes), \
                     updated_at = updated_at + INTERVAL {step} SECOND WHERE id IN ("
                )?;
                ids(&mut sql, random, plan.ids, rows);
                conn.query_drop(&sql).await?;
                plan.updates -= conn.affected_rows();
            }
            (Change::Delete, rows) => {
                sql.push_str("DELETE FROM orders WHERE id IN (");
                ids(&mut sql, random, plan.ids, rows);
                conn.query_drop(&sql).await?;
                plan.deletes -= conn.affected_rows();
            }
        }
    }
    conn.disconnect().await?;
    Ok(())
}

const NAMES: [&str; 12] =
    ["Anna", "Björn", "Chloé", "Dmitri", "Eşref", "Fatima", "Giorgos", "Hana 花", "Ingrid", "João", "Kārlis", "Łukasz"];
const WORDS: [&str; 10] =
    ["leave", "at", "the", "door", "please", "ring", "twice", "fragile", "grüße", "call before delivery"];

/// Appends one row of 20 values and a comma.
fn order(sql: &mut String, random: &mut StdRng, id: u64) -> Result<()> {
    let total = random.random_range(100..5_000_000_u64);
    let name = NAMES[random.random_range(0..NAMES.len())];
    let surname = NAMES[random.random_range(0..NAMES.len())];
    write!(
        sql,
        "({id},{},'SO-{:09}-{:04}',{},'{}',{}.{:02},{}.{:02},",
        random.random_range(1..20_000_000_u64),
        id,
        random.random_range(0..10_000),
        random.random_range(1..=7),
        ["EUR", "USD", "GBP", "SEK"][random.random_range(0..4)],
        total / 100,
        total % 100,
        total / 500,
        total % 97,
    )?;
    match random.random_range(0..4) {
        0 => write!(sql, "{}.50,", total / 1000)?,
        _ => sql.push_str("NULL,"),
    }
    write!(
        sql,
        "{},{},{},",
        random.random_range(1..40),
        random.random_range(0..40_000) as f64 / 64.0,
        random.random_range(0..2)
    )?;
    sql.push_str(["0,", "1,", "NULL,"][random.random_range(0..3)]);
    write!(
        sql,
        "'{name} {surname}-{}','{}@example.com',",
        random.random_range(0..1000),
        random.random_range(0..u32::MAX)
    )?;
    if random.random_bool(0.4) {
        sql.push('\'');
        for _ in 0..random.random_range(3..16) {
            sql.push_str(WORDS[random.random_range(0..WORDS.len())]);
            sql.push(' ');
        }
        sql.push_str("',");
    } else {
        sql.push_str("NULL,");
    }
    if random.random_bool(0.75) {
        write!(
            sql,
            "'{{\"source\": \"{}\", \"score\": {}, \"ratio\": {}, \"tags\": [\"a{}\", \"b\"], \"gift\": {}, \"step\": 0}}',",
            ["web", "app", "shop"][random.random_range(0..3)],
            random.random_range(-1000..100_000),
            random.random_range(0..8000) as f64 / 8.0,
            random.random_range(0..100),
            random.random_bool(0.1),
        )?;
    } else {
        sql.push_str("NULL,");
    }
    let created = EPOCH + id * 20;
    write!(
        sql,
        "DATE(FROM_UNIXTIME({})),FROM_UNIXTIME({created}.{:06}),FROM_UNIXTIME({}),NULL),",
        created + 86_400 * random.random_range(1..9),
        random.random_range(0..1_000_000),
        created + random.random_range(0..5),
    )?;
    Ok(())
}
