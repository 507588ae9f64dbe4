//! The merge of a tick: one short transaction, put together from what staging found out.
//!
//! Its statements are as many as the tables need, whatever the number of shards. What it relies on was computed before it
//! began: that holds because nobody else changes the group's targets while the fence is ours, and the transaction begins by
//! proving that it is.

use std::collections::HashMap;

use crate::{
    model::{Floor, Target},
    warehouse::{
        Deletes, Merge, MergeReport, TableMerge, TickId, WarehouseError,
        error::{Failure, FailureKind},
        layouts::Layouts,
        plan::Layout,
    },
};

use super::{
    group::hold,
    script::{About, Answer, Effect, Script},
    sql::{Names, stage::StageSql, state::GroupTables, table::TableSql},
};

/// What lies in staging for one target.
#[derive(Clone, Debug)]
pub(crate) struct Staged {
    pub(crate) tick: TickId,
    pub(crate) rows: u64,
    /// Distinct column lists of the files; rows carry the index.
    pub(crate) lists: Vec<Vec<String>>,
    /// Floors that were applied to it.
    pub(crate) floors: Vec<Floor>,
    /// Name of the staging table.
    pub(crate) stage: String,
    /// Keys that several origins hold.
    pub(crate) contended: i64,
}

/// What a merge is put together from.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) names: &'a Names,
    pub(crate) layouts: &'a Layouts,
    pub(crate) staged: &'a HashMap<Target, Staged>,
}

impl Context<'_> {
    pub(crate) fn layout(&self, target: &Target) -> Result<&Layout, WarehouseError> {
        let layout = self.layouts.get(target);
        layout.ok_or_else(|| WarehouseError::fatal(format!("merge table {target}, which was not ensured")))
    }

    /// The staged rows that the merge means, `None` when it means none.
    pub(crate) fn staged(&self, tick: &TickId, table: &TableMerge) -> Result<Option<&Staged>, WarehouseError> {
        let staged = self.staged.get(&table.target).filter(|s| s.tick == *tick && s.rows == table.staged_rows);
        match (table.staged_rows, staged) {
            // What was found out of a floor without rows.
            (0, found) => Ok(found),
            (_, Some(staged)) if staged.floors == effective(self.layout(&table.target)?, &table.floors) => {
                Ok(Some(staged))
            }
            _ => {
                let text = "the staged rows of this tick are gone with their connection";
                let failure = Failure::new(FailureKind::Transient, text);
                Err(failure.doing(&format!("merge {}", table.target)))
            }
        }
    }

    /// Whether floors alone have to be looked at beforehand: of a global key, others may wait for a shown row's place.
    pub(crate) fn needs_a_look(&self, merge: &Merge, table: &TableMerge) -> Result<bool, WarehouseError> {
        let layout = self.layout(&table.target)?;
        let floors = !effective(layout, &table.floors).is_empty();
        let known = self.staged.get(&table.target).is_some_and(|s| s.tick == merge.tick);
        Ok(table.staged_rows == 0 && layout.global() && floors && !known)
    }

    /// The transaction.
    pub(crate) fn script(&self, merge: &Merge) -> Result<Script, WarehouseError> {
        let fence = &merge.tick.fence;
        let tables = GroupTables::new(self.names, &fence.group);
        let mut script = Script::default();
        hold(&mut script, &tables, fence);
        // Cheap and decisive: a repeated tick is found out before any row is touched.
        for (count, expected, statement) in tables.move_watermarks(&merge.moves) {
            script.count(&About::Position, count, expected, "a watermark stands elsewhere");
            script.push(&About::Position, statement);
        }
        tables.change_exceptions(&mut script, &merge.exceptions, &merge.rebuilds);
        for table in &merge.tables {
            self.table(&mut script, &merge.tick, table)?;
        }
        Ok(script)
    }

    fn table(&self, script: &mut Script, tick: &TickId, table: &TableMerge) -> Result<(), WarehouseError> {
        let layout = self.layout(&table.target)?;
        let staged = self.staged(tick, table)?;
        let sql = TableSql::new(layout, self.names);
        let about = About::Table(table.target.clone());
        for place in sql.tables() {
            for statement in sql.fill(&table.fills, place).map_err(|why| WarehouseError::table(&table.target, why))? {
                script.push(&about, statement);
            }
        }
        let floors = effective(layout, &table.floors);
        if layout.append_only() {
            self.replace(script, &about, layout, staged.filter(|s| s.rows > 0));
            floor(script, &about, &sql, &floors);
        } else {
            floor(script, &about, &sql, &floors);
            self.replace(script, &about, layout, staged);
        }
        Ok(())
    }

    /// Elects contended keys anew; all others' staged rows simply replace the target's.
    fn replace(&self, script: &mut Script, about: &About, layout: &Layout, staged: Option<&Staged>) {
        let Some(staged) = staged else { return };
        let table = TableSql::new(layout, self.names);
        let sql = StageSql::new(table, |n| self.names.private(n), &staged.stage);
        if staged.contended > 0 {
            let lists = (staged.rows > 0).then_some(staged.lists.as_slice());
            for (effect, statement) in sql.elect(lists) {
                script.effect(about, statement, effect);
            }
        }
        if staged.rows == 0 {
            return;
        }
        if !layout.append_only() {
            script.effect(about, sql.delete_replaced(), Effect::Deleted);
        }
        for (index, columns) in staged.lists.iter().enumerate() {
            script.effect(about, sql.insert(index, columns), Effect::Inserted);
        }
    }

    /// What the merge did, by what its statements changed.
    pub(crate) fn report(&self, merge: &Merge, script: &Script, answers: &[Answer]) -> MergeReport {
        let mut report = MergeReport::default();
        for table in &merge.tables {
            let done = report.tables.entry(table.target.clone()).or_default();
            let contended = self.staged.get(&table.target).filter(|s| s.tick == merge.tick).map_or(0, |s| s.contended);
            done.elected = u64::try_from(contended).unwrap_or_default();
        }
        for (step, answer) in script.steps.iter().zip(answers) {
            let About::Table(target) = &step.about else { continue };
            let Some(done) = report.tables.get_mut(target) else { continue };
            match step.effect {
                Effect::None => {}
                Effect::Inserted => done.inserted += answer.changed,
                Effect::Deleted => done.deleted += answer.changed,
                Effect::Marked => done.marked += answer.changed,
            }
        }
        report
    }
}

/// Floors that change something.
pub(crate) fn effective(layout: &Layout, floors: &[Floor]) -> Vec<Floor> {
    if layout.deletes == Deletes::Ignore { Vec::new() } else { floors.to_vec() }
}

fn floor(script: &mut Script, about: &About, sql: &TableSql<'_>, floors: &[Floor]) {
    let effect = if sql.layout.soft() { Effect::Marked } else { Effect::Deleted };
    for (number, table) in sql.tables().into_iter().enumerate() {
        for statement in sql.floor(floors, table) {
            // What waits in the side table is not counted: nobody saw it.
            script.effect(about, statement, if number == 0 { effect } else { Effect::None });
        }
    }
}
