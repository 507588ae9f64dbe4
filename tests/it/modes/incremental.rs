//! Tables that are asked for what is new.

use std::fs;

use anyhow::{Result, ensure};
use mysql_async::prelude::Queryable;
use tailwater_proof::compare::{Table, Warehouse, compare};
use tailwater_proof::program::Program;
use tailwater_proof::workload::Shard;
use tailwater_servers::MariaDb;
use tokio::runtime::Runtime;

use super::scene::{LIMIT, Scene};

const INCREMENTAL: &str = "mode = \"incremental\"";
const SMALL: &str = "[snapshot]\nchunk_rows_max = 10";

/// A table whose rows say when they were changed, in seconds: many of them at once.
const STATES: &str = "SET SESSION cte_max_recursion_depth = 10000;
    CREATE TABLE states (id INT PRIMARY KEY, n INT, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, INDEX (at));
    INSERT INTO states (id, n) WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 203) SELECT i, i FROM s;";

fn by_time(name: &str) -> String {
    format!(
        "{SMALL}\n[[table]]\nmatch = \"{name}.states\"\nupdated_at = \"at\"\n[[table]]\nmatch = \"{name}.local\"\nupdated_at = \"at\""
    )
}

fn files(scene: &Scene) -> Result<usize> {
    let mut folders = vec![scene.folder().join("lake")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => files += usize::from(path.extension().is_some_and(|end| end == "parquet")),
            }
        }
    }
    Ok(files)
}

/// By a column of the server's own zone without an index, by one of UTC with many ties, and by the key; two shards, one target each.
#[test]
fn new_and_changed_rows_arrive_and_known_ones_do_not() -> Result<()> {
    let scene = Scene::new("incr_again", 2, INCREMENTAL, &by_time("incr_again"))?;
    scene.sql_all(STATES)?;
    scene.sql_all(
        "CREATE TABLE local (name VARCHAR(20) PRIMARY KEY, n INT, at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6));
         INSERT INTO local (name, n) SELECT CONCAT('é', id), id FROM states;
         CREATE TABLE events (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20)); INSERT INTO events (what) SELECT n FROM states;",
    )?;
    let tables = ["states", "local", "events"];
    scene.once()?;
    scene.equal(&tables)?;
    let change = "UPDATE states SET n = -n WHERE id % 3 = 0; REPLACE INTO states (id, n) SELECT id + 1000, 0 FROM states WHERE id < 30;
         UPDATE local SET n = -n WHERE n % 5 = 0; REPLACE INTO local (name, n) VALUES ('new', 1); INSERT INTO events (what) SELECT n FROM states;";
    scene.sql_all(change)?;
    scene.once()?;
    scene.equal(&tables)?;
    // What the overlap brings again is in the log already.
    scene.once()?;
    let before = files(&scene)?;
    scene.once()?;
    ensure!(files(&scene)? == before, "rows that the log has were written again");
    scene.sql(0, change)?;
    scene.once()?;
    scene.equal(&tables)?;
    // Deletes are not seen, and a snapshot mends that.
    scene.sql_all("DELETE FROM states WHERE id < 10; DELETE FROM events WHERE id < 10")?;
    scene.once()?;
    ensure!(scene.equal(&["states"]).is_err());
    scene.complete(&["snapshot", "--table", "incr_again.*"])?;
    scene.once()?;
    scene.equal(&tables)
}

/// Transactions that are open while a round reads, with times and keys in front of those that it sees.
#[test]
fn rows_that_commit_late_are_found() -> Result<()> {
    let scene = Scene::new("incr_late", 1, INCREMENTAL, &by_time("incr_late"))?;
    scene.sql(0, STATES)?;
    scene.sql(
        0,
        "CREATE TABLE events (id INT AUTO_INCREMENT PRIMARY KEY, n INT); INSERT INTO events (n) VALUES (1), (2)",
    )?;
    scene.once()?;
    let runtime = Runtime::new()?;
    let mut conn = runtime.block_on(scene.connection(0))?;
    let mut late = |sql: String| runtime.block_on(conn.query_drop(sql));
    for round in 0..3 {
        late("START TRANSACTION".to_owned())?;
        late(format!("INSERT INTO events (n) VALUES ({round}), ({round})"))?;
        late(format!("UPDATE states SET n = 1000 + {round} WHERE id = 5"))?;
        scene.sql(
            0,
            &format!("INSERT INTO events (n) VALUES (100); UPDATE states SET n = {round} WHERE id BETWEEN 50 AND 90"),
        )?;
        scene.once()?;
        ensure!(scene.equal(&["states"]).is_ok(), "what is open is not there");
        late("COMMIT".to_owned())?;
        scene.once()?;
        scene.equal(&["states"])?;
    }
    // The mark moves over what is older than the overlap, and what comes behind it is found.
    scene.reconfigure("overlap = \"1h\"", "overlap = \"1s\"")?;
    let mut running = scene.start()?;
    for n in 0..3 {
        scene.sql(0, &format!("INSERT INTO events (n) VALUES ({n})"))?;
        scene.becomes_equal(&["events", "states"])?;
    }
    running.terminate(LIMIT)
}

/// Rows that were read before a column came have values in it that nobody has read.
#[test]
fn a_column_that_comes_makes_the_table_be_read_anew() -> Result<()> {
    let scene = Scene::new("incr_ddl", 1, INCREMENTAL, &by_time("incr_ddl"))?;
    scene.sql(0, STATES)?;
    scene.once()?;
    scene.sql(0, "ALTER TABLE states ADD COLUMN word VARCHAR(9) NOT NULL DEFAULT 'old'; INSERT INTO states (id, n, word) VALUES (5000, 1, 'new')")?;
    scene.once()?;
    scene.equal(&["states"])?;
    scene.sql(0, "ALTER TABLE states MODIFY n BIGINT, MODIFY word VARCHAR(90); UPDATE states SET n = 1 << 40, word = REPEAT('x', 50) WHERE id < 9")?;
    scene.once()?;
    scene.equal(&["states"])?;
    scene.sql(0, "ALTER TABLE states DROP COLUMN at")?;
    scene.ends_with(&["run", "--once"], 4)?;
    ensure!(
        scene.log().contains("no column \\\"at\\\"") || scene.log().contains("no column \"at\""),
        "{}",
        scene.log()
    );
    Ok(())
}

/// What a column or a key cannot tell is said before anything is copied.
#[test]
fn check_names_what_is_not_seen() -> Result<()> {
    let scene = Scene::new("incr_check", 1, INCREMENTAL, &by_time("incr_check"))?;
    scene.sql(
        0,
        "CREATE TABLE states (id INT PRIMARY KEY, at DATETIME NULL); CREATE TABLE events (id VARCHAR(9) PRIMARY KEY); \
         CREATE TABLE local (id INT PRIMARY KEY, at TIMESTAMP(6) NOT NULL DEFAULT NOW(6) ON UPDATE NOW(6), INDEX (at))",
    )?;
    scene.complete(&["check"])?;
    let said = scene.log();
    for text in [
        "has no index",
        "lacks ON UPDATE CURRENT_TIMESTAMP",
        "may be NULL",
        "counts whole seconds",
        "is not AUTO_INCREMENT",
        "not seen in incr_check.local, incr_check.states: deletes",
        "not seen in incr_check.events: updates and deletes",
    ] {
        ensure!(said.contains(text), "{text:?} is missing:\n{said}");
    }
    let plan = scene.ends_with(&["plan"], 0)?;
    for text in ["its binlog is not followed", "ask for what is new", "not seen: deletes"] {
        ensure!(plan.contains(text), "{text:?} is missing:\n{plan}");
    }
    scene.sql(0, "ALTER TABLE states CHANGE at at_ INT")?;
    scene.ends_with(&["check"], 1).map(drop)
}

#[test]
fn mariadb_without_a_binlog_is_asked() -> Result<()> {
    let server = MariaDb::start(&["--skip-log-bin"])?;
    server.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE orders (id INT PRIMARY KEY, name VARCHAR(20)); \
         INSERT INTO orders SELECT seq, CONCAT('é', seq) FROM seq_1_to_137; \
         CREATE TABLE states (id INT PRIMARY KEY, n INT, at DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), KEY (at)); \
         INSERT INTO states (id, n) SELECT seq, seq FROM seq_1_to_99; \
         CREATE USER reader IDENTIFIED BY 'p'; GRANT SELECT ON shop.* TO reader;",
    )?;
    let folder = tempfile::tempdir()?;
    let url = format!("mysql://reader:p@{}", server.address());
    fs::write(
        folder.path().join("tailwater.toml"),
        format!(
            "[[source]]\nurl = \"{url}\"\nmode = \"full\"\n[lake]\nurl = \"./lake\"\nflush_interval = \"200ms\"\n[warehouse]\ntick = \"200ms\"\n\
             url = \"sqlite:warehouse.db\"\n[snapshot]\nchunk_rows_max = 10\n[[table]]\nmatch = \"shop.states\"\nmode = \"incremental\"\n\
             updated_at = \"at\"\n[[table]]\nmatch = \"shop.*\"\n"
        ),
    )?;
    let program =
        Program::new(env!("CARGO_BIN_EXE_tailwater"), folder.path()).log_to(folder.path().join("tailwater.log"));
    let shards = [Shard { name: "s1".into(), url: server.url() }];
    let warehouse = Warehouse::Sqlite(folder.path().join("warehouse.db"));
    let tables =
        ["orders", "states"].map(|name| Table { database: "shop".into(), name: name.into(), global_key: false });
    let runtime = Runtime::new()?;
    for change in [
        "",
        "DELETE FROM shop.orders WHERE id < 30; UPDATE shop.orders SET id = id + 1000 WHERE id > 100; UPDATE shop.states SET n = 0 WHERE id % 3 = 0",
    ] {
        server.sql(change)?;
        program.complete(&["run", "--once"], LIMIT)?;
        let report = runtime.block_on(compare(&shards, &warehouse, &tables))?;
        ensure!(report.is_equal(), "they differ:\n{report}");
    }
    Ok(())
}
