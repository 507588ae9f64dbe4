//! What the decode thread knows of each captured table.

use std::sync::Arc;

use crate::{
    batch::OpenBatch,
    config::{self, ColumnRule, TablePolicy},
    decode::{self, Plan, Policies, ValuePolicy},
    model::{Column, ColumnDefault, ColumnType, Digest, Known, Origin, TableSchema, Target},
    source::mysql::{
        ddl::{AddedColumn, AddedDefault},
        table_map::TableMap,
    },
    warehouse::join_types,
};

/// One captured source table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) origin: Origin,
    pub(super) rule: Arc<TablePolicy>,
    /// Schema of the newest rows, `None` until the first row of this session or log.
    pub(super) known: Option<Digest>,
    /// Why rows of the table no longer reach the lake.
    pub(super) parked: Option<String>,
    /// The table map that the plan was compiled from. Comparing the pointer is enough: the assembler keeps one
    /// [`TableMap`] per distinct content.
    pub(super) plan: Option<(Arc<TableMap>, Arc<Plan>)>,
    /// Rows since the last seal.
    pub(super) open: Option<OpenBatch>,
    /// Columns added by DDL since the plan was compiled, in order: the rows' next schema will name them.
    pub(super) added: Vec<AddedColumn>,
    /// A DDL statement said that rows change; the next table map tells whether it shows in their schema.
    pub(super) rewritten: bool,
}

impl Table {
    pub(super) fn new(origin: Origin, rule: Arc<TablePolicy>, known: Option<&Known>) -> Self {
        Self {
            origin,
            rule,
            known: known.and_then(|k| k.schema.clone()),
            parked: known.and_then(|k| k.parked.clone()),
            plan: None,
            open: None,
            added: Vec::new(),
            rewritten: false,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.rule.target
    }

    /// The plan for rows described by `map`, when it is the one in use.
    pub(super) fn plan_for(&self, map: &Arc<TableMap>) -> Option<&Arc<Plan>> {
        self.plan.as_ref().filter(|(known, _)| Arc::ptr_eq(known, map)).map(|(_, plan)| plan)
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
                    .map_or(ColumnDefault::Unknown, |a| old_value(&a.default, column));
                if default == ColumnDefault::Unknown {
                    change.stale = Some(format!("column {:?} was added with a value per row", column.name));
                }
                change.added.push((column.name.clone(), default));
            }
            Some(before) if !keeps_values(before, column) => {
                change.stale =
                    Some(format!("column {:?} changed from {} to {}", column.name, before.source, column.source));
            }
            Some(before) if before.key != column.key => {
                change.stale = Some(format!("the primary key changed at column {:?}", column.name));
            }
            Some(_) => {}
        }
    }
    change
}

/// Whether a type change leaves what the warehouse already shows right: the new type holds every old value as it is.
fn keeps_values(old: &Column, new: &Column) -> bool {
    join_types(old.ty, new.ty) == Some(new.ty)
}

/// What rows written before have in an added column, in the column's neutral text form.
fn old_value(default: &AddedDefault, column: &Column) -> ColumnDefault {
    use ColumnType::{
        Binary, Boolean, Date, Decimal, Float32, Float64, Int16, Int32, Int64, Json, Text, Timestamp, TimestampTz,
    };
    let literal = |text: &str| ColumnDefault::Literal(text.to_owned());
    let label = column.source.starts_with("enum") || column.source.starts_with("time");
    match (default, column.ty) {
        (AddedDefault::Null, _) => ColumnDefault::Null,
        (AddedDefault::Unknown, _) => ColumnDefault::Unknown,
        // A literal TIMESTAMP is in the time zone of the session that ran the DDL.
        (_, Binary { .. } | Json | TimestampTz) => ColumnDefault::Unknown,
        (AddedDefault::Literal(text), Boolean) => match text.as_str() {
            "0" => literal("false"),
            "1" => literal("true"),
            _ => ColumnDefault::Unknown,
        },
        (AddedDefault::Literal(text), Int16 | Int32 | Int64) if text.parse::<i64>().is_ok() => literal(text),
        (AddedDefault::Literal(text), Decimal { .. } | Float32 | Float64) if text.parse::<f64>().is_ok() => {
            literal(text)
        }
        (AddedDefault::Literal(text), Text { .. }) if !column.source.starts_with("time") => literal(text),
        (AddedDefault::Literal(text), Date) if is_day(text) => literal(text),
        (AddedDefault::Literal(text), Timestamp) if text.len() >= 19 && is_day(text.get(..10).unwrap_or_default()) => {
            literal(text)
        }
        (AddedDefault::Literal(_), _) => ColumnDefault::Unknown,
        (AddedDefault::Implicit, Boolean) => literal("false"),
        (AddedDefault::Implicit, Int16 | Int32 | Int64 | Decimal { .. } | Float32 | Float64) => literal("0"),
        (AddedDefault::Implicit, Text { .. }) if !label => literal(""),
        // The zero date, which becomes NULL.
        (AddedDefault::Implicit, Date | Timestamp) => ColumnDefault::Null,
        (AddedDefault::Implicit, Text { .. }) => ColumnDefault::Unknown,
    }
}

/// Whether the text is a day with month and day above zero, `YYYY-MM-DD`.
fn is_day(text: &str) -> bool {
    let mut parts = text.split('-').map(|p| p.parse::<u32>().ok());
    let (year, month, day) = (parts.next().flatten(), parts.next().flatten(), parts.next().flatten());
    text.len() == 10 && year.is_some() && month.is_some_and(|m| m > 0) && day.is_some_and(|d| d > 0)
}

/// The decoder's policies for a table.
pub(super) fn policies(rule: &TablePolicy) -> Policies {
    let policy = |column: &ColumnRule| ValuePolicy {
        tinyint1: match column.tinyint1.unwrap_or(rule.tinyint1) {
            config::TinyInt1::Boolean => decode::TinyInt1::Boolean,
            config::TinyInt1::Smallint => decode::TinyInt1::SmallInt,
        },
        zero_dates: match column.zero_dates.unwrap_or(rule.zero_dates) {
            config::ZeroDates::Null => decode::ZeroDates::Null,
            config::ZeroDates::Park => decode::ZeroDates::Refuse,
        },
        invalid_text: match column.invalid_text.unwrap_or(rule.invalid_text) {
            config::InvalidText::Replace => decode::InvalidText::Replace,
            config::InvalidText::Park => decode::InvalidText::Refuse,
        },
    };
    let columns = rule.columns.iter().map(|(name, column)| (name.clone(), policy(column))).collect();
    Policies { table: policy(&ColumnRule::default()), columns }
}
