//! Making a target be as its plan says.
//!
//! What has to be done is decided from reads outside of any transaction: only the holder of a group's fence registers and
//! alters the group's targets, and the transaction that changes them proves that the fence is still held. Growing a VARCHAR
//! cannot be part of a transaction at Redshift; it comes first, does no harm by itself and succeeds when repeated.

use std::time::Duration;

use crate::{
    model::Target,
    warehouse::{
        Fence, TablePlan, TableState, WarehouseError,
        definition::{self, Change, Definition, Found, Naming},
        error::{Failure, FailureKind},
        plan::{Layout, Place},
        session::Value,
    },
};

use super::{
    errors::{Class, Trouble, has_dependents, has_that_size},
    group,
    script::{About, Answer, Channel, Halt, Script, Sql, query},
    sql::{
        Names, catalog,
        state::GroupTables,
        statement_timeout,
        table::{TableSql, Widening},
    },
};

/// A change of a definition waits this long for readers of the table, behind whom new readers queue up, and is then tried
/// again.
const DEFINE_MAX: Duration = Duration::from_secs(30);

/// Creates or widens the target under the fence.
pub(crate) async fn ensure(
    channel: &mut dyn Channel,
    names: &Names,
    fence: &Fence,
    plan: &TablePlan,
) -> Result<(Layout, TableState), WarehouseError> {
    let place = definition::place(names, plan)?;
    group::look(channel, names, fence).await?;
    let mut table = Table::new(channel, names, fence, &plan.target);
    let registered = table.registered().await?;
    let columns = table.columns(&place).await?;
    let change = definition::decide(names, fence, plan, place, &Found { registered, columns, key: None })?;
    if change.created {
        table.create(&change).await?;
    } else if !change.is_empty() {
        table.alter(&change).await?;
    }
    let state = change.state();
    Ok((change.layout, state))
}

/// What [`ensure`] would do for `group`. Changes nothing.
pub(crate) async fn preview(
    channel: &mut dyn Channel,
    names: &Names,
    group: &str,
    plan: &TablePlan,
) -> Result<TableState, WarehouseError> {
    let place = definition::place(names, plan)?;
    let nobody = Fence { group: group.to_owned(), epoch: 0 };
    let tables = GroupTables::new(names, group);
    let registry =
        group::exists(channel, names, &tables).await.map_err(|t| t.failure.doing("look for the private tables"))?;
    let mut table = Table { channel, names, fence: &nobody, target: &plan.target, tables };
    let registered = if registry { table.registered().await? } else { None };
    let columns = table.columns(&place).await?;
    definition::preview(names, group, plan, place, &Found { registered, columns, key: None })
}

/// The layout of a target that was made before, `None` when there is none.
pub(crate) async fn recall(
    channel: &mut dyn Channel,
    names: &Names,
    fence: &Fence,
    target: &Target,
) -> Result<Option<Layout>, WarehouseError> {
    let place = names.place(target).map_err(|reason| WarehouseError::table(target, reason))?;
    let mut table = Table::new(channel, names, fence, target);
    let Some((group, json)) = table.registered().await? else { return Ok(None) };
    definition::known(fence, target, place, (&group, &json)).map(Some)
}

/// The layout of a target whoever writes it, `None` when there is none. Takes no fence and changes nothing.
pub(crate) async fn look(
    channel: &mut dyn Channel,
    names: &Names,
    target: &Target,
) -> Result<Option<Layout>, WarehouseError> {
    // The registry is one for all groups.
    let nobody = Fence { group: String::new(), epoch: 0 };
    let place = names.place(target).map_err(|reason| WarehouseError::table(target, reason))?;
    let mut table = Table::new(channel, names, &nobody, target);
    let Some((_, json)) = table.registered().await? else { return Ok(None) };
    definition::layout(target, place, &json).map(Some)
}

/// What an operator does about a table that Redshift cannot alter: where there is none, a rebuild makes it.
pub(super) fn made_anew(place: &Place) -> String {
    format!("rename {} away (ALTER TABLE … RENAME TO …) and run `tailwater rebuild`, which makes it anew", place.text())
}

/// One target on one connection.
pub(super) struct Table<'a> {
    channel: &'a mut dyn Channel,
    names: &'a Names,
    fence: &'a Fence,
    target: &'a Target,
    tables: GroupTables,
}

impl<'a> Table<'a> {
    pub(super) fn new(channel: &'a mut dyn Channel, names: &'a Names, fence: &'a Fence, target: &'a Target) -> Self {
        Self { channel, names, fence, target, tables: GroupTables::new(names, &fence.group) }
    }

    fn refuse(&self, reason: impl Into<String>) -> WarehouseError {
        WarehouseError::table(self.target, reason)
    }

    fn failed(&self, failure: Failure) -> WarehouseError {
        failure.in_table(self.target, "change the definition")
    }

    async fn query(&mut self, sql: String) -> Result<Vec<Vec<Value>>, WarehouseError> {
        query(&mut *self.channel, sql).await.map_err(|t| self.failed(t.failure))
    }

    /// Group and definition in the registry, whose pieces are put together.
    pub(super) async fn registered(&mut self) -> Result<Option<(String, String)>, WarehouseError> {
        let rows = self.query(self.tables.registered(self.target.as_str())).await?;
        let mut found: Option<(String, String)> = None;
        for row in &rows {
            let [Value::Text(group), Value::Text(piece)] = row.as_slice() else {
                return Err(self.refuse("its registration cannot be read"));
            };
            found.get_or_insert_with(|| (group.clone(), String::new())).1.push_str(piece);
        }
        Ok(found)
    }

    pub(super) async fn columns(&mut self, place: &Place) -> Result<Vec<String>, WarehouseError> {
        let rows = self.query(catalog::columns_of(place)).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
    }

    fn about(&self) -> About {
        About::Table(self.target.clone())
    }

    /// Creates the schema of the target where it is missing.
    pub(super) async fn make_schema(&mut self, layout: &Layout) -> Result<(), WarehouseError> {
        let schema = layout.place.schema.clone().unwrap_or_default();
        if self.query(catalog::schema_exists(&schema)).await?.is_empty() {
            self.channel
                .run(&Sql::new(super::sql::create_schema(&schema)))
                .await
                .map_err(|t| self.failed(t.failure))?;
        }
        Ok(())
    }

    async fn create(&mut self, change: &Change) -> Result<(), WarehouseError> {
        let layout = &change.layout;
        self.make_schema(layout).await?;
        let folded = self.names.folded(&layout.place);
        if let Some(row) = self.query(self.tables.registered_at(&folded)).await?.first() {
            let other = row.first().and_then(Value::text).unwrap_or("?");
            return Err(self.refuse(format!("target {other} lies at {} already; rename one", layout.place.text())));
        }
        let sql = TableSql::new(layout, self.names);
        let about = self.about();
        let mut script = self.begin();
        script.push(&about, self.tables.lock_registry());
        let free = self.tables.count_registered(self.target.as_str(), &folded);
        script.count(&about, free, 0, "another applier registered a target of this name or place");
        for statement in sql.creation() {
            script.push(&about, statement);
        }
        self.register(&mut script, layout);
        self.transact(&script).await
    }

    /// A script that changes definitions under the fence.
    fn begin(&self) -> Script {
        let mut script = Script { statement_max: Some(DEFINE_MAX), ..Script::default() };
        group::hold(&mut script, &self.tables, self.fence);
        script
    }

    pub(super) fn register(&self, script: &mut Script, layout: &Layout) {
        let (target, folded) = (self.target.as_str(), self.names.folded(&layout.place));
        for statement in self.tables.register(target, &folded, &self.fence.group, &Definition::json(layout)) {
            script.push(&self.about(), statement);
        }
    }

    /// Adds columns and widens types.
    async fn alter(&mut self, change: &Change) -> Result<(), WarehouseError> {
        let layout = &change.layout;
        let sql = TableSql::new(layout, self.names);
        let about = self.about();
        let mut script = self.begin();
        let mut replaced = Vec::new();
        for (column, from, to) in &change.widened {
            let widening = sql.widen(column, *from, *to).map_err(|why| {
                self.refuse(format!("column {column} cannot become wider: {why}; {}", made_anew(&layout.place)))
            })?;
            match widening {
                Widening::None => {}
                Widening::Replace => replaced.push(column),
                Widening::Grow(action) => {
                    let mut grown = true;
                    for table in sql.tables() {
                        grown &= self.grow(table, &action).await?;
                    }
                    if !grown {
                        replaced.push(column);
                    }
                }
            }
        }
        for table in sql.tables() {
            for column in &change.added {
                if let Some(statement) = sql.add_column(table, column) {
                    script.push(&about, statement);
                }
            }
            for column in &replaced {
                for statement in sql.replace(table, column).unwrap_or_default() {
                    script.push(&about, statement);
                }
            }
        }
        if !replaced.is_empty() {
            // It writes the whole column.
            script.statement_max = None;
        }
        self.register(&mut script, layout);
        self.transact(&script).await
    }

    /// Lets a VARCHAR grow; false when the column is one that cannot (it has a default or an encoding that forbids it).
    async fn grow(&mut self, table: &str, action: &str) -> Result<bool, WarehouseError> {
        let statement = Sql::new(format!("ALTER TABLE {table} {action}"));
        let limit = Sql::new(statement_timeout(DEFINE_MAX));
        let usual = Sql::new(statement_timeout(super::client::STATEMENT_MAX));
        self.channel.run(&limit).await.map_err(|t| self.failed(t.failure))?;
        let done = self.channel.run(&statement).await;
        self.channel.run(&usual).await.map_err(|t| self.failed(t.failure))?;
        match done {
            Ok(_) => Ok(true),
            Err(trouble) if has_that_size(&trouble.failure) => Ok(true),
            Err(trouble) if trouble.failure.kind == FailureKind::Data => Ok(false),
            Err(trouble) => Err(self.failed(trouble.failure)),
        }
    }

    pub(super) async fn transact(&mut self, script: &Script) -> Result<(), WarehouseError> {
        self.answers(script).await.map(drop)
    }

    /// Runs the script; answers what its statements said.
    pub(super) async fn answers(&mut self, script: &Script) -> Result<Vec<Answer>, WarehouseError> {
        let halt = match self.channel.transact(script).await {
            Ok(answers) => return Ok(answers),
            Err(halt) => halt,
        };
        match halt {
            Halt::Unmet { about: About::Fence, .. } => {
                group::look(&mut *self.channel, self.names, self.fence).await?;
                let crossed = Trouble::new(FailureKind::Transient, Class::Conflict, "the fence moved and came back");
                Err(self.failed(crossed.failure))
            }
            Halt::Unmet { about: About::Position, otherwise, .. } => {
                Err(self.failed(Failure::new(FailureKind::Transient, otherwise)))
            }
            Halt::Unmet { otherwise, .. } => Err(self.refuse(otherwise)),
            Halt::Failed { trouble, .. } if has_dependents(&trouble.failure) => Err(self.refuse(format!(
                "a view reads the column that must become wider ({}): drop the view, restart, and create it again, or \
                 create it WITH NO SCHEMA BINDING",
                trouble.failure
            ))),
            Halt::Failed { trouble, .. } | Halt::Transaction { trouble, .. } => Err(self.failed(trouble.failure)),
        }
    }
}
