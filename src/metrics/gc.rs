//! What is removed from the lake, and what is kept longer than it had to be.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{labels::ByShard, register::Register};

/// Figures of all shards from whose logs this process removes.
#[derive(Clone, Debug)]
pub(super) struct Gcs {
    entries: Family<ByShard, Counter>,
    files: Family<ByShard, Counter>,
    bytes: Family<ByShard, Counter>,
    oldest: Family<ByShard, Gauge>,
    blocked: Family<ByShard, Gauge>,
}

impl Gcs {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            entries: r.add("gc_entries", "Old entries removed from the shard's log", Family::default()),
            files: r.add("gc_files", "Files removed from the lake: of old entries, and those that no entry named", Family::default()),
            bytes: r.add("gc_bytes", "Bytes removed from the lake", Family::default()),
            oldest: r.add(
                "gc_oldest_entry_timestamp_seconds",
                "When the oldest entry was written that the lake keeps",
                Family::default(),
            ),
            blocked: r.add(
                "gc_blocked_entries",
                "Entries that are older than the retention and kept because a consumer, a parked table or a snapshot needs them; \
                 `tailwater gc --dry-run` says which",
                Family::default(),
            ),
        }
    }

    pub(super) fn shard(&self, shard: &str) -> GcMetrics {
        let by = ByShard { shard: shard.to_owned() };
        GcMetrics {
            entries: self.entries.get_or_create_owned(&by),
            files: self.files.get_or_create_owned(&by),
            bytes: self.bytes.get_or_create_owned(&by),
            oldest: self.oldest.get_or_create_owned(&by),
            blocked: self.blocked.get_or_create_owned(&by),
        }
    }
}

/// Handles of one shard.
#[derive(Clone, Debug)]
pub struct GcMetrics {
    entries: Counter,
    files: Counter,
    bytes: Counter,
    oldest: Gauge,
    blocked: Gauge,
}

impl GcMetrics {
    /// Something was removed.
    pub fn removed(&self, entries: u64, files: u64, bytes: u64) {
        self.entries.inc_by(entries);
        self.files.inc_by(files);
        self.bytes.inc_by(bytes);
    }

    /// The oldest kept entry was written at that time, UTC microseconds, and so many are kept longer than the retention.
    pub fn looked(&self, oldest_at: i64, blocked: u64) {
        self.oldest.set(oldest_at / 1_000_000);
        self.blocked.set(i64::try_from(blocked).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use crate::{metrics::Metrics, model::Shard};

    #[test]
    fn series_come_with_the_first_turn() {
        let metrics = Metrics::new();
        assert!(!metrics.exposition(1).contains("tailwater_gc_entries_total{"));
        let gc = metrics.gc(&Shard::new("s1"));
        gc.removed(3, 4, 500);
        gc.looked(7_500_000, 12);
        let text = metrics.exposition(1);
        for line in [
            "tailwater_gc_entries_total{shard=\"s1\"} 3",
            "tailwater_gc_bytes_total{shard=\"s1\"} 500",
            "tailwater_gc_oldest_entry_timestamp_seconds{shard=\"s1\"} 7",
            "tailwater_gc_blocked_entries{shard=\"s1\"} 12",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
