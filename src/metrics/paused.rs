//! What operators hold back: standing still that was asked for, and that is forgotten easily.

use prometheus_client::metrics::{family::Family, gauge::Gauge};

use super::{
    labels::ByShard,
    register::{BY_TABLE, Register},
    tables::{TableGauge, TableLabels},
};
use crate::{live::Live, model::Shard};

/// Paused shards and tables.
#[derive(Debug)]
pub(super) struct PausedParts {
    shard: Family<ByShard, Gauge>,
    shard_since: Family<ByShard, Gauge>,
    table: TableGauge,
    table_since: TableGauge,
}

impl PausedParts {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            shard: r.add(
                "shard_paused",
                "Whether an operator holds the shard back (1) or not (0); its binlogs have to last until it is resumed",
                Family::default(),
            ),
            shard_since: r.add(
                "shard_paused_timestamp_seconds",
                "Since when the shard is paused; the series goes when it is resumed",
                Family::default(),
            ),
            table: r.tables(
                "table_paused",
                "A source table that an operator holds back: its changes wait in the lake. The series goes when it is resumed",
                BY_TABLE,
            ),
            table_since: r.tables(
                "table_paused_timestamp_seconds",
                "Since when the source table is paused; the series goes when it is resumed",
                BY_TABLE,
            ),
        }
    }

    /// Brings the series of shards up to date.
    pub(super) fn show(&self, live: &Live) {
        let pauses = live.pauses();
        let by = |shard: &Shard| ByShard { shard: shard.to_string() };
        self.shard.clear();
        self.shard_since.clear();
        for (shard, _) in live.shards() {
            self.shard.get_or_create(&by(&shard)).set(pauses.shard(&shard).is_some().into());
        }
        for (shard, since) in pauses.shards() {
            self.shard.get_or_create(&by(shard)).set(1);
            self.shard_since.get_or_create(&by(shard)).set(since / 1_000_000);
        }
    }

    /// Writes the series of source tables.
    pub(super) fn write(&self, live: &Live, out: &mut String) {
        if !live.pauses().has_tables() {
            return;
        }
        let overview = live.overview();
        let labels: Vec<_> =
            overview.paused.iter().map(|(origin, since)| (TableLabels::of(origin), since / 1_000_000)).collect();
        self.table.write(out, labels.iter().map(|(labels, _)| (labels, 1_i64)), i64::max);
        self.table_since.write(out, labels.iter().map(|(labels, since)| (labels, *since)), i64::min);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{
        live::Pauses,
        metrics::Metrics,
        model::{Digest, Origin, Seq, Shard, Step, Target},
    };

    #[test]
    fn series_come_with_a_pause_and_go_with_it() {
        let metrics = Metrics::new();
        let (s1, s2) = (Shard::new("s1"), Shard::new("s2"));
        for (n, table) in [(1, "orders"), (2, "notes")] {
            let origin = Origin::new(&s1, "shop", table);
            let (target, schema) = (Target::new("shop.t"), Digest::of(b"x"));
            let step = Step::Schema { origin, target, seq: Seq(n), schema, added: Default::default(), appends: false };
            metrics.live().shard(&s1).passed(n as u64, &[step]);
        }
        let mut pauses = Pauses::default();
        pauses.hold_shard(s2, 7_000_000);
        pauses.hold_tables("shop.o*".parse().unwrap(), None, 5_000_000);
        metrics.live().hold(pauses);
        let text = metrics.exposition(9_000_000);
        for line in [
            "tailwater_shard_paused{shard=\"s1\"} 0",
            "tailwater_shard_paused{shard=\"s2\"} 1",
            "tailwater_shard_paused_timestamp_seconds{shard=\"s2\"} 7",
            "tailwater_table_paused{shard=\"s1\",table=\"shop.orders\"} 1",
            "tailwater_table_paused_timestamp_seconds{shard=\"s1\",table=\"shop.orders\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(!text.contains("shop.notes"), "{text}");
        metrics.live().hold(Pauses::default());
        let text = metrics.exposition(9_000_000);
        assert!(!text.contains("tailwater_table_paused") && !text.contains("paused{shard=\"s2\"}"), "{text}");
    }
}
