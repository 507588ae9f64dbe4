//! Rebuilding a target beside itself, over any client whose dialect shares [`TableSql`].
//!
//! A shadow is a target of its own in the private place: the same definition, filled by ordinary ticks. When it stands where
//! the group does, its rows take the place of the target's in one transaction. The target itself is emptied and filled,
//! never dropped or renamed, so that views, grants and indexes on it stay; readers see the rows of before or those of after.

use crate::model::Target;

use super::{
    definition::{Definition, foreign},
    error::WarehouseError,
    group::{Fence, RebuildChange, Swap, SwapReport},
    plan::Layout,
    session::{Session, Statement},
    sql::{Dialect, TableSql},
    state,
    table::{self, Table},
};

/// Drops the shadow of a target, and closes the places of the rebuild.
pub(crate) async fn discard(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
    target: &Target,
    rebuilds: &[RebuildChange],
) -> Result<(), WarehouseError> {
    let what = format!("drop the shadow of {target}");
    session.begin().await.map_err(|f| f.doing(&what))?;
    let result = discard_in_transaction(session, d, fence, target, rebuilds).await;
    state::finish(session, result, &what).await
}

async fn discard_in_transaction(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
    target: &Target,
    rebuilds: &[RebuildChange],
) -> Result<(), WarehouseError> {
    state::hold_fence(session, d, fence).await?;
    state::change_exceptions(session, d, &fence.group, &[], rebuilds).await?;
    let shadow = target.shadow();
    let Some(layout) = table::recall(session, d, fence, &shadow).await? else { return Ok(()) };
    remove(&mut Table { session, d, target: &shadow }, &layout).await
}

/// Drops a shadow and forgets it.
async fn remove(shadow: &mut Table<'_>, layout: &Layout) -> Result<(), WarehouseError> {
    for statement in TableSql::new(layout, shadow.d).drop() {
        shadow.run(&statement).await?;
    }
    shadow.run(&state::sql::unregister(shadow.d, shadow.target.as_str())).await
}

/// Puts the shadow's rows in place of the target's. Answers what the target is from now on.
pub(crate) async fn swap(
    session: &mut dyn Session,
    d: &dyn Dialect,
    swap: &Swap,
) -> Result<(Layout, SwapReport), WarehouseError> {
    let what = format!("put the rebuilt rows of {} in place", swap.target);
    session.begin().await.map_err(|f| f.doing(&what))?;
    let result = swap_in_transaction(session, d, swap).await;
    state::finish(session, result, &what).await
}

async fn swap_in_transaction(
    session: &mut dyn Session,
    d: &dyn Dialect,
    swap: &Swap,
) -> Result<(Layout, SwapReport), WarehouseError> {
    let Swap { fence, target, exceptions, rebuilds } = swap;
    state::hold_fence(session, d, fence).await?;
    state::change_exceptions(session, d, &fence.group, exceptions, rebuilds).await?;
    let shadow = target.shadow();
    let from = table::recall(session, d, fence, &shadow).await?;
    let from = from.ok_or_else(|| WarehouseError::table(target, "its shadow is gone; ask for the rebuild again"))?;
    let place = d.place(target).map_err(|reason| WarehouseError::table(target, reason))?;
    let to = Layout { target: target.clone(), place, ..from.clone() };
    let mut exchange = Exchange { table: Table { session, d, target }, from: &from, to: &to };
    let report = exchange.run(fence).await?;
    remove(&mut Table { session, d, target: &shadow }, &from).await?;
    Ok((to, report))
}

/// Whether one table cannot hold rows of the other as it is: its key, its system columns or a type is another one.
fn differs(d: &dyn Dialect, known: &Layout, to: &Layout) -> bool {
    let retyped = to.columns.iter().any(|c| {
        let name = &c.column.name;
        let before = known.column(name).map(|k| d.column_type(k.column.ty, known.is_key(name)));
        before.is_some_and(|before| before != d.column_type(c.column.ty, to.is_key(name)))
    });
    retyped || known.physical_key() != to.physical_key() || known.system() != to.system()
}

/// The rows of `from` are to be those of `to`.
struct Exchange<'a> {
    table: Table<'a>,
    from: &'a Layout,
    to: &'a Layout,
}

impl Exchange<'_> {
    async fn run(&mut self, fence: &Fence) -> Result<SwapReport, WarehouseError> {
        let d = self.table.d;
        let columns = self.table.names(&d.columns_of(&self.to.place)).await?;
        let registered = self.table.registered().await?;
        let mut report = SwapReport::default();
        let mut afterwards = Vec::new();
        // Made anew in any case: it is private, and its definition may be another one.
        self.table.run(&TableSql::new(self.to, d).drop_side()).await?;
        if columns.is_empty() {
            self.table.create(self.to).await?;
        } else {
            let known = match &registered {
                Some((group, json)) => {
                    let place = self.to.place.clone();
                    super::definition::known(fence, self.table.target, place, (group, json))?
                }
                None => return Err(self.table.refuse(super::definition::not_ours(&self.to.place))),
            };
            let sql = TableSql::new(self.to, d);
            report.rows_before = self.table.count(&sql.delete_all()).await?;
            if self.to.global() {
                self.table.run(&sql.create(true)).await?;
            }
            afterwards = self.fit(&known, &columns).await?;
        }
        report.rows = self.fill().await?;
        for statement in &afterwards {
            self.table.run(statement).await?;
        }
        let definition = Definition::json(self.to);
        self.table.register(fence, self.to, &definition, registered.is_some()).await?;
        Ok(report)
    }

    /// Makes the emptied target be as the shadow is. Answers what is to be done once it is filled.
    async fn fit(&mut self, known: &Layout, columns: &[String]) -> Result<Vec<Statement>, WarehouseError> {
        let d = self.table.d;
        if let Some(column) = foreign(d, self.to, known, columns) {
            return Err(self.table.refuse(column));
        }
        let sql = TableSql::new(self.to, d);
        let key = self.table.names(&d.key_of(&self.to.place)).await?;
        let reshaped = differs(d, known, self.to) || (!known.append_only() && key != known.physical_key());
        let missing: Vec<&str> = self.to.columns.iter().map(|c| c.column.name.as_str()).collect();
        let missing = missing.into_iter().filter(|name| !columns.contains(&d.folded_column(name)));
        let missing: Vec<Statement> = missing.filter_map(|name| sql.add_column(false, name)).collect();
        if (reshaped || !missing.is_empty())
            && let Some(statement) = d.limit_lock_wait()
        {
            self.table.run(&statement).await?;
        }
        if !reshaped {
            self.run_all(&missing).await?;
            return Ok(Vec::new());
        }
        let found = self.table.names(&d.attached(&self.to.place)).await?;
        let (before, after) = d.reshape(&sql, known, &missing, &found);
        self.run_all(&before).await?;
        Ok(after)
    }

    /// The shadow's rows enter, its side table's too.
    async fn fill(&mut self) -> Result<u64, WarehouseError> {
        let d = self.table.d;
        let (to, from) = (TableSql::new(self.to, d), TableSql::new(self.from, d));
        if self.to.global() {
            self.table.run(&to.take_all(&from, true)).await?;
        }
        self.table.count(&to.take_all(&from, false)).await
    }

    async fn run_all(&mut self, statements: &[Statement]) -> Result<(), WarehouseError> {
        for statement in statements {
            self.table.run(statement).await?;
        }
        Ok(())
    }
}
