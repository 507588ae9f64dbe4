//! The source as its own server tells it: who it is, how much we have not read, and for how long it keeps that.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::{
    labels::{ByServer, ByShard},
    lag::Lag,
    register::{Register, Seconds},
};

/// What a look at a shard's server told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SourceLook {
    /// `MySQL` or `MariaDB`.
    pub family: String,
    /// The server's version.
    pub version: String,
    /// What tells the server from others: its UUID, or its `server_id` where it has none.
    pub server: String,
    /// Bytes of binlog behind what was read; `None` where the file is not known.
    pub behind_bytes: Option<u64>,
    /// Transactions behind what was read; `None` without GTIDs.
    pub behind_transactions: Option<u64>,
    /// Bytes of all binlogs.
    pub binlog_bytes: u64,
    /// How long the server keeps a binlog; `None` where age does not matter.
    pub retention_seconds: Option<f64>,
    /// Bytes that it may still write before it deletes what was not read; `None` where size does not matter.
    pub room_bytes: Option<u64>,
    /// Bytes of binlog that it writes a second; `None` before the second look.
    pub bytes_per_second: Option<f64>,
    /// Something that was not read is deleted already.
    pub purged: bool,
}

impl SourceLook {
    /// Seconds until the server may delete what was not read, of a shard that is `unread` seconds behind.
    ///
    /// By age: a file is deleted when its newest event is older than the retention. The oldest event that was not read is newer
    /// than the newest that was, so the answer is never too high; it is too low by the time that the file went on after it.
    fn runway(&self, unread: Option<f64>) -> Option<f64> {
        if self.purged {
            return Some(0.0);
        }
        let by_age = match self.retention_seconds {
            None => f64::INFINITY,
            Some(kept) => (kept - unread?).max(0.0),
        };
        let rate = self.bytes_per_second.filter(|rate| *rate > 0.0);
        let by_size = self.room_bytes.zip(rate).map_or(f64::INFINITY, |(room, rate)| room as f64 / rate);
        Some(by_age.min(by_size))
    }
}

/// Families of sources.
#[derive(Debug)]
pub(super) struct Sources {
    looks: Mutex<BTreeMap<String, SourceLook>>,
    info: Family<ByServer, Gauge>,
    changes: Family<ByShard, Counter>,
    looked: Family<ByShard, Gauge>,
    behind_bytes: Family<ByShard, Gauge>,
    behind_transactions: Family<ByShard, Gauge>,
    binlog_bytes: Family<ByShard, Gauge>,
    retention: Family<ByShard, Seconds>,
    runway: Family<ByShard, Seconds>,
}

impl Sources {
    pub(super) fn register(r: &mut Register) -> Self {
        Self {
            looks: Mutex::default(),
            info: r.add("source_info", "The server that the shard is read from", Family::default()),
            changes: r.add(
                "source_server_changes",
                "Times that another server answered at the shard's address: a failover, or a mistake",
                Family::default(),
            ),
            looked: r.add(
                "source_look_timestamp_seconds",
                "When the source last told how far its binlog is; the figures below are of then",
                Family::default(),
            ),
            behind_bytes: r.add(
                "source_behind_bytes",
                "Source head to read: bytes of binlog that were not read yet",
                Family::default(),
            ),
            behind_transactions: r.add(
                "source_behind_transactions",
                "Source head to read: transactions that were not read yet, where the server has GTIDs",
                Family::default(),
            ),
            binlog_bytes: r.add("source_binlog_bytes", "Bytes of all binlogs that the source keeps", Family::default()),
            retention: r.add(
                "source_retention_seconds",
                "How long the source keeps its binlogs; +Inf where it does not delete them by age",
                Family::default(),
            ),
            runway: r.add(
                "source_runway_seconds",
                "Time until the source may delete binlogs that were not read, by age and by size; 0 when it has. Never too high",
                Family::default(),
            ),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, SourceLook>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A shard's server was looked at, at `at` (UTC microseconds).
    pub(super) fn looked(&self, shard: &str, look: SourceLook, at: i64) {
        let by = ByShard { shard: shard.to_owned() };
        let gauge = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.looked.get_or_create(&by).set(at / 1_000_000);
        if let Some(bytes) = look.behind_bytes {
            self.behind_bytes.get_or_create(&by).set(gauge(bytes));
        }
        if let Some(transactions) = look.behind_transactions {
            self.behind_transactions.get_or_create(&by).set(gauge(transactions));
        }
        self.binlog_bytes.get_or_create(&by).set(gauge(look.binlog_bytes));
        self.retention.get_or_create(&by).set(look.retention_seconds.unwrap_or(f64::INFINITY));
        let server = |look: &SourceLook| ByServer {
            shard: shard.to_owned(),
            family: look.family.clone(),
            version: look.version.clone(),
            server: look.server.clone(),
        };
        self.info.get_or_create(&server(&look)).set(1);
        let changes = self.changes.get_or_create_owned(&by);
        let before = self.known().insert(shard.to_owned(), look.clone());
        if let Some(before) = before.filter(|before| server(before) != server(&look)) {
            if before.server != look.server {
                changes.inc();
            }
            self.info.remove(&server(&before));
        }
    }

    /// Brings the runway of a shard up to date: it shrinks between two looks, and most of all when there are none any more.
    pub(super) fn show(&self, shard: &str, lag: Lag) {
        let runway = self.known().get(shard).and_then(|look| look.runway(lag.read));
        if let Some(seconds) = runway {
            self.runway.get_or_create(&ByShard { shard: shard.to_owned() }).set(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runway_is_the_shorter_of_age_and_size() {
        let look = SourceLook { retention_seconds: Some(3600.0), ..SourceLook::default() };
        assert_eq!(look.runway(Some(600.0)), Some(3000.0));
        assert_eq!(look.runway(Some(4000.0)), Some(0.0));
        assert_eq!(look.runway(None), None);
        let full = SourceLook { room_bytes: Some(1000), bytes_per_second: Some(10.0), ..look.clone() };
        assert_eq!(full.runway(Some(0.0)), Some(100.0));
        let idle = SourceLook { bytes_per_second: Some(0.0), ..full };
        assert_eq!(idle.runway(Some(0.0)), Some(3600.0));
        assert_eq!(SourceLook::default().runway(None), Some(f64::INFINITY));
        assert_eq!(SourceLook { purged: true, ..look }.runway(None), Some(0.0));
    }

    #[test]
    fn another_server_is_counted_and_replaces_the_first() {
        let mut r = Register::default();
        let sources = Sources::register(&mut r);
        let look = |server: &str| SourceLook { server: server.into(), ..SourceLook::default() };
        for server in ["a", "a", "b"] {
            sources.looked("s1", look(server), 5_000_000);
        }
        let mut text = String::new();
        assert!(prometheus_client::encoding::text::encode(&mut text, &r.registry).is_ok());
        assert!(text.contains("tailwater_source_server_changes_total{shard=\"s1\"} 1"), "{text}");
        assert!(text.contains("server=\"b\"") && !text.contains("server=\"a\""), "{text}");
    }
}
