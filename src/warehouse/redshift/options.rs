//! Where a cluster or workgroup is, how to log in, and how much to ask of it.

use std::{fmt, path::PathBuf};

use crate::lake::StaticKeys;

/// A Redshift cluster or serverless workgroup.
#[derive(Clone, Debug)]
pub struct RedshiftOptions {
    /// Host name of the endpoint, which its certificate names.
    pub host: String,
    /// Port; 5439 unless told otherwise.
    pub port: u16,
    /// Database.
    pub database: String,
    /// User of the database. Temporary credentials bring a name of their own, except with [`Login::Cluster`].
    pub user: String,
    /// How the connection is protected.
    pub tls: TlsMode,
    /// File with the certificate authority to trust instead of the public ones, PEM.
    pub ca: Option<PathBuf>,
    /// Schema of targets that name none.
    pub schema: String,
    /// Schema of Tailwater's own tables.
    pub private_schema: String,
    /// How to log in.
    pub login: Login,
    /// Send statements through the Data API instead of a connection.
    pub data_api: Option<DataApiTarget>,
    /// What COPY reads the lake with.
    pub copy: CopyAccess,
    /// Connections that stage tables side by side, at least one.
    pub connections: usize,
    /// Most rows of a table's tick that are sent as INSERT instead of being loaded by COPY; 0 always copies.
    pub insert_rows_max: u64,
    /// AWS region of the cluster; by default from the environment, the profile or the machine.
    pub region: Option<String>,
    /// Address of the AWS services for credentials and the Data API, where it is not AWS's own.
    pub endpoint: Option<String>,
    /// Fixed AWS keys instead of the default chain.
    pub keys: Option<StaticKeys>,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Not at all.
    Disable,
    /// Encrypted; the server may be anybody.
    Require,
    /// The server's certificate is of a trusted authority.
    VerifyCa,
    /// And it names the host.
    #[default]
    VerifyFull,
}

/// How to log in.
#[derive(Clone)]
pub enum Login {
    /// With a password.
    Password(String),
    /// As the user, with a temporary password of `redshift:GetClusterCredentials`.
    Cluster {
        /// Identifier of the cluster.
        cluster: String,
        /// Groups that the user joins for the session.
        groups: Vec<String>,
    },
    /// As the user of the AWS identity, by `redshift:GetClusterCredentialsWithIAM`.
    ClusterIam {
        /// Identifier of the cluster.
        cluster: String,
    },
    /// As the user of the AWS identity, by `redshift-serverless:GetCredentials`.
    Workgroup {
        /// Name of the workgroup.
        workgroup: String,
    },
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password(_) => f.write_str("Password(***)"),
            Self::Cluster { cluster, groups } => write!(f, "Cluster({cluster}, {groups:?})"),
            Self::ClusterIam { cluster } => write!(f, "ClusterIam({cluster})"),
            Self::Workgroup { workgroup } => write!(f, "Workgroup({workgroup})"),
        }
    }
}

/// Whom the Data API speaks to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataApiTarget {
    /// A provisioned cluster; as the database user, or without one as the AWS identity's.
    Cluster {
        /// Identifier of the cluster.
        cluster: String,
        /// User of the database.
        user: Option<String>,
    },
    /// A serverless workgroup, as the AWS identity's user.
    Workgroup {
        /// Name of the workgroup.
        workgroup: String,
    },
}

/// What COPY reads the lake with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyAccess {
    /// The role that is the cluster's default.
    Default,
    /// A role by its ARN, or a chain of them with commas.
    Role(String),
    /// The AWS keys of this process, written into the statement. For warehouses that have no role.
    Keys,
}
