//! What spares the source: connections, rows a second, pauses; and what tells how far reading is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tailwater_servers::{Mysql, MysqlOptions};

use super::super::{
    http::{client::get, serve},
    metrics::scrape::Scrape,
    scene::{LIMIT, Scene, Setup},
};

const ROWS: u64 = 600;

fn rows(scene: &Scene, table: &str) -> Result<()> {
    scene.sql(
        0,
        &format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO {table} WITH RECURSIVE s AS \
             (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < {ROWS}) SELECT i, CONCAT('v', i) FROM s"
        ),
    )
}

fn number(scene: &Scene, status: &str) -> Result<u64> {
    let rows = scene.source_rows(0, &format!("SHOW GLOBAL STATUS LIKE '{status}'"))?;
    let value = rows.first().and_then(|row| row.split('\t').nth(1)).context("no such status")?;
    Ok(value.parse()?)
}

/// A bounded rate is kept, few connections are opened, and log, status and metrics tell the same rows.
#[test]
fn a_bounded_snapshot_keeps_its_bounds_and_tells_the_same_everywhere() -> Result<()> {
    const RATE: u64 = 50;
    let scene = Setup::new("snaprate")
        .own_servers()
        .one_shard()
        .begins("snapshot")
        .lines(&format!("[snapshot]\nchunk_rows_max = 10\nconnections = 3\nrows_per_second = {RATE}"))
        .start()?;
    rows(&scene, "slow")?;
    scene.sql(0, "CREATE TABLE other (id INT PRIMARY KEY); INSERT INTO other VALUES (1); FLUSH STATUS")?;
    let before = number(&scene, "Max_used_connections")?;
    let began = Instant::now();
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let at = serve::address(&scene, &mut running)?;
    let mut seen = Vec::new();
    let (shard, table) = ("shard=\"s1\"", ".slow\"");
    scene.wait("figures", &mut running, || {
        let read =
            |metric| -> Result<Option<u64>> { Ok(Scrape::of(at)?.most(metric, &[shard, table]).map(|n| n as u64)) };
        let first = read("tailwater_snapshot_rows")?;
        let status = get(at, "/api/status")?.json()?;
        let (last, estimated) = (read("tailwater_snapshot_rows")?, read("tailwater_snapshot_estimated_rows")?);
        let told = status["snapshots"].as_array().into_iter().flatten();
        let mut told = told.filter(|s| s["origin"].as_str().is_some_and(|o| o.ends_with(".slow")));
        let Some(told) = told.next_back().cloned() else { return Ok(false) };
        let (Some(first), Some(last), Some(rows)) = (first, last, told["rows"].as_u64()) else { return Ok(false) };
        ensure!(first <= rows && rows <= last, "metrics said {first}, then the status {rows}, then metrics {last}");
        // It may have grown since.
        ensure!(estimated >= told["rows_estimated"].as_u64() && estimated.is_some(), "{estimated:?} and {told:#}");
        seen.push(rows);
        Ok(rows > 300 && scene.log()?.contains("\"message\":\"snapshot\""))
    })?;
    ensure!(seen.len() > 5 && seen.is_sorted(), "{seen:?}");
    let log = scene.log()?;
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = lines.filter(|line| line["message"] == "snapshot").collect();
    let line = lines.last().context("no line")?;
    ensure!(line["rows"].as_u64().is_some_and(|n| n > 0 && n <= ROWS) && line["rows_per_second"].is_number(), "{line}");
    ensure!(line["seconds_left"].is_number() && line["rows_estimated"].is_number(), "{line}");
    scene.becomes_equal(&["slow", "other"], &mut running)?;
    // The last chunks of all connections need not be paid for.
    let least = Duration::from_secs((ROWS - 40) / RATE);
    ensure!(began.elapsed() >= least, "{ROWS} rows in {:?}, not in {least:?}", began.elapsed());
    running.terminate(LIMIT)?;
    // The stream, the catalog's and the comparison's connections, one to ask where the end is, and three that read; one of ours.
    let used = number(&scene, "Max_used_connections")? - before;
    ensure!(used <= 3 + 5, "{used} connections");
    Ok(())
}

/// Waits for the sentence, then makes sure that nothing is read for a while.
fn pauses(scene: &Scene, running: &mut tailwater_proof::program::Running, why: &str) -> Result<()> {
    scene.wait("a pause", running, || {
        let log = scene.log()?;
        Ok(log.lines().any(|line| line.contains("snapshots pause to spare the source") && line.contains(why)))
    })?;
    ensure!(!scene.log()?.contains("the snapshot of the table is complete"), "{}", scene.log()?);
    Ok(())
}

#[test]
fn snapshots_pause_while_many_threads_work_on_the_source() -> Result<()> {
    let scene = Setup::new("snapthreads")
        .own_servers()
        .one_shard()
        .begins("snapshot")
        .lines("[snapshot]\nthreads_running_max = 6")
        .start()?;
    rows(&scene, "t")?;
    std::thread::scope(|scope| -> Result<()> {
        let busy: Vec<_> = (0..8).map(|_| scope.spawn(|| _ = scene.sql(0, "SELECT SLEEP(60) /* busy */"))).collect();
        while number(&scene, "Threads_running")? < 8 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut running = scene.start(&["run"])?;
        let paused = pauses(&scene, &mut running, "threads_running_max = 6");
        // Those that are let go make it go on.
        let ids =
            scene.source_rows(0, "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE '%/* busy */'")?;
        for id in ids {
            _ = scene.sql(0, &format!("KILL {id}"));
        }
        busy.into_iter().for_each(|thread| _ = thread.join());
        paused?;
        scene.becomes_equal(&["t"], &mut running)?;
        running.terminate(LIMIT)
    })
}

#[test]
fn snapshots_pause_while_a_replica_is_behind() -> Result<()> {
    let source = Mysql::start(MysqlOptions::default())?;
    source.sql(
        "CREATE USER repl IDENTIFIED WITH caching_sha2_password BY 'repl'; GRANT REPLICATION SLAVE ON *.* TO repl",
    )?;
    let scene = Setup::new("snapreplica")
        .own_servers()
        .one_shard()
        .begins("snapshot")
        .lines("[snapshot]\nreplica_lag_max = \"1s\"")
        .start()?;
    rows(&scene, "t")?;
    let replicate = |delay: u32| {
        scene.sql(
            0,
            &format!(
                "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{}', SOURCE_PORT = {}, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl', \
                 SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_DELAY = {delay}; START REPLICA",
                source.host(),
                source.port()
            ),
        )
    };
    replicate(3600)?;
    source.sql("CREATE DATABASE elsewhere")?;
    let behind = || -> Result<bool> {
        let status = scene.source_rows(0, "SHOW REPLICA STATUS")?;
        // Seconds_Behind_Source.
        let lag = status.first().and_then(|row| row.split('\t').nth(32));
        Ok(lag.and_then(|lag| lag.parse::<u64>().ok()).is_some_and(|lag| lag > 1))
    };
    let deadline = Instant::now() + LIMIT;
    while !behind()? {
        ensure!(Instant::now() < deadline, "the replica is never behind");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut running = scene.start(&["run"])?;
    pauses(&scene, &mut running, "replica_lag_max = 1s")?;
    replicate(0)?;
    scene.becomes_equal(&["t"], &mut running)?;
    running.terminate(LIMIT)
}
