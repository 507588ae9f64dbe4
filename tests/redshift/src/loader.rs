//! How the stand-in's COPY reaches objects, and how strict it is.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::copy::Relax;

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
    /// One client for all statements: a client keeps its connections.
    pub(crate) client: Arc<OnceLock<aws_sdk_s3::Client>>,
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
