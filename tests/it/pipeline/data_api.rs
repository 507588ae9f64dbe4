//! Redshift without a network path to it: what one call of the Data API takes is bounded, what changes is not.

use std::fmt::Write as _;

use anyhow::{Result, ensure};

use super::scene::{Engine, Setup};

/// Tables that change in every transaction: two and a half times what a batch takes.
const TABLES: usize = 40;

/// One statement for each table, in one transaction.
fn of_all(statement: impl Fn(usize) -> String) -> String {
    let mut text = "START TRANSACTION;\n".to_owned();
    (0..TABLES).for_each(|n| _ = writeln!(text, "{};", statement(n)));
    text + "COMMIT;"
}

#[test]
#[ignore = "40 targets take more than the bound of one run to be made on a busy machine"]
fn more_tables_change_than_one_batch_of_the_data_api_takes() -> Result<()> {
    let scene = Setup::new("wide").to(Engine::Redshift).one_shard().start()?;
    let names: Vec<String> = (0..TABLES).map(|n| format!("t{n:02}")).collect();
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.sql_all(&of_all(|n| format!("CREATE TABLE t{n:02} (id INT PRIMARY KEY, n INT)")))?;
    scene.sql_all(&of_all(|n| format!("INSERT INTO t{n:02} VALUES (0, 0), (1, 1), (2, {n})")))?;
    // The targets are made over a connection, which takes a tenth of the time.
    scene.once()?;
    scene.turn_to_data_api()?;
    scene.sql_all(&of_all(|n| format!("INSERT INTO t{n:02} VALUES (3, {n})")))?;
    scene.sql_all(&of_all(|n| format!("UPDATE t{n:02} SET n = n + 1 WHERE id <> 1")))?;
    // Columns with values for the rows of before take statements of their own.
    scene.sql_all("ALTER TABLE t01 ADD COLUMN a INT NOT NULL DEFAULT 7, ADD COLUMN b INT DEFAULT 8")?;
    scene.sql_all(&of_all(|n| format!("DELETE FROM t{n:02} WHERE id = 1")))?;
    let before = scene.executed().len();
    scene.once()?;
    scene.equal(&tables)?;
    let executed = scene.executed();
    let commits = executed.iter().skip(before).filter(|s| s.text.starts_with("LOCK TABLE")).count();
    println!("{TABLES} tables: {commits} writing transactions");
    let log = scene.log()?;
    ensure!(!log.contains("parked: it stays"), "{log}");
    scene.log_is_whole()
}
