//! A source that is asked at first and followed later, and the other way round.

use anyhow::{Result, ensure};

use super::{full::ORDERS, scene::Scene};

/// The log goes on, and all tables are read anew: nobody knows what was committed since the last round.
#[test]
fn who_was_asked_can_be_followed_and_asked_again() -> Result<()> {
    let asked = "mode = \"incremental\"";
    let scene = Scene::from_followable("switching", asked, "[snapshot]\nchunk_rows_max = 10")?;
    scene.sql(0, ORDERS)?;
    scene.once()?;
    scene.equal(&["orders"])?;
    scene.sql(0, "DELETE FROM orders WHERE id < 20; UPDATE orders SET price = 0 WHERE id % 2")?;
    scene.reconfigure(asked, "mode = \"binlog\"\nstart = \"latest\"")?;
    let said = scene.ends_with(&["run", "--once"], 78)?;
    ensure!(said.contains("start = \\\"snapshot\\\"") || said.contains("start = \"snapshot\""), "{said}");
    scene.reconfigure("\nstart = \"latest\"", "")?;
    scene.once()?;
    scene.equal(&["orders"])?;
    scene.sql(0, "DELETE FROM orders WHERE id < 30; INSERT INTO orders (item) VALUES ('followed')")?;
    scene.once()?;
    scene.equal(&["orders"])?;
    scene.sql(0, "DELETE FROM orders WHERE id < 40; INSERT INTO orders (item) VALUES ('asked')")?;
    scene.reconfigure("mode = \"binlog\"", asked)?;
    scene.once()?;
    scene.equal(&["orders"])?;
    scene.sql(0, "INSERT INTO orders (item) VALUES ('asked again')")?;
    scene.once()?;
    scene.equal(&["orders"])
}
