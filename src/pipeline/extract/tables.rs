//! What the decode thread knows of each captured table.

use std::sync::Arc;

use crate::{
    batch::OpenBatch,
    config::ResolvedTable,
    decode::Plan,
    model::{ColumnDefault, Digest, Known, Origin, TableSchema, Target},
    source::mysql::{ddl::AddedColumn, table_map::TableMap},
};

/// One captured source table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) origin: Origin,
    pub(super) rule: Arc<ResolvedTable>,
    /// Schema of the newest rows, `None` until the first row of this session or log.
    pub(super) known: Option<Digest>,
    /// Why rows of the table no longer reach the lake.
    pub(super) parked: Option<String>,
    /// Why old rows in the warehouse are stale.
    pub(super) needs_snapshot: Option<String>,
    /// The table map that the plan was compiled from. Comparing the pointer is enough: the assembler keeps one
    /// [`TableMap`] per distinct content.
    pub(super) plan: Option<(Arc<TableMap>, Arc<Plan>)>,
    /// Rows since the last seal.
    pub(super) open: Option<OpenBatch>,
    /// Columns added by DDL since the plan was compiled, in order: the rows' next schema will name them.
    pub(super) added: Vec<AddedColumn>,
    /// Files started since the last cut, for their names.
    pub(super) parts: u32,
}

impl Table {
    pub(super) fn new(origin: Origin, rule: Arc<ResolvedTable>, known: Option<&Known>) -> Self {
        Self {
            origin,
            rule,
            known: known.and_then(|k| k.schema.clone()),
            parked: known.and_then(|k| k.parked.clone()),
            needs_snapshot: known.and_then(|k| k.needs_snapshot.clone()),
            plan: None,
            open: None,
            added: Vec::new(),
            parts: 0,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.rule.target
    }

    /// The plan for rows described by `map`, when it is the one in use.
    pub(super) fn plan_for(&self, map: &Arc<TableMap>) -> Option<&Arc<Plan>> {
        self.plan.as_ref().filter(|(known, _)| Arc::ptr_eq(known, map)).map(|(_, plan)| plan)
    }

    /// What the catalog says of the table; `None` while there is nothing to say.
    pub(super) fn known(&self) -> Option<Known> {
        (self.known.is_some() || self.parked.is_some()).then(|| Known {
            target: self.target().clone(),
            schema: self.known.clone(),
            parked: self.parked.clone(),
            needs_snapshot: self.needs_snapshot.clone(),
        })
    }
}

/// How a table's new schema differs from its previous one, for the rows written before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SchemaChange {
    /// Columns that the previous schema lacked, with the value that old rows have in them.
    pub(super) added: Vec<(String, ColumnDefault)>,
    /// Why old rows in the warehouse no longer show the source's values.
    pub(super) stale: Option<String>,
}

/// Compares two schemas of a table. `ddl` is what the DDL text said of added columns since `old`.
pub(super) fn compare(old: &TableSchema, new: &TableSchema, ddl: &[AddedColumn]) -> SchemaChange {
    let mut change = SchemaChange::default();
    for column in &new.columns {
        match old.column(&column.name) {
            None => {
                let default = ddl
                    .iter()
                    .rev()
                    .find(|a| a.name.eq_ignore_ascii_case(&column.name))
                    .map_or(ColumnDefault::Unknown, |a| a.default_for(column));
                if default == ColumnDefault::Unknown {
                    change.stale = Some(format!("column {:?} was added with a value per row", column.name));
                }
                change.added.push((column.name.clone(), default));
            }
            Some(before) if !keeps_values(before, column) => {
                change.stale = Some(format!(
                    "column {:?} changed from {} to {}",
                    column.name, before.source, column.source
                ));
            }
            Some(before) if before.key != column.key => {
                change.stale = Some(format!("the primary key changed at column {:?}", column.name));
            }
            Some(_) => {}
        }
    }
    change
}

/// Whether a type change leaves what the warehouse already shows right.
fn keeps_values(old: &crate::model::Column, new: &crate::model::Column) -> bool {
    use crate::model::ColumnType::{Binary, Decimal, Int16, Int32, Int64, Text};
    match (old.ty, new.ty) {
        (a, b) if a == b => true,
        (Int16, Int32 | Int64) | (Int32, Int64) => true,
        (Int16 | Int32 | Int64, Decimal { scale: 0, .. }) => true,
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => s == t && q >= p,
        (Text { bytes_max: a }, Text { bytes_max: b }) | (Binary { bytes_max: a }, Binary { bytes_max: b }) => {
            b.is_none() || (a.is_some() && b >= a)
        }
        _ => false,
    }
}
