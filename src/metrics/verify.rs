//! What comparing sources and warehouse found.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{
    labels::ByShard,
    register::{BY_TABLE, Register},
    tables::{TableGauge, TableLabels},
};
use crate::model::{Origin, TableOutcome, VerifiedTable};

/// What the last comparisons of one source table came to.
#[derive(Clone, Debug)]
struct Found {
    labels: TableLabels,
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
    through: TableGauge,
    equal_at: TableGauge,
    different: TableGauge,
    compared: TableGauge,
    rows: Family<ByShard, Counter>,
    rounds: Counter,
    round: Gauge,
}

impl Verified {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            tables: Mutex::default(),
            through: r.tables(
                "verified_through_timestamp_seconds",
                "Source commit time up to which the warehouse was proven equal",
                BY_TABLE,
            ),
            equal_at: r.tables(
                "verified_timestamp_seconds",
                "When the warehouse was last proven equal to the source",
                BY_TABLE,
            ),
            different: r.tables(
                "verify_different_rows",
                "Rows that differed between source and warehouse when they were compared last",
                BY_TABLE,
            ),
            compared: r.tables("verify_compared", "Whether the last comparison could be made (1) or not (0)", BY_TABLE),
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
        let known = tables.entry(origin.clone()).or_insert_with_key(|origin| Found {
            labels: TableLabels::of(origin),
            compared: false,
            through: None,
            equal_at: None,
            different: None,
        });
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

    /// Writes the series of source tables.
    pub(super) fn write(&self, out: &mut String) {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut write = |gauge: &TableGauge, of: fn(&Found) -> Option<i64>, worst: fn(i64, i64) -> i64| {
            gauge.write(out, tables.values().filter_map(|found| Some((&found.labels, of(found)?))), worst);
        };
        write(&self.through, |found| found.through, i64::min);
        write(&self.equal_at, |found| found.equal_at, i64::min);
        write(&self.different, |found| found.different, i64::saturating_add);
        write(&self.compared, |found| Some(found.compared.into()), i64::min);
    }
}
