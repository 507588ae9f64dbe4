//! `tailwater verify`. The differences are made by hand in the warehouse, behind the pipeline's back.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tailwater_servers::S3;

use super::scene::{Engine, Scene, Setup};
use super::types::{tables_of_types, types};

/// What `verify` answered.
pub(super) struct Answer {
    pub(super) code: i32,
    pub(super) report: Value,
    /// Standard output and standard error as they were.
    pub(super) text: String,
}

/// Runs `tailwater verify --json`.
pub(super) fn verify(scene: &Scene, arguments: &[&str]) -> Result<Answer> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command.args(["verify", "--json"]).args(arguments).current_dir(scene.folder());
    if !arguments.contains(&"--patience") {
        command.args(["--patience", "60s"]);
    }
    command.env("AWS_ACCESS_KEY_ID", S3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", S3::SECRET_KEY);
    let output = command.env("TAILWATER_LOG_LEVEL", "info").output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let report = serde_json::from_str(&out).with_context(|| format!("verify said {out}{err}"))?;
    Ok(Answer { code: output.status.code().unwrap_or(-1), report, text: out + &err })
}

impl Answer {
    pub(super) fn table(&self, name: &str) -> Result<&Value> {
        let tables = self.report["tables"].as_array().context("no tables")?;
        let found = tables.iter().find(|t| t["origin"].as_str().is_some_and(|o| o.ends_with(&format!(".{name}"))));
        found.with_context(|| format!("no table {name} in {}", self.report))
    }

    /// Every table is equal.
    pub(super) fn is_equal(&self) -> Result<()> {
        let tables = self.report["tables"].as_array().context("no tables")?;
        let not: Vec<&Value> = tables.iter().filter(|t| t["outcome"] != "equal").collect();
        ensure!(
            not.is_empty() && self.code == 0,
            "code {}: {:#}",
            self.code,
            Value::from_iter(not.into_iter().cloned())
        );
        Ok(())
    }

    /// Kind, key and columns of each difference of a table.
    pub(super) fn differences(&self, name: &str) -> Result<Vec<String>> {
        let table = self.table(name)?;
        let empty = Vec::new();
        let differences = table["differences"].as_array().unwrap_or(&empty);
        let words = |value: &Value| -> String {
            let list = value.as_array().into_iter().flatten();
            list.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
        };
        let key = |d: &Value| d["key"].as_array().into_iter().flatten().map(|k| k[1].to_string()).collect::<String>();
        Ok(differences
            .iter()
            .map(|d| {
                format!("{} {} {}", d["kind"].as_str().unwrap_or_default(), key(d), words(&d["columns"]))
                    .trim()
                    .to_owned()
            })
            .collect())
    }
}

fn every_type(engine: Engine) -> Result<()> {
    // Values that Redshift cuts are looked at again, which waits for all that the source has written.
    let scene = Setup::new("verify_types").to(engine).one_shard().own_servers().start()?;
    let types = types()?;
    let names = tables_of_types(&scene, &types)?;
    scene.once()?;
    let list: Vec<_> = types.iter().zip(&names).map(|(ty, name)| format!("{name} {}", ty.mysql)).collect();
    let answer = verify(&scene, &[])?;
    answer.is_equal().with_context(|| list.join(", "))?;
    ensure!(answer.report["tables"].as_array().map(Vec::len) == Some(names.len()));
    let long = types.iter().zip(&names).filter(|(ty, _)| ty.mysql == "MEDIUMTEXT");
    let too_long: Vec<String> = long.map(|(_, name)| format!(".{name}")).collect();
    for table in answer.report["tables"].as_array().into_iter().flatten() {
        ensure!(table["rows"].as_u64() > Some(3) && table["in_flight"] == 0, "{table:#}");
        let cut = engine == Engine::Redshift
            && too_long.iter().any(|name| table["origin"].as_str().is_some_and(|o| o.ends_with(name)));
        // Equal by its sums alone, or known to be cut.
        ensure!((table["explained"] == 0) != cut && (table["rows_one_by_one"] == 0) != cut, "{table:#}");
    }
    Ok(())
}

#[test]
fn every_type_is_equal_in_sqlite() -> Result<()> {
    every_type(Engine::Sqlite)
}

#[test]
fn every_type_is_equal_in_postgres() -> Result<()> {
    every_type(Engine::Postgres)
}

/// Rows of the large table; a million by `TAILWATER_TEST_VERIFY_ROWS`.
fn large_rows() -> usize {
    std::env::var("TAILWATER_TEST_VERIFY_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(30_000)
}

/// Fills `big` by doubling.
fn large_table(scene: &Scene, key: &str) -> Result<usize> {
    let rows = large_rows();
    scene.sql(
        0,
        &format!(
            "SET SESSION cte_max_recursion_depth = 100000000;
             CREATE TABLE big ({key}, name VARCHAR(40) NOT NULL, note VARCHAR(40) NULL, price DECIMAL(10,2) NOT NULL,
                               weight DOUBLE NULL, at DATETIME(3) NOT NULL, doc JSON NULL);
             INSERT INTO big SELECT n, CONCAT('name ', n), '', n / 7, n / 3, '2024-01-01' + INTERVAL n SECOND,
               JSON_OBJECT('n', n) FROM (WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows})
               SELECT n FROM s) AS s;"
        ),
    )?;
    Ok(rows)
}

/// One changed value, a NULL for an empty text, one missing and one extra row, in one large table.
fn finds_each(engine: Engine) -> Result<()> {
    let scene = Setup::new("verify_big").to(engine).one_shard().own_servers().start()?;
    let rows = large_table(&scene, "id INT PRIMARY KEY")?;
    scene.once()?;
    verify(&scene, &[])?.is_equal()?;
    let (changed, null, missing) = (rows / 2, rows / 3, rows / 5);
    let target = scene.target("big");
    scene.change(&format!("UPDATE {target} SET price = price + 0.01 WHERE id = {changed}"))?;
    scene.change(&format!("UPDATE {target} SET note = NULL WHERE id = {null}"))?;
    scene.change(&format!("DELETE FROM {target} WHERE id = {missing}"))?;
    scene.change(&format!(
        "INSERT INTO {target} (_tw_origin, _tw_seq, _tw_committed_at, id, name, note, price, weight, at, doc) \
         SELECT _tw_origin, _tw_seq, _tw_committed_at, {rows} + 5, name, note, price, weight, at, doc FROM {target} WHERE id = 1"
    ))?;
    let answer = verify(&scene, &[])?;
    let mut expected = vec![
        format!("missing \"{missing}\""),
        format!("extra \"{}\"", rows + 5),
        format!("changed \"{null}\" note"),
        format!("changed \"{changed}\" price"),
    ];
    expected.sort();
    let mut found = answer.differences("big")?;
    found.sort();
    ensure!(answer.code == 1 && found == expected, "{found:?}\n{}", answer.text);
    let table = answer.table("big")?;
    let (all, single) = (table["rows"].as_u64(), table["rows_one_by_one"].as_u64());
    ensure!(all == Some(rows as u64) && single.is_some_and(|s| s * 100 < rows as u64), "{table:#}");
    // Two statements per range of 20 000 rows, and those that narrow.
    ensure!(table["statements"].as_u64().is_some_and(|s| s <= 2 * (rows as u64 / 20_000 + 1) + 30), "{table:#}");
    // No value but a key's.
    ensure!(!answer.text.contains("name 1") && !answer.text.contains("2024-01"), "{}", answer.text);
    Ok(())
}

#[test]
fn each_difference_in_a_large_table_is_found_in_sqlite() -> Result<()> {
    finds_each(Engine::Sqlite)
}

#[test]
fn each_difference_in_a_large_table_is_found_in_postgres() -> Result<()> {
    finds_each(Engine::Postgres)
}

/// Keys of every kind: ranges, buckets over a walk, buckets over a whole table.
const KEYS: &str = "
CREATE TABLE composite (a INT, b BIGINT, c VARCHAR(10), v INT, PRIMARY KEY (a, b, c));
CREATE TABLE ci (code VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v INT);
CREATE TABLE bin (id BINARY(16) PRIMARY KEY, v INT);
CREATE TABLE wide (id BIGINT UNSIGNED PRIMARY KEY, v INT);
CREATE TABLE label (e ENUM('z', 'a', 'm'), n INT, v INT, PRIMARY KEY (e, n));
CREATE TABLE day (d DATE, t DATETIME(6), v INT, PRIMARY KEY (d, t));
CREATE TABLE uniq (u INT NOT NULL, v INT, UNIQUE KEY (u));
CREATE TABLE float_key (f DOUBLE PRIMARY KEY, v INT);
CREATE TABLE flag (b BIT(1), t TINYINT(1), v INT, PRIMARY KEY (b, t));
INSERT INTO flag VALUES (0, 0, 1), (1, 5, 2), (1, 6, 3);
";

fn keys_of_every_kind(engine: Engine) -> Result<()> {
    let scene = Setup::new("verify_keys").to(engine).one_shard().own_servers().start()?;
    scene.sql(0, KEYS)?;
    let numbers = "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900)";
    let tables = [
        ("composite", "n % 3, n * 1000000007, CONCAT('k', n), n"),
        ("ci", "IF(n % 2, CONCAT('é', n, '\\'\\\\'), CONCAT('Z', n)), n"),
        ("bin", "UNHEX(CONCAT(SHA2(n, 224))) , n"),
        ("wide", "18446744073709551615 - n, n"),
        ("label", "ELT(1 + n % 3, 'z', 'a', 'm'), n, n"),
        ("day", "'2024-01-01' + INTERVAL n DAY, '2024-01-01' + INTERVAL n MICROSECOND, n"),
        ("uniq", "n, n"),
        ("float_key", "n / 7, n"),
    ];
    for (table, columns) in tables {
        let columns = if table == "bin" { "LEFT(UNHEX(SHA2(n, 256)), 16), n" } else { columns };
        scene.sql(0, &format!("INSERT INTO {table} {numbers} SELECT {columns} FROM s;"))?;
    }
    scene.once()?;
    verify(&scene, &[])?.is_equal()?;
    for (table, _) in tables {
        scene.change(&format!("UPDATE {} SET v = v + 1 WHERE v = 450", scene.target(table)))?;
        scene.change(&format!("DELETE FROM {} WHERE v = 7", scene.target(table)))?;
    }
    scene.change(&format!("UPDATE {} SET v = 9 WHERE v = 3", scene.target("flag")))?;
    let answer = verify(&scene, &[])?;
    for (table, _) in tables {
        let found = answer.differences(table)?;
        ensure!(
            found.len() == 2
                && found[0].starts_with("missing")
                && found[1].starts_with("changed")
                && found[1].ends_with(" v"),
            "{table}: {found:?}\n{}",
            answer.text
        );
    }
    ensure!(answer.differences("ci")?[0] == "missing \"é7'\\\\\"", "{:?}", answer.differences("ci")?);
    ensure!(answer.differences("flag")? == ["changed \"1\"\"6\" v"], "{:?}", answer.differences("flag")?);
    // Only what is asked for.
    let one = verify(&scene, &["--table", "*.uniq"])?;
    ensure!(one.report["tables"].as_array().map(Vec::len) == Some(1), "{}", one.text);
    Ok(())
}

#[test]
fn keys_of_every_kind_are_compared_in_sqlite() -> Result<()> {
    keys_of_every_kind(Engine::Sqlite)
}

#[test]
fn keys_of_every_kind_are_compared_in_postgres() -> Result<()> {
    keys_of_every_kind(Engine::Postgres)
}

/// Sharded tables in one target, rows that lie on two shards, deletes that mark and deletes that are ignored.
fn rules_of_targets(engine: Engine) -> Result<()> {
    let scene = Setup::new("verify_rules")
        .to(engine)
        .rule("moved", "target = \"all.moved\"\nkey = \"global\"")
        .rule("part_*", "target = \"all.parts\"")
        .rule("soft", "target = \"all.soft\"\ndeletes = \"soft\"")
        .rule("kept", "target = \"all.kept\"\ndeletes = \"ignore\"")
        .own_servers()
        .start()?;
    for table in ["moved", "part_1", "part_2", "soft", "kept"] {
        scene.sql_all(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(10))"))?;
        for shard in 0..2 {
            let ids = if table == "moved" { [10 * shard + 1, 10 * shard + 2, 100] } else { [1, 2, 3] };
            let row = |id: usize| format!("({id}, '{table}{shard}{id}')");
            scene.sql(shard, &format!("INSERT INTO {table} VALUES {}", ids.map(row).join(", ")))?;
        }
    }
    scene.once()?;
    scene.sql_all(
        "DELETE FROM soft WHERE id = 2; DELETE FROM kept WHERE id = 2; UPDATE part_1 SET v = NULL WHERE id = 1",
    )?;
    scene.once()?;
    let answer = verify(&scene, &[])?;
    answer.is_equal()?;
    ensure!(answer.report["tables"].as_array().map(Vec::len) == Some(10), "{}", answer.text);
    let parts = scene.place("all", "parts");
    scene.change(&format!("UPDATE {parts} SET v = 'x' WHERE id = 3 AND _tw_origin LIKE 's2:%part%1'"))?;
    scene.change(&format!("UPDATE {} SET v = 'x' WHERE id = 3", scene.place("all", "kept")))?;
    let answer = verify(&scene, &[])?;
    let differ: Vec<&str> = answer.report["tables"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|t| t["outcome"] == "differs")
        .filter_map(|t| t["origin"].as_str())
        .collect();
    let name = &scene.name;
    let expected = [format!("s1:{name}.kept"), format!("s2:{name}.kept"), format!("s2:{name}.part_1")];
    ensure!(answer.code == 1 && differ == expected, "{differ:?}\n{}", answer.text);
    let one = verify(&scene, &["--shard", "s1", "--table", "*.part_*"])?;
    one.is_equal()?;
    ensure!(one.report["tables"].as_array().map(Vec::len) == Some(2), "{}", one.text);
    Ok(())
}

#[test]
fn rules_of_targets_are_respected_in_sqlite() -> Result<()> {
    rules_of_targets(Engine::Sqlite)
}

#[test]
fn rules_of_targets_are_respected_in_postgres() -> Result<()> {
    rules_of_targets(Engine::Postgres)
}

#[test]
fn rules_of_targets_are_respected_in_redshift() -> Result<()> {
    rules_of_targets(Engine::Redshift)
}

/// PostgreSQL cannot hold U+0000: no difference, but counted.
#[test]
fn what_a_policy_changed_is_no_difference() -> Result<()> {
    let scene = Setup::new("verify_policy").to(Engine::Postgres).one_shard().own_servers().start()?;
    scene.sql(
        0,
        "CREATE TABLE old (id INT PRIMARY KEY, t VARCHAR(20) CHARACTER SET latin1);
         INSERT INTO old VALUES (1, x'41e9'), (2, 'fine'), (3, CONCAT('a', CHAR(0), 'b'));",
    )?;
    scene.once()?;
    let answer = verify(&scene, &[])?;
    let table = answer.table("old")?;
    ensure!(table["outcome"] == "equal" && table["explained"] == 1, "{}", answer.text);
    Ok(())
}

/// While rows are inserted, updated and deleted, nothing but what was broken by hand is different.
fn under_load(engine: Engine) -> Result<()> {
    let scene = Setup::new("verify_load").to(engine).one_shard().own_servers().start()?;
    large_table(&scene, "id INT PRIMARY KEY")?;
    scene.once()?;
    let mut running = scene.start(&["run"])?;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| -> Result<()> {
            let mut round = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let rows = (0..300).map(|n| {
                    let id = (round * 7919 + n * 104_729) % 25_000 + 1000;
                    format!(
                        "UPDATE big SET price = {round}, name = 'r{round}' WHERE id = {id}; \
                         REPLACE INTO big VALUES ({n}, 'hot', NULL, {round}, 1, NOW(3), NULL); DELETE FROM big WHERE id = {n} + 27000;"
                    )
                });
                scene.sql(0, &rows.collect::<String>())?;
            }
            Ok(())
        });
        let checked = (|| -> Result<()> {
            verify(&scene, &["--at", "now"])?.is_equal()?;
            scene.change(&format!("UPDATE {} SET weight = 1 WHERE id = 700", scene.target("big")))?;
            let answer = verify(&scene, &[])?;
            let found = answer.differences("big")?;
            ensure!(answer.code == 1 && found == ["changed \"700\" weight"], "{found:?}\n{}", answer.text);
            Ok(())
        })();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        checked
    })?;
    running.terminate(super::scene::LIMIT)
}

#[test]
fn rows_in_flight_are_no_differences_in_sqlite() -> Result<()> {
    under_load(Engine::Sqlite)
}

#[test]
fn rows_in_flight_are_no_differences_in_postgres() -> Result<()> {
    under_load(Engine::Postgres)
}

/// A table that does not arrive is told as such, and the exit code says that nothing is known.
#[test]
fn what_cannot_be_compared_is_told() -> Result<()> {
    let scene = Setup::new("verify_not").one_shard().own_servers().start()?;
    scene.sql(
        0,
        "CREATE TABLE fine (id INT PRIMARY KEY); INSERT INTO fine VALUES (1);
         CREATE TABLE gone (id INT PRIMARY KEY); INSERT INTO gone VALUES (1);",
    )?;
    scene.once()?;
    scene.sql(0, "ALTER TABLE fine ADD COLUMN later INT DEFAULT 5; DROP TABLE gone")?;
    let answer = verify(&scene, &[])?;
    ensure!(answer.code == 5 && answer.table("fine")?["outcome"] == "equal", "{}", answer.text);
    ensure!(answer.table("fine")?["notes"].to_string().contains("column later is new"), "{}", answer.text);
    let reason = answer.table("gone")?["reason"].to_string();
    ensure!(reason.contains("the source has no such table any more"), "{reason}");
    // A position that the warehouse does not reach, because nobody applies.
    scene.sql(0, "INSERT INTO fine (id) VALUES (2)")?;
    let answer = verify(&scene, &["--table", "*.fine", "--at", "now", "--patience", "2s"])?;
    let reason = answer.table("fine")?["reason"].to_string();
    ensure!(answer.code == 5 && reason.contains("did not reach the source's position"), "{}", answer.text);
    Ok(())
}

/// `--repair` reads the rows that differ anew, by a running extractor, and the warehouse has them afterwards.
fn repairs(engine: Engine) -> Result<()> {
    let scene =
        Setup::new("verify_repair").to(engine).rule("soft", "target = \"all.soft\"\ndeletes = \"soft\"").start()?;
    let tables = [
        ("plain", "id INT PRIMARY KEY, v VARCHAR(20) NULL, at TIMESTAMP(3) NULL"),
        ("soft", "id INT PRIMARY KEY, v VARCHAR(20) NULL, at TIMESTAMP(3) NULL"),
        (
            "ci",
            "id VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v VARCHAR(20) NULL, at TIMESTAMP(3) NULL",
        ),
        ("pair", "id DECIMAL(12,3), b VARBINARY(4), v VARCHAR(20), at TIMESTAMP(3) NULL, PRIMARY KEY (id, b)"),
    ];
    for (table, columns) in tables {
        scene.sql_all(&format!("CREATE TABLE {table} ({columns})"))?;
        let second = if table == "pair" { "x'00ff', " } else { "" };
        let rows = (1..=300).map(|n| format!("({n}, {second}'v{n}', '2024-01-01 00:00:00.123')"));
        scene.sql_all(&format!("INSERT INTO {table} VALUES {}", rows.collect::<Vec<_>>().join(", ")))?;
    }
    scene.once()?;
    let mut running = scene.start(&["run"])?;
    let answer = verify(&scene, &["--at", "now"])?;
    answer.is_equal()?;
    let origin = "_tw_origin LIKE 's1%'";
    for (table, _) in tables {
        let place = if table == "soft" { scene.place("all", "soft") } else { scene.target(table) };
        // Decimals are text in SQLite.
        let is = |id: u32| if table == "ci" { format!("id = '{id}'") } else { format!("CAST(id AS DECIMAL) = {id}") };
        scene.change(&format!("UPDATE {place} SET v = 'broken' WHERE {} AND {origin}", is(5)))?;
        scene.change(&format!("DELETE FROM {place} WHERE {} AND {origin}", is(7)))?;
        // A row that the source does not have, of the same age.
        let (new, columns, values) = match table {
            "ci" => ("'zz'", "id, v", "v"),
            "pair" => ("'999.500'", "id, b, v", "b, v"),
            _ => ("999", "id, v", "v"),
        };
        let soft = if table == "soft" { ("_tw_deleted, ", "_tw_deleted, ") } else { ("", "") };
        scene.change(&format!(
            "INSERT INTO {place} (_tw_origin, _tw_seq, _tw_committed_at, {}{columns}) \
             SELECT _tw_origin, _tw_seq, _tw_committed_at, {}{new}, {values} FROM {place} WHERE {} AND {origin}",
            soft.0,
            soft.1,
            is(9)
        ))?;
    }
    let answer = verify(&scene, &["--repair"])?;
    for (table, _) in tables {
        let found = answer.differences(table)?;
        ensure!(found.len() == 3, "{table}: {found:?}\n{}", answer.text);
    }
    let after = answer.report["after_repair"]["tables"].as_array().context("no result after the repair")?;
    ensure!(answer.code == 0 && after.len() == 4 && after.iter().all(|t| t["outcome"] == "equal"), "{}", answer.text);
    running.terminate(super::scene::LIMIT)?;
    scene.equal(&["plain", "ci", "pair"])?;
    // Of each table two rows came as updates and one went: rows of a snapshot would be passed over by an origin that catches up.
    let ops = ["i", "u", "d", "s"].map(|op| rows_of(&scene, "s1", op));
    let ops: Vec<u64> = ops.into_iter().collect::<Result<_>>()?;
    ensure!(ops == [1200, 8, 4, 0], "{ops:?}");
    scene.log_is_whole()
}

/// Rows with an operation in all files that a shard's log names.
fn rows_of(scene: &Scene, shard: &str, op: &str) -> Result<u64> {
    let mut rows = 0;
    // A bucket's folder is the pipeline's own.
    let lake = scene.lake();
    let own = Some(lake.join(&scene.name)).filter(|folder| folder.is_dir()).unwrap_or(lake);
    for entry in std::fs::read_dir(own.join("log").join(shard))? {
        let entry: Value = serde_json::from_slice(&std::fs::read(entry?.path())?)?;
        let steps = entry["steps"].as_array().into_iter().flatten();
        rows += steps.filter_map(|step| step["ops"][op].as_u64()).sum::<u64>();
    }
    Ok(rows)
}

#[test]
fn what_differs_is_repaired_in_sqlite() -> Result<()> {
    repairs(Engine::Sqlite)
}

#[test]
fn what_differs_is_repaired_in_postgres() -> Result<()> {
    repairs(Engine::Postgres)
}

#[test]
fn what_differs_is_repaired_in_redshift() -> Result<()> {
    repairs(Engine::Redshift)
}

#[test]
fn every_type_is_equal_in_redshift() -> Result<()> {
    every_type(Engine::Redshift)
}

#[test]
fn each_difference_in_a_large_table_is_found_in_redshift() -> Result<()> {
    finds_each(Engine::Redshift)
}

#[test]
fn keys_of_every_kind_are_compared_in_redshift() -> Result<()> {
    keys_of_every_kind(Engine::Redshift)
}

/// `run` compares by itself, and `status` tells up to where.
#[test]
fn run_compares_in_the_background() -> Result<()> {
    let scene = Setup::new("verify_round").one_shard().lines("[verify]\npause = \"1s\"").start()?;
    scene.sql(0, "CREATE TABLE t (id INT PRIMARY KEY, v INT); INSERT INTO t VALUES (1, 1), (2, 2)")?;
    scene.once()?;
    let mut running = scene.start(&["run"])?;
    let mut last = String::new();
    scene.wait("a comparison", &mut running, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
        let output = command.args(["status", "--json"]).current_dir(scene.folder()).output()?;
        last = String::from_utf8(output.stdout)?;
        Ok(last.contains("\"verified\""))
    })?;
    let status: Value = serde_json::from_str(&last)?;
    let verified = &status["tables"][0]["verified"][0];
    ensure!(verified["origin"].as_str().is_some_and(|o| o.ends_with(".t")), "{status:#}");
    ensure!(
        verified["position"].as_str().is_some_and(|p| !p.is_empty()) && verified["entry"].as_u64() > Some(0),
        "{status:#}"
    );
    scene.change(&format!("UPDATE {} SET v = 7 WHERE id = 1", scene.target("t")))?;
    scene.wait("a warning", &mut running, || Ok(scene.log()?.contains("source and warehouse differ")))?;
    ensure!(!scene.log()?.contains("id = 1"), "a key stands in the log");
    running.terminate(super::scene::LIMIT)
}
