//! Tables change their shape while they are copied.

use anyhow::{Result, ensure};

use super::scene::{Engine, LIMIT, Setup};

/// Columns are added on one shard after the other while rows go on; old rows get what MySQL gave them.
#[test]
fn columns_added_during_the_run_have_the_values_of_the_source() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("added").to(engine).start()?;
        scene.sql_all(
            "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10)); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL);",
        )?;
        let mut running = scene.start(&["run"])?;
        scene.becomes_equal(&["t"], &mut running)?;
        const ALTER: &str = "SET sql_mode = '';
            ALTER TABLE t ADD COLUMN lit INT NOT NULL DEFAULT 7, ADD COLUMN txt VARCHAR(20) DEFAULT 'it''s \\\\ ж',
                ADD COLUMN nul DATETIME(3) NULL, ADD COLUMN implicit INT NOT NULL, ADD COLUMN words VARCHAR(9) NOT NULL,
                ADD COLUMN dec_ DECIMAL(12,4) DEFAULT -1.5, ADD COLUMN flag TINYINT(1) NOT NULL DEFAULT 1,
                ADD COLUMN day DATE DEFAULT '2024-02-29', ADD COLUMN at DATETIME NOT NULL DEFAULT '2024-01-02 03:04:05',
                ADD COLUMN e ENUM('x','y') DEFAULT 'y', ADD COLUMN big BIGINT UNSIGNED DEFAULT 18446744073709551615,
                ADD COLUMN first_ DOUBLE DEFAULT 0.25 FIRST, ADD COLUMN after_ INT DEFAULT 3 AFTER id;";
        for shard in 0..2 {
            scene.sql(shard, ALTER)?;
            scene.sql(shard, "SET sql_mode = ''; INSERT INTO t (id, a, nul, words) VALUES (10, 'new', '2024-05-06 07:08:09.123', 'w'); DELETE FROM t WHERE id = 2;")?;
            // The other shard has the old shape in the first round.
            scene.sql(1 - shard, "SET sql_mode = ''; INSERT INTO t (id, a) SELECT 20 + COUNT(*), 'other' FROM t")?;
        }
        scene.becomes_equal(&["t"], &mut running)?;
        // Nothing but the DDL and later rows: old rows untouched.
        scene.sql_all(
            "ALTER TABLE t ADD COLUMN late VARCHAR(5) NOT NULL DEFAULT 'late'; UPDATE t SET a = 'x' WHERE id = 1;",
        )?;
        scene.becomes_equal(&["t"], &mut running)?;
        running.terminate(LIMIT)?;
        scene.log_is_whole()?;
    }
    Ok(())
}

#[test]
fn widened_and_dropped_columns_are_followed() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("widened").to(engine).start()?;
        // Redshift alters no column of a key: there it is made wide.
        scene.sql_all(
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(5), n SMALLINT, m INT UNSIGNED, d DECIMAL(6,2), f FLOAT, gone INT NOT NULL);
             INSERT INTO t VALUES (1, 'short', -32768, 4294967295, 1234.56, 0.5, 9), (2, NULL, NULL, NULL, NULL, NULL, 8);",
        )?;
        scene.once()?;
        scene.equal(&["t"])?;
        scene.sql_all(
            "ALTER TABLE t MODIFY v VARCHAR(500), MODIFY n INT, MODIFY m BIGINT, MODIFY d DECIMAL(20,2), MODIFY f DOUBLE;
             INSERT INTO t VALUES (3, REPEAT('x', 500), 2147483647, 9223372036854775807, 123456789012345678.91, 1e300, 7);
             ALTER TABLE t MODIFY id BIGINT; INSERT INTO t VALUES (9223372036854775807, 'big', 1, 1, 1, 1, 1);
             UPDATE t SET v = 'touched' WHERE id = 1;",
        )?;
        scene.once()?;
        scene.equal(&["t"])?;
        scene.sql_all("ALTER TABLE t DROP COLUMN gone, DROP COLUMN n; INSERT INTO t VALUES (4, 'without', 1, 1, 1); DELETE FROM t WHERE id = 2;")?;
        scene.once()?;
        scene.equal(&["t"])?;
        // Dropped columns stay, with what they had.
        let query = "SELECT CAST(id AS TEXT) || '=' || COALESCE(CAST(gone AS TEXT), 'NULL') FROM {t} WHERE _tw_origin LIKE 's1:%' ORDER BY id";
        ensure!(scene.rows(query)? == ["1=9", "3=7", "4=NULL", "9223372036854775807=1"]);
        // A column of that name that comes again has its own values.
        scene.sql_all("ALTER TABLE t ADD COLUMN gone INT NOT NULL DEFAULT 5; UPDATE t SET f = 2 WHERE id = 3; INSERT INTO t (id) VALUES (5)")?;
        scene.once()?;
        scene.equal(&["t"])?;
    }
    Ok(())
}

/// The key of a table outgrows INT while rows go on: on Redshift, which alters no column of a key, too.
#[test]
fn a_key_grows_under_load_on_redshift() -> Result<()> {
    let scene = Setup::new("key_grows").to(Engine::Redshift).start()?;
    scene.sql_all("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)")?;
    let mut running = scene.start(&["run"])?;
    let load = |from: u32, to: u32| {
        (from..to).try_for_each(|n| {
            scene.sql_all(&format!(
                "INSERT INTO t (n) VALUES ({n}), ({n}); UPDATE t SET n = n + 1 WHERE id % 5 = {n} % 5; \
                 DELETE FROM t WHERE id = {n};"
            ))
        })
    };
    load(0, 20)?;
    scene.becomes_equal(&["t"], &mut running)?;
    // One shard after the other, with rows of both types in one tick.
    for shard in 0..2 {
        scene.sql(shard, "ALTER TABLE t MODIFY id BIGINT AUTO_INCREMENT, AUTO_INCREMENT = 3000000000")?;
        load(20, 40)?;
    }
    scene.becomes_equal(&["t"], &mut running)?;
    running.terminate(LIMIT)?;
    scene.log_is_whole()
}

#[test]
fn truncated_dropped_and_recreated_tables_are_followed() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("floors").to(engine).start()?;
        scene.sql_all(
            "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10) NOT NULL); INSERT INTO t VALUES (1, 'a'), (2, 'b');
             CREATE TABLE d (id INT PRIMARY KEY, a INT NOT NULL); INSERT INTO d VALUES (1, 1), (2, 2);
             CREATE TABLE same_batch (id INT PRIMARY KEY); INSERT INTO same_batch VALUES (1); TRUNCATE same_batch; INSERT INTO same_batch VALUES (2);",
        )?;
        scene.once()?;
        scene.equal(&["t", "d", "same_batch"])?;
        // On one shard only: the other's rows stay.
        scene.sql(0, "TRUNCATE TABLE t")?;
        scene.once()?;
        scene.equal(&["t", "d"])?;
        scene.sql(0, "INSERT INTO t VALUES (2, 'again'), (3, 'c'); TRUNCATE t; INSERT INTO t VALUES (3, 'd');")?;
        scene.sql_all("DROP TABLE d; CREATE TABLE d (b VARCHAR(30), id INT PRIMARY KEY); INSERT INTO d VALUES ('other', 1), ('shape', 7);")?;
        scene.once()?;
        scene.equal(&["t", "d", "same_batch"])?;
        scene.sql(1, "DROP TABLE d")?;
        scene.once()?;
        let origins = "SELECT DISTINCT _tw_origin FROM {d}";
        ensure!(scene.rows(origins)? == [format!("s1:{}.d", scene.name)]);
        // Moved away and back under its name: MySQL moves rows without events.
        scene.sql(0, "CREATE TABLE d2 LIKE d; RENAME TABLE d TO old_d, d2 TO d; INSERT INTO d VALUES ('fresh', 9);")?;
        scene.once()?;
        let rows = scene.rows("SELECT b FROM {d} ORDER BY id")?;
        ensure!(rows == ["fresh"], "{rows:?}");
    }
    Ok(())
}

/// gh-ost and pt-online-schema-change copy a table to a shadow and swap the two.
#[test]
fn a_table_swapped_by_a_schema_change_tool_goes_on() -> Result<()> {
    let scene = Setup::new("ghost").one_shard().start()?;
    scene.sql(
        0,
        "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(10)); INSERT INTO t VALUES (1, 'a'), (2, 'b');
         CREATE TABLE same (id INT PRIMARY KEY, a VARCHAR(10)); INSERT INTO same VALUES (1, 'a'), (2, 'b');",
    )?;
    scene.once()?;
    scene.sql(
        0,
        "CREATE TABLE _t_gho LIKE t; ALTER TABLE _t_gho ADD COLUMN n INT NULL; INSERT INTO _t_gho (id, a) SELECT id, a FROM t;
         RENAME TABLE t TO _t_del, _t_gho TO t; DROP TABLE _t_del; INSERT INTO t VALUES (3, 'c', 5); UPDATE t SET n = 6 WHERE id = 1;
         CREATE TABLE _same_new LIKE same; INSERT INTO _same_new SELECT * FROM same;
         RENAME TABLE same TO _same_old, _same_new TO same; INSERT INTO same VALUES (3, 'c'); DELETE FROM same WHERE id = 1;",
    )?;
    scene.once()?;
    scene.equal(&["t", "same"])?;
    let known = scene.log()?;
    ensure!(
        known.contains("stale in the warehouse until a new snapshot"),
        "the swap's new column is not told:\n{known}"
    );
    let status = scene.ends_with(&["status"], 1)?;
    ensure!(status.contains(&format!("s1:{}.t needs a snapshot", scene.name)), "{status}");
    // The shadows are never copied.
    let tables =
        scene.rows("SELECT name FROM sqlite_master WHERE name LIKE '%gho' OR name LIKE '%\\_new' ESCAPE '\\'")?;
    ensure!(tables.is_empty(), "{tables:?}");
    Ok(())
}

/// A change that the target cannot follow stops that table alone, and is told by the exit code.
#[test]
fn an_incompatible_change_parks_its_table_and_no_other() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("parked").to(engine).start()?;
        scene.sql_all(
            "CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1, 1);
             CREATE TABLE other (id INT PRIMARY KEY, a INT); INSERT INTO other VALUES (1, 1);",
        )?;
        scene.once()?;
        scene.sql(
            0,
            "ALTER TABLE t MODIFY a VARCHAR(20); INSERT INTO t VALUES (2, 'words'); INSERT INTO other VALUES (2, 2);",
        )?;
        scene.sql(1, "INSERT INTO other VALUES (3, 3)")?;
        let said = scene.ends_with(&["run", "--once"], 4)?;
        ensure!(said.contains("column a ") && said.contains("rebuild the table") && said.contains("parked"), "{said}");
        scene.equal(&["other"])?;
        let status = scene.ends_with(&["status"], 1)?;
        let parked = format!("s1:{}.t parked: ", scene.name);
        ensure!(status.contains(&parked) && status.contains("column a was int and became varchar"), "{status}");
        // It stays parked, and is told so, until it is mended; others go on.
        scene.sql_all("INSERT INTO other VALUES (5, 5)")?;
        scene.ends_with(&["run", "--once"], 4)?;
        scene.equal(&["other"])?;
        // The other shard's rows of the parked target are still the old ones: nothing half applied.
        let rows = scene.rows("SELECT _tw_origin || ' ' || CAST(id AS TEXT) FROM {t} ORDER BY 1")?;
        ensure!(rows == [format!("s1:{}.t 1", scene.name), format!("s2:{}.t 1", scene.name)], "{rows:?}");
    }
    Ok(())
}
