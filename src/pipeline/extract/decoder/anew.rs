//! A log that goes on from another place than it ended at: its tables are read anew.
//!
//! So it is when a source that was asked is followed from now on, or the other way round, and when `tailwater reanchor` has given up
//! a place that the source no longer has. What was committed in between is in no event that anybody reads. The snapshots bring
//! the rows as they are, their floors sweep those that were deleted, and tables that were dropped get the floor that their DROP
//! would have made.

use std::collections::BTreeSet;

use super::Decoder;
use crate::{
    config::Pattern,
    lake::{paths, requests::Request},
    model::{FloorCause, Origin},
    pipeline::extract::ExtractError,
    source::mysql::{ddl::TableName, snapshot::Fate},
};

impl Decoder {
    /// Who begins to follow has to read all tables anew, and leaves that behind before the log has a place in the binlog: a process
    /// that ends now must not forget it. Who begins to ask must not believe marks from before.
    pub(super) fn begin_anew(&mut self) -> Result<(), ExtractError> {
        let origins: Vec<Origin> = self.catalog.origins.keys().cloned().collect();
        tracing::info!(shard = %self.shard, tables = origins.len(), "the log goes on from another place; its tables are read anew");
        if self.polling.is_some() {
            for origin in &origins {
                self.runtime.block_on(self.files.store.delete(&paths::poll(origin)))?;
            }
            return Ok(());
        }
        let listed = self.runtime.block_on(self.source.tables())?;
        let listed: BTreeSet<(String, String)> =
            listed.into_iter().map(|table| (table.name.database, table.name.table)).collect();
        for origin in origins {
            if self.rules.resolve(&origin.database, &origin.table).is_none() {
                continue;
            }
            let there = listed.contains(&(origin.database.clone(), origin.table.clone()));
            if !there && self.was_dropped(&origin)? {
                let table = TableName { database: origin.database, table: origin.table };
                self.floor(&table, FloorCause::Drop, self.clock.unix_micros());
                continue;
            }
            let pattern = Pattern::exactly(&origin.database, &origin.table);
            let request = Request::snapshot(self.shard.clone(), pattern, self.clock.unix_micros());
            self.runtime.block_on(request.leave(&*self.files.store))?;
        }
        Ok(())
    }

    /// Whether a table that is in no list is gone. Who lost the right to see it must not take it for dropped.
    fn was_dropped(&self, origin: &Origin) -> Result<bool, ExtractError> {
        match self.is_there(origin) {
            Ok(there) => Ok(!there),
            Err(error) if error.fate() == Fate::Refused => {
                let error = crate::errors::chain(&error);
                tracing::warn!(%origin, error, "the table cannot be seen any more; its rows stay as they are");
                Ok(false)
            }
            Err(error) => Err(self.catalog_failed(error)),
        }
    }
}
