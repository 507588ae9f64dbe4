//! Pipelines that begin with what their tables have.

use anyhow::{Result, ensure};

use super::{
    scene::{Engine, Scene, Setup},
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
    for engine in Engine::BOTH {
        let scene = scene("bootstrap").to(engine).start()?;
        scene.sql_all(ORDERS)?;
        scene.sql(0, "CREATE TABLE empty (id INT PRIMARY KEY); CREATE TABLE one (id INT PRIMARY KEY); INSERT INTO one VALUES (1)")?;
        scene.once()?;
        scene.equal(&["orders", "empty", "one"])?;
        ensure!(scene.rows("SELECT _tw_op FROM {orders}").is_err(), "targets have no operation");
        scene.sql_all("UPDATE orders SET n = -1 WHERE id < 20; DELETE FROM orders WHERE id BETWEEN 30 AND 40; INSERT INTO orders VALUES (1000, 'new', 0)")?;
        scene.once()?;
        scene.equal(&["orders", "empty", "one"])?;
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

/// Keys of every kind, walked in the server's order: nothing is missing and nothing is doubled.
#[test]
fn chunks_of_any_key_are_gapless() -> Result<()> {
    let keys = [
        (
            "ci",
            "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
            "CONCAT(CHAR(65 + i % 58 USING utf8mb4), 'é', i)",
        ),
        ("bin", "k VARBINARY(20)", "UNHEX(SHA2(i, 224))"),
        ("fixed", "k BINARY(16)", "UNHEX(LEFT(SHA2(i, 224), 2 * (1 + i % 16)))"),
        (
            "latin",
            "k CHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci",
            "CONCAT(CONVERT(UNHEX(HEX(192 + i % 60)) USING latin1), i)",
        ),
        ("utf16", "k VARCHAR(20) CHARACTER SET utf16", "CONCAT('ж', i)"),
        ("big", "k BIGINT UNSIGNED", "18446744073709551615 - i * 99991"),
        ("neg", "k BIGINT", "(i - 100) * 9223372036854775"),
        ("dec", "k DECIMAL(38,18)", "CAST(i AS DECIMAL(38,18)) / 7 + 12345678901234567890"),
        ("dbl", "k DOUBLE", "SQRT(i) * IF(i % 2, 1, -1)"),
        ("flt", "k FLOAT", "SQRT(i) * IF(i % 2, 1, -1)"),
        ("day", "k DATE", "DATE_ADD('1990-01-01', INTERVAL i * 31 DAY)"),
        ("stamp", "k TIMESTAMP(6)", "DATE_ADD('1990-01-01', INTERVAL i * 31000001 MICROSECOND)"),
        ("clock", "k TIME(3)", "SEC_TO_TIME((i - 100) * 3601.001)"),
        ("label", "k ENUM('z','y','x','w','b','a')", ""),
        ("bits", "k BIT(40)", "i * 5000000001"),
    ];
    let scene = scene("snapkeys").one_shard().start()?;
    let mut sql = "SET SESSION cte_max_recursion_depth = 1000;\n".to_owned();
    let series = "WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 203)";
    for (name, key, value) in keys {
        let (columns, value) = match name {
            "label" => ("(k, n)", "1 + i % 6".to_owned()),
            _ => ("(k)", value.to_owned()),
        };
        sql += &format!(
            "CREATE TABLE {name} ({key}, n INT, PRIMARY KEY {columns});\nINSERT INTO {name} {series} SELECT {value}, i FROM s;\n"
        );
    }
    sql += &format!(
        "CREATE TABLE pairs (a VARCHAR(5), b INT UNSIGNED, c DATE, n INT, PRIMARY KEY (b, a, c));\n\
        INSERT INTO pairs {series} SELECT CONCAT('ä', i % 5), i % 3, DATE_ADD('2000-01-01', INTERVAL i DAY), i FROM s;\n\
        CREATE TABLE uniq (n INT, u INT NOT NULL, v CHAR(3) NOT NULL, UNIQUE KEY w (v, u));\n\
        INSERT INTO uniq {series} SELECT i, i % 50, CONCAT('v', i % 7) FROM s;\n\
        SET sql_generate_invisible_primary_key = ON; CREATE TABLE gipk (n INT, t TEXT); INSERT INTO gipk {series} SELECT i, REPEAT('x', i) FROM s;\n"
    );
    scene.sql(0, &sql)?;
    scene.once()?;
    let mut tables: Vec<&str> = keys.iter().map(|(name, ..)| *name).collect();
    tables.extend(["pairs", "uniq", "gipk"]);
    scene.equal(&tables)?;
    Ok(())
}
