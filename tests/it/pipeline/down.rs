//! A warehouse that is away for a while: extraction goes on, and nothing is lost or applied twice.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::scene::{LIMIT, Scene, Setup};

/// How long it is away unless `TAILWATER_DOWN_SECONDS` says otherwise.
const DOWN_SECONDS: u64 = 8;

/// Changes to each shard that are made at least meanwhile, and the rest between two.
const CHANGES_MIN: u32 = 11;
const REST: Duration = Duration::from_millis(50);

/// Entries in the logs of all shards.
fn entries(scene: &Scene) -> Result<usize> {
    let mut count = 0;
    for shard in fs::read_dir(scene.lake().join("log"))? {
        count += fs::read_dir(shard?.path())?.count();
    }
    Ok(count)
}

#[test]
fn a_warehouse_that_is_away_stops_no_extraction() -> Result<()> {
    let seconds = std::env::var("TAILWATER_DOWN_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(DOWN_SECONDS);
    let scene = Setup::new("down").by_proxy_to_redshift().start()?;
    scene
        .sql_all("CREATE TABLE t (id INT PRIMARY KEY, n INT, doc JSON); INSERT INTO t VALUES (0, 0, '{\"a\": [1]}')")?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["t"], &mut running)?;
    let before = entries(&scene)?;
    scene.proxy()?.set_down(true);
    scene.proxy()?.cut();
    let began = Instant::now();
    let mut id = 0;
    while began.elapsed() < Duration::from_secs(seconds) || id < CHANGES_MIN {
        id += 1;
        scene.sql_all(&format!(
            "INSERT INTO t VALUES ({id}, {id}, NULL); UPDATE t SET n = n + 1 WHERE id IN (0, {id} - 1); \
             DELETE FROM t WHERE id = {id} - 7;"
        ))?;
        thread::sleep(REST);
    }
    scene.wait("entries", &mut running, || Ok(entries(&scene)? > before + 4))?;
    let stored = entries(&scene)? - before;
    scene.proxy()?.set_down(false);
    let back = Instant::now();
    scene.becomes_equal(&["t"], &mut running)?;
    println!("away for {seconds} s: {id} rounds on each shard, {stored} entries, equal {:?} later", back.elapsed());
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}
