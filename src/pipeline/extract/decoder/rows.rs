//! Rows events: find the table, keep its plan current, decode, keep within memory.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use tokio::task::JoinHandle;

use super::{DAY_US, Decoder};
use crate::{
    batch::{OpenBatch, SealReason, Sealed},
    config::LakeChanges,
    decode::{Declared, Note, Plan, RowTime},
    metrics::{ErrorKind, Half, Metrics, ShardMetrics, Stage, ValuePolicy, Wait},
    model::{FileStep, Origin, Parked, Seq, Step, TableSchema, Target},
    pipeline::extract::{
        ExtractError,
        cut::Pending,
        files::FileOrder,
        tables::{self, SchemaChange, Table},
    },
    source::mysql::{rows::RowsEvent, table_map::TableMap},
};

/// Events at least this large may hold single rows of megabytes: their memory is looked at after every row. The server cuts
/// events near `binlog_row_event_max_size`, 8 KiB by default, so ordinary events are looked at once.
const WIDE_EVENT: usize = 64 << 10;

impl Decoder {
    pub(super) fn rows(&mut self, map: &Arc<TableMap>, event: RowsEvent<'_>) -> Result<(), ExtractError> {
        let Some(i) = self.table_of(map) else { return Ok(()) };
        if self.tables[i].parked.is_some() {
            return Ok(());
        }
        if self.snapshots.has_views() && !self.is_news(i) {
            return Ok(());
        }
        let plan = match self.tables[i].plan_for(map) {
            Some(plan) => Arc::clone(plan),
            None => match self.replan(i, map)? {
                Some(plan) => plan,
                None => return Ok(()),
            },
        };
        if self.transaction.as_ref().is_some_and(|t| t.xa.is_some()) {
            self.xa_rows(i, &plan, event);
            return Ok(());
        }
        let committed_at_us = self.transaction.as_ref().map_or(0, |t| t.committed_at);
        let wide = event.data.len() >= WIDE_EVENT;
        let before = self.seq;
        let mut rows = match plan.rows(event) {
            Ok(rows) => rows,
            Err(e) => {
                self.park(i, e.to_string());
                return Ok(());
            }
        };
        let mut open = self.tables[i].open.take().unwrap_or_else(|| OpenBatch::new(plan.schema()));
        loop {
            match rows.next_into(open.builder(), &mut self.seq, RowTime { committed_at_us }) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => {
                    self.tables[i].open = Some(open);
                    self.count_rows(before);
                    self.park(i, e.to_string());
                    return Ok(());
                }
            }
            open.settle(wide);
            if open.rows() >= self.limits.batch_rows || (wide && open.bytes() >= self.limits.batch_bytes) {
                self.seal(i, open, SealReason::Full);
                open = OpenBatch::new(plan.schema());
            }
        }
        self.count_rows(before);
        if open.bytes() >= self.limits.batch_bytes {
            self.seal(i, open, SealReason::Full);
        } else if !open.is_empty() {
            self.keep(i, open);
        }
        Ok(())
    }

    fn count_rows(&mut self, before: Seq) {
        let rows = (self.seq.0 - before.0) as u64;
        if let Some(transaction) = &mut self.transaction {
            transaction.rows += rows;
        }
    }

    /// Puts the batch back. While memory for it is short, seals the largest open batch; when that was this one, waits for
    /// room holding nothing, so that shards waiting for each other's memory cannot block one another.
    fn keep(&mut self, i: usize, open: OpenBatch) {
        self.tables[i].open = Some(open);
        while self.tables[i].open.as_mut().is_some_and(|open| !open.reserve(&self.budget)) {
            let size = |t: &usize| self.tables[*t].open.as_ref().map_or(0, OpenBatch::bytes);
            let largest = (0..self.tables.len()).max_by_key(size).unwrap_or(i);
            self.seal_table(largest, SealReason::Memory);
            if largest == i {
                self.wait_for_room();
            }
        }
    }

    /// The table that `map` describes, `None` when it is not captured.
    fn table_of(&mut self, map: &Arc<TableMap>) -> Option<usize> {
        let address = Arc::as_ptr(map) as usize;
        if let Some((_, i)) = self.by_map.get(&address) {
            return Some(*i);
        }
        let i = self.table_named(&map.database, &map.table)?;
        self.by_map.insert(address, (Arc::clone(map), i));
        Some(i)
    }

    pub(super) fn table_named(&mut self, database: &str, table: &str) -> Option<usize> {
        let name = (database.to_owned(), table.to_owned());
        if let Some(i) = self.by_name.get(&name) {
            return Some(*i);
        }
        let rule = self.rules.resolve(database, table)?;
        let origin = Origin::new(&self.shard, database, table);
        let known = self.catalog.origins.get(&origin);
        self.tables.push(Table::new(origin, Arc::new(rule), known));
        self.by_name.insert(name, self.tables.len() - 1);
        Some(self.tables.len() - 1)
    }

    /// Compiles a plan for a table map that is new to the table; `None` when that parked the table.
    fn replan(&mut self, i: usize, map: &Arc<TableMap>) -> Result<Option<Arc<Plan>>, ExtractError> {
        self.seal_table(i, SealReason::Schema);
        let declared = self.runtime.block_on(self.source.declared(&map.database, &map.table))?;
        let declared = Declared { booleans: declared.booleans.into_iter().collect(), unique_key: declared.unique_key };
        let plan =
            match Plan::compile(map, &declared, &tables::policies(&self.tables[i].rule, self.files.form.for_copy)) {
                Ok(plan) => Arc::new(plan),
                Err(e) => {
                    self.park(i, e.to_string());
                    return Ok(None);
                }
            };
        if !self.has_identity(i, &plan) {
            return Ok(None);
        }
        let rule = &self.tables[i].rule;
        for name in rule.columns.keys().filter(|name| plan.schema().column(name).is_none()) {
            tracing::warn!(origin = %self.tables[i].origin, column = name, "the configuration names a column that the table lacks");
        }
        let rewritten = std::mem::take(&mut self.tables[i].rewritten);
        if self.tables[i].known.as_ref() != Some(&plan.schema().id()) {
            _ = self.learn_schema(i, &plan)?;
        } else if rewritten {
            // MODIFY to a wider type shows in the schema; this did not.
            self.needs_snapshot(i, "ALTER TABLE changed or removed rows without events".to_owned());
        }
        self.tables[i].plan = Some((Arc::clone(map), Arc::clone(&plan)));
        Ok(Some(plan))
    }

    pub(super) fn park_without_key(&mut self, i: usize) {
        let origin = &self.tables[i].origin;
        let reason = format!("it has no primary key and no unique key without NULL; {}", add_key(origin));
        self.park(i, reason);
    }

    /// Says that rows have a new schema. Answers whether older rows are stale by it.
    pub(super) fn learn_schema(&mut self, i: usize, plan: &Plan) -> Result<bool, ExtractError> {
        let target = self.tables[i].target().clone();
        let change = match self.tables[i].known.clone() {
            None => SchemaChange::default(),
            Some(known) => {
                let old = self.runtime.block_on(self.schemas.load(&target, &known))?;
                tables::compare(&old, plan.schema(), &self.tables[i].added)
            }
        };
        let schema = self.runtime.block_on(self.schemas.save(&target, plan.schema()))?;
        let seq = self.mark();
        let table = &mut self.tables[i];
        let told = !table.added.is_empty();
        table.added.clear();
        table.known = Some(schema.clone());
        let (origin, appends) = (table.origin.clone(), table.appends);
        let added = change.added.into_iter().collect();
        self.metrics.schema_changed();
        tracing::info!(%origin, %schema, "the table's schema is new");
        self.pending.push(Pending::Ready(Box::new(Step::Schema { origin, target, seq, schema, added, appends })));
        // A snapshot that has begun reads all rows with their values, perhaps in a newer shape than the stream's; a DDL behind its
        // beginning makes it begin anew, unless it only adds columns, and then it may be found out here that it did not.
        let stale = change.stale.filter(|_| told || !self.is_being_read(i));
        let is_stale = stale.is_some();
        if let Some(reason) = stale {
            self.needs_snapshot(i, reason);
        }
        Ok(is_stale)
    }

    /// Says that old rows of the table are stale in the warehouse. Its new rows go on.
    pub(super) fn needs_snapshot(&mut self, i: usize, reason: String) {
        let (origin, target) = (self.tables[i].origin.clone(), self.tables[i].target().clone());
        tracing::warn!(%origin, reason, "rows written earlier are stale in the warehouse until a new snapshot");
        let seq = self.mark();
        self.pending.push(Pending::Ready(Box::new(Step::NeedsSnapshot { origin, target, seq, reason })));
        self.restart_snapshot(i);
    }

    /// Tables that an earlier session parked are parked, whether or not they are written to in this one.
    pub(super) fn know_parked(&mut self) {
        let parked = self.catalog.origins.iter().filter(|(_, known)| known.parked.is_some());
        let names: Vec<_> = parked.map(|(origin, _)| (origin.database.clone(), origin.table.clone())).collect();
        for (database, table) in names {
            self.table_named(&database, &table);
        }
        self.count_parked();
    }

    pub(super) fn count_parked(&self) {
        let parked: BTreeSet<Origin> =
            self.tables.iter().filter(|t| t.parked.is_some()).map(|t| t.origin.clone()).collect();
        self.metrics.parked(parked.len() as u64);
        self.process.parked(Half::Extract, &self.shard.to_string(), parked);
    }

    /// Stops a table whose rows cannot be decoded with certainty; all others go on.
    pub(super) fn park(&mut self, i: usize, reason: String) {
        self.seal_table(i, SealReason::Schema);
        self.give_up_snapshot(i);
        self.stop_round(i);
        self.process.error(Stage::Decode, ErrorKind::Table);
        let seq = self.mark();
        let table = &mut self.tables[i];
        tracing::error!(origin = %table.origin, reason, "table parked: its rows no longer reach the lake");
        table.parked = Some(reason.clone());
        let parked = Parked { origin: table.origin.clone(), target: table.target().clone(), seq, reason };
        self.pending.push(Pending::Ready(Box::new(Step::Parked(parked))));
        self.count_parked();
    }

    pub(super) fn seal_all(&mut self) {
        for i in 0..self.tables.len() {
            self.seal_table(i, SealReason::Cut);
        }
    }

    pub(super) fn seal_table(&mut self, i: usize, reason: SealReason) {
        if let Some(open) = self.tables[i].open.take() {
            self.seal(i, open, reason);
        }
    }

    /// Ends a batch and starts making its file.
    fn seal(&mut self, i: usize, open: OpenBatch, reason: SealReason) {
        if open.is_empty() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        tracing::debug!(origin = %self.tables[i].origin, rows = open.rows(), ?reason, "batch sealed");
        let file = self.start_file(i, open, None, self.day * DAY_US);
        self.pending.push(Pending::File(file));
    }

    /// Starts making a batch's file, as soon as one of the few places in the queue for the encoders is free. Encoders wait for
    /// nobody, so this ends. The file is named by its first row's number where no other is given.
    pub(super) fn start_file(
        &self,
        i: usize,
        open: OpenBatch,
        named: Option<Seq>,
        committed_at: i64,
    ) -> JoinHandle<Result<FileStep, ExtractError>> {
        let table = &self.tables[i];
        let schema = Arc::clone(open.schema());
        // Of rows without a key none is superfluous.
        let net = table.rule.lake == LakeChanges::Net && !schema.key().is_empty();
        let sealed = open.seal();
        count_sealed(&self.metrics, &self.process, table.target(), &schema, &sealed);
        let order = FileOrder {
            origin: table.origin.clone(),
            target: table.target().clone(),
            schema,
            first_seq: named.unwrap_or_else(|| sealed.first_seq()),
            part: None,
            committed_at,
            net,
        };
        let waiting = Instant::now();
        let place = self.runtime.block_on(self.files.place());
        self.metrics.waited(Wait::Encoder, waiting.elapsed());
        self.files.start(&self.runtime, order, sealed, place)
    }
}

/// The statement that gives a table a key.
pub(in crate::pipeline) fn add_key(origin: &Origin) -> String {
    format!(
        "add one, for example ALTER TABLE `{}`.`{}` ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
        origin.database, origin.table
    )
}

/// Adds a sealed batch's figures to the metrics.
pub(in crate::pipeline::extract) fn count_sealed(
    shard: &ShardMetrics,
    process: &Metrics,
    target: &Target,
    schema: &TableSchema,
    sealed: &Sealed,
) {
    shard.read(0, 0, sealed.decoded);
    for (column, note, count) in sealed.notes.iter() {
        let Some(column) = schema.columns.get(column) else { continue };
        let policy = match note {
            Note::ZeroDate | Note::PartialDate | Note::LongValue => ValuePolicy::Nulled,
            Note::CutText => ValuePolicy::Cut,
            Note::InvalidText | Note::WideBoolean => ValuePolicy::Replaced,
        };
        process.values(target, &column.name, policy, count);
    }
}
