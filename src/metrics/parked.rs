//! Tables that stopped, by name: what an operator has to mend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use super::{
    labels::Half,
    register::Register,
    tables::{TableGauge, TableLabels},
};
use crate::model::Origin;

/// Who stopped tables: a shard's extractor or a group's applier.
pub(super) type Who = (Half, String);

/// Tables that stopped.
#[derive(Debug)]
pub(super) struct ParkedTables {
    tables: Mutex<BTreeMap<String, Vec<TableLabels>>>,
    by_name: TableGauge,
}

impl ParkedTables {
    pub(super) fn register(r: &mut Register) -> Self {
        let by_name = r.tables(
            "parked_table",
            "A source table that stopped: its rows do not reach the lake (extract), or are there and do not reach the warehouse \
             (apply). The series goes when it is mended; `tailwater status` has the reason and the command",
            &["shard", "table", "half"],
        );
        Self { tables: Mutex::default(), by_name }
    }

    /// These tables are parked now, and no others of the same shard or group.
    pub(super) fn set(&self, (half, name): Who, tables: BTreeSet<Origin>) {
        let tables = tables.iter().map(|origin| TableLabels::with(origin, &[("half", half.text())])).collect();
        let mut known = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(format!("{half:?} {name}"), tables);
    }

    /// Writes the series.
    pub(super) fn write(&self, out: &mut String) {
        let known = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        self.by_name.write(out, known.values().flatten().map(|labels| (labels, 1_i64)), i64::max);
    }
}
