//! Tables that cannot be copied, beside others that can, and how status shows them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::place::{Place, execute, fit_server, number, url};

fn status(place: &Place, code: i32) -> Result<Value> {
    let said = place.ends_with(code, &["status", "--json"])?;
    serde_json::from_str(said.get(said.find('{').context("no JSON")?..).unwrap_or_default())
        .with_context(|| said.clone())
}

#[test]
fn a_table_without_a_key_is_parked_and_shown() -> Result<()> {
    let server = fit_server();
    server.sql(
        "CREATE DATABASE keys_; CREATE TABLE keys_.good (id INT PRIMARY KEY); CREATE TABLE keys_.keyless (id INT);
         INSERT INTO keys_.good VALUES (1); INSERT INTO keys_.keyless VALUES (1)",
    )?;
    // With another key of the rule.
    let place = Place::new(&[url(server)], "keys_.*\"\nno_key = \"park")?;
    let said = place.ends_with(1, &["status"])?;
    ensure!(said.contains("has none in"), "{said}");
    place.ends_with(4, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM keys__good")?, 1);

    let status = status(&place, 1)?;
    let shard = &status["shards"][0];
    ensure!(shard["head"].as_u64() > Some(1) && shard["head"] == shard["applied"][0]["entry"], "{status:#}");
    ensure!(shard["source_position"].is_string() && shard["committed_at"].is_i64(), "{status:#}");
    let parked: Vec<_> = status["tables"].as_array().context("no tables")?.iter().map(|t| &t["parked"]).collect();
    ensure!(parked.iter().any(|p| p[0]["origin"] == "s1:keys_.keyless"), "{status:#}");
    let said = place.ends_with(1, &["status"])?;
    ensure!(said.contains("s1:keys_.keyless parked: "), "{said}");
    let said = place.ends_with(0, &["check"])?;
    ensure!(said.contains("cannot be merged: keys_.keyless") && said.contains("ADD PRIMARY KEY"), "{said}");
    Ok(())
}

#[test]
fn a_table_that_tailwater_did_not_make_is_left_alone() -> Result<()> {
    let server = fit_server();
    server.sql(
        "CREATE DATABASE foreign_; CREATE TABLE foreign_.taken (id INT PRIMARY KEY); CREATE TABLE foreign_.free (id INT PRIMARY KEY);
         INSERT INTO foreign_.taken VALUES (1); INSERT INTO foreign_.free VALUES (1)",
    )?;
    let place = Place::new(&[url(server)], "foreign_.*")?;
    let file = place.path("warehouse.db");
    execute(&file, "CREATE TABLE foreign__taken (id INTEGER, mine TEXT)")?;
    execute(&file, "INSERT INTO foreign__taken VALUES (7, 'kept')")?;
    let said = place.ends_with(4, &["run", "--once"])?;
    ensure!(said.contains("table parked"), "{said}");
    assert_eq!(number(&file, "SELECT count(*) FROM foreign__taken WHERE id = 7 AND mine = 'kept'")?, 1);
    assert_eq!(number(&file, "SELECT count(*) FROM foreign__taken")?, 1);
    assert_eq!(number(&file, "SELECT count(*) FROM foreign__free")?, 1);
    let said = place.ends_with(1, &["status"])?;
    ensure!(said.contains("s1:foreign_.taken parked: "), "{said}");

    // The mend: out of the way, and start again. Nothing was lost.
    execute(&file, "ALTER TABLE foreign__taken RENAME TO elsewhere")?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(number(&file, "SELECT count(*) FROM foreign__taken")?, 1);
    let status = status(&place, 0)?;
    ensure!(status["shards"][0]["trouble"].is_null(), "{status:#}");
    Ok(())
}
