//! Where a snapshot may begin: what the stream has is not always what reads see.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tailwater_proof::program::Running;
use tailwater_servers::{MariaDb, MysqlOptions};

use super::super::{
    scene::{LIMIT, Scene, Setup},
    verify::verify,
};

/// A commit that waits for a replica that there is none of: it is in the binlog, every reader of the binlog gets it, and no SELECT
/// sees it until somebody lets it go.
struct Stuck<'a> {
    scene: &'a Scene,
}

impl Stuck<'_> {
    fn hold(scene: &Scene) -> Result<Stuck<'_>> {
        scene.sql(
            0,
            "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC; SET GLOBAL rpl_semi_sync_master_timeout = 60000; \
             SET GLOBAL rpl_semi_sync_master_enabled = ON",
        )?;
        Ok(Stuck { scene })
    }

    fn let_go(&self) -> Result<()> {
        self.scene.sql(0, "SET GLOBAL rpl_semi_sync_master_enabled = OFF")
    }
}

/// Waits until the lake's log has a commit of the table that no read sees.
fn arrives_unseen(scene: &Scene, running: &mut Running, id: u32) -> Result<()> {
    scene.wait("the change in the warehouse", running, || {
        Ok(scene.rows(&format!("SELECT CAST(id AS VARCHAR(10)) FROM {{t}} WHERE id = {id}"))? == [id.to_string()])
    })?;
    let seen = scene.source_rows(0, &format!("SELECT id FROM t WHERE id = {id}"))?;
    ensure!(seen.is_empty(), "the commit is visible already: nothing is proven");
    Ok(())
}

/// A snapshot that is asked for while the stream is ahead of what reads see waits. One that began at once would take its number
/// behind that change, not see its row, and sweep it away.
#[test]
fn a_snapshot_waits_until_reads_see_what_the_stream_has() -> Result<()> {
    let server = Arc::new(MariaDb::start(&[])?);
    let scene = Setup::new("snaptrap").mariadb_of(server).begins("snapshot").start()?;
    scene.sql(
        0,
        "CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); \
         CREATE TABLE trail (a INT, b VARCHAR(20)); INSERT INTO trail VALUES (1, 'x'), (1, 'x')",
    )?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["t"], &mut running)?;
    let stuck = Stuck::hold(&scene)?;
    thread::scope(|scope| -> Result<()> {
        let commit = scope.spawn(|| {
            scene.sql(0, "BEGIN; INSERT INTO t VALUES (4, 4); INSERT INTO trail VALUES (4, 'four'); DELETE FROM t WHERE id = 1; COMMIT")
        });
        let tried = (|| -> Result<()> {
            arrives_unseen(&scene, &mut running, 4)?;
            scene.complete(&["snapshot", "--table", &format!("{}.*", scene.name)])?;
            scene.wait("the request", &mut running, || Ok(scene.log()?.contains("snapshots were asked for")))?;
            let before = scene.log()?.matches("a snapshot of the table begins").count();
            let until = Instant::now() + Duration::from_secs(2);
            while Instant::now() < until {
                let begun = scene.log()?.matches("a snapshot of the table begins").count();
                ensure!(begun == before, "a snapshot began where reads do not see what the stream has");
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        })();
        stuck.let_go()?;
        commit.join().map_err(|_| anyhow!("the commit panicked"))??;
        tried
    })?;
    scene.wait("the snapshots", &mut running, || {
        Ok(scene.log()?.matches("the snapshot of the table is complete").count() == 4)
    })?;
    scene.becomes_equal(&["t"], &mut running)?;
    let trail = "SELECT CAST(sum(CASE _tw_op WHEN 'd' THEN -1 ELSE 1 END) AS VARCHAR(10)) FROM {trail}";
    scene.wait("the history", &mut running, || Ok(scene.rows(trail)? == ["3"]))?;
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}

fn kills(scene: &Scene) -> Result<()> {
    thread::scope(|threads| -> Result<()> {
        let load = threads.spawn(|| {
            (0..60).try_for_each(|n| {
                let changes = (0..25).map(|m| match (n * 25 + m) * 7 % 997 + 1 {
                    id if m % 4 == 0 => format!("UPDATE t SET v = v + 1 WHERE id = {id};"),
                    id if m % 4 == 1 => format!("DELETE FROM t WHERE id = {id};"),
                    id if m % 4 == 2 => format!("REPLACE INTO t VALUES ({id}, -{n});"),
                    id => format!("UPDATE IGNORE t SET id = id + 2000 WHERE id = {id};"),
                });
                scene.sql(0, &changes.collect::<String>())
            })
        });
        for life in [700, 1200, 1500] {
            let mut running = scene.start(&["run"])?;
            thread::sleep(Duration::from_millis(life));
            running.kill9()?;
        }
        load.join().map_err(|_| anyhow!("the load panicked"))?
    })
}

/// Positions are files and offsets: the whole bootstrap under load and kills, another snapshot, a file that begins, comparison.
#[test]
fn a_source_without_gtids_is_read_followed_and_compared() -> Result<()> {
    let scene = Setup::new("snapfiles")
        .servers_with(MysqlOptions::default().without_gtid())
        .one_shard()
        .begins("snapshot")
        .lines("[snapshot]\nchunk_rows_max = 100\nrows_per_second = 1500")
        .start()?;
    scene.sql(
        0,
        "CREATE TABLE t (id INT PRIMARY KEY, v INT); SET SESSION cte_max_recursion_depth = 100000; INSERT INTO t \
         WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 3000) SELECT i, i FROM s; FLUSH BINARY LOGS",
    )?;
    kills(&scene)?;
    scene.once()?;
    scene.equal(&["t"])?;
    let said = scene.log()?;
    ensure!(said.contains("gtid_mode is OFF") && said.contains("the snapshot of the table goes on"), "{said}");
    verify(&scene, &["--at", "now"])?.is_equal().context("verify")?;
    // What left no events, and a snapshot that has to wait for the next file.
    scene.sql(0, "SET sql_log_bin = 0; DELETE FROM t WHERE id BETWEEN 50 AND 60; SET sql_log_bin = 1; UPDATE t SET v = 0 WHERE id = 70")?;
    // Asked for before there is anybody to hear it: the session waits a while for a place before it reads on.
    scene.complete(&["snapshot", "--table", "*.t"])?;
    let mut running = scene.start(&["run"])?;
    scene.wait("what it waits for", &mut running, || Ok(scene.log()?.contains("FLUSH BINARY LOGS begins one")))?;
    scene.sql(0, "FLUSH BINARY LOGS; INSERT INTO t VALUES (100000, 1)")?;
    scene.becomes_equal(&["t"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}
