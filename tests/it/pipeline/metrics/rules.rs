//! The rules by themselves: promtool reads them, fires each alert, and every alert leads somewhere.

use std::fs;

use anyhow::{Result, ensure};
use tailwater_servers::Prometheus;

use crate::deploy::path;

fn file(name: &str) -> String {
    path(&format!("deploy/prometheus/{name}")).display().to_string()
}

#[test]
fn promtool_accepts_and_tests_the_rules() -> Result<()> {
    Prometheus::promtool(&["check", "rules", &file("recording.rules.yml"), &file("alerts.rules.yml")])?;
    Prometheus::promtool(&["test", "rules", &file("recording.test.yml"), &file("alerts.test.yml")])?;
    Ok(())
}

#[test]
fn every_alert_is_tested_both_ways_and_leads_to_the_runbook() -> Result<()> {
    let rules = fs::read_to_string(file("alerts.rules.yml"))?;
    let tests = fs::read_to_string(file("alerts.test.yml"))?;
    for alert in rules.split("\n      - alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        for part in [
            "summary: ",
            "description: ",
            "severity: ",
            &format!("runbook_url: docs/runbook.md#{}", name.to_lowercase()),
        ] {
            ensure!(alert.contains(part), "{name} has no {part}");
        }
        for test in [format!("- name: {name} fires\n"), format!("- name: {name} is silent\n")] {
            ensure!(tests.contains(&test), "there is no test {test}");
        }
    }
    Ok(())
}
