//! Lag as a user of the warehouse sees it: from the commit on a shard to the row in the target.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::time::timeout;

use crate::compare::{Table, Target, Warehouse};
use crate::workload::{DATABASE, Shard, connect};

/// Longest time for connecting again to a shard that went away.
const CONNECT: Duration = Duration::from_secs(2);

/// Writes a row to `shop.pulse` of each shard now and then, and looks when it arrives.
#[derive(Debug)]
pub struct LagProbe {
    shards: Vec<(Shard, Conn)>,
    warehouse: Warehouse,
    target: Option<Target>,
    table: Table,
    next: i64,
    written: BTreeMap<(String, i64), Instant>,
    lags: BTreeMap<String, Vec<Duration>>,
}

/// Lags of one shard.
#[derive(Debug, Clone, Copy)]
pub struct Lag {
    /// Rows seen.
    pub rows: usize,
    /// The lag that half of them stayed below.
    pub median: Duration,
    /// The lag that 95 of 100 stayed below.
    pub p95: Duration,
    /// The greatest.
    pub max: Duration,
}

impl LagProbe {
    /// A probe that has written nothing yet.
    ///
    /// # Errors
    /// When a shard cannot be reached.
    pub async fn new(shards: &[Shard], warehouse: Warehouse) -> Result<Self> {
        let mut connected = Vec::new();
        for shard in shards {
            connected.push((shard.clone(), connect(&shard.url).await?));
        }
        let table = Table { database: DATABASE.to_owned(), name: "pulse".to_owned(), global_key: false };
        let (written, lags) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { shards: connected, warehouse, target: None, table, next: 1, written, lags })
    }

    /// Writes one row on each shard.
    ///
    /// # Errors
    /// A shard's error.
    pub async fn beat(&mut self) -> Result<()> {
        for (shard, conn) in &mut self.shards {
            conn.query_drop(format!("INSERT INTO shop.pulse VALUES ({}, NOW(6))", self.next)).await?;
            let origin = format!("{}:{DATABASE}.pulse", shard.name);
            self.written.insert((origin, self.next), Instant::now());
        }
        self.next += 1;
        Ok(())
    }

    /// Writes one row on each shard that takes it; connects again to those that did not the last time.
    pub async fn beat_where_possible(&mut self) {
        for (shard, conn) in &mut self.shards {
            let row = format!("INSERT INTO shop.pulse VALUES ({}, NOW(6))", self.next);
            if conn.query_drop(row).await.is_ok() {
                self.written.insert((format!("{}:{DATABASE}.pulse", shard.name), self.next), Instant::now());
            } else if let Ok(Ok(again)) = timeout(CONNECT, connect(&shard.url)).await {
                *conn = again;
            }
        }
        self.next += 1;
    }

    /// Looks for rows that have arrived since. A warehouse that is not there yet has none.
    pub async fn look(&mut self) {
        if self.target.is_none() {
            self.target = Target::open(&self.warehouse).await.ok();
        }
        let Some(target) = &mut self.target else { return };
        let Ok(newest) = target.newest(&self.table).await else {
            self.target = None;
            return;
        };
        let now = Instant::now();
        for (origin, id) in newest {
            let from = (origin.clone(), 0);
            let arrived: Vec<i64> = self.written.range(from..=(origin.clone(), id)).map(|((_, id), _)| *id).collect();
            for id in arrived {
                if let Some(written) = self.written.remove(&(origin.clone(), id)) {
                    self.lags.entry(origin.clone()).or_default().push(now - written);
                }
            }
        }
    }

    /// The lags by shard, and how many rows were never seen.
    #[must_use]
    pub fn finish(self) -> (BTreeMap<String, Lag>, usize) {
        let unseen = self.written.len();
        let lags = self.lags.into_iter().filter_map(|(origin, mut all)| {
            all.sort();
            let at = |part: usize| all.get((all.len() * part / 100).min(all.len().saturating_sub(1))).copied();
            let lag = Lag { rows: all.len(), median: at(50)?, p95: at(95)?, max: *all.last()? };
            Some((origin.split(':').next().unwrap_or_default().to_owned(), lag))
        });
        (lags.collect(), unseen)
    }
}
