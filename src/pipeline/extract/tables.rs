//! What the decode thread knows of each captured table.

use std::sync::Arc;

use crate::{
    batch::OpenBatch,
    config::{self, ColumnRule, TablePolicy},
    decode::{self, Bounds, Plan, Policies, ValuePolicy},
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
    /// Its rows have no key: every change becomes a row of a history. Known from its newest plan on.
    pub(super) appends: bool,
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
            appends: known.is_some_and(|k| k.appends),
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
    // One MySQL type of prose, two of ours: a configured width changed, and values that came before stay as they came.
    let prose = ["tinytext", "text", "mediumtext", "longtext"].contains(&new.source.as_str());
    (prose && old.source == new.source) || join_types(old.ty, new.ty) == Some(new.ty)
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

/// What Redshift takes of values other than text. COPY refuses rows of more than "4 MB"; the smaller reading of that is
/// safe. Sources: Redshift developer guide, "VARBYTE type", "Limitations" of SUPER; management guide, "Quotas and limits".
const REDSHIFT: Bounds =
    Bounds { binary: Some(16_777_216), json: Some(16_777_216), json_string: Some(65_535), row: Some(4_000_000) };

/// The decoder's policies for a table; `redshift` says that the rows are for its COPY.
pub(in crate::pipeline) fn policies(rule: &TablePolicy, redshift: bool) -> Policies {
    let text_bytes_max = redshift.then_some(config::REDSHIFT_TEXT_BYTES_MAX);
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
        long_values: match column.long_text.unwrap_or(rule.long_text) {
            config::LongText::Cut => decode::LongValues::Cut,
            config::LongText::Null => decode::LongValues::Null,
            config::LongText::Park => decode::LongValues::Refuse,
        },
        text_bytes_max: column.text_bytes_max.or(rule.text_bytes_max).into_iter().chain(text_bytes_max).min(),
    };
    let columns = rule.columns.iter().map(|(name, column)| (name.clone(), policy(column))).collect();
    let bounds = if redshift { REDSHIFT } else { Bounds::default() };
    Policies { table: policy(&ColumnRule::default()), columns, bounds }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{config::TableRules, decode::LongValues};

    fn rule(settings: &str) -> TablePolicy {
        let rule = toml::from_str(&format!("match = \"*.*\"\n{settings}")).unwrap();
        TableRules::new(vec![rule]).resolve("shop", "orders").unwrap()
    }

    #[test]
    fn columns_inherit_what_they_do_not_say() {
        let rule = rule(
            "long_text = \"null\"\nzero_dates = \"park\"\n\
             columns = { a = { text_bytes_max = 10 }, b = { long_text = \"park\", zero_dates = \"null\" } }",
        );
        let policies = policies(&rule, false);
        let (a, b) = (policies.of("a"), policies.of("b"));
        assert_eq!(
            (a.long_values, a.text_bytes_max, a.zero_dates),
            (LongValues::Null, Some(10), decode::ZeroDates::Refuse)
        );
        assert_eq!(
            (b.long_values, b.text_bytes_max, b.zero_dates),
            (LongValues::Refuse, None, decode::ZeroDates::Null)
        );
        assert_eq!(policies.bounds, Bounds::default());
    }

    #[test]
    fn redshift_bounds_what_has_no_bound_of_its_own() {
        let policies = policies(&rule("columns = { a = { text_bytes_max = 10 } }"), true);
        assert_eq!((policies.of("a").text_bytes_max, policies.of("b").text_bytes_max), (Some(10), Some(65_535)));
        assert_eq!(policies.bounds, REDSHIFT);
    }

    #[test]
    fn a_configured_width_leaves_what_came_before() {
        let column = |ty: ColumnType, source: &str| TableSchema {
            columns: vec![Column { name: "a".to_owned(), ty, nullable: true, key: None, source: source.to_owned() }],
        };
        let text = |bytes_max| ColumnType::Text { bytes_max };
        let stale = |old: &TableSchema, new: &TableSchema| compare(old, new, &[]).stale.is_some();
        assert!(!stale(&column(text(None), "longtext"), &column(text(Some(65_535)), "longtext")));
        assert!(stale(&column(text(None), "longtext"), &column(text(Some(65_535)), "text")));
        assert!(stale(&column(text(Some(6)), "enum"), &column(text(Some(3)), "enum")));
    }
}
