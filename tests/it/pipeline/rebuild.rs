//! Tables of the warehouse made anew from the lake: equal to what they were, or would have been.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::scene::{Engine, Scene, Setup};

/// Rows of one target, all columns and the system's, in order.
fn dump(scene: &Scene, table: &str, columns: &[&str]) -> Result<Vec<String>> {
    let text = |c: &&str| match *c {
        "_tw_deleted" => "CASE WHEN _tw_deleted THEN 'deleted' ELSE 'live' END".to_owned(),
        c => format!("COALESCE(CAST({c} AS VARCHAR(200)), 'null')"),
    };
    let system = ["_tw_origin", "_tw_seq"];
    let all: Vec<String> = system.iter().chain(columns).map(text).collect();
    let mut rows = scene.rows(&format!("SELECT {} FROM {{{table}}}", all.join(" || '|' || ")))?;
    rows.sort_unstable();
    Ok(rows)
}

/// `rebuild`, and an applier that has nothing else to do.
fn rebuild(scene: &Scene, table: &str) -> Result<String> {
    scene.complete(&["rebuild", "--table", &format!("{}.{table}", scene.name)])?;
    let said = scene.ends_with(&["apply", "--once"], 0)?;
    ensure!(said.contains("the table was rebuilt"), "{said}");
    let waiting = scene.lake().join(&scene.name).join("rebuilds");
    let waiting = fs::read_dir(waiting).map(Iterator::count).unwrap_or_default();
    ensure!(waiting == 0, "a request waits that is fulfilled");
    Ok(said)
}

/// Private tables that a rebuild may have left behind.
fn shadows(scene: &Scene, engine: Engine) -> Result<Vec<String>> {
    scene.rows(match engine {
        Engine::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '\\_tailwater\\_rebuild%' ESCAPE '\\'",
        _ => "SELECT table_name FROM information_schema.tables WHERE table_schema = '_tailwater' AND table_name LIKE 'rebuild%'",
    })
}

const ORDERS: &str = "CREATE TABLE orders (id INT PRIMARY KEY, item VARCHAR(40), n INT);
    INSERT INTO orders VALUES (1, 'one', 1), (2, 'two', 2), (3, NULL, 3), (4, 'four', 4), (5, 'five', 5);
    CREATE TABLE logs (id BIGINT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(40));
    INSERT INTO logs (line) VALUES ('a'), ('b'), ('c');
    CREATE TABLE late (id INT PRIMARY KEY, n INT); INSERT INTO late VALUES (1, 1), (2, 2);";

/// Snapshot, changes, an added column with a default, a wider one, TRUNCATE, DROP of a table on one shard.
fn history(scene: &Scene) -> Result<()> {
    scene.sql_all(ORDERS)?;
    scene.once()?;
    scene.sql_all("UPDATE orders SET n = n * 10 WHERE id < 3; DELETE FROM orders WHERE id = 4; INSERT INTO orders VALUES (6, 'six', 6)")?;
    scene.once()?;
    // One shard is altered; the other one's rows get the default of the target.
    scene.sql(0, "ALTER TABLE orders ADD COLUMN kind VARCHAR(10) NOT NULL DEFAULT 'old'; INSERT INTO orders VALUES (7, 'seven', 7, 'new')")?;
    scene.sql(1, "INSERT INTO orders VALUES (8, 'eight', 8)")?;
    scene.sql(0, "TRUNCATE TABLE logs; INSERT INTO logs (line) VALUES ('after')")?;
    scene.once()?;
    scene.sql(0, "ALTER TABLE orders MODIFY n BIGINT; UPDATE orders SET n = 5000000000 WHERE id = 7")?;
    scene.sql(1, "DROP TABLE late")?;
    scene.once()
}

#[test]
fn a_damaged_table_is_what_it_was() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("rebuild").to(engine).begins("snapshot").start()?;
        history(&scene)?;
        let orders = || dump(&scene, "orders", &["id", "item", "n", "kind"]);
        let others =
            || Ok::<_, anyhow::Error>((dump(&scene, "logs", &["id", "line"])?, dump(&scene, "late", &["id", "n"])?));
        let (before, others_before) = (orders()?, others()?);
        ensure!(
            before.len() == 12 && others_before.0.len() == 4 && others_before.1.len() == 2,
            "{before:?} {others_before:?}"
        );
        let target = scene.target("orders");
        let view = scene.target("six");
        scene.change(&format!("CREATE VIEW {view} AS SELECT item FROM {target} WHERE id = 6"))?;
        scene.change(&format!("DELETE FROM {target} WHERE id IN (1, 8)"))?;
        scene.change(&format!("UPDATE {target} SET item = 'spoilt', n = 0 WHERE id > 2"))?;
        scene.change(&format!("DELETE FROM {} WHERE id < 3", scene.target("logs")))?;
        scene.change(&format!("UPDATE {} SET n = 77", scene.target("late")))?;
        ensure!(orders()? != before);
        let said = rebuild(&scene, "*")?;
        ensure!(orders()? == before, "{:?} instead of {before:?}\n{said}", orders()?);
        ensure!(others()? == others_before, "{:?}\n{said}", others()?);
        ensure!(scene.rows("SELECT item FROM {six}")? == ["six", "six"], "{engine:?}: the view shows other rows");
        ensure!(shadows(&scene, engine)?.is_empty(), "{:?}", shadows(&scene, engine)?);
        // It goes on as if nothing had been.
        scene.sql(1, "ALTER TABLE orders ADD COLUMN kind VARCHAR(10) NOT NULL DEFAULT 'old', MODIFY n BIGINT")?;
        scene.sql_all("UPDATE orders SET n = -1 WHERE id = 2; DELETE FROM orders WHERE id = 6")?;
        scene.once()?;
        scene.equal(&["orders", "logs"])?;
    }
    Ok(())
}

/// Tombstones and rows that wait beside the shown ones are made anew, too: the next change finds what it would have found.
#[test]
fn what_shards_share_and_what_was_deleted_come_back() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("rebuild_moves")
            .to(engine)
            .begins("snapshot")
            .rule("parcels", "key = \"global\"\nupdated_at = \"updated_at\"\ndeletes = \"soft\"")
            .rule("kept", "deletes = \"ignore\"")
            .start()?;
        scene.sql_all(
            "CREATE TABLE parcels (id INT PRIMARY KEY, v VARCHAR(20), updated_at DATETIME(6) NULL);
             CREATE TABLE kept (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO kept VALUES (1, 'a'), (2, 'b');",
        )?;
        scene.sql(0, "INSERT INTO parcels VALUES (1, 'here', '2024-01-01'), (2, 'moves', '2024-01-01'), (3, 'goes', '2024-01-01'), (4, 'both', '2024-01-01')")?;
        scene.once()?;
        scene.sql(1, "INSERT INTO parcels VALUES (2, 'there', '2024-01-02'), (4, 'newer', '2024-01-02')")?;
        scene.once()?;
        scene.sql(0, "DELETE FROM parcels WHERE id IN (2, 3)")?;
        scene.sql_all("DELETE FROM kept WHERE id = 1; UPDATE kept SET v = 'c' WHERE id = 2; TRUNCATE kept")?;
        scene.once()?;
        let dumps = || -> Result<_> {
            let shown = dump(&scene, "parcels", &["id", "v", "_tw_deleted"])?;
            Ok((shown, dump(&scene, "kept", &["id", "v"])?))
        };
        let before = dumps()?;
        ensure!(before.0.len() == 4 && before.1.len() == 4, "{before:?}");
        for table in ["parcels", "kept"] {
            scene.change(&format!("UPDATE {} SET v = 'spoilt'", scene.target(table)))?;
        }
        rebuild(&scene, "*")?;
        ensure!(dumps()? == before, "{:?} instead of {before:?}", dumps()?);
        // What waited beside the shown row takes its place.
        scene.sql(1, "DELETE FROM parcels WHERE id = 4")?;
        scene.once()?;
        ensure!(scene.rows("SELECT v FROM {parcels} WHERE id = 4")? == ["both"], "{engine:?}");
    }
    Ok(())
}

/// What somebody else made of the table, and what the configuration makes of it.
#[test]
fn a_table_that_was_dropped_or_has_another_key_is_made_anew() -> Result<()> {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let scene = Setup::new("rebuild_shape").to(engine).begins("snapshot").rule("parcels", "").start()?;
        scene.sql(
            0,
            "CREATE TABLE parcels (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO parcels VALUES (1, 'a'), (2, 'b')",
        )?;
        scene
            .sql(1, "CREATE TABLE parcels (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO parcels VALUES (3, 'c')")?;
        scene.once()?;
        let target = scene.target("parcels");
        scene.change(&format!("CREATE VIEW {} AS SELECT id FROM {target} WHERE v = 'a'", scene.target("seen")))?;
        scene.change(&format!("CREATE INDEX others ON {target} (v)"))?;
        // Another key and other deletes than it was made with.
        let file = scene.folder().join("tailwater.toml");
        let configured = fs::read_to_string(&file)?;
        let rule = format!("match = \"{}.parcels\"", scene.name);
        fs::write(&file, configured.replace(&rule, &format!("{rule}\nkey = \"global\"\ndeletes = \"soft\"")))?;
        scene.sql(0, "INSERT INTO parcels VALUES (4, 'd')")?;
        let said = scene.ends_with(&["run", "--once"], 4)?;
        ensure!(said.contains("tailwater rebuild"), "{said}");
        rebuild(&scene, "parcels")?;
        scene.sql(1, "DELETE FROM parcels WHERE id = 3")?;
        scene.once()?;
        let rows = dump(&scene, "parcels", &["id", "v", "_tw_deleted"])?;
        ensure!(rows.len() == 4 && scene.rows("SELECT v FROM {parcels} WHERE _tw_deleted")? == ["c"], "{rows:?}");
        ensure!(scene.rows("SELECT CAST(id AS VARCHAR(9)) FROM {seen}")? == ["1"]);
        let indexes = match engine {
            Engine::Sqlite => "SELECT name FROM sqlite_schema WHERE name = 'others'",
            _ => "SELECT indexname::text FROM pg_indexes WHERE indexname = 'others'",
        };
        ensure!(scene.rows(indexes)? == ["others"], "{engine:?}: the index is gone");
        // Dropped by somebody else.
        scene.change(&format!("DROP VIEW {}", scene.target("seen")))?;
        scene.change(&format!("DROP TABLE {target}"))?;
        scene.sql(0, "UPDATE parcels SET v = 'e' WHERE id = 4")?;
        let said = scene.ends_with(&["run", "--once"], 4)?;
        ensure!(said.contains("dropped by somebody else"), "{said}");
        rebuild(&scene, "parcels")?;
        scene.ends_with(&["status"], 0)?;
        ensure!(
            dump(&scene, "parcels", &["id"])?.len() == 4
                && scene.rows("SELECT v FROM {parcels} WHERE id = 4")? == ["e"]
        );
    }
    Ok(())
}

/// Rows that are not in the lake cannot come from there.
#[test]
fn what_the_lake_lacks_is_refused() -> Result<()> {
    let scene = Setup::new("rebuild_refused").one_shard().rule("bare", "no_key = \"park\"").start()?;
    scene.sql(0, "CREATE TABLE bare (n INT); INSERT INTO bare VALUES (1); CREATE TABLE good (id INT PRIMARY KEY); INSERT INTO good VALUES (1)")?;
    scene.ends_with(&["run", "--once"], 4)?;
    let said = scene.ends_with(&["rebuild", "--table", "*.bare"], 4)?;
    ensure!(said.contains("tailwater snapshot"), "{said}");
    let said = scene.ends_with(&["rebuild", "--table", "*.nothing"], 64)?;
    ensure!(said.contains("no table in the lake matches *.nothing"), "{said}");
    scene.complete(&["rebuild", "--table", "*.good"])?;
    scene.complete(&["rebuild", "--table", "*.good"])?;
    ensure!(scene.log()?.contains("was asked for before"), "{}", scene.log()?);
    // A column of somebody else's would lose its values: the table stays as it is.
    scene.change(&format!("ALTER TABLE {} ADD COLUMN note TEXT DEFAULT 'mine'", scene.target("good")))?;
    let said = scene.ends_with(&["apply", "--once"], 0)?;
    ensure!(
        said.contains("the rebuild was given up") && said.contains("column note was added by somebody else"),
        "{said}"
    );
    ensure!(scene.rows("SELECT note FROM {good}")? == ["mine"]);
    ensure!(shadows(&scene, Engine::Sqlite)?.is_empty());
    Ok(())
}

/// Killed again and again while the sources go on: the table shows what it showed or what is right, and the rebuild ends.
#[test]
fn it_goes_on_where_it_was_killed() -> Result<()> {
    let scene = Setup::new("rebuild_killed").begins("snapshot").lines("[snapshot]\nchunk_rows_max = 200").start()?;
    scene.sql_all(
        "SET SESSION cte_max_recursion_depth = 100000; CREATE TABLE big (id INT PRIMARY KEY, v VARCHAR(100), n INT);
         INSERT INTO big WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 12000)
             SELECT i, REPEAT(SHA2(i, 256), 1), 0 FROM s;",
    )?;
    scene.once()?;
    for n in 1..6 {
        scene.sql_all(&format!("UPDATE big SET n = {n} WHERE id % 5 = {n} - 1"))?;
        scene.once()?;
    }
    scene.change(&format!("UPDATE {} SET n = -1 WHERE id % 3 = 0", scene.target("big")))?;
    scene.complete(&["rebuild", "--table", &format!("{}.big", scene.name)])?;
    let mut killed = 0;
    for n in 0..8 {
        let mut running = scene.start(&["run"])?;
        let before = scene.log()?.len();
        let begun = || -> Result<bool> {
            let said = scene.log()?.split_off(before);
            Ok(said.contains("the lake is read for a rebuild")
                || said.contains("a rebuild goes on")
                || said.contains("was rebuilt"))
        };
        scene.wait("a rebuild", &mut running, begun)?;
        scene.sql_all(&format!(
            "UPDATE big SET n = 100 + {n} WHERE id % 100 = {n}; INSERT INTO big VALUES (20000 + {n}, 'new', 0)"
        ))?;
        if scene.log()?.contains("the table was rebuilt") {
            drop(running);
            break;
        }
        running.kill9()?;
        killed += 1;
    }
    scene.once()?;
    let log = scene.log()?;
    ensure!(log.contains("the table was rebuilt") && killed > 0, "killed {killed} times\n{log}");
    scene.equal(&["big"]).with_context(|| log)?;
    ensure!(shadows(&scene, Engine::Sqlite)?.is_empty());
    scene.log_is_whole()?;
    Ok(())
}
