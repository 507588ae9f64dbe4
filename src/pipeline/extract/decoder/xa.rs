//! XA transactions: rows that are in the binlog before anybody knows whether they happened.
//!
//! A prepared branch is logged as a transaction of its own (MySQL manual, "XA Transaction States"); its outcome follows
//! later, perhaps after a restart of ours. Its rows go to files with provisional numbers from 0 that every following
//! entry lists as open, so that the position may pass them. At XA COMMIT the files are written again with the numbers and
//! the time of the commit: an update between PREPARE and COMMIT of another row must not win over it by accident of order.

use std::{collections::BTreeMap, sync::Arc};

use super::Decoder;
use crate::{
    batch::OpenBatch,
    decode::{Plan, RowTime},
    model::{FileStep, Seq},
    pipeline::extract::{ExtractError, cut::Pending},
    source::mysql::rows::RowsEvent,
};
use tokio::task::JoinHandle;

/// A branch whose rows are being read.
#[derive(Debug)]
pub(super) struct Branch {
    /// Provisional number of the next row.
    next: Seq,
    open: BTreeMap<usize, OpenBatch>,
    files: Vec<JoinHandle<Result<FileStep, ExtractError>>>,
}

impl Branch {
    pub(super) fn new() -> Self {
        Self { next: Seq(0), open: BTreeMap::new(), files: Vec::new() }
    }
}

impl Decoder {
    /// Rows of an XA branch, kept apart from the open batches.
    pub(super) fn xa_rows(&mut self, i: usize, plan: &Arc<Plan>, event: RowsEvent<'_>) {
        let Some(mut transaction) = self.transaction.take() else { return };
        let done = self.branch_rows(i, plan, event, &mut transaction);
        self.transaction = Some(transaction);
        if let Err(reason) = done {
            self.park(i, reason);
        }
    }

    fn branch_rows(
        &mut self,
        i: usize,
        plan: &Arc<Plan>,
        event: RowsEvent<'_>,
        transaction: &mut super::Open,
    ) -> Result<(), String> {
        let Some(branch) = &mut transaction.xa else { return Ok(()) };
        let time = RowTime { committed_at_us: transaction.committed_at };
        let before = branch.next;
        let mut rows = plan.rows(event).map_err(|e| e.to_string())?;
        let mut open = branch.open.remove(&i).unwrap_or_else(|| OpenBatch::new(plan.schema()));
        let outcome = loop {
            match rows.next_into(open.builder(), &mut branch.next, time) {
                Ok(true) => open.settle(true),
                Ok(false) => break Ok(()),
                Err(e) => break Err(e.to_string()),
            }
        };
        transaction.rows += (branch.next.0 - before.0) as u64;
        let fits = open.reserve(&self.budget);
        if open.bytes() >= self.limits.batch_bytes || !fits {
            self.xa_file(branch, i, open, transaction.committed_at);
            if !fits {
                self.seal_all();
                self.wait_for_room();
            }
        } else if !open.is_empty() {
            branch.open.insert(i, open);
        }
        outcome
    }

    fn xa_file(&mut self, branch: &mut Branch, i: usize, open: OpenBatch, at: i64) {
        // Provisional rows have no place in the shard's order yet; a marker of its own makes the name unique.
        let named = Some(self.mark());
        branch.files.push(self.start_file(i, open, named, at));
    }

    /// XA PREPARE: the branch's rows become files that wait for the outcome.
    pub(super) fn xa_prepared(&mut self, xid: String) {
        let Some(open) = self.transaction.take() else { return };
        if let Some(branch) = open.xa {
            self.prepared(xid, branch, open.committed_at);
        }
    }

    pub(super) fn prepared(&mut self, xid: String, mut branch: Branch, committed_at: i64) {
        for (i, open) in std::mem::take(&mut branch.open) {
            self.xa_file(&mut branch, i, open, committed_at);
        }
        if branch.files.is_empty() {
            return;
        }
        self.xa_rows.insert(xid.clone(), branch.next.0);
        self.pending.push(Pending::XaPrepared { xid, files: branch.files });
        self.covers(committed_at);
    }

    /// XA COMMIT: the rows take the next numbers.
    pub(super) fn xa_committed(&mut self, xid: String, committed_at: i64) {
        let Some(rows) = self.xa_rows.remove(&xid) else { return };
        // Whether a view has its rows was not asked when they came.
        self.doubt_all_views();
        let base = self.seq;
        self.seq = Seq(base.0 + rows);
        self.pending.push(Pending::XaCommitted { xid, base, committed_at });
        self.covers(committed_at);
    }

    /// XA ROLLBACK: the rows never happened.
    pub(super) fn xa_rolled_back(&mut self, xid: String) {
        if self.xa_rows.remove(&xid).is_some() {
            self.pending.push(Pending::XaRolledBack { xid });
            self.since.get_or_insert_with(std::time::Instant::now);
        }
    }
}
