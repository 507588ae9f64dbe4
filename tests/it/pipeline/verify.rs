//! `tailwater verify`. The differences are made by hand in the warehouse, behind the pipeline's back.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::scene::{Engine, Scene, Setup};
use super::types::{tables_of_types, types};

/// What `verify` answered.
struct Answer {
    code: i32,
    report: Value,
    /// Standard output and standard error as they were.
    text: String,
}

/// Runs `tailwater verify --json`.
fn verify(scene: &Scene, arguments: &[&str]) -> Result<Answer> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command.args(["verify", "--json", "--patience", "60s"]).args(arguments).current_dir(scene.folder());
    let output = command.env("TAILWATER_LOG_LEVEL", "info").output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let report = serde_json::from_str(&out).with_context(|| format!("verify said {out}{err}"))?;
    Ok(Answer { code: output.status.code().unwrap_or(-1), report, text: out + &err })
}

impl Answer {
    fn table(&self, name: &str) -> Result<&Value> {
        let tables = self.report["tables"].as_array().context("no tables")?;
        let found = tables.iter().find(|t| t["origin"].as_str().is_some_and(|o| o.ends_with(&format!(".{name}"))));
        found.with_context(|| format!("no table {name} in {}", self.report))
    }

    /// Every table is equal.
    fn is_equal(&self) -> Result<()> {
        let tables = self.report["tables"].as_array().context("no tables")?;
        let not: Vec<&Value> = tables.iter().filter(|t| t["outcome"] != "equal").collect();
        ensure!(not.is_empty() && self.code == 0, "code {}: {:#}", self.code, Value::from_iter(not.into_iter().cloned()));
        Ok(())
    }

    /// Kind, key and columns of each difference of a table.
    fn differences(&self, name: &str) -> Result<Vec<String>> {
        let table = self.table(name)?;
        let empty = Vec::new();
        let differences = table["differences"].as_array().unwrap_or(&empty);
        let words = |value: &Value| -> String {
            let list = value.as_array().into_iter().flatten();
            list.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
        };
        let key = |d: &Value| d["key"].as_array().into_iter().flatten().map(|k| k[1].to_string()).collect::<String>();
        Ok(differences
            .iter()
            .map(|d| format!("{} {} {}", d["kind"].as_str().unwrap_or_default(), key(d), words(&d["columns"])).trim().to_owned())
            .collect())
    }
}

fn every_type(engine: Engine) -> Result<()> {
    let scene = Setup::new("verify_types").to(engine).one_shard().start()?;
    let types = types()?;
    let names = tables_of_types(&scene, &types)?;
    scene.once()?;
    let list: Vec<_> = types.iter().zip(&names).map(|(ty, name)| format!("{name} {}", ty.mysql)).collect();
    let answer = verify(&scene, &[])?;
    answer.is_equal().with_context(|| list.join(", "))?;
    ensure!(answer.report["tables"].as_array().map(Vec::len) == Some(names.len()));
    for table in answer.report["tables"].as_array().into_iter().flatten() {
        ensure!(table["rows"].as_u64() > Some(3) && table["explained"] == 0 && table["in_flight"] == 0, "{table:#}");
        // Equal by its sums alone.
        ensure!(table["rows_one_by_one"] == 0, "{table:#}");
    }
    Ok(())
}

#[test]
fn every_type_is_equal_in_sqlite() -> Result<()> {
    every_type(Engine::Sqlite)
}

#[test]
fn every_type_is_equal_in_postgres() -> Result<()> {
    every_type(Engine::Postgres)
}
