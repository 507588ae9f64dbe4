//! Making a target be as its plan says, over any client whose dialect shares [`TableSql`]. Definition and registry change in
//! one transaction.

use crate::model::Target;

use super::{
    TableState,
    definition::{self, Change, Definition, Found},
    error::{Failure, WarehouseError},
    group::Fence,
    plan::{Layout, Place, TablePlan},
    session::{Session, Statement, Value},
    sql::{Dialect, TableSql},
    state,
};

/// Creates or widens the target under the fence.
pub(crate) async fn ensure(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
    plan: &TablePlan,
) -> Result<(Layout, TableState), WarehouseError> {
    let place = definition::place(d, plan)?;
    let what = format!("define table {}", plan.target);
    session.begin().await.map_err(|f| f.doing(&what))?;
    let result = define(session, d, fence, plan, place).await;
    state::finish(session, result, &what).await
}

/// What [`ensure`] would do for `group`. `registry` says whether there is one: without it nothing was made yet. Changes nothing.
pub(crate) async fn preview(
    session: &mut dyn Session,
    d: &dyn Dialect,
    group: &str,
    plan: &TablePlan,
    registry: bool,
) -> Result<TableState, WarehouseError> {
    let place = definition::place(d, plan)?;
    let mut table = Table { session, d, target: &plan.target };
    let registered = if registry { table.registered().await? } else { None };
    let columns = table.names(&d.columns_of(&place)).await?;
    let key = table.names(&d.key_of(&place)).await?;
    let found = Found { registered, columns, key: Some(key) };
    definition::preview(d, group, plan, place, &found)
}

/// The layout of a target that was made before, `None` when there is none. Changes nothing.
pub(crate) async fn recall(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
    target: &Target,
) -> Result<Option<Layout>, WarehouseError> {
    let place = d.place(target).map_err(|reason| WarehouseError::table(target, reason))?;
    let mut table = Table { session, d, target };
    let Some((group, json)) = table.registered().await? else { return Ok(None) };
    definition::known(fence, target, place, (&group, &json)).map(Some)
}

/// The layout of a target whoever writes it, `None` when there is none. Takes no fence and changes nothing.
pub(crate) async fn look(
    session: &mut dyn Session,
    d: &dyn Dialect,
    target: &Target,
) -> Result<Option<Layout>, WarehouseError> {
    let place = d.place(target).map_err(|reason| WarehouseError::table(target, reason))?;
    let mut table = Table { session, d, target };
    let Some((_, json)) = table.registered().await? else { return Ok(None) };
    definition::layout(target, place, &json).map(Some)
}

async fn define(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
    plan: &TablePlan,
    place: Place,
) -> Result<(Layout, TableState), WarehouseError> {
    let mut table = Table { session, d, target: &plan.target };
    state::hold_fence(table.session, d, fence).await?;
    let registered = table.registered().await?;
    let columns = table.names(&d.columns_of(&place)).await?;
    let key = table.names(&d.key_of(&place)).await?;
    let change = definition::decide(d, fence, plan, place, &Found { registered, columns, key: Some(key) })?;
    if !change.is_empty() {
        table.change(fence, &change).await?;
    }
    let state = change.state();
    Ok((change.layout, state))
}

/// The statements that create a target where its schema exists.
pub(crate) fn creation(layout: &Layout, d: &dyn Dialect) -> Vec<Statement> {
    let sql = TableSql::new(layout, d);
    let side = layout.global().then(|| sql.create(true));
    std::iter::once(sql.create(false)).chain(side).collect()
}

/// One target on one connection.
pub(crate) struct Table<'a> {
    pub(crate) session: &'a mut dyn Session,
    pub(crate) d: &'a dyn Dialect,
    pub(crate) target: &'a Target,
}

impl Table<'_> {
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> WarehouseError {
        WarehouseError::table(self.target, reason)
    }

    fn failed(&self) -> impl Fn(Failure) -> WarehouseError {
        let target = self.target.clone();
        move |f| f.in_table(&target, "change the definition")
    }

    pub(crate) async fn run(&mut self, statement: &Statement) -> Result<(), WarehouseError> {
        self.count(statement).await.map(drop)
    }

    /// Runs a statement; answers the rows it changed.
    pub(crate) async fn count(&mut self, statement: &Statement) -> Result<u64, WarehouseError> {
        self.session.execute(statement).await.map_err(self.failed())
    }

    async fn query(&mut self, statement: &Statement) -> Result<Vec<Vec<Value>>, WarehouseError> {
        self.session.query(statement).await.map_err(self.failed())
    }

    pub(crate) async fn names(&mut self, statement: &Statement) -> Result<Vec<String>, WarehouseError> {
        let rows = self.query(statement).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
    }

    /// Group and definition in the registry.
    pub(crate) async fn registered(&mut self) -> Result<Option<(String, String)>, WarehouseError> {
        let rows = self.query(&state::sql::registered(self.d, self.target.as_str())).await?;
        match rows.first().map(Vec::as_slice) {
            None => Ok(None),
            Some([Value::Text(group), Value::Text(definition)]) => Ok(Some((group.clone(), definition.clone()))),
            Some(_) => Err(self.refuse("its registration cannot be read")),
        }
    }

    async fn change(&mut self, fence: &Fence, change: &Change) -> Result<(), WarehouseError> {
        let definition = Definition::json(&change.layout);
        if !change.created {
            self.alter(change).await?;
            return self.register(fence, &change.layout, &definition, true).await;
        }
        self.create(&change.layout).await?;
        self.register(fence, &change.layout, &definition, false).await
    }

    /// Remembers the target's definition; `known` says whether there is one to be replaced.
    pub(crate) async fn register(
        &mut self,
        fence: &Fence,
        layout: &Layout,
        definition: &str,
        known: bool,
    ) -> Result<(), WarehouseError> {
        let target = self.target.as_str();
        if known {
            return self.run(&state::sql::redefine(self.d, target, definition)).await;
        }
        let place = self.d.folded(&layout.place);
        self.run(&state::sql::register(self.d, target, &place, &fence.group, definition)).await
    }

    /// Creates the target where no other one lies, with its side table and its schema where they are missing.
    pub(crate) async fn create(&mut self, layout: &Layout) -> Result<(), WarehouseError> {
        let there = self.names(&state::sql::registered_at(self.d, &self.d.folded(&layout.place))).await?;
        if let Some(other) = there.iter().find(|name| *name != self.target.as_str()) {
            return Err(self.refuse(format!("target {other} lies at {} already; rename one", layout.place.text())));
        }
        if let Some(statement) = self.d.limit_lock_wait() {
            self.run(&statement).await?;
        }
        if let Some((exists, create)) = self.d.schema(&layout.place)
            && self.query(&exists).await?.is_empty()
        {
            self.run(&create).await?;
        }
        for statement in creation(layout, self.d) {
            self.run(&statement).await?;
        }
        Ok(())
    }

    /// Adds columns and widens types.
    async fn alter(&mut self, change: &Change) -> Result<(), WarehouseError> {
        let sql = TableSql::new(&change.layout, self.d);
        if let Some(statement) = self.d.limit_lock_wait() {
            self.run(&statement).await?;
        }
        let sides = std::iter::once(false).chain(change.layout.global().then_some(true));
        for side in sides {
            for name in &change.added {
                if let Some(statement) = sql.add_column(side, name) {
                    self.run(&statement).await?;
                }
            }
            let table = if side { &sql.side } else { &sql.target };
            for (name, from, to) in &change.widened {
                let statement = self.d.widen(table, name, *from, *to).map_err(|why| {
                    self.refuse(format!("column {name} cannot become wider: {why}; rebuild the table"))
                })?;
                if let Some(statement) = statement {
                    self.run(&statement).await?;
                }
            }
        }
        Ok(())
    }
}
