//! How the stand-in's COPY reaches objects, and how strict it is.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};

use crate::copy::Relax;

/// A server that does not take a connection in this time is not there.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Silence of the server that is taken for its end.
const READ_LIMIT: Duration = Duration::from_secs(30);

/// What COPY reads with.
#[derive(Clone)]
pub struct Loader {
    /// The S3-protocol endpoint, as a URL, addressed in path style. Without one every COPY fails.
    pub endpoint: Option<String>,
    /// Access key that the roles of statements stand for. A statement with keys of its own is read with those.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Region that requests are signed for, and that error texts name.
    pub region: String,
    /// Roles that are attached to the cluster; with none, every well-formed role is.
    pub roles: Vec<String>,
    /// Whether one of them is the default.
    pub default_role: bool,
    /// Buckets that lie in another region, which COPY from Parquet cannot read.
    pub foreign_buckets: Vec<String>,
    /// What is let through although nobody has measured that Redshift does.
    pub relax: Relax,
    /// Fail when the file's column names differ from the table's by position, which Redshift does not look at.
    pub strict_names: bool,
    /// One client for all statements, since a client keeps its connections; with the endpoint that it was made for.
    pub(crate) client: Arc<Mutex<Option<(String, Client)>>>,
}

impl Default for Loader {
    fn default() -> Self {
        Self {
            endpoint: None,
            access_key: String::new(),
            secret_key: String::new(),
            region: "us-east-1".to_owned(),
            roles: Vec::new(),
            default_role: true,
            foreign_buckets: Vec::new(),
            relax: Relax::default(),
            strict_names: false,
            client: Arc::default(),
        }
    }
}

impl Loader {
    /// A strict loader from an endpoint.
    #[must_use]
    pub fn new(endpoint: impl Into<String>, access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        Self {
            endpoint: Some(endpoint.into()),
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            ..Self::default()
        }
    }

    /// The client, which signs for nobody until a request says for whom.
    pub(crate) fn client(&self, endpoint: &str) -> Client {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = kept.as_ref().filter(|(made_for, _)| made_for == endpoint) {
            return client.clone();
        }
        let limits = TimeoutConfig::builder().connect_timeout(CONNECT_LIMIT).read_timeout(READ_LIMIT).build();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .timeout_config(limits)
            .build();
        let client = Client::from_conf(config);
        *kept = Some((endpoint.to_owned(), client.clone()));
        client
    }
}

impl fmt::Debug for Loader {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("roles", &self.roles)
            .field("relax", &self.relax)
            .field("strict_names", &self.strict_names)
            .finish_non_exhaustive()
    }
}
