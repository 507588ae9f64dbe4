//! Making a target be as its plan says, over any client whose dialect shares [`TableSql`].
//!
//! The registry remembers every target with its columns; definition and registry change in one transaction. What the
//! registry and the warehouse disagree about was changed by somebody else and parks the table: nothing is ever guessed,
//! dropped or created a second time, because a table that is created again would have lost its rows silently.

use serde::{Deserialize, Serialize};

use crate::model::{ColumnDefault, Target, table::system};

use super::{
    TableState,
    error::{Failure, WarehouseError},
    group::Fence,
    plan::{Deletes, KeyMode, Layout, Place, TablePlan, TargetColumn, join_types},
    session::{Session, Statement, Value},
    sql::{Dialect, TableSql, quoted_place},
    state,
};

/// A target as the registry keeps it (JSON).
#[derive(Debug, Serialize, Deserialize)]
struct Definition {
    columns: Vec<TargetColumn>,
    key: Vec<String>,
    key_mode: KeyMode,
    deletes: Deletes,
}

impl Definition {
    fn of(layout: &Layout) -> Self {
        Self {
            columns: layout.columns.clone(),
            key: layout.key.clone(),
            key_mode: layout.key_mode.clone(),
            deletes: layout.deletes,
        }
    }

    fn json(&self) -> String {
        // Serialising plain structs cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Creates or widens the target under the fence.
pub(crate) async fn ensure(
    session: &mut dyn Session,
    d: &dyn Dialect,
    fence: &Fence,
    plan: &TablePlan,
) -> Result<(Layout, TableState), WarehouseError> {
    plan.validate()?;
    let place = check_names(d, plan)?;
    let what = format!("define table {}", plan.target);
    session.begin().await.map_err(|f| f.doing(&what))?;
    let result = define(session, d, fence, plan, place).await;
    state::finish(session, result, &what).await
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
    let registered = table.query(&state::sql::registered(d, target.as_str())).await?;
    let Some(row) = registered.first() else { return Ok(None) };
    let known = table.registered(fence, row)?;
    Ok(Some(known.layout(target, place)))
}

/// The layout of a target whoever writes it, `None` when there is none. Takes no fence and changes nothing.
pub(crate) async fn look(
    session: &mut dyn Session,
    d: &dyn Dialect,
    target: &Target,
) -> Result<Option<Layout>, WarehouseError> {
    let place = d.place(target).map_err(|reason| WarehouseError::table(target, reason))?;
    let mut table = Table { session, d, target };
    let registered = table.query(&state::sql::registered(d, target.as_str())).await?;
    let Some(row) = registered.first() else { return Ok(None) };
    let (_, known) = table.read(row)?;
    Ok(Some(known.layout(target, place)))
}

/// Refuses names and defaults that the product cannot hold.
fn check_names(d: &dyn Dialect, plan: &TablePlan) -> Result<Place, WarehouseError> {
    let refuse = |reason: String| WarehouseError::table(&plan.target, reason);
    let place = d.place(&plan.target).map_err(refuse)?;
    let names = plan.columns.iter().map(|c| &c.column.name).chain(&place.schema).chain([&place.table]);
    for name in names {
        if name.len() > d.identifier_bytes_max() {
            let max = d.identifier_bytes_max();
            return Err(refuse(format!("{name} is longer than {max} bytes, the most the warehouse keeps; rename it")));
        }
    }
    for TargetColumn { column, default } in &plan.columns {
        if d.reserved_columns().contains(&column.name.to_lowercase().as_str()) {
            return Err(refuse(format!("column name {} is reserved by the warehouse; rename it", column.name)));
        }
        if let ColumnDefault::Literal(text) = default {
            d.literal(column.ty, text).map_err(|why| refuse(format!("default of column {}: {why}", column.name)))?;
        }
    }
    Ok(place)
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
    let registered = table.query(&state::sql::registered(d, plan.target.as_str())).await?;
    let columns = table.names(&d.columns_of(&place)).await?;
    match registered.first().map(Vec::as_slice) {
        None => {
            if !columns.is_empty() {
                return Err(table.refuse(format!(
                    "{} exists and was not made by Tailwater; rename or drop it, or choose another target",
                    place.text()
                )));
            }
            table.create(fence, plan, place).await
        }
        Some(row) => {
            let known = table.registered(fence, row)?;
            table.compare(plan, &known, &place, &columns).await?;
            table.evolve(plan, known, place).await
        }
    }
}

struct Table<'a> {
    session: &'a mut dyn Session,
    d: &'a dyn Dialect,
    target: &'a Target,
}

impl Table<'_> {
    fn refuse(&self, reason: impl Into<String>) -> WarehouseError {
        WarehouseError::table(self.target, reason)
    }

    /// What the registry's row says, of a table of the fence's group.
    fn registered(&self, fence: &Fence, row: &[Value]) -> Result<Definition, WarehouseError> {
        let (group, definition) = self.read(row)?;
        if group != fence.group {
            return Err(self.refuse(format!("it is written by group {group}; a table belongs to one group")));
        }
        Ok(definition)
    }

    /// The registry's row: group and definition.
    fn read(&self, row: &[Value]) -> Result<(String, Definition), WarehouseError> {
        let [Value::Text(group), Value::Text(definition)] = row else {
            return Err(self.refuse("its registration cannot be read"));
        };
        let definition = serde_json::from_str(definition)
            .map_err(|e| self.refuse(format!("its registered definition cannot be read: {e}")))?;
        Ok((group.clone(), definition))
    }

    fn failed(&self) -> impl Fn(Failure) -> WarehouseError {
        let target = self.target.clone();
        move |f| f.in_table(&target, "change the definition")
    }

    async fn run(&mut self, statement: &Statement) -> Result<(), WarehouseError> {
        self.session.execute(statement).await.map_err(self.failed())?;
        Ok(())
    }

    async fn query(&mut self, statement: &Statement) -> Result<Vec<Vec<Value>>, WarehouseError> {
        self.session.query(statement).await.map_err(self.failed())
    }

    async fn names(&mut self, statement: &Statement) -> Result<Vec<String>, WarehouseError> {
        let rows = self.query(statement).await?;
        Ok(rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned)).collect())
    }

    async fn create(
        &mut self,
        fence: &Fence,
        plan: &TablePlan,
        place: Place,
    ) -> Result<(Layout, TableState), WarehouseError> {
        let folded = self.d.folded(&place);
        if let Some(other) = self.names(&state::sql::registered_at(self.d, &folded)).await?.first() {
            return Err(self.refuse(format!("target {other} lies at {} already; rename one", place.text())));
        }
        let layout = Layout {
            target: plan.target.clone(),
            place,
            columns: plan.columns.clone(),
            key: plan.key.clone(),
            key_mode: plan.key_mode.clone(),
            deletes: plan.deletes,
        };
        if let Some(statement) = self.d.limit_lock_wait() {
            self.run(&statement).await?;
        }
        if let Some((exists, create)) = self.d.schema(&layout.place)
            && self.query(&exists).await?.is_empty()
        {
            self.run(&create).await?;
        }
        let sql = TableSql::new(&layout, self.d);
        self.run(&sql.create(false)).await?;
        if layout.global() {
            self.run(&sql.create(true)).await?;
        }
        let definition = Definition::of(&layout).json();
        self.run(&state::sql::register(self.d, plan.target.as_str(), &folded, &fence.group, &definition)).await?;
        let state = TableState { place: layout.place.text(), created: true, ..TableState::default() };
        Ok((layout, state))
    }

    /// Refuses a table that is not what the registry says.
    async fn compare(
        &mut self,
        plan: &TablePlan,
        known: &Definition,
        place: &Place,
        columns: &[String],
    ) -> Result<(), WarehouseError> {
        const REBUILD: &str = "run `tailwater rebuild` for it";
        if columns.is_empty() {
            return Err(self.refuse(format!("{} was dropped by somebody else; {REBUILD}", place.text())));
        }
        if plan.key != known.key || plan.key_mode != known.key_mode || plan.deletes != known.deletes {
            return Err(self.refuse(format!(
                "its key or its handling of deletes is another one than when it was created; restore the \
                 configuration or {REBUILD}"
            )));
        }
        let layout = known.layout(self.target, place.clone());
        let mut ours: Vec<&str> = layout.system();
        ours.extend(layout.columns.iter().map(|c| c.column.name.as_str()));
        if let Some(foreign) = columns.iter().find(|c| !ours.contains(&c.as_str())) {
            return Err(self.refuse(format!(
                "column {foreign} was added by somebody else and would lose its values; drop it and use a view or a \
                 table beside this one"
            )));
        }
        if let Some(missing) = ours.iter().find(|c| !columns.iter().any(|have| have == *c)) {
            return Err(self.refuse(format!("column {missing} was dropped or renamed by somebody else; {REBUILD}")));
        }
        if !layout.append_only() {
            let mut key: Vec<&str> = if layout.global() { Vec::new() } else { vec![system::ORIGIN] };
            key.extend(layout.key.iter().map(String::as_str));
            if self.names(&self.d.key_of(place)).await? != key {
                let key = super::sql::list(key);
                let table = quoted_place(place);
                return Err(self.refuse(format!(
                    "its primary key was changed by somebody else; run ALTER TABLE {table} ADD PRIMARY KEY ({key})"
                )));
            }
        }
        Ok(())
    }

    /// Adds columns and widens types.
    async fn evolve(
        &mut self,
        plan: &TablePlan,
        known: Definition,
        place: Place,
    ) -> Result<(Layout, TableState), WarehouseError> {
        let mut layout = known.layout(self.target, place);
        let mut state = TableState { place: layout.place.text(), ..TableState::default() };
        let mut widened = Vec::new();
        for wanted in &plan.columns {
            let name = &wanted.column.name;
            let Some(have) = layout.columns.iter_mut().find(|c| c.column.name == *name) else {
                if let Some(other) = layout.columns.iter().find(|c| c.column.name.to_lowercase() == name.to_lowercase())
                {
                    let other = other.column.name.clone();
                    return Err(self.refuse(format!("columns {other} and {name} are the same up to case; rename one")));
                }
                state.added.push(name.clone());
                layout.columns.push(wanted.clone());
                continue;
            };
            let (from, asked) = (have.column.ty, wanted.column.ty);
            let Some(to) = join_types(from, asked) else {
                let (was, is) = (&have.column.source, &wanted.column.source);
                let reason = format!("column {name} was {was} and became {is} on the source; rebuild the table");
                return Err(self.refuse(reason));
            };
            if to != from {
                have.column.ty = to;
                have.column.source.clone_from(&wanted.column.source);
                widened.push((name.clone(), from, to));
            }
        }
        if state.added.is_empty() && widened.is_empty() {
            return Ok((layout, state));
        }
        self.alter(&layout, &mut state, &widened).await?;
        let definition = Definition::of(&layout).json();
        self.run(&state::sql::redefine(self.d, self.target.as_str(), &definition)).await?;
        Ok((layout, state))
    }

    async fn alter(
        &mut self,
        layout: &Layout,
        state: &mut TableState,
        widened: &[(String, crate::model::ColumnType, crate::model::ColumnType)],
    ) -> Result<(), WarehouseError> {
        let sql = TableSql::new(layout, self.d);
        if let Some(statement) = self.d.limit_lock_wait() {
            self.run(&statement).await?;
        }
        let sides = std::iter::once(false).chain(layout.global().then_some(true));
        for side in sides {
            for name in &state.added {
                if let Some(statement) = sql.add_column(side, name) {
                    self.run(&statement).await?;
                }
            }
            let table = if side { &sql.side } else { &sql.target };
            for (name, from, to) in widened {
                let statement = self.d.widen(table, name, *from, *to).map_err(|why| {
                    self.refuse(format!("column {name} cannot become wider: {why}; rebuild the table"))
                })?;
                if let Some(statement) = statement {
                    self.run(&statement).await?;
                }
            }
        }
        state.widened = widened.iter().map(|(name, ..)| name.clone()).collect();
        Ok(())
    }
}

impl Definition {
    fn layout(&self, target: &Target, place: Place) -> Layout {
        Layout {
            target: target.clone(),
            place,
            columns: self.columns.clone(),
            key: self.key.clone(),
            key_mode: self.key_mode.clone(),
            deletes: self.deletes,
        }
    }
}
