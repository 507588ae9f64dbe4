//! The stand-in as the database behind its endpoints.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use tokio::net::TcpListener;

use super::{Host, Keys, Options, Service, Session, database_user, serve};
use crate::Refusal;
use crate::server::Server;
use crate::session::{self, Outcome};

/// Identities of IAM that are users of their own.
const IDENTITY: &str = "IAMR:";
/// Users that come into being when they ask for a password.
const CREATED: &str = "IAMA:";

/// Serves the endpoints of a server until the runtime ends.
pub(crate) async fn serve_for(listener: TcpListener, server: Arc<Server>) {
    let service = Service::new(Options::default(), Arc::new(Behind(server)));
    if let Err(error) = serve(listener, Arc::new(service)).await {
        eprintln!("the endpoints over HTTP stopped: {error}");
    }
}

struct Behind(Arc<Server>);

impl Behind {
    /// Makes a user that Redshift would make. Identities may do everything: who may do what is not the endpoints' part.
    async fn create(&self, login: &str) -> Result<(), Refusal> {
        let identity = login.starts_with(IDENTITY);
        if !identity && !login.starts_with(CREATED) {
            return Ok(());
        }
        let (server, user) = (Arc::clone(&self.0), database_user(login).to_owned());
        let made = tokio::task::spawn_blocking(move || server.add_role(&user, identity)).await;
        match made {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Refusal::new("XX000", format!("the user cannot be made: {error}"))),
            Err(error) => Err(Refusal::new("XX000", format!("the user was not made: {error}"))),
        }
    }
}

#[async_trait]
impl Host for Behind {
    fn keys(&self) -> Keys {
        let loader = self.0.loader();
        Keys { access_key: loader.access_key, secret_key: loader.secret_key }
    }

    async fn admit(
        &self,
        login: &str,
        password: &str,
        database: Option<&str>,
        expires: SystemTime,
    ) -> Result<(), Refusal> {
        self.create(login).await?;
        self.0.logins.lend(login, password, database, expires);
        Ok(())
    }

    async fn open(&self, database: &str, user: &str) -> Result<Box<dyn Session>, Refusal> {
        self.create(user).await?;
        let session = session::Session::open(Arc::clone(&self.0), database, database_user(user)).await?;
        Ok(Box::new(session))
    }
}

#[async_trait]
impl Session for session::Session {
    async fn execute(&mut self, sql: &str) -> Result<Vec<Outcome>, Refusal> {
        Self::execute(self, sql).await
    }

    fn pid(&self) -> i64 {
        self.id().into()
    }

    async fn close(self: Box<Self>) {
        Self::close(*self).await;
    }
}
