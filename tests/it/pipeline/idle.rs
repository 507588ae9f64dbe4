//! A group without changes beside one that is busy: it must not keep a warehouse awake.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::scene::{Engine, LIMIT, Scene, Setup};

/// Writing transactions of each group so far: each begins with a lock of the group's fence.
fn transactions(scene: &Scene) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::new();
    for statement in scene.executed().iter().filter(|s| s.text.starts_with("LOCK TABLE") && s.text.contains("fence_")) {
        *groups.entry(statement.text.clone()).or_default() += 1;
    }
    groups
}

/// Writing transactions of the busy group and of the idle one while the busy one's table is written to.
fn watched(name: &str, idle_commit: &str) -> Result<(usize, usize)> {
    let scene = Setup::new(name)
        .to(Engine::Redshift)
        .one_shard()
        .warehouse_keys(&format!("idle_commit = \"{idle_commit}\""))
        .rule("quiet", "group = \"second\"")
        .start()?;
    scene.sql_all(
        "CREATE TABLE busy (id INT PRIMARY KEY); CREATE TABLE quiet (id INT PRIMARY KEY); INSERT INTO quiet VALUES (1)",
    )?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["busy", "quiet"], &mut running)?;
    let before = transactions(&scene);
    ensure!(before.len() == 2, "{before:?}");
    let began = Instant::now();
    let mut id = 0;
    while began.elapsed() < Duration::from_secs(4) {
        id += 1;
        scene.sql_all(&format!("INSERT INTO busy VALUES ({id})"))?;
    }
    scene.becomes_equal(&["busy", "quiet"], &mut running)?;
    let after = transactions(&scene);
    let mut counts: Vec<usize> = after.iter().map(|(group, n)| n - before.get(group).unwrap_or(&0)).collect();
    counts.sort_unstable();
    // What waited is not lost: the idle group's rows of a moment later are there, and its watermark with them.
    scene.sql_all("INSERT INTO quiet VALUES (2)")?;
    scene.becomes_equal(&["quiet"], &mut running)?;
    running.terminate(LIMIT)?;
    println!("idle_commit = {idle_commit}: {counts:?} transactions");
    Ok((counts[1], counts[0]))
}

#[test]
fn an_idle_group_writes_at_its_own_pace() -> Result<()> {
    let (busy, idle) = watched("idle_slow", "1h")?;
    ensure!(busy >= 4 && idle == 0, "{busy} transactions of the busy group and {idle} of the idle one");
    let (busy, idle) = watched("idle_fast", "500ms")?;
    ensure!(busy >= 4 && (2..=10).contains(&idle), "{busy} and {idle}");
    Ok(())
}
