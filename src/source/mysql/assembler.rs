//! From events to transactions: which rows of which table, where a transaction ends, what position that is.

mod error;
mod group;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::{AssemblerError, Fault};
pub(super) use group::xid;
use group::{Group, Phase};
use tables::{Slot, Tables};

use super::{
    cursor::Cursor,
    ddl::{self, Ddl, Statement, TableName},
    event::{Connected, FLAG_ARTIFICIAL, RawEvent, StreamPosition, code},
    gtid::{Executed, Gtid},
    gtid_event::{self, GroupHead},
    query_event::{self, Query, SqlMode},
    rows::RowsEvent,
    table_map::{Flavor, TableMap},
};
use crate::model::Position;

/// What the decoding thread gets to see of a shard's log, in order.
///
/// A *group* is what one GTID stands for. `Begin` opens one that has rows; `Commit`, `Rollback` and `XaPrepare` end it.
/// `Ddl`, `XaCommit`, `XaRollback` and `Skipped` are groups by themselves, but a `Ddl` also comes between `Begin` and `Commit`
/// (CREATE TABLE … SELECT). After every event for which [`Assembler::at_group_end`] holds the position is valid.
#[derive(Debug)]
pub enum Event<'a> {
    /// A transaction begins.
    Begin {
        /// Its GTID; `None` without GTIDs and on MariaDB.
        gtid: Option<&'a Gtid>,
        /// Commit on the server that is read, UTC microseconds; before MySQL 8.0 the statement's start, in whole seconds.
        committed_at_us: i64,
        /// XA START: the group ends in `XaPrepare`, or in `Commit` when the transaction was committed in one phase.
        xa: bool,
    },
    /// Rows of a captured table.
    Rows {
        /// Shape of the rows. The same allocation for as long as the shape stays, so it can key a cache of plans.
        table: &'a Arc<TableMap>,
        /// The rows.
        event: RowsEvent<'a>,
    },
    /// A DDL statement that touches a captured table, or might.
    Ddl {
        /// What it does.
        ddl: Ddl,
        /// As in `Begin`.
        committed_at_us: i64,
    },
    /// A statement that changed a captured table, or might have, and whose rows are not in the log.
    StatementDml {
        /// The captured tables it names; empty when that could not be found out.
        tables: Vec<TableName>,
    },
    /// The transaction is committed.
    Commit,
    /// The transaction is undone: its rows never were (only tables without transactions keep them, see the `mysql` module).
    Rollback,
    /// The rows since `Begin` are those of an XA transaction that is prepared. They count at its `XaCommit`.
    XaPrepare {
        /// The transaction, in the normal form `X'gtrid',X'bqual',format`.
        xid: String,
    },
    /// An XA transaction that was prepared in an earlier group is committed now.
    XaCommit {
        /// As in `XaPrepare`.
        xid: String,
        /// As in `Begin`.
        committed_at_us: i64,
    },
    /// An XA transaction that was prepared in an earlier group is undone.
    XaRollback {
        /// As in `XaPrepare`.
        xid: String,
    },
    /// A group without anything of interest ended.
    Skipped,
    /// A heartbeat: the source is alive and has nothing newer. The server also sends one where it skips over transactions
    /// that we already have, so that right after connecting it does not yet mean the head of the log.
    Idle,
}

/// Decides by database and table name whether a table is captured.
pub type Captured = Box<dyn Fn(&str, &str) -> bool + Send>;

/// Turns raw events into [`Event`]s. One per shard; lives on the decoding thread.
pub struct Assembler {
    flavor: Flavor,
    captured: Captured,
    position: StreamPosition,
    /// File and offset of the newest event; the position has those of the last group end.
    file: String,
    offset: u64,
    group: Option<Group>,
    tables: Tables,
    fold_names: bool,
}

impl std::fmt::Debug for Assembler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembler")
            .field("position", &self.position)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Assembler {
    /// An assembler for events behind `position`.
    pub fn new(flavor: Flavor, position: StreamPosition, captured: Captured) -> Self {
        let (file, offset) = (position.file.clone(), position.offset);
        Self { flavor, captured, position, file, offset, group: None, tables: Tables::default(), fold_names: false }
    }

    /// Another connection stands, maybe to another server.
    pub fn connected(&mut self, server: Connected) {
        self.position.server_uuid = server.server_uuid;
        self.fold_names = server.fold_names;
    }

    /// The connection was lost: forgets the unfinished group. Returns the position to continue from.
    ///
    /// The caller must forget the rows of that group too.
    pub fn restart(&mut self) -> StreamPosition {
        self.group = None;
        self.tables.forget_ids();
        self.file.clone_from(&self.position.file);
        self.offset = self.position.offset;
        self.position.clone()
    }

    /// Whether no group is open, which makes [`position`](Self::position) cover everything that was delivered.
    pub fn at_group_end(&self) -> bool {
        self.group.is_none()
    }

    /// The position behind the last complete group, for the log entry.
    pub fn position(&self) -> Position {
        Position {
            gtid_set: self.position.executed.text(),
            file: Some(self.position.file.clone()).filter(|file| !file.is_empty()),
            offset: self.position.offset,
            server_uuid: self.position.server_uuid.clone(),
        }
    }

    /// The position behind the last complete group.
    pub fn reached(&self) -> &StreamPosition {
        &self.position
    }

    /// What has been read completely.
    pub fn executed(&self) -> &Executed {
        &self.position.executed
    }

    /// Takes the next event of the log.
    ///
    /// # Errors
    /// [`AssemblerError`]: the log is not what this code understands. Nothing can be read past it.
    pub fn push<'a>(&'a mut self, event: RawEvent<'a>) -> Result<Option<Event<'a>>, AssemblerError> {
        self.tables.end_statement();
        if event.end != 0 {
            self.offset = event.end;
        }
        match event.event_type {
            code::TABLE_MAP => self.table_map(&event),
            code::WRITE_ROWS_V1..=code::DELETE_ROWS_V1
            | code::WRITE_ROWS..=code::DELETE_ROWS
            | code::PARTIAL_UPDATE_ROWS => self.rows(event),
            code::GTID | code::ANONYMOUS_GTID | code::GTID_TAGGED | code::MARIADB_GTID => self.group_head(&event),
            code::QUERY => self.query(&event),
            code::XID => self.end_transaction(&event, Event::Commit),
            code::XA_PREPARE => self.xa_prepare(&event),
            code::EXECUTE_LOAD_QUERY => {
                let query = query_event::parse(event.body, true).map_err(|_| self.fault(&event, Fault::Malformed))?;
                let statement = self.classify(&query);
                self.statement_dml(&event, Some(statement))
            }
            code::HEARTBEAT | code::HEARTBEAT_V2 => Ok(self.group.is_none().then_some(Event::Idle)),
            code::ROTATE => self.rotate(&event),
            code::FORMAT_DESCRIPTION => Ok(self.format_description(&event)),
            _ => Ok(None),
        }
    }

    fn fault(&self, event: &RawEvent<'_>, fault: Fault) -> AssemblerError {
        AssemblerError {
            file: self.file.clone(),
            offset: event.end,
            group: self.group.as_ref().and_then(|g| g.gtid.as_ref()).map(ToString::to_string),
            event_type: event.event_type,
            fault,
        }
    }

    /// A real or made-up Rotate event tells the file that the following events are in.
    fn rotate(&mut self, event: &RawEvent<'_>) -> Result<Option<Event<'static>>, AssemblerError> {
        let mut cursor = Cursor::new(event.body);
        self.offset = cursor.u64().map_err(|_| self.fault(event, Fault::Malformed))?;
        self.file = String::from_utf8_lossy(cursor.rest()).into_owned();
        self.tables.forget_ids();
        // A transaction never spans files, so between files nothing is open; only after a reconnect the made-up event comes
        // first, and then nothing is open either.
        if self.group.is_none() {
            self.position.file.clone_from(&self.file);
            self.position.offset = self.offset;
        }
        Ok(None)
    }

    /// A server that starts rolls back what its last run had left open in the log.
    fn format_description(&mut self, event: &RawEvent<'_>) -> Option<Event<'static>> {
        if event.flags & FLAG_ARTIFICIAL != 0 {
            return None;
        }
        self.group.take().filter(|group| group.phase != Phase::Fresh).map(|_| Event::Rollback)
    }

    fn group_head(&mut self, event: &RawEvent<'_>) -> Result<Option<Event<'_>>, AssemblerError> {
        if self.group.is_some() {
            return Err(self.fault(event, Fault::Unfinished));
        }
        let started_us = i64::from(event.timestamp_s) * 1_000_000;
        let malformed = |_| self.fault(event, Fault::Malformed);
        if event.event_type == code::MARIADB_GTID {
            let head = gtid_event::parse_mariadb(event.body).map_err(malformed)?;
            let phase = if head.standalone { Phase::Fresh } else { Phase::Open };
            let domain = Some((head.domain, event.server_id, head.sequence));
            self.group = Some(Group { gtid: None, domain, committed_at_us: started_us, phase });
            // MariaDB's GTID event is the BEGIN, except in front of a single statement.
            return Ok((!head.standalone).then_some(Event::Begin {
                gtid: None,
                committed_at_us: started_us,
                xa: false,
            }));
        }
        let GroupHead { gtid, committed_at_us } = match event.event_type {
            code::GTID_TAGGED => gtid_event::parse_tagged(event.body),
            kind => gtid_event::parse_untagged(event.body, kind == code::ANONYMOUS_GTID),
        }
        .map_err(malformed)?;
        let committed_at_us = committed_at_us.unwrap_or(started_us);
        self.group = Some(Group { gtid, domain: None, committed_at_us, phase: Phase::Fresh });
        Ok(None)
    }

    /// The group that a Query belongs to; servers without GTIDs announce none.
    fn group_of(&mut self, event: &RawEvent<'_>) -> &mut Group {
        let committed_at_us = i64::from(event.timestamp_s) * 1_000_000;
        self.group.get_or_insert(Group { gtid: None, domain: None, committed_at_us, phase: Phase::Fresh })
    }

    /// The only place where the position moves: the group is complete.
    fn end_group(&mut self) {
        let Some(group) = self.group.take() else { return };
        match &mut self.position.executed {
            Executed::Set(set) => group.gtid.iter().for_each(|gtid| set.add(gtid)),
            Executed::Domains(domains) => {
                if let Some((domain, server, sequence)) = group.domain {
                    domains.advance(domain, server, sequence);
                }
            }
            Executed::Untracked => {}
        }
        if self.position.file != self.file {
            self.position.file.clone_from(&self.file);
        }
        self.position.offset = self.offset;
        self.tables.forget_ids();
    }

    fn end_transaction(
        &mut self,
        event: &RawEvent<'_>,
        end: Event<'static>,
    ) -> Result<Option<Event<'static>>, AssemblerError> {
        match self.group.as_ref().map(|group| group.phase) {
            Some(Phase::Open) => {
                self.end_group();
                Ok(Some(end))
            }
            _ => Err(self.fault(event, Fault::NoTransaction)),
        }
    }

    fn xa_prepare(&mut self, event: &RawEvent<'_>) -> Result<Option<Event<'static>>, AssemblerError> {
        let (one_phase, xid) = group::parse_xa_prepare(event.body).map_err(|_| self.fault(event, Fault::Malformed))?;
        let end = if one_phase { Event::Commit } else { Event::XaPrepare { xid } };
        self.end_transaction(event, end)
    }

    fn table_map(&mut self, event: &RawEvent<'_>) -> Result<Option<Event<'static>>, AssemblerError> {
        if self.group.is_none() {
            return Err(self.fault(event, Fault::NoTransaction));
        }
        match self.tables.announce(event.body, self.flavor, &self.captured) {
            Ok(()) => Ok(None),
            Err(fault) => Err(self.fault(event, fault)),
        }
    }

    fn rows<'a>(&'a mut self, event: RawEvent<'a>) -> Result<Option<Event<'a>>, AssemblerError> {
        if !matches!(self.group, Some(Group { phase: Phase::Open, .. })) {
            return Err(self.fault(&event, Fault::NoTransaction));
        }
        let id = match self.tables.rows_of(event.body) {
            Ok(Slot::Captured(id)) => id,
            Ok(Slot::Other) => return Ok(None),
            Err(fault) => return Err(self.fault(&event, fault)),
        };
        let rows = RowsEvent::parse(event.event_type, event.body);
        let rows = rows.map_err(|e| self.fault(&event, Fault::Rows(e)))?;
        match self.tables.table(id) {
            Some(table) => Ok(Some(Event::Rows { table, event: rows })),
            None => Ok(None),
        }
    }

    fn classify(&self, query: &Query<'_>) -> Statement {
        let mode = SqlMode { fold_names: self.fold_names, ..query.mode };
        match self.fold_names {
            true => ddl::classify(&query.sql, &query.database.to_lowercase(), mode),
            false => ddl::classify(&query.sql, &query.database, mode),
        }
    }

    fn query<'a>(&'a mut self, event: &RawEvent<'_>) -> Result<Option<Event<'a>>, AssemblerError> {
        let query = query_event::parse(event.body, false).map_err(|_| self.fault(event, Fault::Malformed))?;
        let statement = self.classify(&query);
        let phase = self.group_of(event).phase;
        match (statement, phase) {
            (begin @ (Statement::Begin | Statement::XaBegin), Phase::Fresh) => {
                let xa = begin == Statement::XaBegin;
                let group = self.group_of(event);
                group.phase = Phase::Open;
                Ok(Some(Event::Begin { gtid: group.gtid.as_ref(), committed_at_us: group.committed_at_us, xa }))
            }
            (Statement::Begin | Statement::XaBegin, Phase::Open) => Err(self.fault(event, Fault::Unfinished)),
            (Statement::Commit, _) => self.end_transaction(event, Event::Commit),
            (Statement::Rollback, _) => self.end_transaction(event, Event::Rollback),
            (Statement::Within, _) => Ok(None),
            (Statement::XaCommit { xid, .. }, Phase::Fresh) => {
                let committed_at_us = self.group_of(event).committed_at_us;
                self.end_group();
                Ok(Some(Event::XaCommit { xid, committed_at_us }))
            }
            (Statement::XaRollback { xid }, Phase::Fresh) => {
                self.end_group();
                Ok(Some(Event::XaRollback { xid }))
            }
            (Statement::XaCommit { .. }, Phase::Open) => self.end_transaction(event, Event::Commit),
            (Statement::XaRollback { .. }, Phase::Open) => self.end_transaction(event, Event::Rollback),
            (statement @ Statement::Dml { .. }, _) => self.statement_dml(event, Some(statement)),
            (Statement::Ddl(ddl), phase) => Ok(self.ddl(event, ddl, phase)),
            (Statement::Irrelevant, Phase::Open) => Ok(None),
            (Statement::Irrelevant, Phase::Fresh) => {
                self.end_group();
                Ok(Some(Event::Skipped))
            }
        }
    }

    /// DDL ends its group, except inside a transaction (CREATE TABLE … SELECT, temporary tables).
    fn ddl(&mut self, event: &RawEvent<'_>, ddl: Ddl, phase: Phase) -> Option<Event<'static>> {
        let committed_at_us = self.group_of(event).committed_at_us;
        let relevant = ddl.restrict(&self.captured);
        if phase == Phase::Fresh {
            self.end_group();
        }
        match relevant {
            Some(ddl) => Some(Event::Ddl { ddl, committed_at_us }),
            None => (phase == Phase::Fresh).then_some(Event::Skipped),
        }
    }

    /// DML as text: its rows are not in the log. Harmless only where it surely is about tables we do not capture.
    fn statement_dml(
        &mut self,
        event: &RawEvent<'_>,
        statement: Option<Statement>,
    ) -> Result<Option<Event<'static>>, AssemblerError> {
        let phase = self.group_of(event).phase;
        let named = match statement {
            Some(Statement::Dml { tables: Some(tables) }) => Some(tables),
            _ => None,
        };
        if phase == Phase::Fresh {
            self.end_group(); // autocommitted without BEGIN: MEMORY tables after a restart
        }
        let touched =
            named.map(|tables| tables.into_iter().filter(|t| (self.captured)(&t.database, &t.table)).collect());
        match touched {
            None => Ok(Some(Event::StatementDml { tables: Vec::new() })),
            Some(tables) if Vec::is_empty(&tables) => Ok((phase == Phase::Fresh).then_some(Event::Skipped)),
            Some(tables) => Ok(Some(Event::StatementDml { tables })),
        }
    }
}
