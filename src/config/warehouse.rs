//! `[warehouse]`: where rows are merged into.

use std::{fmt, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Secret, Span, problem::Misfit, secret::mask_urls, written::written};

/// Schema of Tailwater's own tables in PostgreSQL.
pub(super) const PRIVATE_SCHEMA: &str = "_tailwater";

/// The warehouse.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Warehouse {
    /// `sqlite:warehouse.db` (created when missing) or `postgres://user@host:port/database`. Parameters of libpq such
    /// as `?sslmode=verify-full` are understood.
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
    /// How often new log entries are merged; one transaction per group and tick. From 100 ms to 1 h. Default 1 s.
    #[serde(default = "default_tick")]
    pub tick: Span,
    /// Schema of targets that name none, created when missing. PostgreSQL only; SQLite has no schemas, and a target
    /// `shop.orders` is the table `shop_orders` there. Tailwater's own tables lie in the schema `_tailwater`. Default
    /// `public`.
    #[serde(default = "default_schema")]
    pub schema: String,
}

fn default_tick() -> Span {
    Span::seconds(1)
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
            tick: default_tick(),
            schema: default_schema(),
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
}

impl WarehouseUrl {
    /// The product, where it does not let one choose how a table lies on disk.
    pub(super) fn without_layout(&self) -> Option<&'static str> {
        match self {
            Self::Sqlite(_) => Some("SQLite"),
            Self::Postgres(_) => Some("PostgreSQL"),
        }
    }

    /// Whether a password stands in the address.
    pub(super) fn has_password(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(url) => Url::parse(url.reveal()).is_ok_and(|u| u.password().is_some()),
        }
    }
}

impl FromStr for WarehouseUrl {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        const FORM: &str = "write \"sqlite:warehouse.db\" or \"postgres://user:password@host:port/database\"";
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
