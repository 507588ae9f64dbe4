//! What a killed process has read is not read again: the source's own log of statements says so.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};

use super::super::scene::{Scene, Setup};

const ROWS: u64 = 500;
const CHUNK: u64 = 10;

/// Statements that read chunks of the table so far, by the server's general log.
fn chunks(scene: &Scene) -> Result<Vec<String>> {
    scene.source_rows(
        0,
        "SELECT REPLACE(CONVERT(argument USING utf8mb4), '\\n', ' ') FROM mysql.general_log \
         WHERE command_type = 'Execute' AND CONVERT(argument USING utf8mb4) LIKE 'SELECT `name`, `n` FROM %`names`%' ORDER BY event_time",
    )
}

/// Rows of chunks that are noted as read.
fn noted(scene: &Scene) -> Result<u64> {
    let mut rows = 0;
    let kept = scene.lake().join(&scene.name).join("snapshots");
    for folder in std::fs::read_dir(kept).into_iter().flatten().flatten() {
        for object in std::fs::read_dir(folder.path())?.flatten() {
            // The old one is replaced by renaming a new one to it.
            let Ok(content) = std::fs::read(object.path()) else { continue };
            let Ok(progress) = serde_json::from_slice::<serde_json::Value>(&content) else { continue };
            rows += progress["rows"].as_u64().context("no rows")?;
        }
    }
    Ok(rows)
}

#[test]
fn finished_chunks_are_not_read_again() -> Result<()> {
    let scene = Setup::new("snapresume")
        .own_servers()
        .one_shard()
        .begins("snapshot")
        .lines(&format!("[snapshot]\nchunk_rows_max = {CHUNK}\nconnections = 2\nrows_per_second = 150"))
        .start()?;
    scene.sql(
        0,
        &format!(
            "CREATE TABLE names (name VARCHAR(40) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, n INT);
             INSERT INTO names WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < {ROWS})
               SELECT CONCAT('n', i * 7919 % 503), i FROM s;
             SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON;"
        ),
    )?;
    let (mut before, mut known) = (0, 0);
    // Killed twice; the third process reads what is left.
    for part in [150, 320] {
        let mut running = scene.start(&["run"])?;
        scene.wait("progress", &mut running, || Ok(noted(&scene)? >= part))?;
        running.kill9()?;
        known = noted(&scene)?;
        before = chunks(&scene)?.len();
    }
    scene.once()?;
    scene.equal(&["names"])?;
    let all = chunks(&scene)?;
    // A last chunk may be empty.
    let left = usize::try_from((ROWS - known).div_ceil(CHUNK) + 1)?;
    ensure!(all.len() - before <= left, "{} chunks were read where {left} were left", all.len() - before);
    // Both connections had one under way at each kill, and some waited for their entry.
    let distinct: BTreeSet<&String> = all.iter().collect();
    let again = all.len() - distinct.len();
    ensure!(distinct.len() >= 50 && again <= 20, "{again} chunks of {} were read again", distinct.len());
    let log = scene.log()?;
    let resumed = log.lines().filter(|line| line.contains("the snapshot of the table goes on")).count();
    ensure!(resumed == 2 && log.matches("a snapshot of the table begins").count() == 1, "{log}");
    ensure!(noted(&scene)? == 0, "progress of a complete snapshot is left");
    scene.log_is_whole()
}
