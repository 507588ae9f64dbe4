//! One statement: faults, the right part of the session, the log.

use std::time::Instant;

use super::transaction::State;
use super::{Failure, Field, Notice, Outcome, Rows, Session};
use crate::faults::Effect;
use crate::log::{Executed, redact};
use crate::sql::{self, Command, Kind, Parameters, Statement};
use crate::{Refusal, catalog};

/// PostgreSQL's number of VARCHAR.
const VARCHAR: u32 = 1043;

impl Session {
    pub(super) async fn statement(&mut self, text: &str, parameters: Parameters) -> Result<Outcome, Failure> {
        let started = Instant::now();
        self.values.parameters = parameters;
        let parsed = sql::parse(text, &self.scope());
        let kind = parsed.as_ref().map_or(Kind::Other, |statement| statement.kind);
        let was_idle = self.state == State::Idle;
        let result = self.with_faults(text, parsed).await;
        let committed = match kind {
            Kind::Commit | Kind::Truncate => {
                result.is_ok() && self.state == State::Idle && (kind == Kind::Truncate || !was_idle)
            }
            Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge | Kind::Copy | Kind::Definition => {
                result.is_ok() && was_idle && self.state == State::Idle
            }
            _ => false,
        };
        if result.is_ok() {
            let floor = self.server.floor(kind, committed);
            if let Some(rest) = floor.checked_sub(started.elapsed()) {
                tokio::time::sleep(rest).await;
            }
        } else if self.state == State::Open {
            self.state = State::Failed;
        }
        // Performed, but nobody hears of it.
        let result = match result {
            Ok((_, true)) => Err(Failure::Lost),
            Ok((outcome, false)) => Ok(outcome),
            Err(failure) => Err(failure),
        };
        self.server.log.push(Executed {
            connection: self.id,
            database: self.database.clone(),
            kind,
            text: redact(text.trim()),
            started,
            duration: started.elapsed(),
            error: match &result {
                Ok(_) => None,
                Err(Failure::Refused(refusal)) => Some(refusal.to_string()),
                Err(Failure::Lost) => Some("connection lost".to_owned()),
            },
            committed,
            rows: result.as_ref().map_or(0, |outcome| outcome.count),
        });
        result
    }

    /// Runs a statement; says as well whether the connection is lost then.
    async fn with_faults(
        &mut self,
        text: &str,
        parsed: Result<Statement, Refusal>,
    ) -> Result<(Outcome, bool), Failure> {
        let mut lose_after = false;
        for effect in self.server.faults.meet(&self.database, text.trim()) {
            match effect {
                Effect::Delay(by) => tokio::time::sleep(by).await,
                Effect::LoseBefore => return Err(Failure::Lost),
                Effect::LoseAfter => lose_after = true,
                Effect::Refuse(refusal) => {
                    if matches!(&parsed, Ok(statement) if statement.kind == Kind::Commit) {
                        self.rollback().await?;
                    }
                    return Err(refusal.into());
                }
            }
        }
        let statement = parsed?;
        if self.state == State::Failed && !matches!(statement.command, Command::Commit | Command::Rollback) {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Refusal::new("25P02", message).into());
        }
        let truncated = statement.truncated.clone();
        self.values.last_query_id = self.server.next_query();
        let mut outcome = self.dispatch(text, statement).await.map_err(|refusal| self.in_other_words(refusal))?;
        for name in truncated {
            let short: String = self.scope().fold(&name, true);
            let message = format!("identifier \"{name}\" will be truncated to \"{short}\"");
            outcome.notices.insert(0, Notice { severity: "NOTICE", code: "42622", message });
        }
        Ok((outcome, lose_after))
    }

    /// R14: a datashare reports missing relations in its own way.
    fn in_other_words(&self, refusal: Refusal) -> Refusal {
        if refusal.code != "42P01" || !self.server.options.datashare_errors {
            return refusal;
        }
        let name = refusal.message.split('"').nth(1).unwrap_or_default();
        Refusal::new("XX000", format!("Relation {name} does not exist in the database."))
    }

    async fn dispatch(&mut self, text: &str, statement: Statement) -> Result<Outcome, Refusal> {
        if self.implicit
            && self.state == State::Idle
            && !matches!(statement.command, Command::Begin { .. } | Command::Commit | Command::Rollback)
        {
            // The first of several statements.
            self.begin(false).await?;
            self.implicit = true;
        }
        match statement.command {
            Command::Begin { read_only } => self.begin(read_only).await,
            Command::Commit => self.commit().await,
            Command::Rollback => self.rollback().await,
            Command::Set { name, value, local } => self.set_statement(&name, value.as_deref(), local).await,
            Command::SetSchema => Ok(done("SET")),
            Command::Reset(name) => self.reset(&name).await,
            Command::Show(name) => self.show(&name),
            Command::Copy => self.copy(text).await,
            Command::Query(cursor) => self.query(statement.kind, &cursor).await,
            Command::Explain(cursor) => self.explain(&cursor).await,
            Command::Lock(names) => self.lock(&names).await,
            Command::Truncate(name) => self.truncate(&name).await,
            Command::Maintain { vacuum, table } => self.maintain(vacuum, table.as_ref()).await,
            definition => self.define(definition).await,
        }
    }

    async fn set_statement(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<Outcome, Refusal> {
        if local && self.state == State::Idle {
            return Ok(done("SET"));
        }
        self.settings.set(name, value)?;
        if local {
            // Redshift's SET LOCAL lasts to the end of the transaction; here both ends restore.
            return Err(Refusal::new("0A000", "SET LOCAL is not served by the stand-in"));
        }
        self.apply_settings().await?;
        Ok(done("SET"))
    }

    async fn reset(&mut self, name: &str) -> Result<Outcome, Refusal> {
        if name == "all" {
            self.settings = super::Settings::default();
        } else {
            self.settings.set(name, None)?;
        }
        self.apply_settings().await?;
        Ok(done("RESET"))
    }

    fn show(&self, name: &str) -> Result<Outcome, Refusal> {
        let field = |name: &str| Field { name: name.to_owned(), type_oid: VARCHAR };
        let rows = if name == "all" {
            let rows = self.settings.all().into_iter().map(|(name, value)| vec![Some(name), Some(value)]).collect();
            Rows { fields: vec![field("name"), field("setting")], rows }
        } else {
            Rows { fields: vec![field(name)], rows: vec![vec![Some(self.settings.get(name)?)]] }
        };
        Ok(Outcome { count: rows.rows.len() as u64, rows: Some(rows), tag: "SHOW".to_owned(), notices: Vec::new() })
    }

    /// PostgreSQL's name of a table or view.
    pub(super) fn sql_path(name: &sql::Name) -> String {
        let quoted = |part: &str| catalog::quote_ident(&catalog::sql_name(part));
        match &name.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&name.name)),
            None => quoted(&name.name),
        }
    }
}

/// An answer without rows.
pub(super) fn done(tag: &str) -> Outcome {
    Outcome { tag: tag.to_owned(), ..Outcome::default() }
}
