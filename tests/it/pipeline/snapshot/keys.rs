//! Keys of every kind, walked in the server's order and compared in ranges of it: nothing is missing and nothing is doubled.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use tailwater_servers::MariaDb;

use super::{
    super::{
        scene::{Engine, Scene, Setup},
        verify::verify,
    },
    SMALL,
};

/// Name, declaration of the key column `k`, value of row `i`; rows are 1 to 83.
type Key = (&'static str, &'static str, &'static str);

/// Keys that MySQL and MariaDB both have.
const KEYS: &[Key] = &[
    ("bin", "k VARBINARY(30)", "UNHEX(SHA2(i, 224))"),
    ("fixed", "k BINARY(16)", "UNHEX(LEFT(SHA2(i, 224), 2 * (4 + i % 13)))"),
    ("zeros", "k VARBINARY(12)", "CONCAT(UNHEX(HEX(4096 + i DIV 4)), REPEAT(x'00', i % 4))"),
    (
        "latin",
        "k CHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci",
        "CONCAT(CONVERT(UNHEX(HEX(192 + i % 60)) USING latin1), i)",
    ),
    (
        "german2",
        "k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci",
        "CONCAT(i DIV 3, ELT(1 + i % 3, 'ss', 'ae', 'öu'))",
    ),
    (
        "pad",
        "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        "CONCAT(CHAR(97 + i % 26), i, REPEAT(' ', i % 3))",
    ),
    ("sjis", "k VARCHAR(20) CHARACTER SET sjis", "CONCAT('日本', i)"),
    ("utf16", "k VARCHAR(20) CHARACTER SET utf16", "CONCAT('ж', i)"),
    ("unsigned64", "k BIGINT UNSIGNED", "18446744073709551615 - i * 99991"),
    ("across", "k BIGINT UNSIGNED", "CAST(9223372036854775767 AS UNSIGNED) + i"),
    ("sparse", "k BIGINT", "(i - 100) * 9223372036854775"),
    ("tiny", "k TINYINT", "i - 104"),
    ("num", "k DECIMAL(38,18)", "CAST(i AS DECIMAL(38,18)) / 7 + 12345678901234567890"),
    ("cents", "k DECIMAL(5,2)", "(i - 100) / 7"),
    ("dbl", "k DOUBLE", "SQRT(i) * IF(i % 2, 1, -1)"),
    ("scales", "k DOUBLE", "POW(10, i * 3 - 306) * IF(i % 2, 1, -1)"),
    ("flt", "k FLOAT", "SQRT(i) * IF(i % 2, 1, -1)"),
    ("yr", "k YEAR", "IF(i = 1, 0, 1900 + i)"),
    ("day", "k DATE", "DATE_ADD('1990-01-01', INTERVAL i * 31 DAY)"),
    ("moment", "k DATETIME(3)", "DATE_ADD('1000-01-01', INTERVAL i * 31000001 SECOND)"),
    ("stamp", "k TIMESTAMP(6)", "DATE_ADD('1990-01-01', INTERVAL i * 31000001 MICROSECOND)"),
    ("clock", "k TIME(3)", "SEC_TO_TIME((i - 100) * 3601.001)"),
    ("flags", "k SET('a','b','c','d','e','f','g','h')", "1 + i"),
    ("bits", "k BIT(40)", "i * 5000000001"),
];

/// Collations that MySQL alone has.
const OF_MYSQL: &[Key] = &[
    ("ci", "k VARCHAR(20) COLLATE utf8mb4_0900_ai_ci", "CONCAT(CHAR(65 + i % 58 USING utf8mb4), 'é', i)"),
    ("as_cs", "k VARCHAR(20) COLLATE utf8mb4_0900_as_cs", "CONCAT(ELT(1 + i % 4, 'a', 'A', 'ä', 'Ä'), i DIV 4)"),
    ("blanks", "k VARCHAR(20) COLLATE utf8mb4_0900_bin", "CONCAT('k', i DIV 4, REPEAT(' ', i % 4))"),
];

/// Those of MariaDB.
const OF_MARIADB: &[Key] = &[
    ("ci", "k VARCHAR(20) COLLATE utf8mb4_uca1400_ai_ci", "CONCAT(CHAR(65 + i % 58 USING utf8mb4), 'é', i)"),
    ("as_cs", "k VARCHAR(20) COLLATE utf8mb4_uca1400_as_cs", "CONCAT(ELT(1 + i % 4, 'a', 'A', 'ä', 'Ä'), i DIV 4)"),
    (
        "blanks",
        "k VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        "CONCAT('k', i DIV 4, REPEAT(' ', i % 4))",
    ),
];

const SERIES: &str = "WITH RECURSIVE s AS (SELECT 1 i UNION ALL SELECT i + 1 FROM s WHERE i < 83)";

/// Tables with keys of several columns, of a prefix, of a unique key, of labels.
const OTHERS: &[(&str, &str, &str)] = &[
    (
        "pairs",
        "a VARCHAR(5), b INT UNSIGNED, c DATE, n INT, PRIMARY KEY (b, a, c)",
        "CONCAT('ä', i % 5), i % 3, DATE_ADD('2000-01-01', INTERVAL i DAY), i",
    ),
    (
        "four",
        "a CHAR(3) CHARACTER SET latin1, b SET('x','y'), c DECIMAL(6,3), d TIME(2), n INT, PRIMARY KEY (a, b, c, d)",
        "ELT(1 + i % 2, 'Ab', 'ac'), 1 + i % 3, (i % 5) / 8, SEC_TO_TIME(i), i",
    ),
    ("label", "k ENUM('z','y','x','w','b','a'), m INT, n INT, PRIMARY KEY (k, m)", "1 + i % 6, i, i"),
    ("front", "k TEXT, n INT, PRIMARY KEY (k(20))", "CONCAT('key ', i, REPEAT('é', i)), i"),
    ("blobs", "k BLOB, n INT, PRIMARY KEY (k(9))", "CONCAT(i * 7, x'00ff'), i"),
    ("uniq", "n INT, u INT NOT NULL, v CHAR(3) NOT NULL, UNIQUE KEY w (v, u)", "i, i % 50, CONCAT('v', i % 7)"),
];

/// Makes the tables; returns their names.
fn make(scene: &Scene, own: &[Key]) -> Result<Vec<&'static str>> {
    let mut sql = "SET sql_mode = '';\n".to_owned();
    let mut names = Vec::new();
    for (name, key, value) in KEYS.iter().chain(own) {
        sql += &format!(
            "CREATE TABLE {name} ({key}, n INT, PRIMARY KEY (k));\nINSERT INTO {name} {SERIES} SELECT {value}, i FROM s;\n"
        );
        names.push(*name);
    }
    for (name, columns, values) in OTHERS {
        sql += &format!("CREATE TABLE {name} ({columns});\nINSERT INTO {name} {SERIES} SELECT {values} FROM s;\n");
        names.push(*name);
    }
    scene.sql(0, &sql)?;
    Ok(names)
}

/// Read in chunks of ten rows, equal by other means, proven equal by checksums; then a row that is changed and one that is missing
/// in each are found.
fn every_key(setup: Setup, own: &[Key]) -> Result<()> {
    let scene = setup.begins("snapshot").lines(SMALL).start()?;
    let names = make(&scene, own)?;
    scene.once()?;
    scene.equal(&names)?;
    let pattern = format!("{}.*", scene.name);
    let all = ["--table", pattern.as_str()];
    verify(&scene, &all)?.is_equal()?;
    for name in &names {
        scene.change(&format!("UPDATE {} SET n = n + 1000 WHERE n = 50", scene.target(name)))?;
        scene.change(&format!("DELETE FROM {} WHERE n = 7", scene.target(name)))?;
    }
    let answer = verify(&scene, &all)?;
    for name in &names {
        let found = answer.differences(name)?;
        let kinds: Vec<&str> = found.iter().filter_map(|d| d.split(' ').next()).collect();
        ensure!(kinds == ["missing", "changed"], "{name}: {found:?}\n{}", answer.text);
    }
    scene.log_is_whole().context("the log")
}

#[test]
fn chunks_of_any_key_are_gapless_and_compared_in_sqlite() -> Result<()> {
    every_key(Setup::new("snapkeys").own_servers().one_shard(), OF_MYSQL)
}

#[test]
fn chunks_of_any_key_are_gapless_and_compared_in_postgres() -> Result<()> {
    every_key(Setup::new("snapkeys").to(Engine::Postgres).own_servers().one_shard(), OF_MYSQL)
}

#[test]
fn chunks_of_any_key_of_mariadb_are_gapless_and_compared() -> Result<()> {
    every_key(Setup::new("snapkeys").mariadb_of(Arc::new(MariaDb::start(&[])?)), OF_MARIADB)
}

/// A primary key that the server made by itself and shows to nobody.
#[test]
fn generated_invisible_keys_are_walked() -> Result<()> {
    let scene = Setup::new("snapgipk").one_shard().begins("snapshot").lines(SMALL).start()?;
    scene.sql(
        0,
        &format!(
            "SET sql_generate_invisible_primary_key = ON; CREATE TABLE gipk (n INT, t TEXT); \
             INSERT INTO gipk {SERIES} SELECT i, REPEAT('x', i) FROM s"
        ),
    )?;
    scene.once()?;
    scene.equal(&["gipk"])
}
