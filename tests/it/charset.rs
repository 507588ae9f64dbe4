//! Every character set and every collation against a real server: all codes of one and two bytes, the three-byte codes
//! of the EUC sets, and of the four-byte codes of gb18030 all of the basic plane and some of every lead byte.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use tailwater::decode::charset::Charset;
use tailwater_servers::{Mysql, MysqlOptions};

/// Sets whose characters are whole units of more than one byte.
const UNITS: [(&str, usize); 4] = [("ucs2", 2), ("utf16", 2), ("utf16le", 2), ("utf32", 4)];

/// The four-byte codes are numbered from 81308130; 39420 end the basic plane, 1587600 are all there are.
const CODES: &str = "
    CREATE DATABASE codes; USE codes; SET SESSION cte_max_recursion_depth = 100000, max_error_count = 0;
    CREATE TABLE numbers AS
        WITH RECURSIVE n AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM n WHERE n < 65535) SELECT n FROM n;
    CREATE TABLE codes AS SELECT UNHEX(LPAD(HEX(n), 2, '0')) AS code FROM numbers WHERE n < 256
        UNION ALL SELECT UNHEX(LPAD(HEX(n), 4, '0')) FROM numbers;
    CREATE TABLE three_bytes AS SELECT CONCAT(x'8F', code) AS code FROM codes WHERE code >= x'8080';
    CREATE TABLE four_bytes AS SELECT
        CHAR(0x81 + n DIV 12600, 0x30 + n DIV 1260 MOD 10, 0x81 + n DIV 10 MOD 126, 0x30 + n MOD 10) AS code
        FROM (SELECT n FROM numbers UNION ALL SELECT n * 24 FROM numbers) AS n;
";

fn server() -> Mysql {
    Mysql::start(MysqlOptions::default().without_binlog()).unwrap()
}

#[test]
fn every_collation_of_the_server_is_known() {
    let rows = server().query("SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS").unwrap();
    assert!(rows.len() > 200);
    for row in rows {
        let (id, name) = row.split_once('\t').unwrap();
        let charset = Charset::from_collation(id.parse().unwrap());
        assert_eq!(charset.map(|charset| charset.name()), Some(name), "{id}");
    }
}

#[test]
fn every_code_converts_as_in_the_server() {
    let server = server();
    let names = server.query("SELECT CHARACTER_SET_NAME, MAXLEN FROM information_schema.CHARACTER_SETS").unwrap();
    assert_eq!(names.len(), 41);
    let mut statements = String::from(CODES);
    for row in &names {
        let (name, longest) = row.split_once('\t').unwrap();
        let codes = match (name, longest) {
            ("binary", _) => continue,
            // Characters of one byte say all about a text of them.
            (_, "1") => "FROM codes WHERE LENGTH(code) = 1",
            ("ujis" | "eucjpms", _) => "FROM (SELECT code FROM codes UNION ALL SELECT code FROM three_bytes) AS c",
            ("gb18030", _) => "FROM (SELECT code FROM codes UNION ALL SELECT code FROM four_bytes) AS c",
            _ => "FROM codes",
        };
        write!(
            statements,
            "SELECT '{name}', HEX(code), HEX(CONVERT(CONVERT(code USING {name}) USING utf8mb4)) {codes};"
        )
        .unwrap();
    }
    let mut wrong = Vec::new();
    let mut checked = 0;
    for row in server.query(&statements).unwrap() {
        let [name, code, answer] = row.splitn(3, '\t').collect::<Vec<_>>().try_into().unwrap();
        let unit = UNITS.iter().find(|(wide, _)| *wide == name).map_or(1, |(_, unit)| *unit);
        let code = unhex(code);
        // The server fills a code up to whole units on the left; a column never holds such.
        if !code.len().is_multiple_of(unit) {
            continue;
        }
        checked += 1;
        let mut text = Vec::new();
        let decoded = Charset::from_name(name).unwrap().decode_into(&code, &mut text);
        // NULL or nothing: malformed, and how it is replaced is our own.
        let same = match answer {
            "NULL" | "" => decoded.replaced(),
            answer => {
                let answer = unhex(answer);
                // This set alone lets a character cut short pass, and then the server drops it.
                let dropped = name == "eucjpms" && text.strip_suffix(b"?") == Some(&answer);
                let replaced = answer.contains(&b'?') && !code.contains(&b'?');
                (answer == text && (replaced == decoded.replaced() || code.contains(&b'?')))
                    || (dropped && decoded.invalid() == 1)
            }
        };
        if !same {
            wrong.push(row);
        }
    }
    assert!(checked > 1_000_000, "{checked}");
    assert!(wrong.is_empty(), "{} differ, the first: {:?}", wrong.len(), wrong.iter().take(20).collect::<Vec<_>>());
}

fn unhex(text: &str) -> Vec<u8> {
    let (pairs, _) = text.as_bytes().as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
