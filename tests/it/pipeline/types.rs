//! Every column type, by insert, update and delete, into both warehouses.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::scene::{Engine, Scene, Setup};

#[derive(Deserialize)]
struct Types {
    #[serde(rename = "type")]
    types: Vec<Type>,
}

#[derive(Deserialize)]
pub(super) struct Type {
    pub(super) mysql: String,
    pub(super) extremes: Vec<String>,
}

pub(super) fn types() -> Result<Vec<Type>> {
    Ok(toml::from_str::<Types>(include_str!("../../../schemas/types.toml"))?.types)
}

/// A table for each type: rows 0.. hold its extremes and the last NULL; every value is written by an
/// insert, by an update over another value, and is deleted once.
pub(super) fn tables_of_types(scene: &Scene, types: &[Type]) -> Result<Vec<String>> {
    let mut sql = "SET time_zone = '+00:00'; SET sql_mode = '';\n".to_owned();
    let mut names = Vec::new();
    for (index, ty) in types.iter().enumerate() {
        let name = format!("t{index}");
        sql += &format!("CREATE TABLE {name} (id INT PRIMARY KEY, c {} NULL);\n", ty.mysql);
        let values: Vec<&str> = ty.extremes.iter().map(String::as_str).chain(["NULL"]).collect();
        for (id, value) in values.iter().enumerate() {
            let other = values[(id + 1) % values.len()];
            let (updated, deleted) = (id + 1000, id + 2000);
            sql += &format!(
                "INSERT INTO {name} VALUES ({id}, {value}), ({updated}, {other}), ({deleted}, {value});\n\
                 UPDATE {name} SET c = {value} WHERE id = {updated};\n"
            );
        }
        names.push(name);
    }
    scene.sql(0, &sql)?;
    Ok(names)
}

fn every_type(engine: Engine) -> Result<()> {
    let types = types()?;
    let scene = Setup::new("types").to(engine).one_shard().start()?;
    let names = tables_of_types(&scene, &types)?;
    scene.once()?;
    let tables: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.equal(&tables).with_context(|| {
        let list: Vec<_> = types.iter().zip(&names).map(|(ty, name)| format!("{name} {}", ty.mysql)).collect();
        list.join(", ")
    })?;
    // In another batch than the inserts, so that merges delete and replace what is there.
    let mut later = "SET time_zone = '+00:00'; SET sql_mode = '';\n".to_owned();
    for (name, ty) in names.iter().zip(&types) {
        later += &format!(
            "DELETE FROM {name} WHERE id >= 2000; UPDATE {name} SET c = {} WHERE id < 1000;\n",
            ty.extremes[0]
        );
    }
    scene.sql(0, &later)?;
    scene.once()?;
    scene.equal(&tables)
}

#[test]
fn every_type_reaches_sqlite_as_select_answers() -> Result<()> {
    every_type(Engine::Sqlite)
}

#[test]
fn every_type_reaches_postgres_as_select_answers() -> Result<()> {
    every_type(Engine::Postgres)
}

#[test]
fn every_type_reaches_redshift_as_select_answers() -> Result<()> {
    every_type(Engine::Redshift)
}

/// Values that a type's extremes do not show: documents, text and bytes that are hard to carry.
#[test]
fn nasty_values_arrive_unchanged() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("nasty").to(engine).one_shard().start()?;
        scene.sql(0, NASTY)?;
        scene.once()?;
        scene.equal(&["docs", "texts", "bytes", "wide", "geo", "charsets", "times"])?;
    }
    Ok(())
}

const NASTY: &str = r#"SET time_zone = '+00:00'; SET sql_mode = '';
CREATE TABLE docs (id INT AUTO_INCREMENT PRIMARY KEY, d JSON);
INSERT INTO docs (d) VALUES
  ('{}'), ('[]'), ('null'), ('true'), ('""'), ('0'), ('-0.0'), ('1e300'), ('5e-324'), ('0.1'), ('1.0'), ('100000000000000000000'),
  ('9223372036854775807'), ('-9223372036854775808'), ('18446744073709551615'), ('3.141592653589793238462643'),
  ('"a\\"b\\\\c\\/d\\b\\f\\n\\r\\t"'), ('"\\u0001\\u001f\\u007f"'), ('"\\ud83d\\ude00 ж€"'), ('{"": {"": ""}}'), ('{"b":1,"a":2,"aa":3}'),
  ('{"k":"1","k":"2"}'), ('[[[[[[[[[[1]]]]]]]]]]'), (CAST(1.50 AS JSON)), (CAST(CAST('12:34:56.789' AS TIME(3)) AS JSON)),
  (CAST(CAST('2024-02-29' AS DATE) AS JSON)), (CAST(CAST('2024-02-29 01:02:03' AS DATETIME) AS JSON)),
  (CAST(x'00ff' AS JSON)), (JSON_OBJECT('bit', b'101')), (CAST(CAST(12345678901234567890.123456789 AS DECIMAL(40,9)) AS JSON)),
  (JSON_ARRAY(REPEAT('x', 70000))), (NULL);
INSERT INTO docs (d) SELECT JSON_OBJECT('a', 1, 'list', JSON_ARRAY(1, 2, 3), 'big', REPEAT('y', 1000));
UPDATE docs SET d = JSON_SET(d, '$.a', 2, '$.new', 'added') WHERE JSON_CONTAINS_PATH(d, 'one', '$.list');
UPDATE docs SET d = JSON_REMOVE(d, '$.list[1]') WHERE JSON_CONTAINS_PATH(d, 'one', '$.list');

CREATE TABLE texts (id INT AUTO_INCREMENT PRIMARY KEY, c CHAR(20), v VARCHAR(200), t TEXT, e ENUM('', 'a,b', 'ü', 'it''s'), s SET('x', 'y z', 'ü'));
INSERT INTO texts (c, v, t, e, s) VALUES
  ('', '', '', '', ''), ('NULL', '\\N', '\\.', 'a,b', 'x'), ('tab\there', 'line\nend', 'cr\r\nlf', 'ü', 'x,ü'),
  ('quote''', '"double"', '\\back\\slash\\', 'it''s', 'x,y z,ü'), ('trailing   ', 'trailing   ', 'trailing   ', NULL, NULL),
  ('😀', REPEAT('😀', 200), REPEAT('€', 20000), 'invalid', ''), (NULL, NULL, NULL, NULL, NULL);

CREATE TABLE bytes (id INT AUTO_INCREMENT PRIMARY KEY, b BINARY(8), v VARBINARY(300), l LONGBLOB, n BIT(1), w BIT(17), x BIT(64));
INSERT INTO bytes (b, v, l, n, w, x) VALUES (x'', x'', x'', 0, 0, 0), (x'00', x'00', x'00', 1, 1, 1),
  (x'6100', x'6100', x'6100', 1, 131071, 18446744073709551615), (x'0061000000000000', REPEAT(x'00', 300), REPEAT(x'5c0a0d00', 30000), 0, 65536, 9223372036854775808),
  (x'ffffffffffffffff', REPEAT(x'ff', 300), x'5c783030', NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE wide (id BIGINT UNSIGNED PRIMARY KEY, d65 DECIMAL(65,30), d38 DECIMAL(38,0), d39 DECIMAL(39,0), d9 DECIMAL(9,9), u DECIMAL(20,5) UNSIGNED, f FLOAT, g DOUBLE);
INSERT INTO wide VALUES
  (0, 0, 0, 0, 0, 0, 0, 0),
  (18446744073709551615, 99999999999999999999999999999999999.999999999999999999999999999999, 99999999999999999999999999999999999999, 999999999999999999999999999999999999999, 0.999999999, 999999999999999.99999, 3.402823466e38, 1.7976931348623157e308),
  (9223372036854775808, -99999999999999999999999999999999999.999999999999999999999999999999, -99999999999999999999999999999999999999, -999999999999999999999999999999999999999, -0.999999999, 0.00001, -1.17549435e-38, 2.2250738585072014e-308),
  (1, 0.000000000000000000000000000001, 1, 1, 0.000000001, 1, 0.1, 0.1), (2, -0.000000000000000000000000000001, -1, -1, -0.000000001, 2, 16777217, 9007199254740993), (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE geo (id INT AUTO_INCREMENT PRIMARY KEY, g GEOMETRY, p POINT, l LINESTRING, y POLYGON, m MULTIPOINT, c GEOMETRYCOLLECTION);
INSERT INTO geo (g, p, l, y, m, c) VALUES (ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(-1.5 2.25)'), ST_GeomFromText('LINESTRING(0 0,1 1,2 2)'),
  ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0),(5 5,7 5,7 7,5 7,5 5))'), ST_GeomFromText('MULTIPOINT(1 1,2 2)'), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')),
  (ST_GeomFromText('POINT(10 20)', 4326), NULL, NULL, NULL, NULL, ST_GeomFromText('GEOMETRYCOLLECTION EMPTY'));

CREATE TABLE charsets (id INT AUTO_INCREMENT PRIMARY KEY, a VARCHAR(50) CHARACTER SET latin1, b VARCHAR(50) CHARACTER SET latin2, c VARCHAR(50) CHARACTER SET cp1251,
  d VARCHAR(50) CHARACTER SET koi8r, e VARCHAR(50) CHARACTER SET utf8mb3, f VARCHAR(50) CHARACTER SET utf16le, g VARCHAR(50) CHARACTER SET utf32, h VARCHAR(50) CHARACTER SET ucs2,
  i VARCHAR(50) CHARACTER SET big5, j VARCHAR(50) CHARACTER SET euckr, k VARCHAR(50) CHARACTER SET ujis, l VARCHAR(50) CHARACTER SET gb18030, m VARCHAR(50) CHARACTER SET ascii,
  n ENUM('é','ß') CHARACTER SET latin1, o CHAR(5) CHARACTER SET utf16);
INSERT INTO charsets (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o) VALUES
  ('€ßéÿ', 'łčő', 'Привет', 'Привет', 'ж€日本', 'ж😀', 'ж😀', 'ж€', '中文', '한국어', '日本語', '中文😀', 'ascii', 'ß', 'é😀');

CREATE TABLE times (id INT AUTO_INCREMENT PRIMARY KEY, d0 DATETIME, d3 DATETIME(3), d6 DATETIME(6), s0 TIMESTAMP NULL, s6 TIMESTAMP(6) NULL, t0 TIME, t2 TIME(2), t6 TIME(6), y YEAR, d DATE);
INSERT INTO times (d0, d3, d6, s0, s6, t0, t2, t6, y, d) VALUES
  ('1000-01-01 00:00:00', '1000-01-01 00:00:00.001', '1000-01-01 00:00:00.000001', '1970-01-01 00:00:01', '1970-01-01 00:00:00.000001', '-838:59:59', '-00:00:00.01', '-00:00:00.000001', 1901, '1000-01-01'),
  ('9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '2038-01-19 03:14:07.499999', '838:59:59', '838:59:59.00', '-01:00:00.5', 2155, '9999-12-31'),
  ('0000-00-00', '0000-00-00', '2024-00-00', '0000-00-00', '0000-00-00', 0, 0, 0, 0, '0000-00-00'),
  ('0001-01-01', '0099-12-31 23:59:59.999', '1582-10-10', '2024-03-31 01:30:00', '2024-10-27 00:30:00.5', '00:00:01', '-12:34:56.78', '12:34:56.789012', 2000, '2024-02-29');
SET time_zone = '+05:30'; INSERT INTO times (s0, s6) VALUES ('2024-06-01 12:00:00', '2024-06-01 12:00:00.123456');
"#;
