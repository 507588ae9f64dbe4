//! Connections to one source server: address, credentials, TLS.
//!
//! Passwords stand in no error, log or `Debug` text of this module; server messages are passed on, and MySQL puts user
//! and host in them, never a password.

use std::{fmt, path::PathBuf, sync::Once, time::Duration};

use mysql_async::{Conn, DriverError, Error as DriverFailure, OptsBuilder, SslOpts};

/// Largest packet we take. The dump thread raises its own limit to 1 GiB (MySQL source, `MAX_MAX_ALLOWED_PACKET`), whatever
/// `@@max_allowed_packet` says, so ours must not be lower.
const PACKET_MAX: usize = 1 << 30;

/// Time to connect and log in, unless configured.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle time before the kernel probes a connection; half-open ones are noticed by heartbeats, this is for the others.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Error numbers of MySQL that a retry cannot mend: no access, wrong password, unknown user, missing privilege, wrong
/// database, denied host, blocked host.
const DEFINITE_CODES: [u16; 9] = [1044, 1045, 1049, 1129, 1130, 1142, 1227, 1698, 3118];

/// How the connection is encrypted; the meanings are those of MySQL's `--ssl-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// Never.
    Disabled,
    /// If the server can; its certificate is not checked.
    #[default]
    Preferred,
    /// Always; the certificate is not checked.
    Required,
    /// Always; the certificate must come from a trusted authority.
    VerifyCa,
    /// Always; the certificate must come from a trusted authority and name the host.
    VerifyIdentity,
}

impl TlsMode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disabled" => Self::Disabled,
            "preferred" => Self::Preferred,
            "required" => Self::Required,
            "verify-ca" => Self::VerifyCa,
            "verify-identity" => Self::VerifyIdentity,
            _ => return None,
        })
    }
}

/// A password that prints as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    pub fn new(password: impl Into<String>) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A connection to a source server.
pub type Connection = Conn;

/// Where a source server is and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password; empty for none.
    pub password: Secret,
    /// Encryption.
    pub tls: TlsMode,
    /// PEM file with the authorities to trust in place of the built-in ones (RDS needs its bundle).
    pub ca: Option<PathBuf>,
    /// Name the certificate must carry when it is not the host's.
    pub tls_name: Option<String>,
    /// Longest time for connecting and logging in.
    pub connect_timeout: Duration,
}

/// The URL of a source cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not a URL.
    #[error("source is not a URL of the form mysql://user@host:3306")]
    NotAUrl,
    /// Another scheme.
    #[error("source URL has scheme {0:?}, expected mysql or mariadb")]
    Scheme(String),
    /// Something is missing.
    #[error("source URL has no {0}")]
    Missing(&'static str),
    /// An option with a bad value; the value is not shown.
    #[error("source URL option {0}: expected {1}")]
    Option(String, &'static str),
    /// An option nobody knows.
    #[error("source URL option {0:?} is unknown (known: tls, ca, tls_name, connect_timeout)")]
    Unknown(String),
}

impl Address {
    /// Reads `mysql://user:password@host:port/?tls=required&ca=/path&tls_name=db.example&connect_timeout=10s`.
    /// User and password are percent-decoded; every option is optional.
    ///
    /// # Errors
    /// [`BadAddress`], which never shows the URL itself.
    pub fn from_url(text: &str) -> Result<Self, BadAddress> {
        let url = url::Url::parse(text).map_err(|_| BadAddress::NotAUrl)?;
        if !matches!(url.scheme(), "mysql" | "mariadb") {
            return Err(BadAddress::Scheme(url.scheme().to_owned()));
        }
        let decode = |part: &str| {
            let text = percent_encoding::percent_decode_str(part).decode_utf8();
            text.map(|t| t.into_owned()).map_err(|_| BadAddress::NotAUrl)
        };
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or(BadAddress::Missing("host"))?;
        let user = decode(url.username())?;
        if user.is_empty() {
            return Err(BadAddress::Missing("user"));
        }
        let mut address = Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(3306),
            user,
            password: Secret(decode(url.password().unwrap_or_default())?),
            tls: TlsMode::default(),
            ca: None,
            tls_name: None,
            connect_timeout: CONNECT_TIMEOUT,
        };
        for (name, value) in url.query_pairs() {
            let bad = |expected| BadAddress::Option(name.clone().into_owned(), expected);
            match &*name {
                "tls" => {
                    let expected = "disabled, preferred, required, verify-ca or verify-identity";
                    address.tls = TlsMode::parse(&value).ok_or_else(|| bad(expected))?;
                }
                "ca" => address.ca = Some(PathBuf::from(value.into_owned())),
                "tls_name" => address.tls_name = Some(value.into_owned()),
                "connect_timeout" => {
                    let time = humantime::parse_duration(&value).ok().filter(|t| !t.is_zero());
                    address.connect_timeout = time.ok_or_else(|| bad("a time such as 10s"))?;
                }
                _ => return Err(BadAddress::Unknown(name.into_owned())),
            }
        }
        Ok(address)
    }

    fn options(&self, tls: bool) -> OptsBuilder {
        let builder = OptsBuilder::default()
            .ip_or_hostname(self.host.clone())
            .tcp_port(self.port)
            .user(Some(self.user.clone()))
            .pass(Some(self.password.0.clone()))
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE))
            .max_allowed_packet(Some(PACKET_MAX))
            // The default keeps prepared statements, which a dump connection never uses.
            .stmt_cache_size(0)
            .conn_ttl(None);
        if tls { builder.ssl_opts(Some(self.tls_options())) } else { builder }
    }

    fn tls_options(&self) -> SslOpts {
        let unchecked = matches!(self.tls, TlsMode::Preferred | TlsMode::Required);
        let mut options = SslOpts::default()
            .with_danger_accept_invalid_certs(unchecked)
            .with_danger_skip_domain_validation(self.tls != TlsMode::VerifyIdentity);
        if let Some(ca) = self.ca.clone().filter(|_| !unchecked) {
            options = options.with_root_certs(vec![ca.into()]).with_disable_built_in_roots(true);
        }
        if let Some(name) = self.tls_name.clone() {
            options = options.with_danger_tls_hostname_override(Some(name));
        }
        options
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// [`ConnectError`]; see [`ConnectError::is_definite`].
    pub async fn connect(&self) -> Result<Conn, ConnectError> {
        install_crypto();
        match self.attempt(self.tls != TlsMode::Disabled).await {
            Err(DriverFailure::Driver(DriverError::NoClientSslFlagFromServer)) if self.tls == TlsMode::Preferred => {
                self.attempt(false).await
            }
            result => result,
        }
        .map_err(|source| self.failed(source))
    }

    async fn attempt(&self, tls: bool) -> Result<Conn, DriverFailure> {
        match tokio::time::timeout(self.connect_timeout, Conn::new(self.options(tls))).await {
            Ok(result) => result,
            Err(_) => Err(DriverFailure::Io(std::io::Error::from(std::io::ErrorKind::TimedOut).into())),
        }
    }

    fn failed(&self, source: DriverFailure) -> ConnectError {
        let at = format!("{}:{}", self.host, self.port);
        match source {
            DriverFailure::Driver(DriverError::NoClientSslFlagFromServer) => ConnectError::NoTls { at },
            DriverFailure::Server(e) => ConnectError::Refused { at, code: e.code, message: e.message },
            DriverFailure::Io(e) if e.to_string().contains("not valid for name") => ConnectError::WrongName { at },
            source => ConnectError::Unreachable { at, source },
        }
    }
}

/// rustls is in the tree with more than one user of it and then wants to be told which cryptography to use. An earlier
/// choice of the process stands.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _already_chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// Connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No answer, or not one of a MySQL server.
    #[error("cannot connect to MySQL at {at}")]
    Unreachable {
        /// `host:port`.
        at: String,
        /// What the client library says.
        source: DriverFailure,
    },
    /// The server answered with an error.
    #[error("MySQL at {at} refuses the connection: error {code}: {message}")]
    Refused {
        /// `host:port`.
        at: String,
        /// MySQL error number.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// TLS is demanded and not offered.
    #[error("MySQL at {at} offers no TLS; enable it on the server or set tls = \"preferred\"")]
    NoTls {
        /// `host:port`.
        at: String,
    },
    /// The certificate is another host's.
    #[error("the certificate of MySQL at {at} does not name this host; set tls.server_name to a name it carries")]
    WrongName {
        /// `host:port`.
        at: String,
    },
}

impl ConnectError {
    /// Whether trying again without a change by the operator is useless.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Unreachable { .. } => false,
            Self::Refused { code, .. } => DEFINITE_CODES.contains(code),
            Self::NoTls { .. } | Self::WrongName { .. } => true,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn url_gives_every_field() {
        let a = Address::from_url(
            "mysql://re%40d:p%3Ass@[::1]:3307/?tls=verify-ca&ca=/etc/ca.pem&tls_name=db&connect_timeout=3s",
        )
        .unwrap();
        assert_eq!((&*a.host, a.port, &*a.user, a.tls), ("::1", 3307, "re@d", TlsMode::VerifyCa));
        assert_eq!(a.password, Secret::new("p:ss"));
        assert_eq!((a.ca, a.tls_name.as_deref()), (Some("/etc/ca.pem".into()), Some("db")));
        assert_eq!(a.connect_timeout, Duration::from_secs(3));
        assert_eq!(Address::from_url("mysql://u@h").unwrap().port, 3306);
    }

    #[test]
    fn secrets_are_never_shown() {
        let a = Address::from_url("mysql://u:hunter2@h").unwrap();
        assert!(!format!("{a:?}").contains("hunter2"));
        for bad in ["postgres://u:hunter2@h", "mysql://u:hunter2@h?tls=hunter2", "mysql://:hunter2@h", "hunter2"] {
            let error = Address::from_url(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
