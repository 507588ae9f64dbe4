//! How a server is started.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Loader;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The superuser.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The first database.
    pub database: String,
    /// How a client proves its password (S4).
    pub auth: Auth,
    /// Certificate chain and key as PEM files. Without them TLS is declined.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Refuse clients without TLS (`require_ssl`).
    pub require_tls: bool,
    /// What COPY reads with.
    pub loader: Loader,
    /// Isolation of transactions (M5).
    pub isolation: Isolation,
    /// How NUMERIC is answered to those who ask for the binary format (S7).
    pub binary_numeric: BinaryNumeric,
    /// The least time that a COPY takes.
    pub copy_floor: Duration,
    /// The least time that a commit takes.
    pub commit_floor: Duration,
    /// A missing relation as a datashare reports it (R14).
    pub datashare_errors: bool,
    /// Fail what was prepared before a table's shape changed (S6).
    pub stale_prepared: bool,
    /// Fail a commit when rows are twice under a declared primary key (D3).
    pub check_keys: bool,
    /// Where the Data API and the endpoint of temporary credentials listen.
    pub http: Option<SocketAddr>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            user: "awsuser".to_owned(),
            password: "Secret-1234".to_owned(),
            database: "dev".to_owned(),
            auth: Auth::default(),
            tls: None,
            require_tls: false,
            loader: Loader::default(),
            isolation: Isolation::default(),
            binary_numeric: BinaryNumeric::default(),
            copy_floor: Duration::ZERO,
            commit_floor: Duration::ZERO,
            datashare_errors: false,
            stale_prepared: false,
            check_keys: false,
            http: None,
        }
    }
}

/// How a client proves its password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Code 5, as for users whose password is stored as MD5.
    #[default]
    Md5,
    /// Code 3.
    Cleartext,
    /// Code 13, as for users whose password is stored as a SHA-256 digest; only AWS's own drivers know it, so nobody gets in.
    Sha256,
}

/// Isolation of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// The default of new clusters and workgroups.
    #[default]
    Snapshot,
    /// The default of older clusters.
    Serializable,
}

/// What NUMERIC is in the binary format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BinaryNumeric {
    /// An error 0A000.
    #[default]
    Refuse,
    /// Redshift's scaled integer of 8 or 16 bytes, which is not PostgreSQL's.
    Scaled,
}
