//! What a target table is meant to be, and what may become of it.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::{Column, ColumnDefault, ColumnType, Target, table::system};

use super::{error::WarehouseError, physical::Physical};

/// What makes a row of the target unique.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum KeyMode {
    /// `(_tw_origin, key)`: keys of two shards may collide.
    PerOrigin,
    /// The key alone: the operator states that keys are unique across origins. The target shows one winner per key:
    /// live before deleted, then newest `updated_at`, then greatest origin.
    Global {
        /// Column that decides which of two live rows is newer; `_tw_committed_at` where it is `None` or NULL.
        updated_at: Option<String>,
    },
}

/// What a deleted row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// It goes.
    Hard,
    /// It stays with its last values and `_tw_deleted` set.
    Soft,
    /// Deletes and floors change nothing. A row that is born and deleted in one net batch never appears.
    Ignore,
}

/// One column of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetColumn {
    /// Name and type; the type is the widest seen.
    #[serde(flatten)]
    pub column: Column,
    /// Value of rows from files that lack the column. Becomes the default in the target when it is a literal.
    pub default: ColumnDefault,
}

/// What a target table is meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePlan {
    /// Its name.
    pub target: Target,
    /// Union of the columns of all schemas seen, in order. A column that is no longer in any schema may be left out: it
    /// stays in the target, nullable.
    pub columns: Vec<TargetColumn>,
    /// Key columns in key order. Without any the table is append-only: rows are inserted as they come, with `_tw_op`,
    /// and only floors remove them.
    pub key: Vec<String>,
    /// What makes a row unique. Meaningless without a key.
    pub key_mode: KeyMode,
    /// What a deleted row becomes.
    pub deletes: Deletes,
    /// How it lies on disk.
    pub physical: Physical,
}

impl TablePlan {
    /// Refuses what no warehouse can hold, as an error of this table.
    pub(crate) fn validate(&self) -> Result<(), WarehouseError> {
        let refuse = |reason: String| Err(WarehouseError::table(&self.target, reason));
        let mut seen = HashSet::new();
        for TargetColumn { column, .. } in &self.columns {
            let name = &column.name;
            if name.is_empty() || name.contains('\0') {
                return refuse("a column has an empty name or one with a zero byte; rename it".to_owned());
            }
            let folded = name.to_lowercase();
            if folded.starts_with(system::PREFIX) {
                return refuse(format!("column {name} begins with {}, which is reserved; rename it", system::PREFIX));
            }
            // MySQL compares column names without case and most warehouses fold it.
            if !seen.insert(folded) {
                return refuse(format!("two columns are called {name} up to case; rename one"));
            }
        }
        let column = |name: &str| self.columns.iter().find(|c| c.column.name == name).map(|c| &c.column);
        for key in &self.key {
            if column(key).is_none() {
                return refuse(format!("key column {key} is not among its columns"));
            }
        }
        if let KeyMode::Global { updated_at: Some(name) } = &self.key_mode {
            match column(name) {
                None => return refuse(format!("updated_at column {name} is not among its columns")),
                Some(c) if !c.ty.is_instant() => {
                    return refuse(format!("updated_at column {name} is neither DATETIME nor TIMESTAMP"));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// The narrowest type that holds every value of both exactly, `None` when there is none.
///
/// Symmetric and idempotent; what a target's column has become is the join of every type it was asked to have.
pub fn join_types(a: ColumnType, b: ColumnType) -> Option<ColumnType> {
    use ColumnType::{Binary, Decimal, Float32, Float64, Int16, Int32, Int64, Text};
    if a == b {
        return Some(a);
    }
    match (a, b) {
        (Int16, Int32) | (Int32, Int16) => Some(Int32),
        (Int16 | Int32, Int64) | (Int64, Int16 | Int32) => Some(Int64),
        (Float32, Float64) | (Float64, Float32) => Some(Float64),
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => {
            let scale = s.max(t);
            let digits = p.saturating_sub(s).max(q.saturating_sub(t));
            decimal(digits.saturating_add(scale), scale)
        }
        (Decimal { precision, scale }, int) | (int, Decimal { precision, scale }) => {
            let digits = integer_digits(int)?.max(precision.saturating_sub(scale));
            decimal(digits.saturating_add(scale), scale)
        }
        (Text { bytes_max: a }, Text { bytes_max: b }) => Some(Text { bytes_max: a.zip(b).map(|(a, b)| a.max(b)) }),
        (Binary { bytes_max: a }, Binary { bytes_max: b }) => {
            Some(Binary { bytes_max: a.zip(b).map(|(a, b)| a.max(b)) })
        }
        _ => None,
    }
}

/// 38 digits are the most an Arrow Decimal128 and Redshift hold.
fn decimal(precision: u8, scale: u8) -> Option<ColumnType> {
    (precision <= 38).then_some(ColumnType::Decimal { precision, scale })
}

fn integer_digits(ty: ColumnType) -> Option<u8> {
    match ty {
        ColumnType::Int16 => Some(5),
        ColumnType::Int32 => Some(10),
        ColumnType::Int64 => Some(19),
        _ => None,
    }
}

/// A target as it is in the warehouse: plan and history joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) target: Target,
    /// Schema and table in the warehouse.
    pub(crate) place: Place,
    /// Every column ever asked for, in the order of arrival, with the types of the target.
    pub(crate) columns: Vec<TargetColumn>,
    pub(crate) key: Vec<String>,
    pub(crate) key_mode: KeyMode,
    pub(crate) deletes: Deletes,
    /// How it was asked to lie on disk; what it does is the catalog's to say.
    pub(crate) physical: Physical,
}

impl Layout {
    pub(crate) fn append_only(&self) -> bool {
        self.key.is_empty()
    }

    pub(crate) fn global(&self) -> bool {
        !self.append_only() && matches!(self.key_mode, KeyMode::Global { .. })
    }

    pub(crate) fn soft(&self) -> bool {
        self.deletes == Deletes::Soft
    }

    pub(crate) fn column(&self, name: &str) -> Option<&TargetColumn> {
        self.columns.iter().find(|c| c.column.name == name)
    }

    pub(crate) fn is_key(&self, name: &str) -> bool {
        self.key.iter().any(|k| k == name)
    }

    /// Columns of the target's primary key, in order; none where rows are appended.
    pub(crate) fn physical_key(&self) -> Vec<&str> {
        let origin = (!self.global() && !self.append_only()).then_some(system::ORIGIN);
        origin.into_iter().chain(self.key.iter().map(String::as_str)).collect()
    }

    /// System columns of the target, in order.
    pub(crate) fn system(&self) -> Vec<&'static str> {
        let mut names = vec![system::ORIGIN, system::SEQ, system::COMMITTED_AT];
        if self.append_only() {
            names.push(system::OP);
        }
        if self.soft() {
            names.push(system::DELETED);
        }
        names
    }
}

/// Where a target lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Schema, where the warehouse has such.
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
}

impl Place {
    /// For people and for the registry.
    pub(crate) fn text(&self) -> String {
        self.schema.as_ref().map_or_else(|| self.table.clone(), |s| format!("{s}.{}", self.table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_types_hold_both() {
        use ColumnType::{Boolean, Decimal, Int16, Int32, Int64, Json, Text};
        let d = |precision, scale| Decimal { precision, scale };
        let cases = [
            (Int16, Int32, Some(Int32)),
            (Int32, Int64, Some(Int64)),
            (d(10, 2), d(12, 4), Some(d(12, 4))),
            (d(10, 0), d(10, 4), Some(d(14, 4))),
            (d(38, 0), d(10, 4), None),
            (Int64, d(20, 0), Some(d(20, 0))),
            (Int64, d(10, 2), Some(d(21, 2))),
            (Text { bytes_max: Some(4) }, Text { bytes_max: None }, Some(Text { bytes_max: None })),
            (Text { bytes_max: Some(4) }, Text { bytes_max: Some(9) }, Some(Text { bytes_max: Some(9) })),
            (Boolean, Int16, None),
            (Json, Text { bytes_max: None }, None),
        ];
        for (a, b, joined) in cases {
            assert_eq!(join_types(a, b), joined, "{a:?} {b:?}");
            assert_eq!(join_types(b, a), joined, "{b:?} {a:?}");
        }
    }
}
