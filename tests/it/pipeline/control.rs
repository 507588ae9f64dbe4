//! Holding back, letting go and trying again while the program runs.

use anyhow::{Context, Result, ensure};
use tailwater_proof::program::Running;

use super::scene::{Engine, LIMIT, Scene, Setup};

const TABLES: &str =
    "CREATE TABLE orders (id INT PRIMARY KEY, n INT); INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3);
    CREATE TABLE users (id INT PRIMARY KEY, n INT); INSERT INTO users VALUES (1, 1);";

/// What `status` says, while something is held back or parked.
fn status(scene: &Scene) -> Result<serde_json::Value> {
    let said = scene.ends_with(&["status", "--json"], 1)?;
    let object = said.find("{\n  \"pipeline\"").context("no object")?;
    let mut values = serde_json::Deserializer::from_str(&said[object..]).into_iter();
    values.next().context("no object")?.with_context(|| said.clone())
}

/// Changes orders until the running applier says that it holds them back.
fn held(scene: &Scene, running: &mut Running) -> Result<()> {
    let mut id = 1000;
    scene.wait("pause", running, || {
        id += 1;
        scene.sql(0, &format!("INSERT INTO orders VALUES ({id}, 0)"))?;
        Ok(scene.log()?.contains("the table is paused"))
    })
}

/// A paused table stands still in the warehouse while the lake and all others go on, through a restart; then it catches up in order.
#[test]
fn a_paused_table_waits_in_the_lake_and_catches_up() -> Result<()> {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let scene = Setup::new("pausetable").one_shard().begins("snapshot").to(engine).start()?;
        scene.sql(0, TABLES)?;
        let mut running = scene.start(&["run"])?;
        scene.becomes_equal(&["orders", "users"], &mut running)?;
        let pattern = format!("{}.orders", scene.name);
        let said = scene.ends_with(&["pause", "--table", &pattern], 0)?;
        ensure!(said.contains(&format!("tables {pattern} paused (s1:{pattern})")), "{said}");
        held(&scene, &mut running)?;

        let count = || scene.rows("SELECT CAST(count(*) AS TEXT) FROM {orders}");
        let before = count()?;
        scene
            .sql(0, "UPDATE orders SET n = n + 10; DELETE FROM orders WHERE id = 2; INSERT INTO users VALUES (2, 2)")?;
        scene.becomes_equal(&["users"], &mut running)?;
        ensure!(count()? == before, "the paused table moved");
        let told = status(&scene)?;
        let orders = told["tables"].as_array().context("tables")?.iter().find(|t| t["target"] == pattern.as_str());
        let orders = orders.context("no table")?;
        ensure!(
            orders["paused"][0] == format!("s1:{pattern}") && orders["parked"] == serde_json::json!([]),
            "{told:#}"
        );

        // It holds for whoever comes next.
        running.terminate(LIMIT)?;
        let mut running = scene.start(&["run"])?;
        scene.sql(0, "INSERT INTO users VALUES (3, 3); UPDATE orders SET n = 99 WHERE id = 3; ALTER TABLE orders ADD COLUMN more INT DEFAULT 7")?;
        scene.becomes_equal(&["users"], &mut running)?;
        ensure!(count()? == before, "the paused table moved after a restart");

        let said = scene.ends_with(&["resume", "--table", &format!("{}.*", scene.name)], 64)?;
        ensure!(said.contains(&format!("is not paused; paused are: tables {pattern}")), "{said}");
        scene.complete(&["resume", "--table", &pattern])?;
        scene.sql(0, "INSERT INTO orders VALUES (5, 5, 5)")?;
        scene.becomes_equal(&["orders", "users"], &mut running)?;
        running.terminate(LIMIT)?;
        scene.complete(&["status"])?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// The log of a paused shard ends cleanly and the other shard goes on; resumed, nothing is missing.
#[test]
fn a_paused_shard_is_not_read_until_it_is_resumed() -> Result<()> {
    let scene = Setup::new("pauseshard").begins("snapshot").start()?;
    scene.sql_all(TABLES)?;
    let mut running = scene.start(&["run"])?;
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    let said = scene.ends_with(&["pause", "--shard", "s11"], 64)?;
    ensure!(said.contains("no shard is called \\\"s11\\\", did you mean \\\"s1\\\"?"), "{said}");
    scene.complete(&["pause", "--shard", "s1"])?;
    scene.wait("pause", &mut running, || Ok(scene.log()?.contains("the shard is paused")))?;
    scene.sql_all("INSERT INTO orders VALUES (50, 50)")?;
    let of = |shard: &str| {
        scene.rows(&format!("SELECT CAST(id AS TEXT) FROM {{orders}} WHERE id = 50 AND _tw_origin LIKE '{shard}:%'"))
    };
    scene.wait("the other shard", &mut running, || Ok(of("s2")?.len() == 1))?;
    ensure!(of("s1")?.is_empty(), "the paused shard was read");
    let told = status(&scene)?;
    ensure!(told["shards"][0]["paused"].is_i64() && told["shards"][1]["paused"].is_null(), "{told:#}");
    // A run that is to end does not wait for it, and a new process does not read it.
    running.terminate(LIMIT)?;
    scene.once()?;
    ensure!(of("s1")?.is_empty(), "the paused shard was read by a new process");
    let mut running = scene.start(&["run"])?;
    scene.complete(&["resume"])?;
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}

/// A table that was parked while applying goes on without a restart, once its cause is mended.
#[test]
fn a_parked_table_is_tried_again_without_a_restart() -> Result<()> {
    let scene = Setup::new("unpark").one_shard().begins("snapshot").start()?;
    scene.change(&format!("CREATE TABLE {} (x INT)", scene.target("orders")))?;
    scene.sql(0, TABLES)?;
    let mut running = scene.start(&["run"])?;
    scene.wait("park", &mut running, || Ok(scene.log()?.contains("table parked")))?;
    scene.becomes_equal(&["users"], &mut running)?;
    let said = scene.ends_with(&["unpark", "--table", &format!("{}.ordres", scene.name)], 64)?;
    ensure!(said.contains("did you mean \\\"unpark.orders\\\"?"), "{said}");
    scene.change(&format!("DROP TABLE {}", scene.target("orders")))?;
    let said = scene.ends_with(&["unpark", "--table", &format!("{}.*", scene.name)], 0)?;
    ensure!(said.contains("s1:unpark.orders is tried again"), "{said}");
    scene.becomes_equal(&["orders", "users"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.complete(&["status"])
}
