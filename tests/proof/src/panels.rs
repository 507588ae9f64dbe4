//! The panels of a Grafana dashboard with the data that a Prometheus has for them: what Grafana would draw.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tailwater_servers::Prometheus;

/// Points of one series.
const POINTS: f64 = 240.0;

/// One query of a dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Title of the panel.
    pub panel: String,
    /// How Grafana names a series.
    pub legend: String,
    /// Unit of the panel's values, in Grafana's words.
    pub unit: String,
    /// The expression, with the dashboard's variables replaced by what matches everything.
    pub expression: String,
}

/// All queries of a dashboard's panels, in order.
///
/// # Errors
/// When the text is not a dashboard.
pub fn queries(dashboard: &str) -> Result<Vec<Query>> {
    let dashboard: Value = serde_json::from_str(dashboard).context("the dashboard is not JSON")?;
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().context("the dashboard has no panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            queries.push(Query {
                panel: text(&panel["title"]),
                legend: text(&target["legendFormat"]),
                unit: text(&panel["fieldConfig"]["defaults"]["unit"]),
                expression: everything(&text(&target["expr"])),
            });
        }
    }
    Ok(queries)
}

/// The expression for all values of the dashboard's variables.
fn everything(expression: &str) -> String {
    let words = [("$__rate_interval", "1m"), ("$__range", "15m"), ("$shard", ".*"), ("$group", ".*"), ("$table", ".*")];
    words.iter().fold(expression.to_owned(), |text, (word, all)| text.replace(word, all))
}

/// The panels with their data between two times, seconds since the epoch, as JSON: `{"panels": [{"title", "unit", "series":
/// [{"name", "values": [[time, value]]}]}]}`.
///
/// # Errors
/// When the dashboard is not one, or Prometheus refuses a query.
pub fn read(prometheus: &Prometheus, dashboard: &str, from: f64, to: f64) -> Result<String> {
    let step = ((to - from) / POINTS).max(1.0);
    let mut panels: Vec<Value> = Vec::new();
    for query in queries(dashboard)? {
        let encoded: String = query.expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/api/v1/query_range?query={encoded}&start={from:.0}&end={to:.0}&step={step:.0}");
        let answer = prometheus.get(&path).with_context(|| format!("panel {:?}", query.panel))?;
        let answer: Value = serde_json::from_str(&answer)?;
        let series = answer["data"]["result"].as_array().into_iter().flatten().map(|series| {
            let labels = &series["metric"];
            let name = labels.as_object().into_iter().flatten().fold(query.legend.clone(), |name, (label, value)| {
                name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default())
            });
            json!({ "name": name, "values": series["values"] })
        });
        let series: Vec<Value> = series.collect();
        match panels.iter_mut().find(|panel| panel["title"] == query.panel.as_str()) {
            Some(panel) => {
                if let Some(known) = panel["series"].as_array_mut() {
                    known.extend(series);
                }
            }
            None => panels.push(json!({ "title": query.panel, "unit": query.unit, "series": series })),
        }
    }
    Ok(format!("{:#}\n", json!({ "from": from, "to": to, "panels": panels })))
}
