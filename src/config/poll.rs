//! `[poll]`: sources and tables that are read by SELECT again and again, because nobody can follow their binlog.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, KeyScope, Problem, Source, Span, StartPoint, TablePolicy, TableRule};

/// How a source's changes are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Its binlog is followed.
    #[default]
    Binlog,
    /// Its tables are copied whole, again and again. Needs `SELECT` alone.
    Full,
    /// Its tables are copied once, then asked again and again for what is new: rows above the greatest primary key, or
    /// with a later `updated_at` where the table's rule names that column. Needs `SELECT` alone.
    Incremental,
}

/// How a table's changes are found on a source whose binlog is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TableMode {
    /// It is copied whole, again and again.
    Full,
    /// It is copied once, then asked for what is new.
    Incremental,
}

/// How often sources with `mode = "full"` or `"incremental"` are asked. `[snapshot]` says how their tables are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Poll {
    /// Time from the beginning of one round over a table to the next, unless the source or the table says otherwise.
    /// From 1 s to 30 d. Default 1 h.
    pub interval: Span,
    /// How far a round of `incremental` looks back behind what the one before it saw, unless the table says otherwise: at
    /// least as long as the longest transaction of the source, with replication lag where it is a replica. What commits
    /// later than that is never seen. From 1 s to 7 d. Default 10 m.
    pub overlap: Span,
}

impl Default for Poll {
    fn default() -> Self {
        Self { interval: Span::seconds(3600), overlap: Span::seconds(600) }
    }
}

/// What holds for the tables of a source that is asked, unless their rules say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polls {
    /// How.
    pub mode: TableMode,
    /// From the beginning of a round to the next.
    pub interval: Duration,
    /// How far rounds look back.
    pub overlap: Duration,
}

/// How one table is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// How.
    pub mode: TableMode,
    /// With `incremental`, the column that tells when a row was changed; without one the primary key tells what is new.
    pub updated_at: Option<String>,
    /// From the beginning of a round to the next.
    pub interval: Duration,
    /// How far rounds look back.
    pub overlap: Duration,
}

impl Config {
    /// How the source is asked; `None` where its binlog is followed.
    pub fn polls(&self, source: &Source) -> Option<Polls> {
        let mode = match source.mode {
            Mode::Binlog => return None,
            Mode::Full => TableMode::Full,
            Mode::Incremental => TableMode::Incremental,
        };
        let interval = source.poll_interval.unwrap_or(self.poll.interval).get();
        Some(Polls { mode, interval, overlap: self.poll.overlap.get() })
    }
}

impl Polls {
    /// How a table is asked.
    pub fn of(&self, rule: &TablePolicy) -> Polled {
        let mode = rule.mode.unwrap_or(self.mode);
        Polled {
            mode,
            updated_at: rule.updated_at.clone().filter(|_| mode == TableMode::Incremental),
            interval: rule.poll_interval.unwrap_or(self.interval),
            overlap: rule.overlap.unwrap_or(self.overlap),
        }
    }
}

impl Polled {
    /// What the target does not learn of, for people.
    pub fn cannot_see(&self) -> &'static str {
        match (self.mode, &self.updated_at) {
            (TableMode::Full, _) => "states between two rounds",
            (TableMode::Incremental, None) => {
                "updates and deletes of rows that were read, rows with a key below the greatest that were inserted or \
                 committed later than the overlap"
            }
            (TableMode::Incremental, Some(_)) => {
                "deletes, updates that leave updated_at as it is, rows whose updated_at is NULL, the old key of a row whose \
                 key changed, rows committed later than the overlap, states between two rounds"
            }
        }
    }
}

/// Bounds of intervals.
const INTERVAL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 24 * 3600));

/// Bounds of overlaps.
const OVERLAP: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600));

/// Adds what is wrong with modes.
pub(super) fn problems(config: &Config, problems: &mut Vec<Problem>) {
    use super::validate::within;
    within("poll.interval".to_owned(), config.poll.interval, INTERVAL.0, INTERVAL.1, problems);
    within("poll.overlap".to_owned(), config.poll.overlap, OVERLAP.0, OVERLAP.1, problems);
    for (i, source) in config.source.iter().enumerate() {
        let at = |key: &str| format!("source[{i}].{key}");
        if let Some(interval) = source.poll_interval {
            within(at("poll_interval"), interval, INTERVAL.0, INTERVAL.1, problems);
        }
        if source.mode == Mode::Binlog && source.poll_interval.is_some() {
            let mend = "set mode = \"full\" or \"incremental\", or remove poll_interval";
            problems.push(Problem::new(at("poll_interval"), "the source's binlog is followed, it is not asked", mend));
        }
        if source.mode != Mode::Binlog && source.start != StartPoint::default() {
            let what = "a source whose binlog is not followed begins with all rows of its tables";
            problems.push(Problem::new(at("start"), what, "remove start, or set mode = \"binlog\""));
        }
    }
    for (i, rule) in config.table.iter().enumerate() {
        of_rule(config, i, rule, problems);
    }
}

fn of_rule(config: &Config, index: usize, rule: &TableRule, problems: &mut Vec<Problem>) {
    use super::validate::within;
    let at = |key: &str| format!("table[{index}].{key}");
    if let Some(interval) = rule.poll_interval {
        within(at("poll_interval"), interval, INTERVAL.0, INTERVAL.1, problems);
    }
    if let Some(overlap) = rule.overlap {
        within(at("overlap"), overlap, OVERLAP.0, OVERLAP.1, problems);
    }
    let given = [
        ("mode", rule.mode.is_some()),
        ("poll_interval", rule.poll_interval.is_some()),
        ("overlap", rule.overlap.is_some()),
    ];
    // An applier's configuration has no sources, and may share its rules with an extractor's.
    if !config.source.is_empty() && config.source.iter().all(|s| s.mode == Mode::Binlog) {
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            let mend = "set mode = \"full\" or \"incremental\" for the source whose binlog cannot be followed, or remove the key";
            problems.push(Problem::new(at(key), "the binlogs of all sources are followed; no table is asked", mend));
        }
    }
    if rule.mode == Some(TableMode::Full) && rule.overlap.is_some() {
        problems.push(Problem::new(at("overlap"), "a table that is copied whole has no overlap", "remove it"));
    }
    let asked = match rule.mode {
        Some(mode) => mode == TableMode::Incremental,
        None => config.source.iter().any(|s| s.mode == Mode::Incremental),
    };
    if rule.updated_at.is_some() && rule.key == KeyScope::Origin && !asked {
        let mend = "set key = \"global\", or mode = \"incremental\" where the source's binlog is not followed, or remove \
                    updated_at: otherwise the order of the binlog decides";
        problems.push(Problem::new(at("updated_at"), "the column would not be used", mend));
    }
}
