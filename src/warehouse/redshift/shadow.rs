//! Rebuilding a target beside itself: what [`crate::warehouse::shadow`] does elsewhere, as scripts.
//!
//! The target is emptied by DELETE and filled by INSERT … SELECT in one transaction: TRUNCATE would commit and ALTER TABLE
//! APPEND cannot be part of a transaction. The deleted rows take room until the cluster's automatic VACUUM has removed them.

use crate::{
    model::Target,
    warehouse::{
        Fence, RebuildChange, Swap, SwapReport, WarehouseError,
        definition::{self, Naming},
        plan::Layout,
    },
};

use super::{
    define::Table,
    group,
    script::{About, Channel, Effect, Script},
    sql::{Names, stage::drop_table, state::GroupTables, table::TableSql},
    types,
};

/// Drops the shadow of a target, and closes the places of the rebuild.
pub(crate) async fn discard(
    channel: &mut dyn Channel,
    names: &Names,
    fence: &Fence,
    target: &Target,
    rebuilds: &[RebuildChange],
) -> Result<(), WarehouseError> {
    let shadow = target.shadow();
    let layout = super::define::recall(channel, names, fence, &shadow).await?;
    let mut script = begin(names, fence, &[], rebuilds);
    if let Some(layout) = &layout {
        remove(&mut script, names, fence, layout);
    }
    Table::new(channel, names, fence, target).transact(&script).await
}

/// Fence and positions, with which every transaction here begins.
fn begin(
    names: &Names,
    fence: &Fence,
    exceptions: &[crate::warehouse::ExceptionChange],
    rebuilds: &[RebuildChange],
) -> Script {
    let tables = GroupTables::new(names, &fence.group);
    let mut script = Script::default();
    group::hold(&mut script, &tables, fence);
    tables.change_exceptions(&mut script, exceptions, rebuilds);
    script
}

/// Drops a shadow and forgets it.
fn remove(script: &mut Script, names: &Names, fence: &Fence, layout: &Layout) {
    let sql = TableSql::new(layout, names);
    let about = About::Table(layout.target.clone());
    script.push(&about, drop_table(&sql.target));
    script.push(&about, drop_table(&sql.side));
    script.push(&about, GroupTables::new(names, &fence.group).unregister(layout.target.as_str()));
}

/// Puts the shadow's rows in place of the target's. Answers what the target is from now on.
pub(crate) async fn swap(
    channel: &mut dyn Channel,
    names: &Names,
    swap: &Swap,
) -> Result<(Layout, SwapReport), WarehouseError> {
    let Swap { fence, target, exceptions, rebuilds } = swap;
    let refuse = |reason: String| WarehouseError::table(target, reason);
    let from = super::define::recall(channel, names, fence, &target.shadow()).await?;
    let from = from.ok_or_else(|| refuse("its shadow is gone; ask for the rebuild again".to_owned()))?;
    let to = Layout { target: target.clone(), place: names.place(target).map_err(refuse)?, ..from.clone() };
    let mut table = Table::new(channel, names, fence, target);
    let columns = table.columns(&to.place).await?;
    let registered = table.registered().await?;
    let (sql, shadow) = (TableSql::new(&to, names), TableSql::new(&from, names));
    let about = About::Table(target.clone());
    let mut script = begin(names, fence, exceptions, rebuilds);
    if columns.is_empty() {
        table.make_schema(&to).await?;
        script.push(&about, sql.create(false));
    } else {
        let (group, json) = registered.ok_or_else(|| refuse(definition::not_ours(&to.place)))?;
        let known = definition::known(fence, target, to.place.clone(), (&group, &json))?;
        if let Some(reason) = definition::foreign(names, &to, &known, &columns).or_else(|| unfit(&known, &to)) {
            return Err(refuse(reason));
        }
        script.effect(&about, sql.delete_all(), Effect::Deleted);
        let missing = to.columns.iter().filter(|c| !columns.contains(&names.folded_column(&c.column.name)));
        for statement in missing.filter_map(|c| sql.add_column(&sql.target, &c.column.name)) {
            script.push(&about, statement);
        }
    }
    script.push(&about, drop_table(&sql.side));
    if to.global() {
        script.push(&about, sql.create(true));
        script.push(&about, sql.take_all(&shadow, true));
    }
    script.effect(&about, sql.take_all(&shadow, false), Effect::Inserted);
    table.register(&mut script, &to);
    remove(&mut script, names, fence, &from);
    let answers = table.answers(&script).await?;
    let mut report = SwapReport::default();
    for (step, answer) in script.steps.iter().zip(&answers) {
        match step.effect {
            Effect::Deleted => report.rows_before += answer.changed,
            Effect::Inserted => report.rows += answer.changed,
            Effect::None | Effect::Marked => {}
        }
    }
    Ok((to, report))
}

/// Why the target cannot become as its shadow is: key columns cannot be altered here, and system columns are NOT NULL, which
/// no column that is added can be.
fn unfit(known: &Layout, to: &Layout) -> Option<String> {
    let mend = super::define::made_anew(&to.place);
    if known.physical_key() != to.physical_key() || known.system() != to.system() {
        return Some(format!("Redshift cannot change its key or add a column that is NOT NULL; {mend}"));
    }
    let retyped = to.columns.iter().find(|c| {
        let name = &c.column.name;
        let key = to.is_key(name);
        known.column(name).is_some_and(|k| types::column_type(k.column.ty, key) != types::column_type(c.column.ty, key))
    })?;
    Some(format!("column {} has another type than before; {mend}", retyped.column.name))
}
