//! A real Prometheus scrapes a running program under load; every panel and every recorded series has data.

use std::{
    collections::BTreeSet,
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tailwater_proof::panels::queries;
use tailwater_servers::Prometheus;

use super::super::scene::LIMIT;
use super::situations::Situations;
use crate::deploy::path;

const DASHBOARDS: [&str; 3] = ["overview", "shard", "table"];

fn dashboard(name: &str) -> Result<String> {
    Ok(fs::read_to_string(path(&format!("deploy/grafana/{name}.json")))?)
}

/// The rows of an instant query's answer.
fn rows(prometheus: &Prometheus, expression: &str) -> Result<usize> {
    let answer: Value = serde_json::from_str(&prometheus.query(expression).with_context(|| expression.to_owned())?)?;
    Ok(answer["data"]["result"].as_array().map_or(0, Vec::len))
}

/// What dashboards and rules ask for, each with where it is asked.
fn questions() -> Result<Vec<(String, String)>> {
    let mut questions = Vec::new();
    for name in DASHBOARDS {
        for query in queries(&dashboard(name)?)? {
            questions.push((format!("{name}: {}", query.panel), query.expression));
        }
    }
    for file in ["recording", "alerts"] {
        let text = fs::read_to_string(path(&format!("deploy/prometheus/{file}.rules.yml")))?;
        for record in text.lines().filter_map(|line| line.trim().strip_prefix("- record: ")) {
            questions.push((format!("recorded {record}"), record.to_owned()));
        }
    }
    Ok(questions)
}

/// Asks until all that has no data `may_wait`. What had data once has shown that it can.
fn ask_until(
    world: &mut Situations,
    prometheus: &Prometheus,
    open: &mut Vec<(String, String)>,
    may_wait: fn(&str) -> bool,
) -> Result<()> {
    let (scene, running) = (&world.scene, &mut world.running);
    let asked = scene.wait("data of every panel", running, || {
        open.retain(|(_, expression)| rows(prometheus, expression).map_or(true, |rows| rows == 0));
        Ok(open.iter().all(|(_, expression)| may_wait(expression)))
    });
    asked.with_context(|| format!("without data: {open:#?}"))
}

/// Names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let names = text.split(word).filter(|w| w.starts_with("tailwater_") || w.starts_with("process_"));
    names.map(str::to_owned).collect()
}

#[test]
fn rules_and_panels_name_metrics_that_there_are() -> Result<()> {
    let described = tailwater::metrics::Metrics::new().described().to_vec();
    let mut texts = vec![fs::read_to_string(path("deploy/prometheus/recording.rules.yml"))?];
    texts.push(fs::read_to_string(path("deploy/prometheus/alerts.rules.yml"))?);
    texts.extend(DASHBOARDS.iter().map(|name| dashboard(name)).collect::<Result<Vec<_>>>()?);
    for name in texts.iter().flat_map(|text| names(text)).filter(|name| name != "tailwater_") {
        let base = name.trim_end_matches("_bucket").trim_end_matches("_count").trim_end_matches("_sum");
        ensure!(described.iter().any(|family| family.name == base), "there is no {name}");
    }
    Ok(())
}

#[test]
fn every_panel_and_recorded_series_has_data() -> Result<()> {
    let mut world = Situations::begin("metrics_panels")?;
    let prometheus = Prometheus::start(&format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: ['{}', '{}']\n\
         scrape_configs:\n- job_name: tailwater\n  static_configs:\n  - targets: ['{}']\n",
        path("deploy/prometheus/recording.rules.yml").display(),
        path("deploy/prometheus/alerts.rules.yml").display(),
        world.address
    ))?;
    // Another one, because the first may be over before Prometheus is up.
    let big = format!("{}.big", world.scene.name);
    world.scene.complete(&["snapshot", "--table", &big])?;
    let mut open = questions()?;
    ensure!(open.len() > 60, "only {} questions", open.len());
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let (name, servers) = (world.scene.name.clone(), world.scene.shared_sources()?);
        let load = scope.spawn(move || -> Result<()> {
            for round in 10.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                for server in servers.iter() {
                    server.sql(&format!("REPLACE INTO {name}.orders VALUES ({}, 'round {round}')", round % 50 + 10))?;
                }
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let asked = (|| -> Result<()> {
            ask_until(&mut world, &prometheus, &mut open, |expression| !expression.contains("snapshot"))?;
            world.happen()?;
            ask_until(&mut world, &prometheus, &mut open, |_| false)
        })();
        stop.store(true, Ordering::Relaxed);
        load.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
        asked
    })?;
    // The alerts that this world is a case of fire, and the text has its names.
    let firing = |name: &str| rows(&prometheus, &format!("ALERTS{{alertname=\"{name}\"}}"));
    ensure!(
        firing("TailwaterTableParked")? >= 2 && firing("TailwaterDown")? == 0,
        "{}",
        prometheus.get("/api/v1/alerts")?
    );
    world.running.terminate(LIMIT)
}
