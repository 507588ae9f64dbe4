//! A pipeline from MariaDB: its anchor is the place of a consistent read.

use std::{fs, path::Path, thread, time::Duration, time::Instant};

use anyhow::{Result, bail};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use tailwater_proof::compare::{Table, Warehouse, compare};
use tailwater_proof::program::{Program, Running};
use tailwater_proof::workload::Shard;
use tailwater_servers::MariaDb;
use tokio::runtime::Runtime;

use super::scene::LIMIT;

#[test]
fn mariadb_is_read_whole_and_followed() -> Result<()> {
    let server = MariaDb::start(&["--binlog-row-metadata=FULL"])?;
    server.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE shop.orders (id INT PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_general_ci, \
           at DATETIME(3), amount DECIMAL(12,2), kind ENUM('a','ü','c')); \
         INSERT INTO shop.orders SELECT seq, CONCAT('é', seq), '2026-01-01 00:00:00.5', seq / 3, 1 + seq % 3 FROM seq_1_to_137; \
         CREATE TABLE shop.names (name VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY, n INT); \
         INSERT INTO shop.names SELECT CONCAT('Name ', seq), seq FROM seq_1_to_99;",
    )?;
    let folder = tempfile::tempdir()?;
    fs::write(
        folder.path().join("tailwater.toml"),
        format!(
            "[[source]]\nurl = \"{}\"\n[lake]\nurl = \"./lake\"\nflush_interval = \"200ms\"\n[warehouse]\ntick = \"200ms\"\n\
             url = \"sqlite:warehouse.db\"\n[snapshot]\nchunk_rows_max = 10\n[[table]]\nmatch = \"shop.*\"\n",
            server.url()
        ),
    )?;
    let program =
        Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path()).log_to(folder.path().join("tailwater.log"));
    let shards = [Shard { name: "s1".into(), url: server.url() }];
    let warehouse = Warehouse::Sqlite(folder.path().join("warehouse.db"));
    let tables =
        ["orders", "names"].map(|name| Table { database: "shop".into(), name: name.into(), global_key: false });
    let runtime = Runtime::new()?;
    let becomes_equal = |running: &mut Running| -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            let last = runtime.block_on(compare(&shards, &warehouse, &tables));
            match last {
                Ok(report) if report.is_equal() => return Ok(()),
                Ok(report) if Instant::now() > until => bail!("they differ:\n{report}{}", running.said()),
                Err(e) if Instant::now() > until => return Err(e.context(running.said())),
                _ => thread::sleep(Duration::from_millis(50)),
            }
        }
    };
    let mut running = program.start(&["run"])?;
    becomes_equal(&mut running)?;
    server.sql("UPDATE shop.orders SET name = 'later' WHERE id % 5 = 0; DELETE FROM shop.names WHERE n < 10;")?;
    becomes_equal(&mut running)?;
    server.sql(
        "SET sql_log_bin = 0; DELETE FROM shop.orders WHERE id < 30; UPDATE shop.names SET n = -1 WHERE n > 90;",
    )?;
    program.complete(&["snapshot", "--table", "shop.*"], LIMIT)?;
    server.sql("INSERT INTO shop.orders VALUES (999, 'x', NULL, NULL, NULL)")?;
    becomes_equal(&mut running)?;
    verify_finds(&program, &runtime, &server, folder.path())?;
    running.terminate(LIMIT)
}

/// Checksums of MariaDB are those of SQLite, and one value that differs is found.
fn verify_finds(program: &Program, runtime: &Runtime, server: &MariaDb, folder: &Path) -> Result<()> {
    let verify = |code: i32| -> Result<()> {
        let mut running = program.start(&["verify", "--at", "now", "--patience", "60s"])?;
        let status = running.wait(LIMIT)?;
        anyhow::ensure!(status.code() == Some(code), "verify ended with {status}, not {code}:\n{}", running.said());
        Ok(())
    };
    server.sql("UPDATE shop.orders SET amount = amount + 1 WHERE id = 77")?;
    verify(0)?;
    let spoil = "UPDATE shop_orders SET amount = '0.01' WHERE id = 77";
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(folder.join("warehouse.db")).busy_timeout(LIMIT);
        sqlx::query(spoil).execute(&mut options.connect().await?).await?;
        anyhow::Ok(())
    })?;
    verify(1)
}
