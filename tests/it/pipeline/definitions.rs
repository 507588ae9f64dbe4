//! `tailwater schema <product>` prints what makes the targets.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tailwater_redshift::{Options, Redshift};
use tokio::runtime::Runtime;

use super::scene::{Scene, Setup, postgres};

/// What the verb prints on standard output.
fn printed(scene: &Scene, arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tailwater"))
        .current_dir(scene.folder())
        .arg("schema")
        .args(arguments)
        .args(["--config", "tailwater.toml"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments:?} ended with {}:\n{said}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// A lake with a table of many types, one of a global key, and one with soft deletes.
fn scene(name: &str) -> Result<Scene> {
    let scene = Setup::new(name)
        .rule("moving", "key = \"global\"\nupdated_at = \"at\"")
        .rule("soft", "deletes = \"soft\"")
        .start()?;
    scene.sql_all(
        "CREATE TABLE plain (id BIGINT UNSIGNED, part VARCHAR(20), n INT, d DECIMAL(9,2), j JSON, b BLOB, t LONGTEXT, at DATETIME(3),
             ok TINYINT(1), PRIMARY KEY (part, id));
         CREATE TABLE moving (id INT PRIMARY KEY, at DATETIME(6) NOT NULL);
         CREATE TABLE soft (id INT PRIMARY KEY, `order` TIME, `select` ENUM('a','b'));
         INSERT INTO plain VALUES (1, 'x', 2, 3.5, '{}', 'b', 't', NOW(3), 1); INSERT INTO soft VALUES (1, '1:00', 'b');",
    )?;
    scene.sql(0, "INSERT INTO moving VALUES (1, NOW(6))")?;
    scene.once()?;
    Ok(scene)
}

#[test]
fn sqlite_has_the_very_tables_that_are_printed() -> Result<()> {
    let scene = scene("ddl")?;
    let text = printed(&scene, &["sqlite"])?;
    let made = scene.rows("SELECT sql FROM sqlite_master WHERE type = 'table' AND (name LIKE 'ddl\\_%' ESCAPE '\\' OR name LIKE '%side%')")?;
    ensure!(made.len() == 4, "three targets and a side table were made: {made:?}");
    for statement in &made {
        ensure!(text.contains(&format!("{statement};\n")), "not printed: {statement}\nprinted:\n{text}");
    }
    ensure!(text.matches("CREATE TABLE").count() == 4, "more is printed than was made:\n{text}");
    let one = printed(&scene, &["sqlite", "--target", "ddl.soft"])?;
    ensure!(one.matches("CREATE TABLE").count() == 1 && one.contains("ddl_soft"), "{one}");
    Ok(())
}

/// Runs everything that was printed in one session.
fn accepted(url: &str, text: &str) -> Result<()> {
    Runtime::new()?.block_on(async {
        let mut session = PgConnection::connect(url).await?;
        for statement in text.split(";\n") {
            let sql: String = statement.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join("\n");
            if !sql.trim().is_empty() {
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session).await.with_context(|| statement.to_owned())?;
            }
        }
        session.close().await?;
        Ok(())
    })
}

#[test]
fn the_other_products_accept_what_is_printed_for_them() -> Result<()> {
    let scene = scene("ddl_other")?;
    let text = printed(&scene, &["postgres"])?;
    accepted(&postgres().create_database("ddl_other_printed")?, &text)?;

    let text = printed(&scene, &["redshift"])?;
    for part in [
        "GRANT USAGE, CREATE ON SCHEMA \"ddl_other\" TO \"tailwater\";",
        "DISTSTYLE KEY DISTKEY (\"part\") SORTKEY (\"part\", \"id\");",
        "SORTKEY (\"at\");",
        "\"j\" SUPER",
        "\"t\" VARCHAR(65535)",
        "\"_tw_deleted\" BOOLEAN",
    ] {
        ensure!(text.contains(part), "{part} is not printed:\n{text}");
    }
    let options = Options::default();
    let database = options.database.clone();
    let redshift = Redshift::start(options)?;
    redshift.create_user("tailwater", "Secret-1234")?;
    accepted(&redshift.url(&database), &text)
}
