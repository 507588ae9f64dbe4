//! What the AWS SDKs ask of Redshift, for use with an endpoint override: the Data API, and temporary credentials of
//! clusters and of workgroups.

mod answer;
mod credentials;
mod data_api;
mod form;
mod parameters;
mod random;
mod records;
mod request;
mod signature;
mod statement;
mod statements;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Refusal;
use crate::session::Outcome;

use self::answer::Answer;
use self::credentials::Issuer;
use self::data_api::DataApi;
use self::request::Request;

/// What there is to be asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Identifiers of clusters that exist; with none, every one does.
    pub clusters: Vec<String>,
    /// Names of workgroups that exist; with none, every one does.
    pub workgroups: Vec<String>,
    /// The database user that the caller's IAM identity is mapped to, with Redshift's prefix.
    pub identity: String,
}

impl Default for Options {
    /// Every cluster and workgroup.
    fn default() -> Self {
        Self { clusters: Vec::new(), workgroups: Vec::new(), identity: "IAMR:stand-in".to_owned() }
    }
}

/// Keys that requests must be signed with.
#[derive(Clone)]
pub struct Keys {
    /// Which key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// The database behind the endpoints.
#[async_trait]
pub trait Host: Send + Sync {
    /// The caller's keys.
    fn keys(&self) -> Keys;

    /// Lets a login name (`IAM:alice`) in by a password until a time, into one database or all. A session outlives it.
    async fn admit(
        &self,
        login: &str,
        password: &str,
        database: Option<&str>,
        expires: SystemTime,
    ) -> Result<(), Refusal>;

    /// Opens a session, as a login would.
    async fn open(&self, database: &str, user: &str) -> Result<Box<dyn Session>, Refusal>;
}

/// One session. It ends when it is dropped; an open transaction is rolled back then.
#[async_trait]
pub trait Session: Send {
    /// Runs one statement.
    async fn execute(&mut self, sql: &str) -> Result<Vec<Outcome>, Refusal>;

    /// Number of the session, as `pg_backend_pid()` tells.
    fn pid(&self) -> i64;

    /// Ends it in good order.
    async fn close(self: Box<Self>);
}

/// The database user of a login name: `IAM:alice` and `IAMA:alice:group` are `alice`. An identity that is mapped to a
/// user of its own (`IAMR:role`) is that user, prefix and all.
#[must_use]
pub fn database_user(login: &str) -> &str {
    let name = ["IAM:", "IAMA:"].iter().find_map(|prefix| login.strip_prefix(prefix));
    name.map_or(login, |name| name.split(':').next().unwrap_or(name))
}

/// Answers requests.
pub struct Service {
    host: Arc<dyn Host>,
    issuer: Issuer,
    data_api: DataApi,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

impl Service {
    /// A service in front of a database.
    #[must_use]
    pub fn new(options: Options, host: Arc<dyn Host>) -> Self {
        let issuer = Issuer::new(options.clone(), Arc::clone(&host));
        let data_api = DataApi::new(options, Arc::clone(&host));
        Self { host, issuer, data_api }
    }

    async fn answer(&self, request: Request) -> Answer {
        if let Err(refused) = signature::check(&request, &self.host.keys()) {
            return refused;
        }
        match request.target() {
            Some(target) => match target.split_once('.') {
                Some(("RedshiftData", operation)) => self.data_api.answer(operation, &request.body).await,
                Some(("RedshiftServerless", "GetCredentials")) => self.issuer.workgroup(&request.body).await,
                _ => Answer::error(400, "UnknownOperationException", "the stand-in does not serve this operation"),
            },
            None => self.issuer.cluster(&request.body).await,
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

#[cfg(test)]
mod tests {
    use super::database_user;

    #[test]
    fn login_names_lead_to_users() {
        for (login, user) in [("IAM:a", "a"), ("IAMA:a:g1:g2", "a"), ("IAMR:role", "IAMR:role"), ("plain", "plain")] {
            assert_eq!(database_user(login), user);
        }
    }
}
