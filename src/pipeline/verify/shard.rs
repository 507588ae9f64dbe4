//! All tables of one shard, one after the other: one reader on the source, whatever the number of tables.

use std::{sync::Arc, time::Duration};

use super::{Wanted, error::VerifyError, throttle::Throttle};
use crate::{
    config::TableRules,
    lake::{Schemas, Store},
    model::{TableOutcome, VerifiedTable},
    source::mysql::checksum::ChecksumReader,
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
    pub(super) checksums: &'a mut dyn Checksums,
    pub(super) throttle: &'a mut Throttle,
    pub(super) patience: Duration,
    /// Whether the lake's values are made for Redshift.
    pub(super) for_redshift: bool,
}

/// A table that could not be compared.
pub(super) fn not_compared(wanted: &Wanted, reason: String) -> VerifiedTable {
    VerifiedTable {
        origin: wanted.origin.to_string(),
        target: wanted.known.target.to_string(),
        outcome: TableOutcome::NotCompared { reason },
        through: None,
        rows: 0,
        ranges: 0,
        rows_one_by_one: 0,
        in_flight: 0,
        explained: 0,
        statements: 0,
        longest_statement_ms: 0,
        elapsed_ms: 0,
        notes: Vec::new(),
    }
}

impl ShardVerifier<'_> {
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
                None => match self.table(&table.origin, &table.known).await {
                    Ok(report) => report,
                    Err(e) => {
                        let report = not_compared(table, crate::errors::chain(&e));
                        failed = Some(e);
                        report
                    }
                },
            };
            done(&report);
            tables.push(report);
        }
        tables
    }
}
