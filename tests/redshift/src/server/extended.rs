//! The extended protocol: Parse, Bind, Describe, Execute, Sync.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::Ordering;

use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};

use super::connection::{Connection, Next, row_description};
use super::encode;
use crate::Refusal;
use crate::session::{Description, Failure};
use crate::sql;

/// Prepared statements or portals that one connection may hold.
const PREPARED_MAX: usize = 1_000;
/// PostgreSQL's number of VARCHAR, for parameters that nobody said anything about.
const VARCHAR_OID: u32 = 1_043;

/// What a connection has prepared.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    statements: HashMap<String, Statement>,
    portals: HashMap<String, Portal>,
    /// After an error everything up to Sync is passed over.
    failed: bool,
}

#[derive(Clone, Debug)]
struct Statement {
    text: String,
    description: Description,
    /// Changes of tables' shapes before it was prepared (S6).
    definitions: u64,
}

#[derive(Clone, Debug)]
struct Portal {
    statement: Statement,
    parameters: Vec<(&'static str, Option<String>)>,
    formats: Vec<i16>,
}

impl Connection {
    pub(super) async fn extended(&mut self, message: PgWireFrontendMessage) -> io::Result<Next> {
        match message {
            PgWireFrontendMessage::Sync(_) => {
                self.prepared.failed = false;
                self.prepared.portals.clear();
                self.wire.ready(self.session.status()).await?;
                return Ok(Next::GoOn);
            }
            PgWireFrontendMessage::Flush(_) => {
                self.wire.flush().await?;
                return Ok(Next::GoOn);
            }
            _ if self.prepared.failed => return Ok(Next::GoOn),
            _ => {}
        }
        let result = match message {
            PgWireFrontendMessage::Parse(parse) => self.parse(parse).await,
            PgWireFrontendMessage::Bind(bind) => self.bind(bind).await,
            PgWireFrontendMessage::Describe(describe) => self.describe(describe).await,
            PgWireFrontendMessage::Execute(execute) => self.execute(execute).await,
            PgWireFrontendMessage::Close(close) => self.close(close).await,
            _ => Ok(()),
        };
        match result {
            Ok(()) => Ok(Next::GoOn),
            Err(Stop::Lost) => Ok(Next::End),
            Err(Stop::Io(error)) => Err(error),
            Err(Stop::Refused(refusal)) => {
                self.prepared.failed = true;
                self.wire.refuse(&refusal).await?;
                if !refusal.fatal {
                    return Ok(Next::GoOn);
                }
                self.wire.flush().await?;
                Ok(Next::End)
            }
        }
    }

    async fn parse(&mut self, parse: Parse) -> Result<(), Stop> {
        let name = parse.name.unwrap_or_default();
        if self.prepared.statements.len() >= PREPARED_MAX {
            return Err(Refusal::new("53200", format!("more than {PREPARED_MAX} prepared statements")).into());
        }
        if !name.is_empty() && self.prepared.statements.contains_key(&name) {
            return Err(Refusal::new("42P05", format!("prepared statement \"{name}\" already exists")).into());
        }
        let definitions = self.server.definitions.load(Ordering::Relaxed);
        let mut description = self.session.describe(&parse.query, &parse.type_oids).await?;
        for (index, oid) in parse.type_oids.iter().enumerate() {
            match description.parameters.get_mut(index) {
                Some(found) if *oid != 0 => *found = *oid,
                Some(_) => {}
                None => description.parameters.push(if *oid == 0 { VARCHAR_OID } else { *oid }),
            }
        }
        self.prepared.statements.insert(name, Statement { text: parse.query, description, definitions });
        self.wire.send(PgWireBackendMessage::ParseComplete(ParseComplete::new())).await?;
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), Stop> {
        let statement = self.prepared.statement(&bind.statement_name)?.clone();
        let types = &statement.description.parameters;
        if bind.parameters.len() != types.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement requires {}",
                bind.parameters.len(),
                types.len()
            );
            return Err(Refusal::new("08P01", message).into());
        }
        let mut parameters = Vec::with_capacity(types.len());
        for (index, (value, oid)) in bind.parameters.iter().zip(types).enumerate() {
            let unknown = || Refusal::new("42704", format!("type with OID {oid} does not exist"));
            let name = sql::type_name_of_oid(*oid).ok_or_else(unknown)?;
            let format = encode::format(&bind.parameter_format_codes, index);
            let text = value.as_ref().map(|bytes| encode::parameter(bytes, *oid, format)).transpose()?;
            parameters.push((name, text));
        }
        if self.prepared.portals.len() >= PREPARED_MAX {
            return Err(Refusal::new("53200", format!("more than {PREPARED_MAX} portals")).into());
        }
        let portal = Portal { statement, parameters, formats: bind.result_column_format_codes };
        self.prepared.portals.insert(bind.portal_name.unwrap_or_default(), portal);
        self.wire.send(PgWireBackendMessage::BindComplete(BindComplete::new())).await?;
        Ok(())
    }

    async fn describe(&mut self, describe: Describe) -> Result<(), Stop> {
        let (description, formats) = if describe.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let description = self.prepared.statement(&describe.name)?.description.clone();
            let types = ParameterDescription::new(description.parameters.clone());
            self.wire.send(PgWireBackendMessage::ParameterDescription(types)).await?;
            (description, Vec::new())
        } else {
            let portal = self.prepared.portal(&describe.name)?;
            (portal.statement.description.clone(), portal.formats.clone())
        };
        match description.fields {
            Some(fields) => self.wire.send(row_description(&fields, &formats)).await?,
            None => self.wire.send(PgWireBackendMessage::NoData(NoData::new())).await?,
        }
        Ok(())
    }

    async fn execute(&mut self, execute: Execute) -> Result<(), Stop> {
        let portal = self.prepared.portal(&execute.name)?.clone();
        let stale = portal.statement.definitions != self.server.definitions.load(Ordering::Relaxed);
        if stale && self.server.options.stale_prepared {
            let message =
                "[Data Sharing] Error Code 34510: Concurrent DDL committed on a table between Prepare and Execute";
            return Err(Refusal::new("XX000", message).into());
        }
        let outcome = match self.session.run_with(&portal.statement.text, portal.parameters).await {
            Ok(outcome) => outcome,
            Err(Failure::Lost) => return Err(Stop::Lost),
            Err(Failure::Refused(refusal)) => return Err(refusal.into()),
        };
        // All rows at once, also for those who ask for some: the tag ends the portal.
        match self.answer(outcome, Some(&portal.formats)).await? {
            None => Ok(()),
            Some(refusal) => Err(refusal.into()),
        }
    }

    async fn close(&mut self, close: Close) -> Result<(), Stop> {
        let name = close.name.unwrap_or_default();
        if close.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.prepared.statements.remove(&name);
        } else {
            self.prepared.portals.remove(&name);
        }
        self.wire.send(PgWireBackendMessage::CloseComplete(CloseComplete::new())).await?;
        Ok(())
    }
}

impl Prepared {
    fn statement(&self, name: &Option<String>) -> Result<&Statement, Refusal> {
        let name = name.as_deref().unwrap_or_default();
        self.statements
            .get(name)
            .ok_or_else(|| Refusal::new("26000", format!("prepared statement \"{name}\" does not exist")))
    }

    fn portal(&self, name: &Option<String>) -> Result<&Portal, Refusal> {
        let name = name.as_deref().unwrap_or_default();
        self.portals.get(name).ok_or_else(|| Refusal::new("34000", format!("portal \"{name}\" does not exist")))
    }
}

/// Why a message was not done.
enum Stop {
    Refused(Refusal),
    Lost,
    Io(io::Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
