//! DDL on captured tables: floors, stale rows, and what the next table map will show.

use super::Decoder;
use crate::{
    batch::SealReason,
    model::{Floor, FloorCause, Step},
    pipeline::extract::{ExtractError, cut::Pending},
    source::mysql::ddl::{Alter, Change, TableName},
};

impl Decoder {
    /// A DDL statement is a transaction of its own. It seals the batches of the tables it touches.
    pub(super) fn ddl(&mut self, change: Change, committed_at: i64) -> Result<(), ExtractError> {
        match change {
            // Its first rows bring the schema. A table of that name that was there before was dropped by its own DDL.
            Change::CreateTable { or_replace: false, .. } => {}
            Change::CreateTable { table, or_replace: true, .. } => self.floor(&table, FloorCause::Drop, committed_at),
            Change::DropTables(tables) => {
                tables.iter().for_each(|t| self.floor(t, FloorCause::Drop, committed_at));
            }
            Change::DropDatabase(database) => self.drop_database(&database, committed_at),
            Change::Truncate(table) => self.floor(&table, FloorCause::Truncate, committed_at),
            Change::Rename(pairs) => self.renamed(&pairs, committed_at),
            Change::Alter(alter) => self.altered(alter, committed_at),
            Change::Unknown { mentions } => {
                for table in mentions {
                    self.stale(&table, "a DDL statement that tailwater does not understand mentions the table");
                }
            }
        }
        Ok(())
    }

    /// A statement changed rows and the binlog has only its text.
    pub(super) fn statement_dml(&mut self, tables: Vec<TableName>) -> Result<(), ExtractError> {
        if tables.is_empty() {
            return Err(ExtractError::StatementDml { shard: self.shard.clone() });
        }
        for table in tables {
            if let Some(i) = self.table_named(&table.database, &table.table) {
                let reason = "a session with binlog_format other than ROW changed it, so rows are missing from the binlog; \
                              revoke SESSION_VARIABLES_ADMIN and BINLOG_ADMIN from such sessions, then read the table anew";
                self.park(i, reason.to_owned());
            }
        }
        Ok(())
    }

    /// All rows of the table so far are void.
    pub(super) fn floor(&mut self, table: &TableName, cause: FloorCause, committed_at: i64) {
        let Some(i) = self.table_named(&table.database, &table.table) else { return };
        self.seal_table(i, SealReason::Schema);
        self.cut_snapshot_short(i);
        let seq = self.mark();
        let table = &mut self.tables[i];
        if matches!(cause, FloorCause::Drop) {
            // What comes under this name is another table, whose rows are all ours to see.
            table.known = None;
            table.parked = None;
            table.plan = None;
        }
        table.added.clear();
        let (origin, target) = (table.origin.clone(), table.target().clone());
        tracing::info!(%origin, ?cause, "rows written so far are void");
        self.pending.push(Pending::Ready(Box::new(Step::Floor(Floor { origin, target, seq, cause, committed_at }))));
        self.count_parked();
        self.covers(committed_at);
    }

    fn drop_database(&mut self, database: &str, committed_at: i64) {
        let mut tables: Vec<String> =
            self.catalog.origins.keys().filter(|o| o.database == database).map(|o| o.table.clone()).collect();
        tables.extend(self.tables.iter().filter(|t| t.origin.database == database).map(|t| t.origin.table.clone()));
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            self.floor(&TableName { database: database.to_owned(), table }, FloorCause::Drop, committed_at);
        }
    }

    fn altered(&mut self, alter: Alter, committed_at: i64) {
        if alter.only_metadata() {
            return;
        }
        if let Some(to) = alter.renamed_to {
            return self.renamed(&[(alter.table, to)], committed_at);
        }
        for other in &alter.others {
            self.stale(other, "ALTER TABLE exchanged its partitions with another table's");
        }
        let Some(i) = self.table_named(&alter.table.database, &alter.table.table) else { return };
        self.seal_table(i, SealReason::Schema);
        // MODIFY and CHANGE show in the next table map, which says exactly what became of each column; what leaves no trace
        // there is only known here.
        let traceless = alter.rewrites_rows && alter.adds.is_empty() && alter.drops.is_empty();
        for (from, to) in &alter.renames {
            self.needs_snapshot(
                i,
                format!("column {from:?} was renamed to {to:?}: older rows have their values under the old name"),
            );
        }
        // Chunks go on without an added column: what follows them fills it as in all older rows.
        // A history is read in one view, which has its rows in one shape.
        if self.snapshots.is_running(i) && (self.tables[i].appends || !alter.only_adds_constants()) {
            return self.needs_snapshot(i, "ALTER TABLE changed the table while it was read".to_owned());
        }
        self.tables[i].added.extend(alter.adds);
        self.tables[i].rewritten |= traceless;
        self.tables[i].plan = None;
    }

    /// RENAME TABLE moves content between names, from left to right.
    fn renamed(&mut self, pairs: &[(TableName, TableName)], committed_at: i64) {
        for (from, to) in pairs {
            let swapped_in = |name: &TableName| pairs.iter().any(|(f, t)| t == name && is_shadow_of(f, name));
            let swapped_out = is_shadow_of(to, from) && swapped_in(from);
            // gh-ost and pt-online-schema-change copy all rows to a shadow table and swap it in: same rows, new columns. The
            // next table map tells which.
            if swapped_out || (is_shadow_of(from, to) && swapped_in(to)) {
                for name in [from, to] {
                    if let Some(i) = self.table_named(&name.database, &name.table) {
                        self.seal_table(i, SealReason::Schema);
                        if self.snapshots.is_running(i) {
                            self.needs_snapshot(i, "another table was swapped in while it was read".to_owned());
                        }
                    }
                }
                continue;
            }
            self.floor(from, FloorCause::Drop, committed_at);
            if self.table_named(&to.database, &to.table).is_some() {
                self.floor(to, FloorCause::Rename, committed_at);
                self.stale(
                    to,
                    &format!("RENAME TABLE put the rows of {}.{} under its name", from.database, from.table),
                );
            }
        }
    }

    fn stale(&mut self, table: &TableName, reason: &str) {
        if let Some(i) = self.table_named(&table.database, &table.table) {
            self.seal_table(i, SealReason::Schema);
            self.needs_snapshot(i, reason.to_owned());
        }
    }
}

/// Whether `shadow` is a name that online schema change tools give to a shadow of `table`.
fn is_shadow_of(shadow: &TableName, table: &TableName) -> bool {
    shadow.database == table.database
        && shadow
            .table
            .strip_prefix('_')
            .and_then(|s| s.strip_prefix(table.table.as_str()))
            .is_some_and(|end| matches!(end, "_gho" | "_del" | "_new" | "_old"))
}
