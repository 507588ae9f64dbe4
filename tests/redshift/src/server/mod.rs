//! The server: sockets, logins, messages.

mod connection;
mod encode;
mod extended;
mod host;
mod listener;
mod logins;
mod options;
mod startup;
mod state;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;

use crate::faults::Fault;
use crate::log::Executed;
use crate::{Loader, Relax};
use listener::Listener;
pub use logins::Logins;
pub use options::{Auth, BinaryNumeric, Isolation, Options};
pub use state::Server;

/// A running stand-in with a private PostgreSQL, stopped and removed when dropped.
#[derive(Debug)]
pub struct Redshift {
    // The order matters: the sockets close before PostgreSQL ends.
    listener: Listener,
    server: Arc<Server>,
}

impl Redshift {
    /// Starts a server with the superuser's database.
    ///
    /// # Errors
    /// When PostgreSQL cannot be had or does not start, or the port is taken.
    pub fn start(options: Options) -> Result<Self> {
        let server = Arc::new(Server::start(options)?);
        let listener = Listener::start(Arc::clone(&server))?;
        Ok(Self { listener, server })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where the Data API and temporary credentials are answered, if they are.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.listener.http_address()
    }

    /// Connection URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let options = &self.server.options;
        format!("postgres://{}:{}@{}/{database}", options.user, options.password, self.address())
    }

    /// Makes an empty database, for instance one for each test, and returns its URL.
    ///
    /// # Errors
    /// PostgreSQL's text, for instance when there is one of that name.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.server.create_database(name)?;
        Ok(self.url(name))
    }

    /// Makes a user without rights beyond everybody's.
    ///
    /// # Errors
    /// PostgreSQL's text.
    pub fn create_user(&self, name: &str, password: &str) -> Result<()> {
        self.server.add_role(name, false)?;
        self.server.logins.set(name, password, None);
        Ok(())
    }

    /// Passwords, also such that expire.
    #[must_use]
    pub fn logins(&self) -> &Logins {
        &self.server.logins
    }

    /// Makes statements fail from now on.
    pub fn inject(&self, fault: Fault) {
        self.server.faults.add(fault);
    }

    /// How many faults are still to come; those without end count.
    #[must_use]
    pub fn pending_faults(&self) -> usize {
        self.server.faults.pending()
    }

    /// Takes back the faults that have not happened.
    pub fn clear_faults(&self) {
        self.server.faults.clear();
    }

    /// The last 100,000 statements, oldest first.
    #[must_use]
    pub fn statements(&self) -> Vec<Executed> {
        self.server.log.all()
    }

    /// Forgets the statements so far.
    pub fn clear_statements(&self) {
        self.server.log.clear();
    }

    /// Tells COPY where objects are.
    pub fn s3(&self, endpoint: &str, access_key: &str, secret_key: &str) {
        let loader = self.server.loader();
        self.server.set_loader(Loader {
            endpoint: Some(endpoint.to_owned()),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            ..loader
        });
    }

    /// How COPY reads.
    #[must_use]
    pub fn loader(&self) -> Loader {
        self.server.loader()
    }

    /// Changes how COPY reads, from the next statement on.
    pub fn set_loader(&self, loader: Loader) {
        self.server.set_loader(loader);
    }

    /// Lets COPY accept more, or less.
    pub fn relax(&self, relax: Relax) {
        let loader = self.server.loader();
        self.server.set_loader(Loader { relax, ..loader });
    }

    /// Is down: connections end, and new ones are refused.
    pub fn pause(&self) {
        self.listener.pause();
    }

    /// Is up again, on the same port.
    ///
    /// # Errors
    /// When somebody else has taken the port.
    pub fn resume(&self) -> Result<()> {
        self.listener.resume()
    }

    /// What sessions share, for those who open them without a socket.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }
}
