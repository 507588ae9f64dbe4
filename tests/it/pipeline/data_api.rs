//! Redshift without a network path to it: what one call of the Data API takes is bounded, what changes is not.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::scene::{LIMIT, Setup};

/// Tables that change in every transaction: two and a half times what a batch takes.
const TABLES: usize = 40;

/// One statement for each table, in one transaction.
fn of_all(statement: impl Fn(usize) -> String) -> String {
    let mut text = "START TRANSACTION;\n".to_owned();
    (0..TABLES).for_each(|n| _ = writeln!(text, "{};", statement(n)));
    text + "COMMIT;"
}

#[test]
fn more_tables_change_than_one_batch_of_the_data_api_takes() -> Result<()> {
    let scene = Setup::new("wide").by_data_api().start()?;
    let names: Vec<String> = (0..TABLES).map(|n| format!("t{n:02}")).collect();
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &tables {
        scene.sql_all(&format!("CREATE TABLE {name} (id INT PRIMARY KEY, n INT)"))?;
    }
    let mut running = scene.start(&["run"])?;
    for id in 0..3 {
        scene.sql_all(&of_all(|n| format!("INSERT INTO t{n:02} VALUES ({id}, {id}), ({id} + 10, {n})")))?;
        scene.sql_all(&of_all(|n| format!("UPDATE t{n:02} SET n = n + 1 WHERE id <= {id}")))?;
    }
    scene.becomes_equal(&tables, &mut running)?;
    // A column with a value for the rows of before, on every table and shard at once, and rows behind it.
    for name in &tables {
        scene
            .sql_all(&format!("ALTER TABLE {name} ADD COLUMN a INT NOT NULL DEFAULT 7, ADD COLUMN b INT DEFAULT 8"))?;
    }
    scene.sql_all(&of_all(|n| format!("DELETE FROM t{n:02} WHERE id = 1")))?;
    scene.sql_all(&of_all(|n| format!("INSERT INTO t{n:02} VALUES (99, 1, 2, 3)")))?;
    scene.becomes_equal(&tables, &mut running)?;
    running.terminate(LIMIT)?;
    let log = scene.log()?;
    ensure!(!log.contains("parked"), "{log}");
    scene.log_is_whole()
}
