//! Rows that are read anew by request, in the order of the stream.
//!
//! # Why a repair neither beats later changes nor loses to the wrong row
//! Between two transactions, where everything that the stream has delivered is visible to reads, the repair takes a number S
//! of its own. The rows are read while the stream waits, so what is read has every change in front of S, and carries S: it
//! replaces whatever row the warehouse has, which is older. Every change that the stream delivers later has a greater number,
//! and its rows lie behind the repair's file in the log, so it wins, also where it is a delete that leaves nothing to compare
//! with. A change behind S that the read saw already comes again and ends in the same row. A row that is not there becomes a
//! delete with S. Nothing else of the table is touched: a repair has no floor.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::Decoder;
use crate::{
    batch::{OpenBatch, SealReason},
    decode::Plan,
    lake::{ObjectPath, requests::ROWS_MAX},
    metrics::{ErrorKind, Stage},
    model::{
        Op, Seq,
        checksum::{ComparedColumn, Key},
    },
    pipeline::extract::{
        ExtractError,
        cut::{After, Pending},
    },
    source::mysql::{
        assembler::Assembler,
        connect::Address,
        snapshot::{Session, Shape},
    },
};

/// How often it is asked whether rows can be read anew here.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Longest time that the stream waits for the rows of one request.
const READ_MAX: Duration = Duration::from_secs(20);

/// Rows of one table that are to be read anew.
#[derive(Debug)]
struct Repair {
    path: ObjectPath,
    table: usize,
    keys: Vec<Key>,
}

/// Requests for rows.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    waiting: Vec<Repair>,
    /// Those that were heard of in this session: a look at the lake finds them until they are fulfilled and removed.
    heard: BTreeSet<ObjectPath>,
    looked: Option<Instant>,
}

impl Repairs {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Decoder {
    /// Notes a request.
    pub(super) fn rows_asked_for(&mut self, path: ObjectPath, database: &str, table: &str, keys: Vec<Key>) {
        if !self.snapshots.state.repairs.heard.insert(path.clone()) {
            return;
        }
        match self.table_named(database, table) {
            Some(table) if keys.len() <= ROWS_MAX => {
                self.snapshots.state.repairs.waiting.push(Repair { path, table, keys });
            }
            _ => {
                tracing::warn!(database, table, shard = %self.shard, "rows were asked for that are too many, or of a table that is not captured");
                self.snapshots.state.after.push(After::Delete(path));
            }
        }
        self.since.get_or_insert_with(Instant::now);
    }

    /// Reads rows anew, if everything that was read so far is visible to reads.
    pub(super) fn repair(&mut self, assembler: &Assembler) -> Result<(), ExtractError> {
        let repairs = &mut self.snapshots.state.repairs;
        if repairs.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return Ok(());
        }
        repairs.looked = Some(Instant::now());
        let visible = self.visible()?;
        if !visible.covers(assembler.reached()) {
            return Ok(());
        }
        for repair in std::mem::take(&mut self.snapshots.state.repairs.waiting) {
            if self.read_anew(&repair)? {
                self.snapshots.state.after.push(After::Delete(repair.path));
                self.since.get_or_insert_with(Instant::now);
            } else {
                self.snapshots.state.repairs.waiting.push(repair);
            }
        }
        Ok(())
    }

    /// Whether the request is fulfilled, or never can be.
    fn read_anew(&mut self, repair: &Repair) -> Result<bool, ExtractError> {
        let (i, origin) = (repair.table, self.tables[repair.table].origin.clone());
        if self.is_being_read(i) {
            // A snapshot reads all rows anew.
            return Ok(true);
        }
        if self.tables[i].parked.is_some() {
            tracing::warn!(%origin, "rows of a parked table cannot be read anew; take a snapshot of it");
            return Ok(true);
        }
        let Some(shape) = self.shape(i)? else { return Ok(true) };
        let Some(plan) = self.snapshot_plan(i, &shape) else { return Ok(true) };
        if !plan.has_key() {
            tracing::warn!(%origin, "rows without a key cannot be read anew one by one; take a snapshot of the table");
            return Ok(true);
        }
        if self.tables[i].known.as_ref() != Some(&plan.schema().id()) {
            // The catalog is ahead of the stream, which will bring the change of definition.
            return Ok(false);
        }
        self.seal_table(i, SealReason::Schema);
        let seq = self.mark();
        // A round that is under way has lower numbers for what it reads later.
        self.stop_round(i);
        let address = self.snapshots.address.clone();
        let read = async { tokio::time::timeout(READ_MAX, rows(&address, &shape, &plan, &repair.keys, seq)).await };
        let (open, committed_at) = match self.runtime.block_on(read) {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                self.process.error(Stage::Source, ErrorKind::Transient);
                let error = crate::errors::chain(&*error);
                tracing::warn!(%origin, error, "rows could not be read anew; the request is dropped");
                return Ok(true);
            }
            Err(_) => {
                self.process.error(Stage::Source, ErrorKind::Transient);
                tracing::warn!(%origin, "rows could not be read anew in time; the request is dropped");
                return Ok(true);
            }
        };
        tracing::info!(%origin, %seq, rows = open.rows(), "rows were read anew");
        let file = self.start_file(i, open, Some(seq), committed_at);
        self.pending.push(Pending::File(file));
        Ok(true)
    }
}

/// Reads the rows one by one: each is a look at the key's index.
async fn rows(
    address: &Address,
    shape: &Shape,
    plan: &Arc<Plan>,
    keys: &[Key],
    seq: Seq,
) -> Result<(OpenBatch, i64), Box<dyn std::error::Error + Send + Sync>> {
    let mut session = Session::open(address).await?;
    let committed_at = session.now().await?;
    let columns = plan.schema().key().into_iter();
    let key: Vec<ComparedColumn> =
        columns.map(|c| ComparedColumn { name: c.name.clone(), ty: c.ty, source: c.source.clone() }).collect();
    let mut open = OpenBatch::new(plan.schema());
    for tokens in keys.iter().filter(|tokens| tokens.len() == key.len()) {
        match session.row_of(shape, &key, tokens).await? {
            // Not as a row of a snapshot, of which an origin that catches up takes none but its own.
            Some(row) => plan.append_cells(&row, open.builder(), Op::Update, seq, committed_at)?,
            None => plan.append_deleted(tokens, open.builder(), seq, committed_at)?,
        }
        open.settle(true);
    }
    Ok((open, committed_at))
}
