//! What a target is to be: its rule and the schemas of its rows, put together.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::{self, KeyScope, TablePolicy},
    model::{Column, ColumnDefault, TableSchema, table::system},
    warehouse::{
        Deletes, DistKey, KeyMode, Physical, TablePlan, TargetColumn, WarehouseError, can_be_physical_key, encodes,
        join_types,
    },
};

impl TablePlan {
    /// The plan of a target whose rows have these columns.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) as of [`with`](Self::with).
    pub(in crate::pipeline) fn begin(
        rule: &TablePolicy,
        columns: &[Column],
        added: &BTreeMap<String, ColumnDefault>,
    ) -> Result<Self, WarehouseError> {
        let mut key: Vec<&Column> = columns.iter().filter(|c| c.key.is_some()).collect();
        key.sort_by_key(|c| c.key);
        let key: Vec<String> = key.into_iter().map(|c| c.name.clone()).collect();
        let empty = Self {
            target: rule.target.clone(),
            columns: Vec::new(),
            physical: physical(rule, columns, &key),
            key_mode: match rule.key {
                KeyScope::Global if !key.is_empty() => KeyMode::Global { updated_at: rule.updated_at.clone() },
                KeyScope::Origin | KeyScope::Global => KeyMode::PerOrigin,
            },
            deletes: match rule.deletes {
                // A history has a row for each delete; what a floor makes void must go, or it would add up to too much.
                _ if key.is_empty() => Deletes::Hard,
                config::Deletes::Hard => Deletes::Hard,
                config::Deletes::Soft => Deletes::Soft,
                config::Deletes::Ignore => Deletes::Ignore,
            },
            key,
        };
        empty.with(columns, added)
    }

    /// The plan with the columns of one more schema.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) when a column has a type that its former one cannot become, and when rows with and without a
    /// key were to share the target.
    pub(in crate::pipeline) fn with(
        &self,
        columns: &[Column],
        added: &BTreeMap<String, ColumnDefault>,
    ) -> Result<Self, WarehouseError> {
        self.agree_on_key(columns)?;
        let mut plan = self.clone();
        for column in columns {
            let Some(known) = plan.columns.iter_mut().find(|c| c.column.name == column.name) else {
                let default = added.get(&column.name).cloned().unwrap_or(ColumnDefault::Null);
                plan.columns.push(TargetColumn { column: column.clone(), default });
                continue;
            };
            known.column.ty = join_types(known.column.ty, column.ty).ok_or_else(|| WarehouseError::Table {
                target: self.target.clone(),
                reason: format!(
                    "column {} changed to {}, which its values so far cannot become; rebuild the table under a new target name",
                    column.name, column.source
                ),
            })?;
        }
        Ok(plan)
    }

    /// A history takes rows as they come, and a table with a key replaces them: one target cannot be both.
    fn agree_on_key(&self, columns: &[Column]) -> Result<(), WarehouseError> {
        let keyed = columns.iter().any(|c| c.key.is_some());
        let reason = match (self.key.is_empty(), keyed) {
            (true, true) => {
                "it is a history of rows without a key, and a source table of it has a key (now); take a snapshot of the source table \
                 and then `tailwater rebuild` it, or give tables with and without a key targets of their own"
            }
            (false, false) => {
                "its rows have a key, and a source table of it has none (any more); give it one again, or take a snapshot of the \
                 source table and then `tailwater rebuild` it, or give tables with and without a key targets of their own"
            }
            _ => return Ok(()),
        };
        Err(WarehouseError::Table { target: self.target.clone(), reason: reason.to_owned() })
    }
}

impl TablePlan {
    /// The plan of a target's shadow: the columns and defaults that the target has, even those that the source has no more, with
    /// the key and, where they cannot be joined, the types of the source's newest schemas.
    ///
    /// # Errors
    /// [`Table`](WarehouseError::Table) when the source tables do not go together.
    pub(in crate::pipeline) fn of_shadow(
        rule: &TablePolicy,
        live: &[TargetColumn],
        schemas: &[Arc<TableSchema>],
    ) -> Result<Self, WarehouseError> {
        let defaults = live.iter().map(|c| (c.column.name.clone(), c.default.clone())).collect();
        let mut columns: Vec<Column> = live.iter().map(|c| Column { key: None, ..c.column.clone() }).collect();
        for wanted in schemas.iter().flat_map(|schema| &schema.columns) {
            let Some(known) = columns.iter_mut().find(|c| c.name == wanted.name) else {
                columns.push(wanted.clone());
                continue;
            };
            known.key = wanted.key;
            if join_types(known.ty, wanted.ty).is_none() {
                known.ty = wanted.ty;
                known.source.clone_from(&wanted.source);
            }
        }
        let mut plan = Self::begin(rule, &columns, &defaults)?;
        for schema in schemas {
            plan = plan.with(&schema.columns, &BTreeMap::new())?;
        }
        Ok(Self { target: rule.target.shadow(), ..plan })
    }
}

/// How the target is to lie on disk. What does not go with these columns is left out with a note: a matter of speed is no
/// reason to stop a table.
fn physical(rule: &TablePolicy, columns: &[Column], key: &[String]) -> Physical {
    let target = &rule.target;
    let usable = |name: &str, setting: &str| {
        let column = columns.iter().find(|c| c.name == name);
        let ours = [system::ORIGIN, system::SEQ, system::COMMITTED_AT].contains(&name);
        let why = match column {
            Some(column) if can_be_physical_key(column.ty) => return true,
            None if ours => return true,
            Some(_) => "a column of its type cannot be one",
            None => "the table has no such column",
        };
        tracing::warn!(%target, setting, column = name, why, "left out of the table's layout");
        false
    };
    let dist_key = match (&rule.dist_key, key.first()) {
        (config::DistKey::Even, _) => DistKey::Even,
        (config::DistKey::All, _) => DistKey::All,
        (config::DistKey::Column(name), _) if usable(name, "dist_key") => DistKey::Column(name.clone()),
        (config::DistKey::Key, Some(first)) => DistKey::Column(first.clone()),
        // Of a table without a key, rows need not meet.
        (config::DistKey::Key | config::DistKey::Auto | config::DistKey::Column(_), _) => DistKey::Auto,
    };
    let sort_key: Vec<String> = match (&rule.sort_key, &rule.updated_at) {
        (Some(names), _) => names.iter().filter(|n| usable(n, "sort_key")).cloned().collect(),
        (None, Some(updated_at)) if usable(updated_at, "updated_at") => vec![updated_at.clone()],
        (None, _) => key.iter().take(config::SORT_KEY_COLUMNS_MAX).cloned().collect(),
    };
    let asked = rule.columns.iter().filter_map(|(name, c)| Some((name.clone(), c.encode?.as_str().to_owned())));
    let encode: BTreeMap<String, String> = asked.collect();
    for column in columns {
        if let Some(encoding) = encode.get(&column.name).filter(|e| !encodes(e, column.ty)) {
            let why = "a column of its type cannot have it";
            tracing::warn!(%target, setting = encoding, column = column.name, why, "left out of the table's layout");
        }
    }
    Physical { dist_key, sort_key, encode }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{config::TableRules, model::ColumnType};

    fn column(name: &str, ty: ColumnType, key: Option<u16>) -> Column {
        Column { name: name.to_owned(), ty, nullable: key.is_none(), key, source: String::new() }
    }

    fn rule(settings: &str) -> TablePolicy {
        let rule = toml::from_str(&format!("match = \"*.*\"\n{settings}")).unwrap();
        TableRules::new(vec![rule]).resolve("shop", "orders").unwrap()
    }

    fn layout(settings: &str) -> Physical {
        let columns = [
            column("line", ColumnType::Int32, Some(1)),
            column("id", ColumnType::Int64, Some(0)),
            column("doc", ColumnType::Json, None),
            column("updated_at", ColumnType::Timestamp, None),
        ];
        TablePlan::begin(&rule(settings), &columns, &BTreeMap::new()).unwrap().physical
    }

    #[test]
    fn the_key_decides_where_nothing_is_said() {
        let physical = layout("");
        assert_eq!(physical.dist_key, DistKey::Column("id".to_owned()));
        assert_eq!(physical.sort_key, ["id", "line"]);
        assert!(physical.encode.is_empty());
        assert_eq!(layout("key = \"global\"\nupdated_at = \"updated_at\"").sort_key, ["updated_at"]);
    }

    #[test]
    fn settings_are_taken_and_what_does_not_fit_is_left_out() {
        let physical = layout(
            "dist_key = \"all\"\nsort_key = [\"_tw_committed_at\", \"doc\", \"nope\", \"line\"]\n\
             columns = { id = { encode = \"az64\" }, later = { encode = \"zstd\" } }",
        );
        assert_eq!(physical.dist_key, DistKey::All);
        assert_eq!(physical.sort_key, ["_tw_committed_at", "line"]);
        assert_eq!(physical.encoding("later", ColumnType::Json), Some("zstd"));
        assert_eq!(layout("dist_key = \"doc\"").dist_key, DistKey::Auto);
        assert_eq!(layout("dist_key = \"line\"").dist_key, DistKey::Column("line".to_owned()));
        assert!(layout("sort_key = []").sort_key.is_empty());
    }

    #[test]
    fn a_table_without_a_key_is_left_to_the_warehouse() {
        let plan = TablePlan::begin(&rule(""), &[column("x", ColumnType::Date, None)], &BTreeMap::new()).unwrap();
        assert_eq!((plan.physical.dist_key, plan.physical.sort_key), (DistKey::Auto, Vec::new()));
    }

    #[test]
    fn rows_with_and_without_a_key_do_not_share_a_target() {
        let (bare, keyed) = ([column("x", ColumnType::Date, None)], [column("x", ColumnType::Date, Some(0))]);
        let rule = rule("key = \"global\"\ndeletes = \"ignore\"");
        let history = TablePlan::begin(&rule, &bare, &BTreeMap::new()).unwrap();
        assert_eq!((&history.key_mode, history.deletes), (&KeyMode::PerOrigin, Deletes::Hard));
        assert!(history.with(&bare, &BTreeMap::new()).is_ok());
        assert!(
            history.with(&keyed, &BTreeMap::new()).unwrap_err().to_string().contains("history of rows without a key")
        );
        let plain = TablePlan::begin(&rule, &keyed, &BTreeMap::new()).unwrap();
        assert!(plain.with(&bare, &BTreeMap::new()).unwrap_err().to_string().contains("has none"));
    }
}
