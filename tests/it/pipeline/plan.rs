//! `tailwater plan`: says what `run` then does, and changes nothing.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::scene::{Engine, Scene, Setup};

/// Every file of the lake with its bytes.
fn files(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.insert(format!("{}/", path.display()), Vec::new());
            files(&path, found)?;
        } else {
            found.insert(path.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(())
}

/// Everything that a plan could change.
#[derive(PartialEq)]
struct State {
    /// Objects by their paths.
    lake: BTreeMap<String, Vec<u8>>,
    /// Its definitions and state.
    warehouse: Vec<String>,
}

fn state(scene: &Scene, engine: Engine) -> Result<State> {
    let mut lake = BTreeMap::new();
    files(&scene.lake().join(if engine == Engine::Redshift { "." } else { scene.name.as_str() }), &mut lake)?;
    let file = scene.folder().join("warehouse.db");
    let warehouse = match engine {
        Engine::Sqlite if !file.exists() => Vec::new(),
        Engine::Sqlite => vec![format!("{:?}", fs::read(&file)?)],
        Engine::Postgres | Engine::Redshift => scene.rows(
            "SELECT table_schema || '.' || table_name || '.' || column_name || ' ' || data_type \
             FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1",
        )?,
    };
    Ok(State { lake, warehouse })
}

/// What `plan --json` says, where it leaves everything as it is.
fn plan(scene: &Scene, engine: Engine, code: i32) -> Result<serde_json::Value> {
    let before = state(scene, engine)?;
    let said = scene.ends_with(&["plan", "--json"], code)?;
    ensure!(state(scene, engine)? == before, "the plan changed something");
    let json = said.find("{\n").context("no object")?;
    serde_json::from_str(&said[json..]).with_context(|| said)
}

fn table<'a>(plan: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let tables = plan["shards"][0]["tables"].as_array().unwrap();
    tables.iter().find(|t| t["origin"].as_str().unwrap().ends_with(name)).unwrap_or(&serde_json::Value::Null)
}

fn target<'a>(plan: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let targets = plan["targets"].as_array().unwrap();
    targets.iter().find(|t| t["target"].as_str().unwrap().ends_with(name)).unwrap_or(&serde_json::Value::Null)
}

#[test]
fn a_plan_is_what_run_does_and_changes_nothing() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("plan")
            .to(engine)
            .one_shard()
            .begins("snapshot")
            .rule("cut", "text_bytes_max = 5")
            .rule("keyless", "no_key = \"park\"")
            .start()?;
        scene.sql(
            0,
            "CREATE TABLE orders (id INT PRIMARY KEY, item VARCHAR(40)); INSERT INTO orders VALUES (1, 'a'), (2, 'b');
             CREATE TABLE cut (id INT PRIMARY KEY, note VARCHAR(40)); CREATE TABLE keyless (a INT); CREATE TABLE history (a INT); ANALYZE TABLE orders",
        )?;
        let first = plan(&scene, engine, 1)?;
        ensure!(first["shards"][0]["begins"] == "snapshot" && first["shards"][0]["entry"].is_null(), "{first:#}");
        let orders = table(&first, ".orders");
        ensure!(orders["action"] == "snapshot" && orders["rows"] == 2, "{first:#}");
        let keyless = table(&first, ".keyless");
        ensure!(keyless["action"] == "park" && keyless["notes"].to_string().contains("PRIMARY KEY"), "{first:#}");
        let history = table(&first, ".history");
        ensure!(history["action"] == "snapshot" && history["notes"].to_string().contains("appended"), "{first:#}");
        ensure!(table(&first, ".cut")["notes"][0].as_str().is_some_and(|n| n.contains("note (varchar")), "{first:#}");
        let created = target(&first, ".orders")["statements"].to_string();
        ensure!(target(&first, ".orders")["change"] == "create" && created.contains("CREATE TABLE"), "{first:#}");

        scene.sql(0, "DROP TABLE keyless")?;
        scene.once()?;
        let second = plan(&scene, engine, 0)?;
        ensure!(second["shards"][0]["entry"].is_u64() && table(&second, ".orders")["action"] == "follow", "{second:#}");
        ensure!(target(&second, ".orders")["change"] == "keep", "{second:#}");

        scene.sql(
            0,
            "ALTER TABLE orders ADD COLUMN extra INT, MODIFY item VARCHAR(60); CREATE TABLE later (id INT PRIMARY KEY)",
        )?;
        let third = plan(&scene, engine, 0)?;
        let orders = target(&third, ".orders");
        ensure!(orders["change"] == "alter" && orders["added"][0] == "extra (int)", "{third:#}");
        ensure!(table(&third, ".later")["action"] == "snapshot", "{third:#}");
        scene.sql(0, "INSERT INTO orders VALUES (3, 'c', 7)")?;
        scene.once()?;
        scene.equal(&["orders", "later"])?;
        ensure!(target(&plan(&scene, engine, 0)?, ".orders")["change"] == "keep", "what was done is not told again");
        let said = scene.ends_with(&["plan"], 0)?;
        ensure!(said.contains("resumes behind entry") && said.contains("nothing stands in the way"), "{said}");
    }
    Ok(())
}
