//! Pipelines that begin with what their tables have.

mod anchors;
mod keys;
mod names;
mod resume;
mod sparing;

use anyhow::{Result, ensure};

use super::{
    scene::{Engine, LIMIT, Scene, Setup},
    types::types,
};

/// Chunks of a few rows, so that small tables have many.
const SMALL: &str = "[snapshot]\nchunk_rows_max = 10";

fn scene(name: &str) -> Setup {
    Setup::new(name).begins("snapshot").lines(SMALL)
}

const ORDERS: &str = "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(40), n INT);
    INSERT INTO orders (item, n) WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 137)
        SELECT CONCAT('item ', i), i * i FROM s;
    DELETE FROM orders WHERE id % 7 = 0;
    PURGE BINARY LOGS BEFORE NOW();";

#[test]
fn one_run_brings_what_is_there_and_the_next_goes_on() -> Result<()> {
    for engine in Engine::ALL {
        let scene = scene("bootstrap").to(engine).start()?;
        scene.sql_all(ORDERS)?;
        scene.sql_all("CREATE TABLE nothing (id INT PRIMARY KEY); CREATE TABLE one (id INT PRIMARY KEY); INSERT INTO one VALUES (1)")?;
        scene.once()?;
        scene.equal(&["orders", "nothing", "one"])?;
        ensure!(scene.rows("SELECT _tw_op FROM {orders}").is_err(), "targets have no operation");
        scene.sql_all("UPDATE orders SET n = -1 WHERE id < 20; DELETE FROM orders WHERE id BETWEEN 30 AND 40; INSERT INTO orders VALUES (1000, 'new', 0)")?;
        scene.once()?;
        scene.equal(&["orders", "nothing", "one"])?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// What the binlog brought and what a SELECT brought is the same for every type, in the same schema.
#[test]
fn every_type_comes_by_snapshot_as_it_comes_by_binlog() -> Result<()> {
    let types = types()?;
    let scene = scene("snaptypes").one_shard().start()?;
    let mut sql = "SET time_zone = '+05:30'; SET sql_mode = '';\n".to_owned();
    for (index, ty) in types.iter().enumerate() {
        sql += &format!("CREATE TABLE t{index} (id INT PRIMARY KEY, c {} NULL);\n", ty.mysql);
        for (id, value) in ty.extremes.iter().map(String::as_str).chain(["NULL"]).enumerate() {
            sql += &format!("INSERT INTO t{index} VALUES ({id}, {value});\n");
        }
    }
    scene.sql(0, &sql)?;
    scene.once()?;
    let names: Vec<String> = (0..types.len()).map(|n| format!("t{n}")).collect();
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.equal(&tables)?;
    let by_snapshot = contents(&scene, &names, "id < 1000")?;
    // The same values by events.
    for (name, _) in names.iter().zip(&types) {
        sql.clear();
        sql += &format!("SET sql_mode = ''; INSERT INTO {name} SELECT id + 1000, c FROM {name} WHERE id < 1000;\n");
        scene.sql(0, &sql)?;
    }
    scene.once()?;
    scene.equal(&tables)?;
    let by_binlog = contents(&scene, &names, "id >= 1000")?;
    for ((name, ty), (a, b)) in names.iter().zip(&types).zip(by_snapshot.iter().zip(&by_binlog)) {
        ensure!(a == b, "{name} {}: {a:?} by snapshot, {b:?} by binlog", ty.mysql);
    }
    // One schema each: both ways came to the same.
    for name in &names {
        let folder = scene.lake().join(&scene.name).join("schema").join(format!("{}.{name}", scene.name));
        let schemas = std::fs::read_dir(&folder)?.count();
        ensure!(schemas == 1, "{name} has {schemas} schemas");
    }
    Ok(())
}

fn contents(scene: &Scene, names: &[String], which: &str) -> Result<Vec<Vec<String>>> {
    let query =
        |name: &String| format!("SELECT hex(CAST(c AS TEXT)) || typeof(c) FROM {{{name}}} WHERE {which} ORDER BY id");
    names.iter().map(|name| scene.rows(&query(name))).collect()
}

/// Re-reads while everything goes on: changes without events are mended, a parked table comes back.
#[test]
fn a_snapshot_on_request_mends_what_left_no_events() -> Result<()> {
    for engine in Engine::ALL {
        let scene = scene("resnap").to(engine).start()?;
        scene.sql_all(ORDERS)?;
        let mut running = scene.start(&["run"])?;
        scene.becomes_equal(&["orders"], &mut running)?;
        scene.sql_all(
            "SET sql_log_bin = 0; DELETE FROM orders WHERE id < 20; UPDATE orders SET n = -7 WHERE id BETWEEN 40 AND 50; \
             INSERT INTO orders VALUES (5000, 'unseen', 1); SET sql_log_bin = 1; UPDATE orders SET n = -8 WHERE id = 60;",
        )?;
        let table = format!("{}.orders", scene.name);
        scene.complete(&["snapshot", "--table", &table])?;
        scene.becomes_equal(&["orders"], &mut running)?;
        running.terminate(LIMIT)?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// Tables change their shape, vanish and are emptied while they are read slowly.
#[test]
fn ddl_while_a_table_is_read_ends_in_the_source() -> Result<()> {
    let names = ["added", "modified", "emptied", "renamed", "again", "swapped"];
    let scene = Setup::new("snapddl")
        .begins("snapshot")
        .one_shard()
        .lines("[snapshot]\nchunk_rows_max = 10\nconnections = 2\nrows_per_second = 150")
        .start()?;
    let series = "WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 120)";
    let create = |name: &str| {
        format!(
            "CREATE TABLE {name} (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO {name} {series} SELECT i, CONCAT('v', i) FROM s;"
        )
    };
    let all: String = names.iter().chain(&["gone"]).map(|name| create(name)).collect();
    scene.sql(0, &all)?;
    let mut running = scene.start(&["run"])?;
    scene.wait("chunks", &mut running, || Ok(scene.log()?.contains("a snapshot of the table begins")))?;
    scene.sql(
        0,
        "ALTER TABLE added ADD COLUMN c INT DEFAULT 7; UPDATE added SET c = 8 WHERE id = 3; \
         ALTER TABLE modified MODIFY v CHAR(30) CHARACTER SET latin1; INSERT INTO modified VALUES (1000, 'é'); \
         TRUNCATE TABLE emptied; INSERT INTO emptied VALUES (1, 'new'); \
         RENAME TABLE renamed TO other; RENAME TABLE other TO renamed; \
         DROP TABLE gone; DROP TABLE again; CREATE TABLE again (id INT PRIMARY KEY, w INT); INSERT INTO again VALUES (5, 5); \
         CREATE TABLE _swapped_gho LIKE swapped; ALTER TABLE _swapped_gho ADD COLUMN d INT DEFAULT 1; \
         INSERT INTO _swapped_gho SELECT id, v, 2 FROM swapped; RENAME TABLE swapped TO _swapped_del, _swapped_gho TO swapped; \
         DELETE FROM swapped WHERE id = 5;",
    )?;
    scene.becomes_equal(&["added", "modified", "emptied", "again", "swapped"], &mut running)?;
    running.terminate(LIMIT)?;
    // What RENAME moved under a captured name is said to need a snapshot, and one that is asked for mends it.
    scene.complete(&["snapshot", "--table", &format!("{}.renamed", scene.name)])?;
    scene.once()?;
    scene.equal(&names)?;
    ensure!(scene.rows("SELECT id FROM {gone}")?.is_empty(), "rows of a dropped table are left");
    Ok(())
}

/// Keys move, rows vanish and come back under the readers' feet; the process is killed on the way.
#[test]
fn changes_while_a_table_is_read_win_over_its_chunks() -> Result<()> {
    for publish in ["when_complete", "progressively"] {
        let scene = Setup::new(&format!("snapmoves_{publish}"))
            .begins("snapshot")
            .one_shard()
            .rule("orders", &format!("publish = \"{publish}\""))
            .lines("[snapshot]\nchunk_rows_max = 10\nrows_per_second = 200")
            .start()?;
        scene.sql(0, ORDERS)?;
        let mut running = scene.start(&["run"])?;
        for round in 1..=12 {
            let (low, high) = (round * 9, 137 - round * 9);
            scene.sql(
                0,
                &format!(
                    "UPDATE orders SET id = id + 10000 WHERE id BETWEEN {low} AND {low} + 3; DELETE FROM orders WHERE id = {high}; \
                     INSERT INTO orders VALUES ({high}, 'back', {round}); UPDATE orders SET n = n + 1 WHERE id % 12 = {round}; \
                     DELETE FROM orders WHERE id % 29 = {round};"
                ),
            )?;
            if round % 4 == 0 {
                running.kill9()?;
                running = scene.start(&["run"])?;
            }
        }
        scene.becomes_equal(&["orders"], &mut running)?;
        running.terminate(LIMIT)?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// Text of every character set comes in the same bytes by snapshot as by binlog, what is not valid in it too.
#[test]
fn every_character_set_comes_by_snapshot_as_it_comes_by_binlog() -> Result<()> {
    let scene = scene("snapcharsets").one_shard().start()?;
    let sets = [
        "armscii8", "ascii", "big5", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932",
        "dec8", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2",
        "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "sjis", "swe7", "tis620",
        "ucs2", "ujis", "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4",
    ];
    let columns: String = sets
        .iter()
        .map(|set| format!(", c_{set} VARCHAR(40) CHARACTER SET {set}, e_{set} ENUM('a','z{set}') CHARACTER SET {set}"))
        .collect();
    let row = |id: u32, text: &str| {
        let values: String = sets.iter().map(|set| format!(", CONVERT({text} USING {set}), {}", 1 + id % 2)).collect();
        format!("INSERT IGNORE INTO texts VALUES ({id}{values});")
    };
    let mut sql = format!("SET sql_mode = ''; CREATE TABLE texts (id INT PRIMARY KEY{columns});");
    for (id, text) in (0..).zip(["'abc'", "'é€ß'", "'日本語'", "'жук'", "'한국'", "''", "'שלום'"]) {
        sql += &row(id, text);
    }
    scene.sql(0, &sql)?;
    scene.once()?;
    scene.sql(
        0,
        "INSERT INTO texts SELECT id + 1000, t.* FROM (SELECT * FROM texts) t"
            .replace(
                "id + 1000, t.*",
                &format!("id + 1000{}", sets.iter().map(|set| format!(", c_{set}, e_{set}")).collect::<String>()),
            )
            .as_str(),
    )?;
    scene.once()?;
    scene.equal(&["texts"])?;
    for set in sets {
        let of = |which: &str| {
            scene.rows(&format!("SELECT hex(c_{set}) || '/' || e_{set} FROM {{texts}} WHERE {which} ORDER BY id"))
        };
        let (by_snapshot, by_binlog) = (of("id < 1000")?, of("id >= 1000")?);
        ensure!(by_snapshot == by_binlog, "{set}: {by_snapshot:?} by snapshot, {by_binlog:?} by binlog");
    }
    Ok(())
}

/// What is written while a snapshot is being loaded arrives, whatever entries the group passes meanwhile.
#[test]
fn changes_that_come_while_a_snapshot_is_loaded_are_not_lost() -> Result<()> {
    const TABLES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    let scene = scene("snapshot_meanwhile").one_shard().start()?;
    for table in TABLES {
        scene.sql(0, &format!("CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, v INT)"))?;
        scene.sql(0, &format!("INSERT INTO {table} (v) VALUES (1), (2), (3)"))?;
    }
    let mut running = scene.start(&["run"])?;
    for round in 0..4 {
        // A new snapshot would bring what the last one lost: each round is compared before the next begins.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(4);
        let write = TABLES.map(|table| {
            format!("INSERT INTO {table} (v) VALUES ({round}); UPDATE {table} SET v = v + 1 WHERE id = 2;")
        });
        let write = format!("{} DO SLEEP(0.02);", write.concat()).repeat(5);
        while std::time::Instant::now() < until {
            scene.sql(0, &write)?;
        }
        scene.becomes_equal(&TABLES, &mut running)?;
        scene.complete(&["snapshot", "--table", &format!("{}.*", scene.name)])?;
    }
    running.terminate(LIMIT)
}
