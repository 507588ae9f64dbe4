//! Tables that are copied whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tailwater_proof::workload::seed;

use super::scene::{LIMIT, Scene};

const FULL: &str = "mode = \"full\"";
/// Chunks of a few rows, so that small tables have many.
const SMALL: &str = "[snapshot]\nchunk_rows_max = 10";

pub(super) const ORDERS: &str = "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(40), price DECIMAL(12,2), \
        at TIMESTAMP(3) NULL, kind ENUM('a','ü'), doc JSON);
    INSERT INTO orders (item, price, at, kind, doc) WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 137)
        SELECT CONCAT('é ', i), i / 3, '2026-03-29 02:30:00.125', 1 + i % 2, JSON_OBJECT('n', i) FROM s;
    DELETE FROM orders WHERE id % 7 = 0;";

/// Updates, deletes, moved keys and new rows arrive, two shards feed what their rule says, and nobody needed a binlog.
#[test]
fn a_source_without_binlogs_is_copied_whole_again_and_again() -> Result<()> {
    let scene = Scene::new("full_again", 2, FULL, SMALL)?;
    scene.sql_all(ORDERS)?;
    scene.sql_all("CREATE TABLE nothing (id INT PRIMARY KEY); CREATE TABLE names (name VARCHAR(20) PRIMARY KEY, n INT); INSERT INTO names VALUES ('a', 1), ('é', 2)")?;
    scene.once()?;
    scene.equal(&["orders", "nothing", "names"])?;
    scene.sql(
        0,
        "UPDATE orders SET item = 'new' WHERE id < 20; DELETE FROM orders WHERE id BETWEEN 30 AND 40; UPDATE orders SET id = 1000 WHERE id = 1;
         INSERT INTO orders (id, item) VALUES (2000, 'x'); DELETE FROM names; INSERT INTO nothing VALUES (1)",
    )?;
    scene.once()?;
    scene.equal(&["orders", "nothing", "names"])?;
    scene.complete(&["check"])?;
    ensure!(scene.log().contains("states between two rounds"), "it does not say what it cannot see: {}", scene.log());
    scene.complete(&["status"])
}

/// A table whose rows all change at once is copied while it does, in many chunks and in more bytes than a tick takes.
#[test]
fn readers_see_one_complete_copy_after_another() -> Result<()> {
    let rest = "[snapshot]\nchunk_rows_max = 100\n[limits]\ntick_bytes_max = \"1 MiB\"";
    complete_copies(&Scene::new("full_copies", 1, FULL, rest)?)?;
    complete_copies(&Scene::to_postgres("full_copies_pg", FULL, rest)?)
}

/// Rest of the writer between two generations, and of the reader between two looks: rounds are far slower than both.
const REST: Duration = Duration::from_millis(50);
/// Rows of the table, about a kilobyte each that does not compress well.
const ROWS: u32 = 2500;

fn complete_copies(scene: &Scene) -> Result<()> {
    scene.sql(
        0,
        &format!(
            "SET SESSION cte_max_recursion_depth = 10000;
             CREATE TABLE copies (id INT PRIMARY KEY, generation INT, filler VARCHAR(1024));
             INSERT INTO copies WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < {ROWS})
                 SELECT i, 1, HEX(RANDOM_BYTES(512)) FROM s"
        ),
    )?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writing = scope.spawn(|| -> Result<()> {
            // Half of the keys of a generation are not in the next one: the floor has to go with the rows.
            let step = format!(
                "START TRANSACTION; UPDATE copies SET generation = generation + 1; \
                 UPDATE copies SET id = IF(id > {ROWS}, id - {ROWS}, id + {ROWS}) WHERE id % 2 ORDER BY id DESC; COMMIT"
            );
            while !stop.load(Ordering::Relaxed) {
                scene.sql(0, &step)?;
                thread::sleep(REST);
            }
            Ok(())
        });
        let looked = look_at_copies(scene);
        stop.store(true, Ordering::Relaxed);
        writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        looked
    })?;
    scene.once()?;
    scene.equal(&["copies"])
}

fn look_at_copies(scene: &Scene) -> Result<()> {
    let mut running = scene.start()?;
    let until = Instant::now() + LIMIT;
    let mut generations = std::collections::BTreeSet::new();
    let look = "SELECT CAST(COUNT(*) AS TEXT) || ' ' || CAST(COUNT(DISTINCT generation) AS TEXT) || ' ' || CAST(MIN(generation) AS TEXT) FROM {copies}";
    while generations.len() < 4 {
        ensure!(Instant::now() < until, "only {} copies were seen: {}", generations.len(), scene.log());
        ensure!(running.ended()?.is_none(), "it ended: {}", scene.log());
        thread::sleep(REST);
        // There is no table before the first copy.
        let seen = scene.rows(look).unwrap_or_default();
        let Some(seen) = seen.first().filter(|seen| *seen != "NULL" && !seen.is_empty()) else { continue };
        let parts: Vec<u32> = seen.split(' ').map(str::parse).collect::<Result<_, _>>()?;
        ensure!(parts[..2] == [ROWS, 1], "a reader sees {} rows of {} copies", parts[0], parts[1]);
        generations.insert(parts[2]);
    }
    running.terminate(LIMIT)
}

/// Killed again and again while tables are copied and written to, it ends equal to the source.
#[test]
fn rounds_survive_kills() -> Result<()> {
    let seed = seed("TAILWATER_SEED")?;
    eprintln!("TAILWATER_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rest = "[snapshot]\nchunk_rows_max = 10\n[[table]]\nmatch = \"full_kills.events\"\nmode = \"incremental\"\n\
                [[table]]\nmatch = \"full_kills.states\"\nmode = \"incremental\"\nupdated_at = \"at\"";
    let scene = Scene::new("full_kills", 1, FULL, rest)?;
    scene.sql(0, ORDERS)?;
    scene.sql(
        0,
        "CREATE TABLE events (id INT AUTO_INCREMENT PRIMARY KEY, n INT);
         INSERT INTO events (n) SELECT id FROM orders;
         CREATE TABLE states (id INT PRIMARY KEY, n INT, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, INDEX (at));
         INSERT INTO states (id, n) SELECT id, id FROM orders",
    )?;
    for n in 0..8 {
        let mut running = scene.start()?;
        thread::sleep(Duration::from_millis(random.random_range(0..1800)));
        scene.sql(
            0,
            &format!(
                "UPDATE orders SET item = 'round {n}' WHERE id % 3 = 0; DELETE FROM orders WHERE id = 10 + {n}; \
                 INSERT INTO events (n) SELECT id FROM orders; UPDATE states SET n = n + 1 WHERE id % 8 = {n}"
            ),
        )?;
        running.kill9()?;
    }
    scene.once()?;
    scene.equal(&["orders", "events", "states"])
}

/// Columns come, go and widen, tables vanish and come back, and rights are lost, all between two rounds.
#[test]
fn tables_may_change_between_rounds() -> Result<()> {
    let scene = Scene::new("full_ddl", 1, FULL, SMALL)?;
    scene.sql(0, ORDERS)?;
    scene.sql(0, "CREATE TABLE gone (id INT PRIMARY KEY); INSERT INTO gone VALUES (1), (2); CREATE TABLE hidden (id INT PRIMARY KEY); INSERT INTO hidden VALUES (1)")?;
    scene.once()?;
    scene.sql(
        0,
        "ALTER TABLE orders ADD COLUMN extra BIGINT DEFAULT 7, MODIFY item VARCHAR(200), DROP COLUMN doc; \
         UPDATE orders SET extra = id WHERE id < 50; DROP TABLE gone; CREATE TABLE later (id INT PRIMARY KEY); INSERT INTO later VALUES (5)",
    )?;
    scene.once()?;
    scene.equal(&["later"])?;
    ensure!(scene.rows("SELECT CAST(COUNT(*) AS TEXT) FROM {gone}")? == ["0"], "rows of a dropped table stay");
    ensure!(
        scene.rows("SELECT CAST(COUNT(*) AS TEXT) FROM {orders} WHERE extra = 7 OR (extra = id AND id < 50)")?
            == scene.rows("SELECT CAST(COUNT(*) AS TEXT) FROM {orders}")?
    );
    // Not dropped, only out of sight.
    scene.sql(0, "REVOKE SELECT ON full_ddl.* FROM full_ddl@'%'; GRANT SELECT ON full_ddl.orders TO full_ddl@'%'; GRANT SELECT ON full_ddl.later TO full_ddl@'%'")?;
    scene.ends_with(&["run", "--once"], 4)?;
    ensure!(
        scene.rows("SELECT CAST(COUNT(*) AS TEXT) FROM {hidden}")? == ["1"],
        "rows of a table that is out of sight are gone"
    );
    ensure!(scene.log().contains("GRANT SELECT on it"), "{}", scene.log());
    Ok(())
}
