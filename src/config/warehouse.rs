//! `[warehouse]`: where rows are merged into.

use std::{fmt, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{RedshiftSettings, RedshiftUrl, Secret, Span, problem::Misfit, secret::mask_urls, written::written};

/// Schema of Tailwater's own tables in PostgreSQL.
pub(super) const PRIVATE_SCHEMA: &str = "_tailwater";

/// The warehouse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warehouse {
    /// `sqlite:warehouse.db` (created when missing), `postgres://user@host:port/database` or
    /// `redshift://user@host:5439/database`. PostgreSQL understands parameters of libpq such as `?sslmode=verify-full`;
    /// Redshift `sslmode` (`verify-full` unless told otherwise) and `sslrootcert`.
    #[schemars(extend("examples" = ["sqlite:warehouse.db"]))]
    pub url: WarehouseUrl,
    /// Password of the user. At most one of `password`, `password_file`, `password_env` and a password in `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// File that holds the password, read at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_env: Option<String>,
    /// How often new log entries are merged; one transaction per group and tick. From 100 ms to 1 h. Default 1 s; 60 s for
    /// Redshift, where commits of the whole cluster queue up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tick: Option<Span>,
    /// How often a group without changes says in the warehouse that it is alive and how far it has read: a commit that wakes a
    /// warehouse which sleeps. Never more often than `tick`. From 100 ms to 24 h. Another applier takes a group over unasked
    /// when it was silent for this long and two ticks. Default 10 s; 15 minutes for a Redshift Serverless workgroup, which is
    /// billed while anything runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_commit: Option<Span>,
    /// Schema of targets that name none, created when missing. PostgreSQL and Redshift; SQLite has no schemas, and a target
    /// `shop.orders` is the table `shop_orders` there. Tailwater's own tables lie in the schema `_tailwater`. Default
    /// `public`.
    #[serde(default = "default_schema")]
    pub schema: String,
    /// What only Redshift needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redshift: Option<RedshiftSettings>,
}

fn default_schema() -> String {
    "public".to_owned()
}

impl Warehouse {
    /// A warehouse with defaults for everything but its address.
    pub fn new(url: WarehouseUrl) -> Self {
        Self {
            url,
            password: None,
            password_file: None,
            password_env: None,
            tick: None,
            idle_commit: None,
            schema: default_schema(),
            redshift: None,
        }
    }

    /// How often new log entries are merged.
    pub fn tick(&self) -> Span {
        self.tick.unwrap_or(match self.url {
            WarehouseUrl::Sqlite(_) | WarehouseUrl::Postgres(_) => Span::seconds(1),
            WarehouseUrl::Redshift(_) => Span::seconds(60),
        })
    }

    /// How often a group without changes moves its watermarks.
    pub fn idle_commit(&self) -> Span {
        let usual = || if self.sleeps() { Span::seconds(900) } else { Span::seconds(10) };
        self.idle_commit.unwrap_or_else(usual).max(self.tick())
    }

    /// Whether the warehouse costs nothing while nobody asks it anything.
    fn sleeps(&self) -> bool {
        match &self.url {
            WarehouseUrl::Redshift(url) => {
                self.redshift.as_ref().is_some_and(|r| r.workgroup.is_some()) || url.is_serverless()
            }
            WarehouseUrl::Sqlite(_) | WarehouseUrl::Postgres(_) => false,
        }
    }

    /// What only Redshift needs, with the defaults of what is not set.
    pub fn redshift_settings(&self) -> RedshiftSettings {
        self.redshift.clone().unwrap_or_default()
    }

    /// What tells this warehouse from all others, without user and secrets: kind, place and schema. A file is this machine's own.
    pub fn identity(&self, hostname: &str) -> String {
        let schema = &self.schema;
        match &self.url {
            WarehouseUrl::Sqlite(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                format!("sqlite:{hostname}:{}", path.display())
            }
            WarehouseUrl::Postgres(address) => {
                let url = Url::parse(address.reveal()).ok();
                let host =
                    url.as_ref().and_then(|url| url.host_str()).filter(|host| !host.is_empty()).map(str::to_owned);
                let parameter = |name: &str| {
                    let pairs = url.as_ref().map(Url::query_pairs)?;
                    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
                };
                let host = host.or_else(|| parameter("host")).unwrap_or_default();
                let port = url.as_ref().and_then(Url::port).map(|port| port.to_string());
                let port = port.or_else(|| parameter("port")).unwrap_or_else(|| "5432".to_owned());
                let database = url.as_ref().map(|url| url.path().trim_matches('/')).unwrap_or_default();
                format!("postgres:{host}:{port}/{database}/{schema}")
            }
            WarehouseUrl::Redshift(url) => {
                let settings = self.redshift_settings();
                let named = settings.workgroup.or(settings.cluster).unwrap_or_default();
                let host = if url.host.is_empty() { &named } else { &url.host };
                format!("redshift:{host}:{}/{}/{schema}", url.port, url.database)
            }
        }
    }

    /// The address with the password in it, from wherever it was given; `None` for SQLite.
    pub fn postgres_url(&self) -> Option<Secret> {
        let WarehouseUrl::Postgres(address) = &self.url else { return None };
        let Some(password) = &self.password else { return Some(address.clone()) };
        let mut url = Url::parse(address.reveal()).ok()?;
        // Refused only for addresses without a host; there libpq's parameter does the same.
        if url.set_password(Some(password.reveal())).is_err() {
            url.query_pairs_mut().append_pair("password", password.reveal());
        }
        Some(Secret::new(url.to_string()))
    }
}

/// Address of the warehouse.
#[derive(Clone, PartialEq, Eq)]
pub enum WarehouseUrl {
    /// A SQLite database file. Relative paths start at the working folder.
    Sqlite(PathBuf),
    /// A PostgreSQL server: the whole address, which may hold a password.
    Postgres(Secret),
    /// A Redshift cluster or workgroup.
    Redshift(Box<RedshiftUrl>),
}

impl WarehouseUrl {
    /// The product, where it does not let one choose how a table lies on disk.
    pub(super) fn without_layout(&self) -> Option<&'static str> {
        match self {
            Self::Sqlite(_) => Some("SQLite"),
            Self::Postgres(_) => Some("PostgreSQL"),
            Self::Redshift(_) => None,
        }
    }

    /// Whether a password stands in the address.
    pub(super) fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => Url::parse(url.reveal()).is_ok_and(|u| u.password().is_some()),
            Self::Redshift(url) => url.password.is_some(),
        }
    }
}

impl FromStr for WarehouseUrl {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        const FORM: &str = "write \"sqlite:warehouse.db\", \"postgres://user:password@host:port/database\" or \
                            \"redshift://user@host:5439/database\"";
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.starts_with(":memory:") {
                return Err(Misfit::new("the address names no file", FORM));
            }
            if path.contains('?') {
                return Err(Misfit::new("the address has parameters", "end it after the file name"));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("redshift://") {
            return Ok(Self::Redshift(Box::new(RedshiftUrl::parse(text)?)));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let url = Url::parse(text).map_err(|e| Misfit::new(format!("not an address of a server: {e}"), FORM))?;
            if url.host_str().is_none_or(str::is_empty) && !url.query().is_some_and(|q| q.contains("host=")) {
                return Err(Misfit::new("the address names no host", FORM));
            }
            if url.path().trim_start_matches('/').is_empty() {
                return Err(Misfit::new("the address names no database", FORM));
            }
            return Ok(Self::Postgres(Secret::new(text)));
        }
        let what = match text.split_once(':') {
            Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
                format!("{scheme} is not a kind of warehouse")
            }
            _ => "not an address of a warehouse".to_owned(),
        };
        Err(Misfit::new(what, FORM))
    }
}

impl fmt::Display for WarehouseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            // Without parameters: libpq takes a password there too.
            Self::Postgres(url) => {
                let masked = mask_urls(url.reveal());
                f.write_str(masked.split('?').next().unwrap_or_default())
            }
            Self::Redshift(url) => url.fmt(f),
        }
    }
}

impl fmt::Debug for WarehouseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

written!(WarehouseUrl, "warehouse-url");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_from_elsewhere_joins_the_address() {
        let mut warehouse = Warehouse::new("postgres://u@h:5432/dw?sslmode=require".parse().unwrap());
        warehouse.password = Some(Secret::new("p@ss:w/"));
        let url = warehouse.postgres_url().unwrap();
        assert_eq!(url.reveal(), "postgres://u:p%40ss%3Aw%2F@h:5432/dw?sslmode=require");
        assert!(Warehouse::new("sqlite:w.db".parse().unwrap()).postgres_url().is_none());
    }

    #[test]
    fn an_identity_has_the_place_and_no_secret() {
        for (address, identity) in [
            ("postgres://u:hunter2@dw.example:5433/sales?password=hunter2", "postgres:dw.example:5433/sales/public"),
            ("postgresql:///dw?host=/run/postgresql&user=u", "postgres:/run/postgresql:5432/dw/public"),
            (
                "redshift://u:hunter2@c.eu-west-1.redshift.amazonaws.com:5439/dev",
                "redshift:c.eu-west-1.redshift.amazonaws.com:5439/dev/public",
            ),
            ("sqlite:///srv/w.db", "sqlite:box:/srv/w.db"),
        ] {
            assert_eq!(Warehouse::new(address.parse().unwrap()).identity("box"), identity);
        }
    }

    #[test]
    fn addresses_read_and_hide_passwords() {
        for (text, printed) in [
            ("sqlite:warehouse.db", "sqlite:warehouse.db"),
            ("sqlite:///srv/w.db", "sqlite:/srv/w.db"),
            ("postgres://u:hunter2@h:5432/dw?password=hunter2", "postgres://u:***@h:5432/dw"),
            ("postgresql:///dw?host=/run/postgresql", "postgresql:///dw"),
        ] {
            let url = text.parse::<WarehouseUrl>().unwrap();
            assert_eq!(url.to_string(), printed);
            assert!(!format!("{url:?}{}", serde_json::to_string(&url).unwrap()).contains("hunter2"));
        }
        for bad in ["", "sqlite:", "sqlite::memory:", "postgres://u:hunter2@h", "mysql://u:hunter2@h/d", "hunter2"] {
            assert!(!bad.parse::<WarehouseUrl>().unwrap_err().to_string().contains("hunter2"), "{bad}");
        }
    }
}
