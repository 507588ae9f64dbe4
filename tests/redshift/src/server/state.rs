//! What all sessions of a server share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tailwater_servers::Postgres;

use super::logins::Logins;
use super::options::{Isolation, Options};
use crate::catalog::{INSTALL, quote_ident, quote_literal, sql_name};
use crate::faults::Faults;
use crate::log::Log;
use crate::{Loader, Refusal};

/// The database that every other is a copy of.
const TEMPLATE: &str = "tw_template";

/// A running server, without its sockets.
#[derive(Debug)]
pub struct Server {
    postgres: Postgres,
    pub(crate) options: Options,
    /// Who may connect; the endpoint of temporary credentials adds to it.
    pub logins: Logins,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    loader: RwLock<Loader>,
    next_session: AtomicI32,
    next_query: AtomicI64,
    /// Raised by whatever changes a table's shape (S6).
    pub(crate) definitions: AtomicU64,
    /// Sessions that can be cancelled: secret and PostgreSQL's process.
    running: Mutex<HashMap<i32, (i32, i32)>>,
}

impl Server {
    pub(crate) fn start(options: Options) -> Result<Self> {
        let isolation = match options.isolation {
            Isolation::Serializable => "serializable",
            Isolation::Snapshot => "repeatable read",
        };
        let level = format!("default_transaction_isolation={isolation}");
        let postgres = Postgres::start_with(&[
            "max_connections=500",
            "timezone=UTC",
            "max_pred_locks_per_transaction=256",
            &level,
        ])?;
        let server = Self {
            postgres,
            logins: Logins::default(),
            faults: Faults::default(),
            log: Log::default(),
            loader: RwLock::new(options.loader.clone()),
            next_session: AtomicI32::new(FIRST_SESSION),
            next_query: AtomicI64::new(1),
            definitions: AtomicU64::new(0),
            running: Mutex::default(),
            options,
        };
        server.postgres.sql("postgres", &format!("CREATE DATABASE {TEMPLATE}"))?;
        for script in INSTALL {
            server.postgres.sql(TEMPLATE, script).context("the catalog cannot be installed")?;
        }
        let (user, password) = (server.options.user.clone(), server.options.password.clone());
        server.add_role(&user, true)?;
        server.logins.set(&user, &password, None);
        let database = server.options.database.clone();
        server.create_database(&database)?;
        Ok(server)
    }

    pub(crate) fn create_database(&self, name: &str) -> Result<()> {
        let owner = quote_ident(&self.options.user);
        self.postgres.sql(
            "postgres",
            &format!("CREATE DATABASE {} TEMPLATE {TEMPLATE} OWNER {owner}", quote_ident(&sql_name(name))),
        )?;
        // As in Redshift: everybody may create in public.
        self.postgres.sql(&sql_name(name), "GRANT CREATE ON SCHEMA public TO PUBLIC")
    }

    /// Makes a user whose password is set elsewhere.
    ///
    /// # Errors
    /// PostgreSQL's text.
    pub fn add_role(&self, user: &str, superuser: bool) -> Result<()> {
        let name = quote_ident(&sql_name(user));
        let rights = if superuser { "SUPERUSER" } else { "NOSUPERUSER" };
        let literal = quote_literal(&sql_name(user));
        self.postgres.sql(
            "postgres",
            &format!(
                "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {literal}) THEN CREATE ROLE {name} {rights}; END IF; END $do$"
            ),
        )
    }

    /// What COPY reads with.
    #[must_use]
    pub fn loader(&self) -> Loader {
        self.loader.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_loader(&self, loader: Loader) {
        *self.loader.write().unwrap_or_else(PoisonError::into_inner) = loader;
    }

    pub(crate) fn next_session(&self) -> i32 {
        self.next_session.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn next_query(&self) -> i64 {
        self.next_query.fetch_add(1, Ordering::Relaxed)
    }

    /// A connection to the private PostgreSQL as its superuser.
    pub(crate) async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let address = self.postgres.address();
        PgConnectOptions::new_without_pgpass()
            .host(&address.ip().to_string())
            .port(address.port())
            .username(Postgres::USER)
            .password(Postgres::PASSWORD)
            .database(&sql_name(database))
            .ssl_mode(PgSslMode::Disable)
            .statement_cache_capacity(0)
            .disable_statement_logging()
            .connect()
            .await
    }

    /// Notes how a session can be cancelled.
    pub(crate) fn register(&self, session: i32, secret: i32, process: i32) {
        self.running().insert(session, (secret, process));
    }

    pub(crate) fn unregister(&self, session: i32) {
        self.running().remove(&session);
    }

    /// Cancels what a session is doing, if the secret is right.
    pub(crate) async fn cancel(&self, session: i32, secret: i32) -> Result<(), Refusal> {
        let process = match self.running().get(&session) {
            Some((known, process)) if *known == secret => *process,
            _ => return Ok(()),
        };
        let failed = |error: sqlx::Error| Refusal::new("XX000", format!("the statement cannot be cancelled: {error}"));
        let mut connection = self.connect("postgres").await.map_err(failed)?;
        sqlx::raw_sql(AssertSqlSafe(format!("SELECT pg_cancel_backend({process})")))
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)
    }

    fn running(&self) -> MutexGuard<'_, HashMap<i32, (i32, i32)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The least that a statement of this kind takes.
    pub(crate) fn floor(&self, kind: crate::Kind, committed: bool) -> Duration {
        let copy = if kind == crate::Kind::Copy { self.options.copy_floor } else { Duration::ZERO };
        let commit = if committed { self.options.commit_floor } else { Duration::ZERO };
        copy + commit
    }
}

/// Where Redshift's process ids are in the documentation's examples.
const FIRST_SESSION: i32 = 1_073_741_000;
