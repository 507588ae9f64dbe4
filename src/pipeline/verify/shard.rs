//! All tables of one shard, one after the other: one reader on the source, whatever the number of tables.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use tracing::Instrument as _;

use super::{Wanted, error::VerifyError, notes::Notes, throttle::Throttle};
use crate::{
    config::TableRules,
    lake::{Schemas, Store},
    model::{TableOutcome, VerifiedTable},
    source::mysql::{checksum::ChecksumReader, connect::Address},
    spans,
    warehouse::{Checksums, Warehouse},
};

/// What comparing tables of one shard needs.
pub(super) struct ShardVerifier<'a> {
    pub(super) pipeline: &'a str,
    pub(super) rules: &'a TableRules,
    pub(super) store: Arc<dyn Store>,
    pub(super) schemas: Arc<Schemas>,
    /// Tells how far groups are.
    pub(super) warehouse: Arc<dyn Warehouse>,
    pub(super) reader: &'a mut ChecksumReader,
    pub(super) checksums: &'a mut Box<dyn Checksums>,
    pub(super) address: Address,
    pub(super) throttle: &'a mut Throttle,
    pub(super) notes: Notes,
    pub(super) patience: Duration,
    /// Whether the lake's values are made for Redshift.
    pub(super) for_redshift: bool,
}

/// A table that could not be compared.
pub(super) fn not_compared(wanted: &Wanted, reason: String) -> VerifiedTable {
    VerifiedTable::new(&wanted.origin, &wanted.known.target, TableOutcome::NotCompared { reason })
}

/// Tries of a table over new connections. A comparison of hours should not end with one connection.
const TRIES_MAX: u32 = 3;

/// Pause before another try, times their number.
const PAUSE: Duration = Duration::from_secs(2);

impl ShardVerifier<'_> {
    /// Compares a table, over new connections where the old ones broke.
    async fn patiently(&mut self, wanted: &Wanted) -> Result<VerifiedTable, VerifyError> {
        let mut tries = 1;
        loop {
            match self.table(&wanted.origin, &wanted.known).await {
                Err(e) if e.is_transient() && tries < TRIES_MAX => {
                    let (origin, error) = (&wanted.origin, crate::errors::chain(&e));
                    tracing::warn!(%origin, error, "a comparison was interrupted; it begins again");
                }
                done => return done,
            }
            sleep(PAUSE * tries).await;
            tries += 1;
            self.connect().await?;
        }
    }

    async fn connect(&mut self) -> Result<(), VerifyError> {
        *self.reader = ChecksumReader::connect(&self.address).await?;
        *self.checksums = self.warehouse.checksums().await?;
        Ok(())
    }

    /// Compares the tables; `done` hears of each. A failure that concerns the whole shard is told for all that are left.
    pub(super) async fn run(
        &mut self,
        wanted: &[Wanted],
        done: &mut (dyn FnMut(&VerifiedTable) + Send),
    ) -> Vec<VerifiedTable> {
        let mut tables = Vec::with_capacity(wanted.len());
        let mut failed: Option<VerifyError> = None;
        for table in wanted {
            let report = match &failed {
                Some(e) => not_compared(table, crate::errors::chain(e)),
                None => match self.patiently(table).instrument(spans::verify(&table.origin)).await {
                    Ok(report) => report,
                    Err(e) => {
                        let report = not_compared(table, crate::errors::chain(&e));
                        failed = Some(e);
                        report
                    }
                },
            };
            done(&report);
            self.notes.take(&report).await;
            tables.push(report);
        }
        self.notes.write().await;
        tables
    }
}
