//! The figures in the form that a scraper asks for.
//!
//! They are written in OpenMetrics. The older text form (0.0.4), which everything else reads, names a counter with its
//! `_total`, has no units and no end mark.

use hyper::{StatusCode, header::HeaderMap};

use super::answer::{Answer, wants_openmetrics};
use crate::metrics::Metrics;

/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer to a scraper with these headers, at `now` (UTC microseconds).
pub(super) fn answer(metrics: &Metrics, now: i64, asked: &HeaderMap) -> Answer {
    match wants_openmetrics(asked) {
        true => Answer::new(StatusCode::OK, OPENMETRICS, metrics.exposition(now)),
        false => {
            let mut text = plain(&metrics.families(now));
            // Gauges without a unit: both forms write them alike.
            metrics.write_tables(now, &mut text);
            Answer::new(StatusCode::OK, TEXT, text)
        }
    }
}

/// OpenMetrics as the older text form.
fn plain(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    // The name that a family's HELP line has depends on the TYPE line behind it.
    let mut help: Option<(&str, &str)> = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                "stateset" => ("", "gauge"),
                kind => ("", kind),
            };
            if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                push(&mut out, &["# HELP ", name, suffix, " ", text]);
            }
            push(&mut out, &["# TYPE ", name, suffix, " ", kind]);
        } else if !(line.starts_with("# UNIT ") || line == "# EOF") {
            push(&mut out, &[line]);
        }
    }
    out
}

fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OpCounts, Shard};

    #[test]
    fn the_older_form_names_counters_as_their_samples() {
        let metrics = Metrics::new();
        metrics.shard(&Shard::new("s1")).read(1, 10, OpCounts::default());
        metrics.group("main");
        let text = plain(&metrics.exposition(1));
        for line in [
            "# TYPE tailwater_extract_binlog_bytes_total counter",
            "tailwater_extract_binlog_bytes_total{shard=\"s1\"} 10",
            "# TYPE tailwater_extract_connected gauge",
            "# TYPE tailwater_apply_merge_seconds histogram",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(text.contains("# HELP tailwater_extract_binlog_bytes_total "));
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"));
    }
}
