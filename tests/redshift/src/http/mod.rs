//! What the AWS SDKs ask of Redshift, for use with an endpoint override: the Data API, and temporary credentials of
//! clusters and of workgroups.

mod answer;
mod credentials;
mod data_api;
mod form;
mod parameters;
mod passwords;
mod random;
mod records;
mod request;
mod signature;
mod statement;
mod statements;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Refusal;
use crate::session::Outcome;

pub use passwords::{Passwords, database_user};

use self::answer::Answer;
use self::credentials::Issuer;
use self::data_api::DataApi;
use self::request::Request;

/// Who may ask, and what there is.
#[derive(Clone)]
pub struct Options {
    /// Access key that requests must be signed with.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Identifiers of clusters that exist; with none, every one does.
    pub clusters: Vec<String>,
    /// Names of workgroups that exist; with none, every one does.
    pub workgroups: Vec<String>,
    /// The database user that the caller's IAM identity is mapped to, with Redshift's prefix.
    pub identity: String,
}

impl Options {
    /// A caller's keys, every cluster and workgroup.
    #[must_use]
    pub fn new(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            clusters: Vec::new(),
            workgroups: Vec::new(),
            identity: "IAMR:stand-in".to_owned(),
        }
    }
}

impl fmt::Debug for Options {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("clusters", &self.clusters)
            .field("workgroups", &self.workgroups)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Where statements of the Data API run.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens a session, as a login would.
    async fn open(&self, database: &str, user: &str) -> Result<Box<dyn Session>, Refusal>;
}

/// One session. It ends when it is dropped; an open transaction is rolled back then.
#[async_trait]
pub trait Session: Send {
    /// Runs the text of one message of the simple protocol, which may hold several statements.
    async fn execute(&mut self, sql: &str) -> Result<Vec<Outcome>, Refusal>;

    /// Number of the session, as `pg_backend_pid()` tells.
    fn pid(&self) -> i64;
}

/// Answers requests.
pub struct Service {
    options: Options,
    issuer: Issuer,
    data_api: DataApi,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Service {
    /// A service over the sessions of a server; the passwords it issues are those that the server's login accepts.
    #[must_use]
    pub fn new(options: Options, sessions: Arc<dyn Sessions>, passwords: Arc<Passwords>) -> Self {
        let issuer = Issuer::new(options.clone(), passwords);
        let data_api = DataApi::new(options.clone(), sessions);
        Self { options, issuer, data_api }
    }

    async fn answer(&self, request: Request) -> Answer {
        if let Err(refused) = signature::check(&request, &self.options) {
            return refused;
        }
        match request.target() {
            Some(target) => match target.split_once('.') {
                Some(("RedshiftData", operation)) => self.data_api.answer(operation, &request.body).await,
                Some(("RedshiftServerless", "GetCredentials")) => self.issuer.workgroup(&request.body),
                _ => Answer::error(400, "UnknownOperationException", "the stand-in does not serve this operation"),
            },
            None => self.issuer.cluster(&request.body),
        }
    }
}

/// Serves until the listener fails. Dropping the future ends the service.
///
/// # Errors
/// When no more connections can be taken.
pub async fn serve(listener: TcpListener, service: Arc<Service>) -> std::io::Result<()> {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        while connections.try_join_next().is_some() {}
        let service = Arc::clone(&service);
        connections.spawn(async move {
            let answer = service_fn(move |request| {
                let service = Arc::clone(&service);
                async move {
                    let answer = match Request::read(request).await {
                        Ok(request) => service.answer(request).await,
                        Err(refused) => refused,
                    };
                    answer.into_response()
                }
            });
            // An error is a client that went away.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
