//! What comparing sources and warehouse found.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{
    bounded::by_table,
    labels::{ByShard, ByTable},
    register::Register,
};
use crate::model::{Origin, TableOutcome, VerifiedTable};

/// What the last comparisons of one source table came to.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    compared: bool,
    /// Seconds since the epoch.
    through: Option<i64>,
    /// Seconds since the epoch.
    equal_at: Option<i64>,
    different: Option<i64>,
}

/// Figures of comparisons, by source table.
#[derive(Debug)]
pub(super) struct Verified {
    tables: Mutex<BTreeMap<Origin, Found>>,
    through: Family<ByTable, Gauge>,
    equal_at: Family<ByTable, Gauge>,
    different: Family<ByTable, Gauge>,
    compared: Family<ByTable, Gauge>,
    rows: Family<ByShard, Counter>,
    rounds: Counter,
    round: Gauge,
}

impl Verified {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            tables: Mutex::default(),
            through: r.add(
                "verified_through_timestamp_seconds",
                "Source commit time up to which the warehouse was proven equal",
                Family::default(),
            ),
            equal_at: r.add(
                "verified_timestamp_seconds",
                "When the warehouse was last proven equal to the source",
                Family::default(),
            ),
            different: r.add(
                "verify_different_rows",
                "Rows that differed between source and warehouse when they were compared last",
                Family::default(),
            ),
            compared: r.add(
                "verify_compared",
                "Whether the last comparison could be made (1) or not (0)",
                Family::default(),
            ),
            rows: r.add("verify_rows", "Rows of the source that were compared", Family::default()),
            rounds: r.add("verify_rounds", "Comparisons of all tables that came to their end", Counter::default()),
            round: r.add(
                "verify_round_timestamp_seconds",
                "When the last comparison of all tables ended",
                Gauge::default(),
            ),
        }
    }

    pub(super) fn count(&self, origin: &Origin, found: &VerifiedTable) {
        self.rows.get_or_create(&ByShard { shard: origin.shard.to_string() }).inc_by(found.rows);
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let known = tables.entry(origin.clone()).or_default();
        known.compared = !matches!(found.outcome, TableOutcome::NotCompared { .. });
        match &found.outcome {
            TableOutcome::Equal => {
                known.different = Some(0);
                let through = found.through.as_ref().and_then(|t| t.committed_at);
                let verified_at = found.through.as_ref().map(|t| t.verified_at / 1_000_000);
                known.equal_at = verified_at.or(known.equal_at);
                known.through = through.map(|at| at / 1_000_000).or(known.through);
            }
            TableOutcome::Differs { differences, .. } => {
                known.different = Some(i64::try_from(differences.len()).unwrap_or(i64::MAX));
            }
            TableOutcome::NotCompared { .. } => {}
        }
    }

    /// All tables were looked at; `at` in UTC microseconds.
    pub(super) fn round(&self, at: i64) {
        self.rounds.inc();
        self.round.set(at / 1_000_000);
    }

    /// Brings the series up to date.
    pub(super) fn show(&self) {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let show = |family: &Family<ByTable, Gauge>, of: fn(&Found) -> Option<i64>, worst: fn(f64, f64) -> f64| {
            family.clear();
            let values = tables.iter().filter_map(|(origin, found)| Some((ByTable::of(origin), of(found)? as f64)));
            for (by, value) in by_table(values, worst) {
                family.get_or_create(&by).set(value as i64);
            }
        };
        show(&self.through, |found| found.through, f64::min);
        show(&self.equal_at, |found| found.equal_at, f64::min);
        show(&self.different, |found| found.different, |a, b| a + b);
        show(&self.compared, |found| Some(found.compared.into()), f64::min);
    }
}
