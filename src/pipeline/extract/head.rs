//! Asks the source now and then how far its binlog is, beside the stream and for as long as the shard is extracted: what an
//! operator must know is most needed while reading fails.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{Extract, session::AbortOnDrop};
use crate::{
    errors::chain,
    lake::Clock,
    metrics::{ErrorKind, Metrics, SourceLook, Stage},
    model::Shard,
    source::mysql::{
        connect::{Address, Connection},
        event::StreamPosition,
        head::{self, Head, ServerFacts},
        retention::{Kept, Retention, retention},
        table_map::Flavor,
    },
};

/// How often: a handful of statements that touch no table. SHOW BINARY LOGS looks at every file, of which there may be thousands.
const EVERY: Duration = Duration::from_secs(10);

/// Longest time for one look; a server that is slower than this has other sorrows.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks after which a connection is made anew, and with it who the server is and what it is set to.
const LOOKS_MAX: u32 = 30;

/// Where the shard's reading stands; written by its decode thread, read here.
#[derive(Clone, Debug, Default)]
pub(super) struct Whereabouts(Arc<Mutex<Option<StreamPosition>>>);

impl Whereabouts {
    /// Notes where reading stands.
    pub(super) fn note(&self, position: &StreamPosition) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(position.clone());
    }

    fn get(&self) -> Option<StreamPosition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at the source for as long as the answer is kept.
pub(super) fn watch(extract: &Extract, whereabouts: Whereabouts) -> AbortOnDrop {
    let watch = Watch {
        shard: extract.shard.clone(),
        address: extract.address.clone(),
        clock: Arc::clone(&extract.clock),
        metrics: Arc::clone(&extract.metrics),
        whereabouts,
        before: None,
    };
    AbortOnDrop::spawn(watch.run())
}

struct Watch {
    shard: Shard,
    address: Address,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    whereabouts: Whereabouts,
    /// When the last look was, and how many bytes of binlog there were.
    before: Option<(Instant, u64)>,
}

impl Watch {
    async fn run(mut self) {
        loop {
            if let Err(error) = self.connected().await {
                self.metrics.error(Stage::Watch, ErrorKind::Transient);
                tracing::debug!(shard = %self.shard, error, "the source does not say how far its binlog is");
            }
            sleep(EVERY).await;
        }
    }

    /// Looks until the connection has served its time.
    async fn connected(&mut self) -> Result<(), String> {
        let mut conn = self.address.connect().await.map_err(|e| chain(&e))?;
        let facts = patiently(head::facts(&mut conn)).await?;
        let kept = patiently(retention(&mut conn)).await?;
        for _ in 0..LOOKS_MAX {
            let head = patiently(head::head(&mut conn)).await?;
            self.tell(&facts, kept, &head);
            sleep(EVERY).await;
        }
        close(conn).await;
        Ok(())
    }

    fn tell(&mut self, facts: &ServerFacts, kept: Retention, head: &Head) {
        let behind = self.whereabouts.get().map(|position| head.behind(&position)).unwrap_or_default();
        let bytes = head.bytes();
        let before = self.before.replace((Instant::now(), bytes));
        // Deleted files make it less than it was: then nothing is known of what was written.
        let rate = before.and_then(|(at, before)| Some(bytes.checked_sub(before)? as f64 / at.elapsed().as_secs_f64()));
        let look = SourceLook {
            family: if facts.flavor == Flavor::MariaDb { "MariaDB" } else { "MySQL" }.to_owned(),
            version: facts.version.clone(),
            server: facts.identity.clone(),
            behind_bytes: behind.bytes,
            behind_transactions: behind.transactions,
            binlog_bytes: bytes,
            retention_seconds: match kept.age {
                Kept::Forever => None,
                Kept::For(time) => Some(time.as_secs_f64()),
                Kept::Hardly => Some(0.0),
            },
            room_bytes: kept.bytes_max.zip(behind.needed_bytes).map(|(max, needed)| max.saturating_sub(needed)),
            bytes_per_second: rate.filter(|rate| rate.is_finite()),
            purged: behind.purged,
        };
        self.metrics.source_looked(&self.shard, look, self.clock.unix_micros());
    }
}

async fn patiently<T, E: std::error::Error>(asking: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer.map_err(|e| chain(&e)),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

async fn close(conn: Connection) {
    // Nothing depends on a polite goodbye.
    let _ = timeout(PATIENCE, conn.disconnect()).await;
}
