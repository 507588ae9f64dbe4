//! `check` finds everything at once.

use std::fs;

use anyhow::{Result, ensure};

use super::place::{Place, fit_server, login, url};

#[test]
fn a_healthy_pipeline_has_no_problem() -> Result<()> {
    let server = fit_server();
    server.sql(
        "CREATE DATABASE healthy; CREATE TABLE healthy.t (id INT PRIMARY KEY); INSERT INTO healthy.t VALUES (1)",
    )?;
    let place = Place::new(&[url(server)], "healthy.*")?;
    let said = place.ends_with(0, &["check"])?;
    ensure!(said.contains("a new log begins at earliest") && said.contains("creates objects if absent"), "{said}");
    place.ends_with(0, &["run", "--once"])?;
    let said = place.ends_with(0, &["check"])?;
    for part in ["the source has everything behind the log's position", "watermarks belong to the logs of the lake"] {
        ensure!(said.contains(part), "no {part:?} in:\n{said}");
    }
    ensure!(!said.contains("PROBLEM"), "{said}");
    Ok(())
}

#[test]
fn every_server_is_asked_and_every_problem_told() -> Result<()> {
    let place = Place::new(&[], "shop.*")?;
    fs::write(place.path("file"), "not a folder")?;
    let sources = [login(fit_server(), "tw", "hunter2"), "mysql://tw:hunter2@127.0.0.1:1".to_owned()];
    place.configure(&sources, "shop.*", "./file", "missing/warehouse.db")?;
    let said = place.ends_with(4, &["check"])?;
    for part in [
        "shard s1\n  PROBLEM",
        "error 1045",
        "shard s2\n  PROBLEM",
        "127.0.0.1:1",
        "lake\n  PROBLEM",
        "warehouse\n  PROBLEM",
    ] {
        ensure!(said.contains(part), "no {part:?} in:\n{said}");
    }
    let mends = said.matches("mend: ").count();
    ensure!(mends >= 4, "{mends} mends in:\n{said}");
    Ok(())
}

#[test]
fn one_server_under_two_names_is_found() -> Result<()> {
    let server = fit_server();
    let other = url(server).replace("127.0.0.1", "localhost");
    let place = Place::new(&[url(server), other], "none.*")?;
    let said = place.ends_with(1, &["check"])?;
    ensure!(said.contains("this is the server of shard s1 under another address"), "{said}");
    Ok(())
}
