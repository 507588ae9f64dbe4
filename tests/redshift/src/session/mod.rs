//! Sessions, independent of how their statements arrive: by the wire protocol or the Data API.

mod alter;
mod data;
mod definition;
mod errors;
mod results;
mod settings;
mod statement;
mod transaction;

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::Refusal;
use crate::catalog::{Scope, quote_ident, sql_name};
use crate::server::Server;
use crate::sql::{self, Parameters, Values};
use errors::{Situation, translate};
pub use results::{Field, Notice, Outcome, Rows};
use settings::Settings;
use transaction::State;

/// A session: one connection to the private PostgreSQL.
#[derive(Debug)]
pub struct Session {
    server: Arc<Server>,
    connection: PgConnection,
    id: i32,
    database: String,
    user: String,
    settings: Settings,
    /// As they were when the transaction began.
    saved: Option<Settings>,
    state: State,
    /// Several statements in one message are one transaction, unless they say otherwise.
    implicit: bool,
    /// Whether the transaction has its snapshot.
    snapshot: bool,
    values: Values,
    situation: Situation,
    /// Tables written in this transaction, for the check of keys.
    written: HashSet<i64>,
}

/// How a message's statements ended.
#[derive(Debug)]
pub struct Execution {
    /// What the statements before the failing one answered.
    pub outcomes: Vec<Outcome>,
    /// The end, if it was not a good one.
    pub failure: Option<Failure>,
}

/// Why no more statements were run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An error.
    Refused(Refusal),
    /// A fault: the connection is lost without a word.
    Lost,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a statement takes and gives, found without running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Description {
    /// Numbers of the parameters' types.
    pub(crate) parameters: Vec<u32>,
    /// Columns; `None` when it returns no rows.
    pub(crate) fields: Option<Vec<Field>>,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// 3D000 when there is no such database.
    pub async fn open(server: Arc<Server>, database: &str, user: &str) -> Result<Self, Refusal> {
        let mut connection = server.connect(database).await.map_err(|error| match &error {
            sqlx::Error::Database(inner) if inner.code().as_deref() == Some("3D000") => {
                Refusal::fatal("3D000", format!("database \"{database}\" does not exist"))
            }
            _ => Refusal::fatal("53300", format!("the private database refuses: {error}")),
        })?;
        let id = server.next_session();
        let situation = Situation { pid: id, ..Situation::default() };
        let settings = Settings::default();
        let role = quote_ident(&sql_name(user));
        let setup =
            format!("SET SESSION AUTHORIZATION {role}; SET intervalstyle = postgres; {}", settings.statements(user));
        sqlx::raw_sql(AssertSqlSafe(setup))
            .execute(&mut connection)
            .await
            .map_err(|error| translate(&error, situation))?;
        let values = Values { last_copy_id: -1, backend_pid: id, ..Values::default() };
        Ok(Self {
            server,
            connection,
            id,
            database: database.to_owned(),
            user: user.to_owned(),
            settings,
            saved: None,
            state: State::Idle,
            implicit: false,
            snapshot: false,
            values,
            situation,
            written: HashSet::new(),
        })
    }

    /// The session's number, as `pg_backend_pid()` tells.
    #[must_use]
    pub fn id(&self) -> i32 {
        self.id
    }

    /// `I` outside of a transaction, `T` in one, `E` in one that failed.
    #[must_use]
    pub fn status(&self) -> char {
        match self.state {
            State::Idle => 'I',
            State::Open => 'T',
            State::Failed => 'E',
        }
    }

    /// Runs one or several statements to the first error.
    pub async fn run(&mut self, text: &str) -> Execution {
        let parts = sql::split(text);
        let mut outcomes = Vec::with_capacity(parts.len());
        let several = parts.len() > 1;
        for part in parts {
            if several && self.state == State::Idle {
                self.implicit = true;
            }
            match Box::pin(self.statement(part, Parameters::None)).await {
                Ok(outcome) => outcomes.push(outcome),
                Err(failure) => {
                    let failure = self.end_implicit(Err(failure)).await.err();
                    return Execution { outcomes, failure };
                }
            }
        }
        let failure = self.end_implicit(Ok(())).await.err();
        Execution { outcomes, failure }
    }

    /// Runs statements and fails as a whole at the first error.
    ///
    /// # Errors
    /// The error; 08006 when a fault took the connection.
    pub async fn execute(&mut self, text: &str) -> Result<Vec<Outcome>, Refusal> {
        let execution = self.run(text).await;
        match execution.failure {
            None => Ok(execution.outcomes),
            Some(Failure::Refused(refusal)) => Err(refusal),
            Some(Failure::Lost) => Err(Refusal::fatal("08006", "connection lost")),
        }
    }

    /// Runs one statement with parameters.
    pub(crate) async fn run_with(
        &mut self,
        text: &str,
        parameters: Vec<(&'static str, Option<String>)>,
    ) -> Result<Outcome, Failure> {
        match sql::split(text).as_slice() {
            [] => Ok(Outcome::default()),
            [part] => Box::pin(self.statement(part, Parameters::Values(parameters))).await,
            _ => Err(Refusal::new("42601", "cannot insert multiple commands into a prepared statement").into()),
        }
    }

    /// Sets a parameter at the start of the session.
    pub(crate) async fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        self.settings.set(name, Some(value)).map_err(|refusal| Refusal { fatal: true, ..refusal })?;
        self.apply_settings().await
    }

    /// Every setting, for the start of the protocol.
    pub(crate) fn setting(&self, name: &str) -> String {
        self.settings.get(name).unwrap_or_default()
    }

    /// PostgreSQL's process, to cancel it, and `on` or `off` for whether the user is a superuser.
    pub(crate) async fn process(&mut self) -> Result<(i32, String), Refusal> {
        let situation = self.situation;
        let query = "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('is_superuser')";
        let row = sqlx::query(query).fetch_one(&mut self.connection).await;
        let read = row.and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        read.map_err(|error| translate(&error, situation))
    }

    /// Ends the session; what was not committed is rolled back before this returns.
    pub async fn close(mut self) {
        self.server.unregister(self.id);
        if self.state != State::Idle {
            // The connection may be gone already, and the transaction with it.
            let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await;
        }
        let _ = self.connection.close().await;
    }

    pub(crate) fn scope(&self) -> Scope {
        self.settings.scope(&self.user)
    }

    async fn apply_settings(&mut self) -> Result<(), Refusal> {
        let text = self.settings.statements(&self.user);
        self.postgres(&text).await
    }

    /// Runs text of the stand-in's own making.
    async fn postgres(&mut self, text: &str) -> Result<(), Refusal> {
        let situation = self.situation;
        let done = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut self.connection).await;
        done.map(drop).map_err(|error| translate(&error, situation))
    }
}
