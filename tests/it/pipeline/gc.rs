//! The lake stops growing, and nobody misses what is gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tailwater_proof::compare::{LogReport, check_log};

use super::scene::{LIMIT, Scene, Setup};

/// Times that the program is killed while it copies and removes.
const KILLS: u64 = 4;
/// Pause between two looks of a waiting test.
const POLL: Duration = Duration::from_millis(100);

const ORDERS: &str =
    "CREATE TABLE orders (id INT PRIMARY KEY, n INT); INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3);
    CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, n INT); INSERT INTO items (n) VALUES (1), (2)";

/// The one log of a scene, which must be whole.
fn log(scene: &Scene) -> Result<LogReport> {
    let mut logs = check_log(&scene.lake())?;
    logs.pop().context("there is no log")
}

/// `gc` with arguments; its report of the one shard.
fn gc(scene: &Scene, arguments: &[&str]) -> Result<Value> {
    let said = scene.ends_with(&[&["gc", "--json"], arguments].concat(), 0)?;
    let json = said.get(said.find("{\n").context("no JSON")?..).unwrap_or_default();
    let report: Value = serde_json::from_str(json.trim()).with_context(|| said.clone())?;
    Ok(report["shards"]["s1"].clone())
}

/// Runs `gc` with a retention of a second until it says what is waited for.
fn gc_until(scene: &Scene, arguments: &[&str], mut done: impl FnMut(&Value) -> Result<bool>) -> Result<Value> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let report = gc(scene, &[&["--retention", "1s"], arguments].concat())?;
        if done(&report)? {
            return Ok(report);
        }
        ensure!(Instant::now() < deadline, "gc does not come to what is waited for: {report}");
        thread::sleep(POLL);
    }
}

/// Runs `gc` until the log begins at its newest claim and nothing is left below.
fn collect(scene: &Scene) -> Result<LogReport> {
    gc_until(scene, &[], |report| {
        let log = log(scene)?;
        Ok(log.floor > 1 && report["waits_until"].is_null() && report["keeps_from"] == report["oldest_entry"])
    })?;
    log(scene)
}

/// Every file of a folder with its size.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        // What goes meanwhile is not there.
        let Ok(items) = fs::read_dir(&folder) else { continue };
        for item in items.flatten() {
            match item.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(item.path()),
                Ok(meta) => found.push((item.path(), meta.len())),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// A second configuration of the scene, with another warehouse.
fn second(scene: &Scene, warehouse: &str) -> Result<()> {
    let text = fs::read_to_string(scene.folder().join("tailwater.toml"))?;
    let at = text.find("url = \"sqlite:").context("the scene's warehouse is SQLite")?;
    let end = at + text[at..].find('\n').unwrap_or(text.len() - at);
    let other = format!("{}url = \"sqlite:{warehouse}\"{}", &text[..at], &text[end..]);
    Ok(fs::write(scene.folder().join("second.toml"), other)?)
}

#[test]
fn a_lake_with_a_retention_stays_small_however_often_its_keeper_is_killed() -> Result<()> {
    let scene = Setup::new("gc_kills").one_shard().lake("retention = \"1s\"").start()?;
    scene.sql(0, ORDERS)?;
    let mut last = 0;
    for life in 0..KILLS {
        let floor = log(&scene).map_or(1, |log| log.floor);
        let mut running = scene.start(&["run"])?;
        let mut round = 0;
        scene.wait("a higher floor", &mut running, || {
            round += 1;
            scene.sql(0, &format!("INSERT INTO items (n) VALUES ({round}); UPDATE orders SET n = n + 1; INSERT INTO items (n) SELECT n FROM orders"))?;
            // The first life has nothing to remove but its own beginning, which it applies as it goes.
            Ok(round >= 5 && (life == 0 || floor_of(&scene)? > floor))
        })?;
        running.kill9()?;
        last = log(&scene)?.entries;
    }
    scene.once()?;
    scene.equal(&["orders", "items"])?;
    let (whole, mut running) = (log(&scene)?, scene.start(&["run"])?);
    ensure!(whole.entries > last && whole.floor > 1, "{whole:?}");
    // All that the former lives wrote goes.
    scene.wait("an empty past", &mut running, || Ok(oldest(&scene)? > last && unnamed(&scene)? == 0))?;
    running.terminate(LIMIT)?;
    let log = log(&scene)?;
    ensure!(log.floor > last && log.unlisted == 0, "{log:?}");
    scene.equal(&["orders", "items"])
}

/// The floor, which a process may be raising now.
fn floor_of(scene: &Scene) -> Result<u64> {
    let folder = scene.lake().join(&scene.name).join("floors/s1");
    let Ok(items) = fs::read_dir(folder) else { return Ok(1) };
    let numbers = items.map(|item| Ok(item?.path().file_stem().unwrap_or_default().to_string_lossy().parse()?));
    Ok(numbers.collect::<Result<Vec<u64>>>()?.into_iter().max().unwrap_or(1))
}

/// Number of the oldest entry that is there.
fn oldest(scene: &Scene) -> Result<u64> {
    let stems = fs::read_dir(scene.lake().join(&scene.name).join("log/s1"))?;
    let stems = stems.map(|item| Ok(item?.path().file_stem().unwrap_or_default().to_string_lossy().into_owned()));
    let numbers = stems.collect::<Result<Vec<String>>>()?.into_iter().filter_map(|stem| stem.parse().ok());
    numbers.min().context("there is no entry")
}

/// Data files whose entries are gone; while the program writes, newer ones may have none yet.
fn unnamed(scene: &Scene) -> Result<usize> {
    let (oldest, data) = (oldest(scene)?, scene.lake().join(&scene.name).join("data"));
    let claim = |path: &PathBuf| {
        let stem = path.file_stem()?.to_string_lossy().into_owned();
        stem.rsplit('-').next()?.split('x').next()?.parse::<u64>().ok()
    };
    Ok(files(&data).iter().filter(|(path, _)| claim(path).is_some_and(|claim| claim < oldest)).count())
}

#[test]
fn what_a_warehouse_a_table_or_a_transaction_needs_stays() -> Result<()> {
    let scene = Setup::new("gc_needs").one_shard().start()?;
    let said = scene.ends_with(&["gc"], 64)?;
    ensure!(said.contains("no retention is set"), "{said}");
    scene.sql(0, ORDERS)?;
    scene.once()?;
    scene.sql(0, "INSERT INTO items (n) VALUES (2)")?;
    scene.once()?;
    second(&scene, "second.db")?;
    scene.complete(&["apply", "--once", "--config", "second.toml"])?;
    let xid = format!("'{}-open'", scene.name);
    scene.sql(0, &format!("XA START {xid}; INSERT INTO orders VALUES (50, 50); XA END {xid}; XA PREPARE {xid};"))?;
    scene.sql(0, "INSERT INTO items (n) VALUES (3)")?;
    scene.once()?;
    scene.sql(0, "INSERT INTO items (n) VALUES (4)")?;
    scene.once()?;

    // A dry run tells what would go, and removes nothing.
    let before = files(&scene.lake());
    let told = gc_until(&scene, &["--dry-run"], |report| Ok(report["held"][0]["by"].is_string()))?;
    ensure!(files(&scene.lake()) == before, "a dry run has changed the lake");
    // The second warehouse stands where the second process began.
    let by = told["held"][0]["by"].as_str().unwrap_or_default().to_owned();
    ensure!(by.contains("second.db.main"), "{told}");
    let behind = collect(&scene)?;
    ensure!(told["keeps_from"] == behind.floor && told["removed"]["files"].as_u64() > Some(0), "{told} {behind:?}");
    scene.complete(&["apply", "--once", "--config", "second.toml"])?;
    scene.equal(&["items"])?;
    let caught_up =
        gc_until(&scene, &[], |report| Ok(log(&scene)?.floor > behind.floor && report["held"][0].is_null()))?;
    ensure!(caught_up["held"].as_array().is_some_and(Vec::is_empty), "{caught_up}");

    // It is gone for good.
    scene.sql(0, "INSERT INTO items (n) VALUES (5)")?;
    scene.once()?;
    let name = by.trim_start_matches("consumer ").to_owned();
    gc_until(&scene, &[], |report| Ok(report["held"][0]["by"].as_str().is_some_and(|by| by.contains("second.db"))))?;
    let said = scene.ends_with(&["gc", "--forget", "nobody"], 64)?;
    ensure!(said.contains("no consumer is called") && said.contains(&name), "{said}");
    gc(&scene, &["--forget", &name])?;
    let before = log(&scene)?.floor;
    gc_until(&scene, &[], |_| Ok(log(&scene)?.floor > before))?;

    // A table that an operator holds back keeps what it has to apply.
    scene.complete(&["pause", "--table", &format!("{}.orders", scene.name)])?;
    scene.sql(0, "UPDATE orders SET n = 7 WHERE id = 1")?;
    for n in 0..2 {
        scene.sql(0, &format!("INSERT INTO items (n) VALUES ({n})"))?;
        scene.once()?;
    }
    gc_until(&scene, &[], |report| {
        let by = report["held"][0]["by"].as_str().unwrap_or_default();
        Ok(by.contains(&format!("s1:{}.orders", scene.name)))
    })?;
    scene.complete(&["resume", "--table", &format!("{}.orders", scene.name)])?;
    // The transaction that was prepared before all that was removed is decided.
    scene.sql(0, &format!("XA COMMIT {xid}"))?;
    scene.once()?;
    scene.equal(&["orders", "items"])?;
    collect(&scene)?;
    scene.log_is_whole()?;
    scene.once()?;
    scene.equal(&["orders", "items"])
}

#[test]
fn a_warehouse_that_comes_late_says_what_it_lacks_and_how_it_gets_it() -> Result<()> {
    let scene = Setup::new("gc_late").one_shard().begins("snapshot").start()?;
    let warehouse = scene.folder().join("warehouse.db");
    scene.sql(0, ORDERS)?;
    scene.once()?;
    fs::copy(&warehouse, scene.folder().join("backup.db"))?;
    for n in 0..2 {
        scene.sql(0, &format!("INSERT INTO items (n) VALUES ({n})"))?;
        scene.once()?;
    }
    collect(&scene)?;
    let report = gc(&scene, &["--retention", "1s", "--dry-run"])?;
    let orders = format!("s1:{}.orders", scene.name);
    ensure!(
        report["need_snapshot"][0] == format!("s1:{}.items", scene.name) && report["need_snapshot"][1] == orders,
        "{report}"
    );

    // What looks at a log that begins late: all as ever, but a rebuild of what is not in it.
    scene.ends_with(&["status"], 0)?;
    scene.ends_with(&["verify"], 0)?;
    scene.ends_with(&["plan"], 0)?;
    scene.complete(&["rebuild", "--table", &format!("{}.orders", scene.name)])?;
    let said = scene.ends_with(&["apply", "--once"], 0)?;
    ensure!(said.contains("are gone from the lake") && said.contains("tailwater snapshot"), "{said}");
    scene.equal(&["orders", "items"])?;

    // Restored from a backup that is older than the lake.
    let restore = |from: &str| -> Result<()> {
        for end in ["-wal", "-shm"] {
            let _ = fs::remove_file(scene.folder().join(format!("warehouse.db{end}")));
        }
        match from {
            "" => fs::remove_file(&warehouse)?,
            from => _ = fs::copy(scene.folder().join(from), &warehouse)?,
        }
        Ok(())
    };
    restore("backup.db")?;
    let said = scene.ends_with(&["apply", "--once"], 65)?;
    ensure!(said.contains("was removed by gc") && said.contains("tailwater snapshot"), "{said}");

    // An empty one begins where the lake does. Its tables wait for all their rows, and say so.
    restore("")?;
    let said = scene.ends_with(&["apply", "--once"], 4)?;
    ensure!(said.contains("these tables wait for `tailwater snapshot`"), "{said}");
    scene.sql(0, "UPDATE orders SET n = 70 WHERE id = 1; INSERT INTO items (n) VALUES (9)")?;
    scene.ends_with(&["run", "--once"], 4)?;
    let said = scene.ends_with(&["status"], 1)?;
    ensure!(said.contains("tailwater snapshot --table"), "{said}");
    // A restart or `unpark` does not take it for a table whose rows the lake has.
    scene.complete(&["unpark", "--table", &format!("{}.orders", scene.name)])?;
    scene.ends_with(&["run", "--once"], 4)?;
    scene.complete(&["snapshot", "--table", &format!("{}.*", scene.name)])?;
    scene.once()?;
    scene.equal(&["orders", "items"])?;
    // Now the lake has all their rows again.
    scene.change(&format!("UPDATE {} SET n = 0", scene.target("orders")))?;
    scene.complete(&["rebuild", "--table", &format!("{}.orders", scene.name)])?;
    let said = scene.ends_with(&["apply", "--once"], 0)?;
    ensure!(said.contains("the table was rebuilt"), "{said}");
    scene.equal(&["orders", "items"])?;
    if log(&scene)?.floor == 1 {
        bail!("nothing was removed");
    }
    Ok(())
}
