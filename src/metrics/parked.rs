//! Tables that stopped, by name: what an operator has to mend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use prometheus_client::metrics::{family::Family, gauge::Gauge};

use super::{
    bounded::{ORIGINS_MAX, OTHER},
    labels::{ByParked, ByTable, Half},
    register::Register,
};
use crate::model::Origin;

/// Who stopped tables: a shard's extractor or a group's applier.
pub(super) type Who = (Half, String);

/// Tables that stopped.
#[derive(Debug)]
pub(super) struct ParkedTables {
    tables: Mutex<BTreeMap<String, (Half, BTreeSet<Origin>)>>,
    by_name: Family<ByParked, Gauge>,
}

impl ParkedTables {
    pub(super) fn register(r: &mut Register) -> Self {
        let by_name = r.add(
            "parked_table",
            "A source table that stopped: its rows do not reach the lake (extract), or are there and do not reach the warehouse \
             (apply). The series goes when it is mended; `tailwater status` has the reason and the command",
            Family::default(),
        );
        Self { tables: Mutex::default(), by_name }
    }

    /// These tables are parked now, and no others of the same shard or group.
    pub(super) fn set(&self, (half, name): Who, tables: BTreeSet<Origin>) {
        let mut known = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(format!("{half:?} {name}"), (half, tables));
    }

    /// Brings the series up to date.
    pub(super) fn show(&self) {
        let known = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        self.by_name.clear();
        let all = known.values().flat_map(|(half, tables)| tables.iter().map(|origin| (*half, origin)));
        for (n, (half, origin)) in all.enumerate() {
            let ByTable { shard, table } = ByTable::of(origin);
            let by = match n < ORIGINS_MAX {
                true => ByParked { shard, table, half },
                false => ByParked { shard: OTHER.to_owned(), table: OTHER.to_owned(), half },
            };
            self.by_name.get_or_create(&by).set(1);
        }
    }
}
