//! Declaring families: each under one name, with its labels, so that what is exposed and what is documented cannot differ.

use std::{fmt::Write as _, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{TypedMetric, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use super::tables::TableGauge;

/// Prefix of every name that is ours. The names of the process itself are those that every exporter uses.
const PREFIX: &str = "tailwater_";

/// A gauge of seconds, or of anything else that has fractions.
pub(super) type Seconds = Gauge<f64, AtomicU64>;
/// A counter of seconds.
pub(super) type SecondsTotal = Counter<f64, AtomicU64>;
/// A histogram per label set.
pub(super) type Histograms<S> = Family<S, Histogram, fn() -> Histogram>;

/// Names of a label set's labels.
pub(super) trait LabelNames {
    const NAMES: &'static [&'static str];
}

/// What a metric's type says of it.
pub(super) trait Shape {
    const LABELS: &'static [&'static str] = &[];
    fn kind() -> String;
}

impl<S: LabelNames, M: TypedMetric, C> Shape for Family<S, M, C> {
    const LABELS: &'static [&'static str] = S::NAMES;
    fn kind() -> String {
        M::TYPE.as_str().to_owned()
    }
}

impl<N, A> Shape for Counter<N, A>
where
    Self: TypedMetric,
{
    fn kind() -> String {
        Self::TYPE.as_str().to_owned()
    }
}

impl<N, A> Shape for Gauge<N, A>
where
    Self: TypedMetric,
{
    fn kind() -> String {
        Self::TYPE.as_str().to_owned()
    }
}

impl Shape for Histogram {
    fn kind() -> String {
        Self::TYPE.as_str().to_owned()
    }
}

/// A family as its documentation has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The name that a query uses; of a histogram without `_bucket`, `_sum` or `_count`.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
}

impl Described {
    /// What is counted, by the name's own words.
    pub fn unit(&self) -> &'static str {
        let name = self.name.trim_end_matches("_total");
        let has = |word: &str| name.ends_with(word);
        match () {
            () if has("_timestamp_seconds") || has("_time_seconds") => "seconds since the epoch",
            () if has("_seconds") => "seconds",
            () if has("_bytes") => "bytes",
            () if has("_info") => "always 1",
            () if has("_rows") => "rows",
            () if has("connected") || has("_open") || has("_table") || has("_compared") || has("_paused") => "0 or 1",
            () => "number",
        }
    }
}

/// Takes in the families while they are made.
#[derive(Debug, Default)]
pub(super) struct Register {
    pub(super) registry: Registry,
    pub(super) described: Vec<Described>,
}

impl Register {
    /// Declares a family under its name and returns it. The exposition appends `_total` to names of counters.
    pub(super) fn add<M: Metric + Shape + Clone>(&mut self, name: &str, meaning: &'static str, metric: M) -> M {
        let full = full(name);
        let kind = M::kind();
        let exposed = if kind == "counter" { format!("{full}_total") } else { full.clone() };
        self.registry.register(full, meaning, metric.clone());
        self.described.push(Described { name: exposed, kind, labels: M::LABELS, meaning });
        metric
    }

    /// Declares a gauge by source table, with these labels. It is written by itself, not by the registry.
    pub(super) fn tables(&mut self, name: &str, meaning: &'static str, labels: &'static [&'static str]) -> TableGauge {
        let name = full(name);
        self.described.push(Described { name: name.clone(), kind: "gauge".to_owned(), labels, meaning });
        TableGauge { name, meaning }
    }
}

fn full(name: &str) -> String {
    if name.starts_with("process_") { name.to_owned() } else { format!("{PREFIX}{name}") }
}

/// Labels of a family of source tables.
pub(super) const BY_TABLE: &[&str] = &["shard", "table"];

/// All families as a table for people, in Markdown.
pub(super) fn table(families: &[Described]) -> String {
    let mut text = String::from("| name | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n");
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            family.name,
            family.kind,
            labels.join(", "),
            family.unit(),
            family.meaning.replace('|', "\\|")
        );
    }
    text
}
