//! What has to be done so that a target is as its plan says: decided from what the registry and the catalog say of it,
//! before any statement runs.
//!
//! The registry remembers every target with its columns. What the registry and the catalog disagree about was changed by
//! somebody else and parks the table: nothing is ever guessed, dropped or created a second time, because a table that is
//! created again would have lost its rows silently.

use serde::{Deserialize, Serialize};

use crate::model::{ColumnDefault, ColumnType, Target};

use super::{
    TableState,
    error::WarehouseError,
    group::Fence,
    physical::Physical,
    plan::{Deletes, KeyMode, Layout, Place, TablePlan, TargetColumn, join_types},
    sql::{list, quoted_place},
};

/// Why a target has no place: source tables may have dots in their names.
pub(crate) const NOT_A_PLACE: &str =
    "a target is called [schema.]table, without further dots; give it another name by `target` in the table's rule";

/// What a product says of names and literals.
pub(crate) trait Naming: Send + Sync + std::fmt::Debug {
    /// Where the target lies, or why it cannot.
    fn place(&self, target: &Target) -> Result<Place, String>;
    /// Name under which two places would be the same table.
    fn folded(&self, place: &Place) -> String;
    /// A column's name as the catalog shows it.
    fn folded_column(&self, name: &str) -> String;
    /// Longest identifier in bytes.
    fn identifier_bytes_max(&self) -> usize;
    /// Column names that the product keeps for itself, in lower case.
    fn reserved_columns(&self) -> &'static [&'static str];
    /// A literal of the type from its neutral text, or why not.
    fn literal(&self, ty: ColumnType, text: &str) -> Result<String, String>;
    /// The type that a key column begins with. Wider than asked where a product cannot alter key columns later.
    fn key_type(&self, ty: ColumnType) -> ColumnType {
        ty
    }
}

/// A target as the registry keeps it (JSON).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Definition {
    columns: Vec<TargetColumn>,
    key: Vec<String>,
    key_mode: KeyMode,
    deletes: Deletes,
}

impl Definition {
    pub(crate) fn json(layout: &Layout) -> String {
        let definition = Self {
            columns: layout.columns.clone(),
            key: layout.key.clone(),
            key_mode: layout.key_mode.clone(),
            deletes: layout.deletes,
        };
        // Serialising plain structs cannot fail.
        serde_json::to_string(&definition).unwrap_or_default()
    }

    fn layout(self, target: &Target, place: Place) -> Layout {
        Layout {
            target: target.clone(),
            place,
            columns: self.columns,
            key: self.key,
            key_mode: self.key_mode,
            deletes: self.deletes,
            physical: Physical::default(),
        }
    }
}

/// What the registry and the catalog say of a target.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Group and definition in the registry.
    pub(crate) registered: Option<(String, String)>,
    /// Columns in the catalog; empty when there is no such table.
    pub(crate) columns: Vec<String>,
    /// Key columns in the catalog; `None` where the product enforces no keys.
    pub(crate) key: Option<Vec<String>>,
}

/// What has to be done.
#[derive(Debug)]
pub(crate) struct Change {
    /// The target as it is going to be.
    pub(crate) layout: Layout,
    /// It has to be created.
    pub(crate) created: bool,
    /// Columns to add.
    pub(crate) added: Vec<String>,
    /// Columns to widen: name, type so far, type from now on.
    pub(crate) widened: Vec<(String, ColumnType, ColumnType)>,
}

impl Change {
    /// Whether the target is as it should be.
    pub(crate) fn is_empty(&self) -> bool {
        !self.created && self.added.is_empty() && self.widened.is_empty()
    }

    /// What is told of it once it is done.
    pub(crate) fn state(&self) -> TableState {
        TableState {
            place: self.layout.place.text(),
            created: self.created,
            added: self.added.clone(),
            widened: self.widened.iter().map(|(name, ..)| name.clone()).collect(),
        }
    }
}

/// Where the target is going to lie. Refuses names and defaults that the product cannot hold.
pub(crate) fn place(naming: &dyn Naming, plan: &TablePlan) -> Result<Place, WarehouseError> {
    plan.validate()?;
    let refuse = |reason: String| WarehouseError::table(&plan.target, reason);
    let place = naming.place(&plan.target).map_err(refuse)?;
    let names = plan.columns.iter().map(|c| &c.column.name).chain(&place.schema).chain([&place.table]);
    for name in names {
        if name.len() > naming.identifier_bytes_max() {
            let max = naming.identifier_bytes_max();
            return Err(refuse(format!("{name} is longer than {max} bytes, the most the warehouse keeps; rename it")));
        }
    }
    for TargetColumn { column, default } in &plan.columns {
        if naming.reserved_columns().contains(&column.name.to_lowercase().as_str()) {
            return Err(refuse(format!("column name {} is reserved by the warehouse; rename it", column.name)));
        }
        if let ColumnDefault::Literal(text) = default {
            naming
                .literal(column.ty, text)
                .map_err(|why| refuse(format!("default of column {}: {why}", column.name)))?;
        }
    }
    Ok(place)
}

/// The layout of a target that was made before, by its registration.
pub(crate) fn known(
    fence: &Fence,
    target: &Target,
    place: Place,
    registered: (&str, &str),
) -> Result<Layout, WarehouseError> {
    let refuse = |reason: String| WarehouseError::table(target, reason);
    let (group, definition) = registered;
    if group != fence.group {
        return Err(refuse(format!("it is written by group {group}; a table belongs to one group")));
    }
    layout(target, place, definition)
}

/// The layout that a target's registered definition says, whoever registered it.
pub(crate) fn layout(target: &Target, place: Place, definition: &str) -> Result<Layout, WarehouseError> {
    let definition: Definition = serde_json::from_str(definition)
        .map_err(|e| WarehouseError::table(target, format!("its registered definition cannot be read: {e}")))?;
    Ok(definition.layout(target, place))
}

/// Decides what has to be done to a target that lies at `place`.
pub(crate) fn decide(
    naming: &dyn Naming,
    fence: &Fence,
    plan: &TablePlan,
    place: Place,
    found: &Found,
) -> Result<Change, WarehouseError> {
    let Some((group, definition)) = &found.registered else {
        if !found.columns.is_empty() {
            return Err(WarehouseError::table(&plan.target, not_ours(&place)));
        }
        let mut columns = plan.columns.clone();
        for column in columns.iter_mut().map(|c| &mut c.column).filter(|c| plan.key.contains(&c.name)) {
            column.ty = naming.key_type(column.ty);
        }
        let layout = Layout {
            target: plan.target.clone(),
            place,
            columns,
            key: plan.key.clone(),
            key_mode: plan.key_mode.clone(),
            deletes: plan.deletes,
            physical: plan.physical.clone(),
        };
        return Ok(Change { layout, created: true, added: Vec::new(), widened: Vec::new() });
    };
    let mut layout = known(fence, &plan.target, place, (group, definition))?;
    layout.physical = plan.physical.clone();
    compare(naming, plan, &layout, found).map_err(|reason| WarehouseError::table(&plan.target, reason))?;
    evolve(plan, layout).map_err(|reason| WarehouseError::table(&plan.target, reason))
}

/// Why a table that the registry does not know is left alone.
pub(crate) fn not_ours(place: &Place) -> String {
    format!("{} exists and was not made by Tailwater; rename or drop it, or choose another target", place.text())
}

/// Names of all columns of a layout, as the catalog shows them.
fn columns_of(naming: &dyn Naming, layout: &Layout) -> Vec<String> {
    let mut names: Vec<String> = layout.system().into_iter().map(str::to_owned).collect();
    names.extend(layout.columns.iter().map(|c| naming.folded_column(&c.column.name)));
    names
}

/// Why a table with a column that neither of its layouts has is left alone.
pub(crate) fn foreign(naming: &dyn Naming, now: &Layout, known: &Layout, found: &[String]) -> Option<String> {
    let ours = [columns_of(naming, now), columns_of(naming, known)].concat();
    let foreign = found.iter().find(|c| !ours.contains(c))?;
    Some(format!(
        "column {foreign} was added by somebody else and would lose its values; drop it and use a view or a table beside \
         this one"
    ))
}

/// What would be done for `group`, told as if it were.
pub(crate) fn preview(
    naming: &dyn Naming,
    group: &str,
    plan: &TablePlan,
    place: Place,
    found: &Found,
) -> Result<TableState, WarehouseError> {
    let nobody = Fence { group: group.to_owned(), epoch: 0 };
    Ok(decide(naming, &nobody, plan, place, found)?.state())
}

/// Refuses a table that is not what the registry says.
fn compare(naming: &dyn Naming, plan: &TablePlan, known: &Layout, found: &Found) -> Result<(), String> {
    const REBUILD: &str = "run `tailwater rebuild` for it";
    if found.columns.is_empty() {
        return Err(format!("{} was dropped by somebody else; {REBUILD}", known.place.text()));
    }
    if plan.key != known.key || plan.key_mode != known.key_mode || plan.deletes != known.deletes {
        return Err(format!(
            "its key or its handling of deletes is another one than when it was created; restore the configuration or \
             {REBUILD}"
        ));
    }
    if let Some(reason) = foreign(naming, known, known, &found.columns) {
        return Err(reason);
    }
    let ours = columns_of(naming, known);
    if let Some(missing) = ours.iter().find(|c| !found.columns.contains(c)) {
        return Err(format!("column {missing} was dropped or renamed by somebody else; {REBUILD}"));
    }
    if let (false, Some(found)) = (known.append_only(), &found.key) {
        let key = known.physical_key();
        if *found != key {
            let (key, table) = (list(key), quoted_place(&known.place));
            return Err(format!(
                "its primary key was changed by somebody else; run ALTER TABLE {table} ADD PRIMARY KEY ({key})"
            ));
        }
    }
    Ok(())
}

/// Columns to add and types to widen.
fn evolve(plan: &TablePlan, mut layout: Layout) -> Result<Change, String> {
    let (mut added, mut widened) = (Vec::new(), Vec::new());
    for wanted in &plan.columns {
        let name = &wanted.column.name;
        let Some(have) = layout.columns.iter_mut().find(|c| c.column.name == *name) else {
            if let Some(other) = layout.columns.iter().find(|c| c.column.name.to_lowercase() == name.to_lowercase()) {
                return Err(format!("columns {} and {name} are the same up to case; rename one", other.column.name));
            }
            added.push(name.clone());
            layout.columns.push(wanted.clone());
            continue;
        };
        let (from, asked) = (have.column.ty, wanted.column.ty);
        let Some(to) = join_types(from, asked) else {
            let (was, is) = (&have.column.source, &wanted.column.source);
            return Err(format!("column {name} was {was} and became {is} on the source; rebuild the table"));
        };
        if to != from {
            have.column.ty = to;
            have.column.source.clone_from(&wanted.column.source);
            widened.push((name.clone(), from, to));
        }
    }
    Ok(Change { layout, created: false, added, widened })
}
