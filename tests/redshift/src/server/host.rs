//! What the HTTP endpoints need of the server.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Connection};

use super::state::Server;
use crate::Refusal;
use crate::catalog::{quote_ident, quote_literal, sql_name};
use crate::http::{Host, Keys, Session as HttpSession, database_user};
use crate::session::{Outcome, Session};

/// Identities of IAM that are users of their own.
const IDENTITY: &str = "IAMR:";
/// Users that come into being when they ask for a password.
const CREATED: &str = "IAMA:";

/// A server that the endpoints share with the sockets.
pub(super) struct Shared(pub(super) Arc<Server>);

impl Shared {
    /// Makes a user that Redshift would make. Identities may do everything: who may do what is not the endpoints' part.
    async fn create(&self, login: &str) -> Result<(), Refusal> {
        let rights = match login {
            _ if login.starts_with(IDENTITY) => "SUPERUSER",
            _ if login.starts_with(CREATED) => "NOSUPERUSER",
            _ => return Ok(()),
        };
        let user = sql_name(database_user(login));
        let failed = |error: sqlx::Error| Refusal::new("XX000", format!("the user cannot be made: {error}"));
        let mut connection = self.0.connect("postgres").await.map_err(failed)?;
        // Two logins may make the same user at the same time.
        let make = format!(
            "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {}) THEN CREATE ROLE {} {rights}; END IF; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $do$",
            quote_literal(&user),
            quote_ident(&user)
        );
        sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut connection).await.map_err(failed)?;
        connection.close().await.map_err(failed)
    }
}

#[async_trait]
impl Host for Shared {
    fn keys(&self) -> Keys {
        let loader = self.0.loader();
        Keys { access_key: loader.access_key.clone(), secret_key: loader.secret_key.clone() }
    }

    async fn admit(
        &self,
        login: &str,
        password: &str,
        database: Option<&str>,
        expires: SystemTime,
    ) -> Result<(), Refusal> {
        self.create(login).await?;
        self.0.logins.admit(login, password, database, expires);
        Ok(())
    }

    async fn open(&self, database: &str, user: &str) -> Result<Box<dyn HttpSession>, Refusal> {
        self.create(user).await?;
        let session = Session::open(Arc::clone(&self.0), database, database_user(user)).await?;
        Ok(Box::new(session))
    }
}

#[async_trait]
impl HttpSession for Session {
    async fn execute(&mut self, sql: &str) -> Result<Vec<Outcome>, Refusal> {
        Session::execute(self, sql).await
    }

    fn pid(&self) -> i64 {
        i64::from(self.id())
    }

    async fn close(self: Box<Self>) {
        Session::close(*self).await;
    }
}
