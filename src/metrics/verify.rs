//! What comparing sources and warehouse found.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::model::{Origin, TableOutcome, VerifiedTable};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByTable {
    shard: String,
    table: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByShard {
    shard: String,
}

/// Figures of comparisons, by source table.
#[derive(Clone, Debug, Default)]
pub(super) struct Verified {
    through: Family<ByTable, Gauge>,
    different: Family<ByTable, Gauge>,
    compared: Family<ByTable, Gauge>,
    rows: Family<ByShard, Counter>,
}

impl Verified {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let all = Self::default();
        let help = "Source commit time up to which the warehouse was proven equal, seconds since the epoch";
        registry.register("verified_through_timestamp_seconds", help, all.through.clone());
        let help = "Rows that differed between source and warehouse when they were compared last";
        registry.register("verify_different_rows", help, all.different.clone());
        let help = "Whether the last comparison could be made (1) or not (0)";
        registry.register("verify_compared", help, all.compared.clone());
        registry.register("verify_rows", "Rows of the source that were compared", all.rows.clone());
        all
    }

    pub(super) fn count(&self, origin: &Origin, found: &VerifiedTable) {
        let by = ByTable { shard: origin.shard.to_string(), table: format!("{}.{}", origin.database, origin.table) };
        self.rows.get_or_create(&ByShard { shard: by.shard.clone() }).inc_by(found.rows);
        let compared = !matches!(found.outcome, TableOutcome::NotCompared { .. });
        self.compared.get_or_create(&by).set(compared.into());
        match &found.outcome {
            TableOutcome::Equal => {
                self.different.get_or_create(&by).set(0);
                if let Some(at) = found.through.as_ref().and_then(|t| t.committed_at) {
                    self.through.get_or_create(&by).set(at / 1_000_000);
                }
            }
            TableOutcome::Differs { differences, .. } => {
                self.different.get_or_create(&by).set(i64::try_from(differences.len()).unwrap_or(i64::MAX));
            }
            TableOutcome::NotCompared { .. } => {}
        }
    }
}
