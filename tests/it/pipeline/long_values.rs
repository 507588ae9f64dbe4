//! Values that are longer than the warehouse holds.

use anyhow::{Result, ensure};

use super::scene::{Engine, Setup};

/// Most bytes of a text where the lake is made for Redshift.
const TEXT: usize = 65_535;

/// Files made for Redshift's COPY, loaded by it and read back by Tailwater itself: what fits is as it was, what does not follows
/// its policy.
#[test]
fn a_lake_made_for_redshift_holds_what_redshift_does() -> Result<()> {
    for engine in Engine::ALL {
        let mut setup = Setup::new("made_for").to(engine).one_shard().lake("made_for = \"redshift\"");
        if engine == Engine::Redshift {
            // Three rows would be sent as INSERT: here the files themselves are to be loaded.
            setup = setup.lines("insert_rows_max = 0");
        }
        let scene = setup
            .rule("t", "columns = { nulled = { long_text = \"null\" }, narrow = { text_bytes_max = 5 } }")
            .start()?;
        scene.sql(
            0,
            "CREATE TABLE t (id INT PRIMARY KEY, cut LONGTEXT, nulled MEDIUMTEXT, narrow TEXT, j JSON, zero VARCHAR(20));
             INSERT INTO t VALUES (1, REPEAT('€', 21845), REPEAT('x', 65535), 'ab€', JSON_OBJECT('k', REPEAT('y', 60000), 'l', REPEAT('z', 60000)), 'a'),
                 (2, REPEAT('€', 21846), REPEAT('x', 65536), 'abc€', JSON_OBJECT('k', REPEAT('€', 30000)), CONCAT('a', CHAR(0), 'b'));
             XA START 'made_for'; INSERT INTO t VALUES (3, 'xa', NULL, NULL, '{\"xa\": [1, 2]}', NULL); XA END 'made_for'; XA PREPARE 'made_for';",
        )?;
        scene.once()?;
        // Rows of XA transactions are read from a file and written again.
        scene.sql(0, "XA COMMIT 'made_for';")?;
        scene.once()?;
        let length = match engine {
            Engine::Sqlite => "CAST(LENGTH(CAST({} AS BLOB)) AS TEXT)",
            Engine::Postgres => "OCTET_LENGTH({}::text)::text",
            Engine::Redshift => "OCTET_LENGTH({})",
        };
        let text = "COALESCE({}, 'NULL')";
        let column = |id: usize, column: &str, form: &str| -> Result<String> {
            let form = form.replace("{}", column);
            let rows = scene.rows(&format!("SELECT {form} FROM {{t}} WHERE id = {id}"))?;
            Ok(rows.into_iter().next().unwrap_or_default())
        };
        let expect = |id: usize, name: &str, form: &str, wanted: &str| -> Result<()> {
            let found = column(id, name, form)?;
            ensure!(found == wanted, "{engine:?}: {name} of {id} is {found:?}, not {wanted:?}");
            Ok(())
        };
        let most = TEXT.to_string();
        expect(1, "cut", length, &most)?;
        expect(2, "cut", length, &most)?;
        expect(1, "nulled", length, &most)?;
        expect(2, "nulled", text, "NULL")?;
        expect(1, "narrow", text, "ab€")?;
        expect(2, "narrow", text, "abc")?;
        expect(3, "cut", text, "xa")?;
        if engine == Engine::Redshift {
            // Real objects, of whatever size.
            for id in 1..=3 {
                expect(id, "j", "JSON_TYPEOF({})", "object")?;
            }
        } else {
            expect(1, "j", length, &(120_000 + "{\"k\": \"\", \"l\": \"\"}".len()).to_string())?;
            // 65,535 bytes are 21,845 whole euro signs.
            expect(2, "j", length, &(21_845 * 3 + "{\"k\": \"\"}".len()).to_string())?;
            expect(3, "j", length, &"{\"xa\": [1, 2]}".len().to_string())?;
        }
        expect(2, "zero", text, "a\u{fffd}b")?;
        scene.log_is_whole()?;
    }
    Ok(())
}

#[test]
fn a_long_value_parks_its_table_where_nothing_may_be_lost() -> Result<()> {
    for engine in Engine::ALL {
        let setup = Setup::new("long_parks").to(engine).one_shard();
        let scene = setup.rule("t", "long_text = \"park\"\ntext_bytes_max = 8").start()?;
        scene.sql(
            0,
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20)); CREATE TABLE keyed (id VARCHAR(20) PRIMARY KEY);
             INSERT INTO t VALUES (1, '12345678'); INSERT INTO keyed VALUES ('123456789'); INSERT INTO t VALUES (2, 'a secret too long');",
        )?;
        let said = scene.ends_with(&["run", "--once"], 4)?;
        ensure!(said.contains("longer than the warehouse takes") && !said.contains("secret"), "{said}");
        scene.equal(&["keyed"])?;
        ensure!(scene.rows("SELECT v FROM {t}")? == ["12345678"], "the row before is there, the long one is not");
    }
    Ok(())
}
