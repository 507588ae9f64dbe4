//! Tables without a key: their targets are histories that add up to what the sources have.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::scene::{Engine, Scene, Setup};

/// Rows of a history that add up: what the source has, each row as often as it has it.
const FOLD: &str = "SELECT line FROM (SELECT '{shard}|' || coalesce(CAST(a AS VARCHAR(20)), 'NULL') || '|' || coalesce(b, 'NULL') \
    || '|' || CAST(sum(CASE _tw_op WHEN 'd' THEN -1 ELSE 1 END) AS VARCHAR(20)) AS line, \
    sum(CASE _tw_op WHEN 'd' THEN -1 ELSE 1 END) AS n FROM {table} WHERE _tw_origin LIKE '{shard}:%' GROUP BY a, b) AS folded \
    WHERE n <> 0";

/// The history of every shard adds up to its table.
fn adds_up(scene: &Scene, shards: usize) -> Result<()> {
    for shard in 0..shards {
        let name = format!("s{}", shard + 1);
        let mut folded = scene.rows(&FOLD.replace("{shard}", &name).replace("{table}", "{trail}"))?;
        let mut source = scene.source_rows(
            shard,
            &format!(
                "SELECT CONCAT_WS('|', '{name}', IFNULL(a, 'NULL'), IFNULL(b, 'NULL'), COUNT(*)) FROM trail GROUP BY a, b"
            ),
        )?;
        folded.sort();
        source.sort();
        let differs = folded.iter().zip(&source).find(|(a, b)| a != b);
        let counts = (folded.len(), source.len());
        ensure!(folded == source, "{name}: {differs:?}, {counts:?} distinct rows\n{}", scene.log()?);
    }
    Ok(())
}

fn count(scene: &Scene, condition: &str) -> Result<u64> {
    let rows = scene.rows(&format!("SELECT CAST(count(*) AS VARCHAR(20)) FROM {{trail}} WHERE {condition}"))?;
    Ok(rows.first().context("no count")?.parse()?)
}

const TRAIL: &str = "CREATE TABLE trail (a INT NULL, b VARCHAR(20) NULL, UNIQUE KEY (a, b));
    INSERT INTO trail VALUES (1, 'x'), (2, 'y'), (NULL, 'twice'), (NULL, 'twice'), (NULL, NULL), (3, '');";

/// Snapshot, changes of every kind, a repeated run, TRUNCATE, an added column and a new snapshot.
fn changes_are_appended(setup: Setup, shards: usize) -> Result<()> {
    // What the rule says of keys means nothing here.
    let scene = setup.begins("snapshot").rule("trail", "deletes = \"ignore\"\npublish = \"progressively\"").start()?;
    scene.sql_all(TRAIL)?;
    scene.once()?;
    adds_up(&scene, shards)?;
    ensure!(count(&scene, "_tw_op = 's'")? == 6 * shards as u64, "the snapshot brings each row once");
    scene.sql_all(
        "INSERT INTO trail VALUES (NULL, 'twice'), (4, 'z'); UPDATE trail SET b = 'X' WHERE a = 1; UPDATE trail SET b = b;
         DELETE FROM trail WHERE b = 'twice' LIMIT 1; DELETE FROM trail WHERE a = 2;
         BEGIN; INSERT INTO trail VALUES (9, 'gone'); DELETE FROM trail WHERE a = 9; COMMIT",
    )?;
    scene.once()?;
    adds_up(&scene, shards)?;
    let rows = count(&scene, "1 = 1")?;
    // By shard 6 + 2 inserted + 2 of the update + 2 deleted + 2 that came and went.
    let each = (rows / shards as u64, count(&scene, "_tw_op = 'u'")?);
    ensure!(each == (14, shards as u64), "{rows} rows");
    scene.once()?;
    ensure!(count(&scene, "1 = 1")? == rows, "a run without changes appends nothing");
    scene.sql(0, "TRUNCATE trail; INSERT INTO trail VALUES (7, 'new'), (7, 'other')")?;
    scene.once()?;
    adds_up(&scene, shards)?;
    ensure!(count(&scene, "_tw_origin LIKE 's1:%'")? == 2, "what was truncated is gone");
    scene.sql_all("ALTER TABLE trail ADD COLUMN c INT NOT NULL DEFAULT 5; INSERT INTO trail VALUES (8, 'c', 6)")?;
    scene.once()?;
    adds_up(&scene, shards)?;
    ensure!(count(&scene, "c = 5")? + shards as u64 == count(&scene, "1 = 1")?, "older rows have the default");
    scene.complete(&["snapshot", "--table", &format!("{}.trail", scene.name)])?;
    scene.once()?;
    adds_up(&scene, shards)?;
    let kept = count(&scene, "_tw_op <> 's'")?;
    ensure!(kept == 0, "a snapshot starts over, and {kept} older rows are left");
    let said = scene.ends_with(&["status"], 0)?;
    ensure!(said.contains("appends") && said.contains("ALTER TABLE"), "{said}");
    ensure!(scene.log()?.contains("the table has no key"), "the log says so too");
    scene.log_is_whole()?;
    Ok(())
}

#[test]
fn changes_of_a_table_without_a_key_are_appended() -> Result<()> {
    Engine::ALL.into_iter().try_for_each(|engine| changes_are_appended(Setup::new("history").to(engine), 2))
}

#[test]
fn changes_of_a_table_of_mariadb_without_a_key_are_appended() -> Result<()> {
    let engines = [Engine::Sqlite, Engine::Postgres];
    engines.into_iter().try_for_each(|engine| changes_are_appended(Setup::new("history").to(engine).mariadb(), 1))
}

/// Killed while rows are read and written: nothing is appended twice, nothing is lost.
fn adds_up_through_kills(setup: Setup) -> Result<()> {
    let scene = setup.one_shard().begins("snapshot").start()?;
    scene.sql(
        0,
        "CREATE TABLE trail (a INT NULL, b VARCHAR(20) NULL, INDEX (a));
         INSERT INTO trail WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 200)
           SELECT (a.i * 200 + b.i) % 5000, CONCAT('row ', b.i % 3) FROM s a, s b WHERE a.i <= 100",
    )?;
    thread::scope(|threads| -> Result<()> {
        let load = threads.spawn(|| {
            (0..40).try_for_each(|n| {
                let changes = (0..25).map(|m| match (n * 25 + m) * 7 % 1000 {
                    k if m % 3 == 0 => format!("INSERT INTO trail VALUES ({k}, 'load');"),
                    k if m % 3 == 1 => format!("UPDATE trail SET b = CONCAT('n', {n}) WHERE a = {k} LIMIT 2;"),
                    k => format!("DELETE FROM trail WHERE a = {k} LIMIT 1;"),
                });
                scene.sql(0, &changes.collect::<String>())
            })
        });
        for life in [900, 1600, 2500] {
            let mut running = scene.start(&["run"])?;
            thread::sleep(Duration::from_millis(life));
            running.kill9()?;
        }
        load.join().map_err(|_| anyhow!("the load panicked"))?
    })?;
    scene.once()?;
    adds_up(&scene, 1)?;
    scene.log_is_whole()
}

#[test]
fn a_history_adds_up_through_kills_under_load() -> Result<()> {
    Engine::ALL.into_iter().try_for_each(|engine| adds_up_through_kills(Setup::new("historykills").to(engine)))
}

#[test]
fn a_history_of_mariadb_adds_up_through_kills_under_load() -> Result<()> {
    adds_up_through_kills(Setup::new("historykills").mariadb())
}

/// A key that comes later makes the target another kind of table, by the way that the reason names.
#[test]
fn a_history_becomes_a_table_when_its_source_gets_a_key() -> Result<()> {
    let scene = Setup::new("historykey").one_shard().begins("snapshot").start()?;
    scene.sql(0, TRAIL)?;
    scene.once()?;
    scene.sql(
        0,
        "ALTER TABLE trail ADD COLUMN id INT AUTO_INCREMENT PRIMARY KEY; UPDATE trail SET b = 'changed' WHERE a = 1",
    )?;
    let said = scene.ends_with(&["run", "--once"], 4)?;
    ensure!(said.contains("its key or its handling") && said.contains("tailwater rebuild"), "{said}");
    let table = format!("{}.trail", scene.name);
    scene.complete(&["snapshot", "--table", &table])?;
    scene.ends_with(&["run", "--once"], 4)?;
    scene.complete(&["rebuild", "--table", &table])?;
    scene.once()?;
    scene.equal(&["trail"])
}
