//! Pipelines from MariaDB: its anchor is the place of a consistent read.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tailwater_servers::MariaDb;

use super::{
    scene::{Engine, LIMIT, Scene, Setup},
    types::{tables_of_types, types},
    verify::verify,
};

/// Types that MariaDB does not have, or has in another form than MySQL.
const OTHERS: [&str; 2] = ["VECTOR", "JSON"];

/// Every type comes by snapshot as it comes by binlog and as SELECT answers, and both databases come to one checksum of it.
fn every_type(engine: Engine) -> Result<()> {
    let mut types = types()?;
    types.retain(|ty| !OTHERS.iter().any(|other| ty.mysql.starts_with(other)));
    // Rows that are looked at twice wait for all that the source has written.
    let server = Arc::new(MariaDb::start(&[])?);
    let scene = Setup::new("mariatypes").to(engine).mariadb_of(server).begins("snapshot").start()?;
    let names = tables_of_types(&scene, &types)?;
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    let list =
        || types.iter().zip(&names).map(|(ty, name)| format!("{name} {}", ty.mysql)).collect::<Vec<_>>().join(", ");
    scene.once()?;
    scene.equal(&tables).with_context(list)?;
    let copies: String = names
        .iter()
        .map(|name| format!("INSERT INTO {name} SELECT id + 5000, c FROM {name} WHERE id < 1000;\n"))
        .collect();
    scene.sql(0, &format!("SET sql_mode = '';\n{copies}"))?;
    scene.once()?;
    scene.equal(&tables).with_context(list)?;
    verify(&scene, &["--table", &format!("{}.*", scene.name)])?.is_equal().with_context(list)
}

#[test]
fn every_type_of_mariadb_comes_both_ways_to_sqlite() -> Result<()> {
    every_type(Engine::Sqlite)
}

#[test]
fn every_type_of_mariadb_comes_both_ways_to_postgres() -> Result<()> {
    every_type(Engine::Postgres)
}

#[test]
fn every_type_of_mariadb_comes_both_ways_to_redshift() -> Result<()> {
    every_type(Engine::Redshift)
}

const ORDERS: &str = "
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) COLLATE utf8mb4_general_ci, at DATETIME(3), amount DECIMAL(12,2), kind ENUM('a','ü','c'));
INSERT INTO orders SELECT seq, CONCAT('é', seq), '2026-01-01 00:00:00.5', seq / 3, 1 + seq % 3 FROM seq_1_to_6000;
CREATE TABLE names (name VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY, n INT);
INSERT INTO names SELECT CONCAT('Name ', seq), seq FROM seq_1_to_900;
CREATE TABLE pair (a BINARY(4), b DECIMAL(8,3), v INT, PRIMARY KEY (a, b));
INSERT INTO pair SELECT UNHEX(HEX(seq % 7)), seq / 8, seq FROM seq_1_to_900;
CREATE TABLE dropped (id INT PRIMARY KEY); INSERT INTO dropped SELECT seq FROM seq_1_to_900;
CREATE TABLE emptied (id INT PRIMARY KEY, v INT); INSERT INTO emptied SELECT seq, seq FROM seq_1_to_900;
CREATE TABLE altered (id INT PRIMARY KEY, v INT); INSERT INTO altered SELECT seq, seq FROM seq_1_to_900;
";
const TABLES: [&str; 5] = ["orders", "names", "pair", "emptied", "altered"];

/// Inserts, updates, deletes and keys that move, some of them back.
fn changes(round: u32) -> String {
    let one = |n: u32| {
        let id = (round * 7919 + n * 104_729) % 6000 + 1;
        match n % 6 {
            0 => format!("UPDATE orders SET name = 'r{round}', amount = amount + 1 WHERE id = {id};"),
            1 => format!("DELETE FROM orders WHERE id = {id};"),
            2 => format!("REPLACE INTO orders VALUES ({id}, 'back', NULL, {round}, 2);"),
            3 => format!("UPDATE IGNORE orders SET id = {} WHERE id = {id};", id + 3000),
            4 => format!(
                "UPDATE IGNORE names SET name = IF(n % 2, LOWER(name), UPPER(name)), n = n + 1 WHERE n = {};",
                id % 900
            ),
            _ => format!(
                "UPDATE pair SET v = -{round}, b = b + 1000 WHERE v = {}; DELETE FROM pair WHERE v = {};",
                id % 900,
                id % 899
            ),
        }
    };
    (0..30).map(one).collect()
}

/// While rows are read the process is killed, tables are altered, emptied and dropped, and rows change all the time.
fn bootstrap(engine: Engine) -> Result<()> {
    let server = Arc::new(MariaDb::start(&[])?);
    let setup = Setup::new("mariaboot").to(engine).mariadb_of(server).begins("snapshot");
    let setup = setup.rule("names", "publish = \"progressively\"");
    let scene = setup.lines("[snapshot]\nchunk_rows_max = 100\nrows_per_second = 2500").start()?;
    scene.sql(0, ORDERS)?;
    thread::scope(|threads| -> Result<()> {
        let load = threads.spawn(|| (0..60).try_for_each(|round| scene.sql(0, &changes(round))));
        for life in [900, 1300, 1700] {
            let mut running = scene.start(&["run"])?;
            thread::sleep(Duration::from_millis(life));
            running.kill9()?;
            if life == 1300 {
                scene.sql(
                    0,
                    "DROP TABLE dropped; TRUNCATE emptied; INSERT INTO emptied VALUES (7, 7); \
                     ALTER TABLE altered ADD COLUMN w INT DEFAULT 5, ADD INDEX (v); UPDATE altered SET w = 6 WHERE id = 3; \
                     ALTER TABLE altered MODIFY v BIGINT",
                )?;
            }
        }
        load.join().map_err(|_| anyhow!("the load panicked"))?
    })?;
    scene.once()?;
    scene.equal(&TABLES).with_context(|| scene.log().unwrap_or_default())?;
    // Where it was dropped before a row of it was merged, there is no target.
    let left = scene.rows("SELECT CAST(id AS VARCHAR(10)) FROM {dropped}").unwrap_or_default();
    ensure!(left.is_empty(), "rows of a dropped table are left");
    afterwards(&scene)
}

/// What left no events is mended by a snapshot, differences are found and repaired, and a rebuild is equal.
fn afterwards(scene: &Scene) -> Result<()> {
    let pattern = format!("{}.*", scene.name);
    let mut running = scene.start(&["run"])?;
    scene.sql(0, "SET sql_log_bin = 0; DELETE FROM orders WHERE id < 90; UPDATE names SET n = -1 WHERE n > 800")?;
    scene.complete(&["snapshot", "--table", &pattern])?;
    scene.sql(0, "INSERT INTO orders VALUES (99999, 'x', NULL, NULL, NULL)")?;
    scene.becomes_equal(&TABLES, &mut running)?;
    scene.wait("the last snapshot", &mut running, || {
        Ok(verify(scene, &["--at", "now", "--table", "*.orders"])?.code == 0)
    })?;
    for (name, key, change) in [("orders", "id", "amount = 0.01"), ("pair", "v", "v = 77777")] {
        let target = scene.target(name);
        scene.change(&format!("UPDATE {target} SET {change} WHERE {key} = (SELECT MAX({key}) FROM {target})"))?;
    }
    let answer = verify(scene, &["--repair", "--table", &pattern])?;
    let after = answer.report["after_repair"]["tables"].as_array().context("nothing was repaired")?;
    ensure!(answer.code == 0 && !after.is_empty() && after.iter().all(|t| t["outcome"] == "equal"), "{}", answer.text);
    running.terminate(LIMIT)?;
    scene.equal(&TABLES)?;
    for name in TABLES {
        scene.complete(&["rebuild", "--table", &format!("{}.{name}", scene.name)])?;
    }
    scene.complete(&["apply", "--once"])?;
    scene.equal(&TABLES)?;
    scene.log_is_whole()
}

#[test]
fn mariadb_is_read_whole_and_followed_into_sqlite() -> Result<()> {
    bootstrap(Engine::Sqlite)
}

#[test]
fn mariadb_is_read_whole_and_followed_into_postgres() -> Result<()> {
    bootstrap(Engine::Postgres)
}

#[test]
fn mariadb_is_read_whole_and_followed_into_redshift() -> Result<()> {
    bootstrap(Engine::Redshift)
}
