//! Transactions of every kind: whole or not at all, and within bounded memory.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::scene::{Engine, LIMIT, Setup};

/// Rows of one transaction; set to 5000000 for the large proof (with a release build).
const BIG_ROWS: &str = "TAILWATER_BIG_ROWS";
const BIG_ROWS_DEFAULT: u64 = 200_000;
/// Most memory of the process while it copies a transaction of any size, in KiB: 32 MiB of batches, files that are being made
/// or merged, and the program itself.
const MEMORY_MAX_KIB: u64 = 300 << 10;

#[test]
fn an_xa_transaction_counts_when_it_is_committed() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("xa").to(engine).one_shard().start()?;
        let prepare = |xid: &str, rows: &str| {
            let xid = format!("'{}-{xid}','branch',7", scene.name);
            scene.sql(0, &format!("XA START {xid}; {rows}; XA END {xid}; XA PREPARE {xid};"))
        };
        let decide = |xid: &str, how: &str| scene.sql(0, &format!("XA {how} '{}-{xid}','branch',7;", scene.name));
        scene.sql(
            0,
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); CREATE TABLE u LIKE t; INSERT INTO t VALUES (1, 'before'), (2, 'before'), (3, 'before')",
        )?;
        prepare(
            "commit",
            "INSERT INTO t VALUES (10, 'xa'); UPDATE t SET v = 'xa' WHERE id = 1; INSERT INTO u VALUES (1, 'xa')",
        )?;
        prepare("rollback", "INSERT INTO t VALUES (20, 'xa'); DELETE FROM t WHERE id = 2")?;
        prepare("late", "INSERT INTO t VALUES (30, 'xa'); DELETE FROM t WHERE id = 3")?;
        scene.sql(0, "INSERT INTO t VALUES (40, 'after the prepare')")?;
        // The process ends with branches undecided; the rows wait in the lake.
        scene.once()?;
        scene.equal(&["t"])?;
        decide("commit", "COMMIT")?;
        decide("rollback", "ROLLBACK")?;
        scene.sql(0, "UPDATE t SET v = 'last' WHERE id = 10")?;
        scene.once()?;
        scene.equal(&["t", "u"])?;
        // Twice over a restart, and one phase; prepared and decided within one run.
        scene.sql(0, &format!("XA START '{0}-one'; INSERT INTO t VALUES (50, 'one phase'); XA END '{0}-one'; XA COMMIT '{0}-one' ONE PHASE;", scene.name))?;
        prepare("quick", "UPDATE t SET v = 'quick' WHERE id = 50")?;
        scene.once()?;
        scene.equal(&["t", "u"])?;
        decide("quick", "COMMIT")?;
        decide("late", "COMMIT")?;
        // The name may be used again.
        prepare("commit", "UPDATE t SET v = 'again' WHERE id = 10")?;
        decide("commit", "COMMIT")?;
        scene.once()?;
        scene.equal(&["t", "u"])?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// What one transaction wrote to two tables is never seen by halves.
#[test]
fn tables_of_one_transaction_change_together() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("together").to(engine).one_shard().start()?;
        scene.sql(0, "CREATE TABLE a (id INT PRIMARY KEY, n INT); CREATE TABLE b LIKE a; INSERT INTO a VALUES (0, 0); INSERT INTO b VALUES (0, 0);")?;
        let mut running = scene.start(&["run"])?;
        scene.becomes_equal(&["a", "b"], &mut running)?;
        std::thread::scope(|scope| -> Result<()> {
            let load = scope.spawn(|| -> Result<()> {
                for round in 0..15 {
                    let pairs: String = (1..=10)
                        .map(|n| {
                            let id = round * 10 + n;
                            format!("BEGIN; INSERT INTO a VALUES ({id}, {id}); INSERT INTO b VALUES ({id}, {id}); UPDATE a SET n = n + 1 WHERE id = 0; UPDATE b SET n = n + 1 WHERE id = 0; COMMIT;\n")
                        })
                        .collect();
                    scene.sql(0, &pairs)?;
                }
                Ok(())
            });
            let sums = "SELECT CAST((SELECT COUNT(*) FROM {a}) - (SELECT COUNT(*) FROM {b}) AS TEXT) || ' ' || \
                        CAST((SELECT n FROM {a} WHERE id = 0) - (SELECT n FROM {b} WHERE id = 0) AS TEXT) || ' ' || \
                        CAST((SELECT COUNT(*) FROM {a}) AS TEXT)";
            scene.wait("all rows", &mut running, || {
                // SQLite is locked for moments.
                let Ok(rows) = scene.rows(sums) else { return Ok(false) };
                let row = rows.first().context("no sums")?;
                ensure!(row.starts_with("0 0 "), "half a transaction is visible: {row}");
                Ok(row == "0 0 151")
            })?;
            load.join().expect("the load panicked")
        })?;
        running.terminate(LIMIT)?;
        scene.equal(&["a", "b"])?;
    }
    Ok(())
}

#[test]
fn savepoints_and_compressed_transactions_arrive_as_committed() -> Result<()> {
    let scene = Setup::new("savepoints").one_shard().start()?;
    scene.sql(
        0,
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200)); CREATE TABLE noted (id INT PRIMARY KEY) ENGINE=MyISAM;
         BEGIN; INSERT INTO t VALUES (1, 'kept'); SAVEPOINT a; INSERT INTO t VALUES (2, 'undone'); UPDATE t SET v = 'undone' WHERE id = 1;
           ROLLBACK TO a; INSERT INTO t VALUES (3, 'kept'); SAVEPOINT b; INSERT INTO t VALUES (4, 'kept'); RELEASE SAVEPOINT b; COMMIT;
         BEGIN; INSERT INTO t VALUES (5, 'undone'); ROLLBACK;
         BEGIN; INSERT INTO t VALUES (6, 'kept'); SAVEPOINT `we``ird`; INSERT INTO t VALUES (7, 'undone'); ROLLBACK TO `we``ird`; COMMIT;
         INSERT INTO noted VALUES (1), (2); UPDATE noted SET id = id + 10; DELETE FROM noted WHERE id = 11;",
    )?;
    scene.once()?;
    scene.equal(&["t", "noted"])?;
    scene.sql(
        0,
        "SET SESSION binlog_transaction_compression = ON;
         SET SESSION cte_max_recursion_depth = 100000;
         BEGIN; INSERT INTO t WITH RECURSIVE n AS (SELECT 100 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5099) SELECT i, REPEAT('x', i % 200) FROM n;
           UPDATE t SET v = 'changed' WHERE id BETWEEN 200 AND 300; DELETE FROM t WHERE id BETWEEN 4000 AND 4500; COMMIT;
         BEGIN; SAVEPOINT s; INSERT INTO t VALUES (50000, 'undone'); ROLLBACK TO s; INSERT INTO t VALUES (50001, 'kept'); COMMIT;
         SET SESSION binlog_transaction_compression = OFF; INSERT INTO t VALUES (60000, 'plain');
         SET SESSION binlog_transaction_compression = ON; UPDATE t SET v = 'last' WHERE id = 60000;
         XA START 'savepoints-zip'; INSERT INTO t VALUES (70000, 'xa'); XA END 'savepoints-zip'; XA PREPARE 'savepoints-zip'; XA COMMIT 'savepoints-zip';",
    )?;
    scene.once()?;
    scene.equal(&["t", "noted"])
}

/// However many rows a transaction has, the memory that it takes stays the same.
#[test]
fn a_transaction_larger_than_memory_passes_with_flat_memory() -> Result<()> {
    let rows = match std::env::var(BIG_ROWS) {
        Ok(text) => text.parse().with_context(|| format!("{BIG_ROWS} is no number"))?,
        Err(_) => BIG_ROWS_DEFAULT,
    };
    let scene = Setup::new("big")
        .one_shard()
        .own_servers()
        .lines("[limits]\nbatch_memory = \"32MiB\"\nbatch_bytes_max = \"8MiB\"\ntick_bytes_max = \"16MiB\"")
        .start()?;
    scene.sql(
        0,
        &format!(
            "CREATE TABLE t (id INT PRIMARY KEY, n BIGINT, c CHAR(120), pad VARCHAR(100)); CREATE TABLE small (id INT PRIMARY KEY);
             SET SESSION cte_max_recursion_depth = {rows};
             BEGIN; INSERT INTO small VALUES (1);
             INSERT INTO t WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                SELECT i, i * 7, CONCAT(SHA2(i, 256), SHA2(i, 224)), SHA2(-i, 256) FROM n;
             UPDATE t SET n = n + 1 WHERE id % 100 = 0; DELETE FROM t WHERE id % 1000 = 0; INSERT INTO small VALUES (2); COMMIT;"
        ),
    )?;
    let mut running = scene.start(&["run", "--once"])?;
    let mut most = 0;
    let status = loop {
        if let Some(status) = running.ended()? {
            break status;
        }
        most = most.max(peak_kib(running.pid()).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    ensure!(status.success(), "{status}:\n{}", scene.log()?);
    eprintln!("{rows} rows: at most {} MiB", most >> 10);
    ensure!(most > 0 && most < MEMORY_MAX_KIB, "the process took {} MiB", most >> 10);
    scene.equal(&["t", "small"])?;
    scene.log_is_whole()
}

/// Most memory that a process has had so far, in KiB; `None` when it is gone.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}
