//! One tick in one transaction, over any client whose dialect shares [`TableSql`].

use std::collections::{BTreeMap, HashMap};

use crate::model::{Floor, Origin, Target};

use super::{
    error::{Failure, FailureKind, WarehouseError},
    group::{Merge, MergeReport, TableMerge, TableReport},
    layouts::Layouts,
    plan::{Deletes, Layout},
    session::{Session, Statement},
    sql::{Dialect, Effect, TableSql},
    stage::StagedRows,
    state,
};

/// What a merge needs beside its connection.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) dialect: &'a dyn Dialect,
    pub(crate) layouts: &'a Layouts,
    /// What lies in staging on this connection.
    pub(crate) staged: &'a HashMap<Target, StagedRows>,
}

/// Applies the tick or leaves everything as it was.
pub(crate) async fn merge(
    session: &mut dyn Session,
    context: &Context<'_>,
    merge: &Merge,
) -> Result<MergeReport, WarehouseError> {
    const WHAT: &str = "merge a tick";
    session.begin().await.map_err(|f| f.doing(WHAT))?;
    let result = apply(session, context, merge).await;
    state::finish(session, result, WHAT).await
}

async fn apply(session: &mut dyn Session, context: &Context<'_>, merge: &Merge) -> Result<MergeReport, WarehouseError> {
    let fence = &merge.tick.fence;
    state::hold_fence(session, context.dialect, fence).await?;
    // Cheap and decisive: a repeated tick is found out before any row is touched.
    state::move_watermarks(session, context.dialect, &fence.group, &merge.moves).await?;
    let (exceptions, rebuilds) = (&merge.exceptions, &merge.rebuilds);
    state::change_exceptions(session, context.dialect, &fence.group, exceptions, rebuilds).await?;
    let mut report = MergeReport::default();
    for table in &merge.tables {
        let done = apply_table(session, context, merge, table).await?;
        report.tables.insert(table.target.clone(), done);
    }
    Ok(report)
}

async fn apply_table(
    session: &mut dyn Session,
    context: &Context<'_>,
    merge: &Merge,
    table: &TableMerge,
) -> Result<TableReport, WarehouseError> {
    let layout = context
        .layouts
        .get(&table.target)
        .ok_or_else(|| WarehouseError::fatal(format!("merge table {}, which was not ensured", table.target)))?;
    let staged = match (table.staged_rows, context.staged.get(&table.target)) {
        (0, _) => None,
        (rows, Some(staged)) if staged.tick == merge.tick && staged.rows == rows => Some(staged),
        _ => {
            let text = "the staged rows of this tick are gone with their connection";
            let what = format!("merge {}", table.target);
            return Err(Failure::new(FailureKind::Transient, text).doing(&what));
        }
    };
    let floors = if layout.deletes == Deletes::Ignore { Vec::new() } else { greatest(&table.floors) };
    let mut step =
        TableStep { session, sql: TableSql::new(layout, context.dialect), layout, report: TableReport::default() };
    step.fill(table).await?;
    if layout.append_only() {
        step.append(staged).await?;
        step.floor_target(&floors).await?;
    } else {
        step.floor(&floors, staged.is_some()).await?;
        step.replace(staged).await?;
    }
    Ok(step.report)
}

/// Of several floors of one origin only the greatest matters.
fn greatest(floors: &[Floor]) -> Vec<&Floor> {
    let mut by_origin: BTreeMap<&Origin, &Floor> = BTreeMap::new();
    for floor in floors {
        let known = by_origin.entry(&floor.origin).or_insert(floor);
        if floor.seq > known.seq {
            *known = floor;
        }
    }
    by_origin.into_values().collect()
}

/// The work on one table.
struct TableStep<'a> {
    session: &'a mut dyn Session,
    sql: TableSql<'a>,
    layout: &'a Layout,
    report: TableReport,
}

impl TableStep<'_> {
    async fn run(&mut self, statement: &Statement) -> Result<u64, WarehouseError> {
        self.session.execute(statement).await.map_err(|f| f.in_table(&self.layout.target, "merge rows"))
    }

    async fn fill(&mut self, table: &TableMerge) -> Result<(), WarehouseError> {
        for fill in &table.fills {
            for side in self.tables() {
                let statement =
                    self.sql.fill(fill, side).map_err(|reason| WarehouseError::table(&self.layout.target, reason))?;
                if let Some(statement) = statement {
                    self.run(&statement).await?;
                }
            }
        }
        Ok(())
    }

    /// The target, and its side table where it has one.
    fn tables(&self) -> impl Iterator<Item = bool> + use<> {
        std::iter::once(false).chain(self.layout.global().then_some(true))
    }

    async fn append(&mut self, staged: Option<&StagedRows>) -> Result<(), WarehouseError> {
        let Some(staged) = staged else { return Ok(()) };
        if self.layout.deletes == Deletes::Ignore {
            self.run(&self.sql.drop_staged_deletes()).await?;
        }
        self.insert(staged).await
    }

    async fn insert(&mut self, staged: &StagedRows) -> Result<(), WarehouseError> {
        for (index, columns) in staged.column_lists.iter().enumerate() {
            self.report.inserted += self.run(&self.sql.insert(index, columns)).await?;
        }
        Ok(())
    }

    async fn floor(&mut self, floors: &[&Floor], staged: bool) -> Result<(), WarehouseError> {
        if self.layout.global() {
            self.run(&self.sql.clear_keys()).await?;
        }
        for floor in floors {
            if staged {
                let statement = match self.layout.soft() {
                    true => self.sql.bury_staged_below(floor),
                    false => self.sql.drop_staged_below(floor),
                };
                self.run(&statement).await?;
            }
            if self.layout.global() {
                self.run(&self.sql.contend_below(floor)).await?;
            }
        }
        self.floor_target(floors).await
    }

    async fn floor_target(&mut self, floors: &[&Floor]) -> Result<(), WarehouseError> {
        for floor in floors {
            for side in self.tables() {
                let soft = self.layout.soft();
                let statement =
                    if soft { self.sql.mark_below(floor, side) } else { self.sql.delete_below(floor, side) };
                let rows = self.run(&statement).await?;
                match (side, soft) {
                    (true, _) => {}
                    (false, true) => self.report.marked += rows,
                    (false, false) => self.report.deleted += rows,
                }
            }
        }
        Ok(())
    }

    async fn replace(&mut self, staged: Option<&StagedRows>) -> Result<(), WarehouseError> {
        if staged.is_some() {
            if self.layout.deletes == Deletes::Ignore {
                self.run(&self.sql.drop_staged_deletes()).await?;
            }
            self.run(&self.sql.dedupe()).await?;
            for side in self.tables() {
                self.run(&self.sql.drop_stale(side)).await?;
            }
        }
        if self.layout.global() {
            self.elect(staged).await?;
        }
        let Some(staged) = staged else { return Ok(()) };
        self.report.deleted += self.run(&self.sql.delete_replaced()).await?;
        self.insert(staged).await
    }

    /// Only contended keys take the long way; where shards do not share keys there are none.
    async fn elect(&mut self, staged: Option<&StagedRows>) -> Result<(), WarehouseError> {
        if staged.is_some() {
            self.run(&self.sql.contend_staged()).await?;
        }
        let counted = self.session.query(&self.sql.count_contended()).await;
        let counted = counted.map_err(|f| f.in_table(&self.layout.target, "count contended keys"))?;
        let contended = counted.first().and_then(|row| row.first()?.int()).unwrap_or_default();
        if contended == 0 {
            return Ok(());
        }
        self.report.elected = u64::try_from(contended).unwrap_or_default();
        for (effect, statement) in self.sql.elect(staged.map(|s| &s.column_lists[..])) {
            let rows = self.run(&statement).await?;
            match effect {
                Effect::None => {}
                Effect::Inserted => self.report.inserted += rows,
                Effect::Deleted => self.report.deleted += rows,
            }
        }
        Ok(())
    }
}
