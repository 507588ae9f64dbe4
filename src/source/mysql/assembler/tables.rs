//! Table maps: parsed and matched once per distinct content, looked up by table id inside a statement.

use std::{collections::HashMap, sync::Arc};

use ahash::RandomState;

use super::{Captured, Fault};
use crate::source::mysql::{
    cursor::{Cursor, Short},
    table_map::{Flavor, TableMap, TableMapError},
};

/// Distinct table maps that are remembered. A server with more captured and uncaptured tables than this forgets all of them
/// now and then and parses anew.
const REMEMBERED_MAX: usize = 1 << 16;

/// Tables one statement may announce. A join has at most 61 tables; triggers and cascades add theirs.
const ANNOUNCED_MAX: usize = 4096;

/// The id of the event that only says that the statement is over.
const DUMMY_ID: u64 = 0x00ff_ffff;

/// Rows event flag: the last one of its statement.
const STMT_END: u16 = 1;

/// Whose rows an event has.
pub(super) enum Slot {
    /// A captured table's: its index.
    Captured(usize),
    /// A table's that is not captured, or no rows at all.
    Other,
}

#[derive(Default)]
pub(super) struct Tables {
    /// By the event's body without the id. `None`: not captured.
    known: HashMap<Box<[u8]>, Option<Arc<TableMap>>, RandomState>,
    /// What the current statement announced. A handful at most, so a list beats a map.
    announced: Vec<(u64, Option<Arc<TableMap>>)>,
    ended: bool,
}

impl Tables {
    /// Takes a TABLE_MAP event.
    pub(super) fn announce(&mut self, body: &[u8], flavor: Flavor, captured: &Captured) -> Result<(), Fault> {
        let mut cursor = Cursor::new(body);
        let id = cursor.u48().map_err(|Short| Fault::Malformed)?;
        let table = match self.known.get(cursor.rest()) {
            Some(table) => table.clone(),
            None => self.learn(cursor.rest(), flavor, captured).map_err(Fault::TableMap)?,
        };
        if let Some((_, slot)) = self.announced.iter_mut().find(|(known, _)| *known == id) {
            *slot = table;
            return Ok(());
        }
        if self.announced.len() >= ANNOUNCED_MAX {
            return Err(Fault::TooManyTables(ANNOUNCED_MAX));
        }
        self.announced.push((id, table));
        Ok(())
    }

    fn learn(
        &mut self,
        body: &[u8],
        flavor: Flavor,
        captured: &Captured,
    ) -> Result<Option<Arc<TableMap>>, TableMapError> {
        let (database, table) = TableMap::names(body)?;
        let table = match captured(database, table) {
            true => Some(Arc::new(TableMap::parse(body, flavor)?)),
            false => None,
        };
        if self.known.len() >= REMEMBERED_MAX {
            self.known.clear();
        }
        self.known.insert(body.into(), table.clone());
        Ok(table)
    }

    /// Looks at the head of a rows event: table id and flags.
    pub(super) fn rows_of(&mut self, body: &[u8]) -> Result<Slot, Fault> {
        let mut cursor = Cursor::new(body);
        let id = cursor.u48().map_err(|Short| Fault::Malformed)?;
        let flags = cursor.u16().map_err(|Short| Fault::Malformed)?;
        self.ended = flags & STMT_END != 0;
        if id == DUMMY_ID {
            return Ok(Slot::Other);
        }
        match self.announced.iter().position(|(known, _)| *known == id) {
            None => Err(Fault::UnknownTable(id)),
            Some(slot) if self.table(slot).is_some() => Ok(Slot::Captured(slot)),
            Some(_) => Ok(Slot::Other),
        }
    }

    pub(super) fn table(&self, slot: usize) -> Option<&Arc<TableMap>> {
        self.announced.get(slot)?.1.as_ref()
    }

    /// The statement of the event before ended: its ids are free for other tables. Deferred, so that the last rows can still
    /// borrow their table.
    pub(super) fn end_statement(&mut self) {
        if self.ended {
            self.forget_ids();
        }
    }

    pub(super) fn forget_ids(&mut self) {
        self.announced.clear();
        self.ended = false;
    }
}
