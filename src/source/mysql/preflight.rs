//! Everything a source must offer, looked at before the first event is read.
//!
//! All problems are told at once, each with the statement that mends it. Privileges are proved by use rather than read from
//! SHOW GRANTS, which knows nothing of roles and dynamic privileges.

mod polled;
mod privileges;
mod settings;
mod tables;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt};

use mysql_async::{Conn, Error as DriverFailure, prelude::Queryable};

pub use polled::{Asked, preflight_asked, require_readable};

use super::{
    connect::{Address, ConnectError},
    sql, start,
    table_map::Flavor,
};
use crate::model::{Finding, Severity, Shard};

/// A server as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// MySQL (Percona Server included) or MariaDB.
    pub flavor: Flavor,
    /// `@@version`.
    pub version: String,
    /// Major, minor and patch number of the version.
    pub number: (u16, u16, u16),
    /// `@@version_comment`: the maker.
    pub comment: String,
    /// `@@server_uuid`; MariaDB has none.
    pub server_uuid: Option<String>,
    /// `@@server_id`.
    pub server_id: u32,
    /// Everything committed: GTID set or MariaDB position; `None` without GTIDs.
    pub executed: Option<String>,
    /// What the binlogs do not have any more; MySQL only.
    pub purged: Option<String>,
    /// Whether names of databases and tables are stored in lower case.
    pub fold_names: bool,
}

/// What [`preflight`] found out.
#[derive(Debug)]
pub struct Preflight {
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
    /// The server, when it answered.
    pub server: Option<Server>,
    /// The captured tables that exist now.
    pub tables: Vec<super::catalog::ListedTable>,
}

/// What is looked at and how the findings are worded.
struct Check<'a> {
    subject: String,
    conn: Conn,
    variables: HashMap<String, String>,
    server: Server,
    /// The logged-in account as GRANT wants it, `'user'@'host'`.
    account: String,
    server_id: u32,
    captured: &'a (dyn Fn(&str, &str) -> bool + Send + Sync),
    findings: Vec<Finding>,
    /// Problems that a GRANT mends.
    rights_missing: usize,
}

impl<'a> Check<'a> {
    /// Connects and reads what the checks look at.
    async fn begin(
        shard: &Shard,
        address: &Address,
        server_id: u32,
        captured: &'a (dyn Fn(&str, &str) -> bool + Send + Sync),
    ) -> Result<Self, UnfitError> {
        let mut conn = address.connect().await?;
        let (variables, account) = facts(&mut conn).await.map_err(UnfitError::Query)?;
        let server = server(&mut conn, &variables).await;
        let (subject, findings) = (format!("shard {shard}"), Vec::new());
        Ok(Self { subject, conn, variables, server, account, server_id, captured, findings, rights_missing: 0 })
    }

    /// What no reading is possible without. `None` when this is no server to read from; else whether the user may see
    /// the binlog's state.
    async fn essentials(&mut self) -> Option<bool> {
        if !settings::family(self) {
            return None;
        }
        let may_read_logs = privileges::replication(self).await;
        settings::binlog(self);
        settings::gtids(self);
        Some(may_read_logs)
    }

    fn ok(&mut self, what: impl Into<String>) {
        self.findings.push(Finding::ok(&self.subject, what));
    }

    fn warning(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.findings.push(Finding::warning(&self.subject, what, mend));
    }

    fn problem(&mut self, what: impl Into<String>, mend: impl Into<String>) {
        self.findings.push(Finding::problem(&self.subject, what, mend));
    }

    /// A global variable; `None` where the server does not have it.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn is_mariadb(&self) -> bool {
        self.server.flavor == Flavor::MariaDb
    }

    /// How a global setting is changed for good: MariaDB and 5.7 have no SET PERSIST.
    fn set(&self, assignment: &str) -> String {
        if self.is_mariadb() || self.server.number < (8, 0, 0) {
            format!("SET GLOBAL {assignment}; and the same in the server's option file")
        } else {
            format!("SET PERSIST {assignment}")
        }
    }
}

/// Checks the source of `shard`: `server_id` is the id the reader will use, `captured` says which tables are wanted.
///
/// Never fails: what cannot be asked is a finding.
pub async fn preflight(
    shard: &Shard,
    address: &Address,
    server_id: u32,
    captured: &(dyn Fn(&str, &str) -> bool + Send + Sync),
) -> Preflight {
    let mut check = match Check::begin(shard, address, server_id, captured).await {
        Ok(check) => check,
        Err(e) => {
            let findings = vec![refused(&format!("shard {shard}"), address, &e)];
            return Preflight { findings, server: None, tables: Vec::new() };
        }
    };
    let mut tables = Vec::new();
    if let Some(may_read_logs) = check.essentials().await {
        settings::retention(&mut check).await;
        if may_read_logs {
            settings::topology(&mut check).await;
        }
        tables = tables::look(&mut check).await;
    }
    let Check { conn, findings, server, .. } = check;
    // The server may have gone away already; nothing depends on a polite goodbye.
    let _ = conn.disconnect().await;
    Preflight { findings, server: Some(server), tables }
}

/// Refuses a source that cannot be read as it is set up, before anything is read or written; returns warnings of what will cost later.
///
/// # Errors
/// [`UnfitError`].
pub async fn require(shard: &Shard, address: &Address, server_id: u32) -> Result<Vec<Finding>, UnfitError> {
    let mut check = Check::begin(shard, address, server_id, &|_, _| true).await?;
    check.essentials().await;
    let Check { conn, findings, rights_missing, .. } = check;
    let _ = conn.disconnect().await;
    let (problems, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(|f| f.severity == Severity::Problem);
    match problems.len() {
        0 => Ok(others.into_iter().filter(|f| f.severity == Severity::Warning).collect()),
        all => Err(UnfitError::Unfit { rights_only: rights_missing == all, problems }),
    }
}

/// A source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnfitError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server could not be asked.
    #[error("cannot read the settings of the source")]
    Query(#[source] DriverFailure),
    /// Settings or rights are not those that reading needs.
    #[error("the source cannot be read as it is set up{}", Told(.problems))]
    Unfit {
        /// Everything that is wrong.
        problems: Vec<Finding>,
        /// Whether all of it is rights that the user lacks.
        rights_only: bool,
    },
}

/// Problems, each on a line of its own with its mend.
struct Told<'a>(&'a [Finding]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.0 {
            write!(f, "\n  {}", finding.what)?;
            if let Some(mend) = &finding.mend {
                write!(f, "\n      mend: {mend}")?;
            }
        }
        Ok(())
    }
}

/// For failures that are probably not the configuration's.
const RETRY: &str = "look at the server and run the check again";

/// ER_ACCESS_DENIED_ERROR: unknown user or wrong password.
const ACCESS_DENIED: u16 = 1045;

fn refused(subject: &str, address: &Address, error: &UnfitError) -> Finding {
    let cause = std::error::Error::source(error).map(|e| format!(": {e}")).unwrap_or_default();
    let UnfitError::Connect(error) = error else {
        return Finding::problem(subject, format!("{error}{cause}"), RETRY);
    };
    let mend = match error {
        ConnectError::Refused { code: ACCESS_DENIED, .. } => format!(
            "check user and password of the source; a new user: CREATE USER '{}'@'%' IDENTIFIED BY '…'; GRANT SELECT, \
             REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{}'@'%'",
            address.user, address.user
        ),
        ConnectError::NoTls { .. } => {
            "enable TLS on the server, or set tls.mode = \"disabled\" for this source".to_owned()
        }
        ConnectError::WrongName { .. } => "set tls.server_name to a name in the certificate".to_owned(),
        ConnectError::Unreachable { .. } | ConnectError::Refused { .. } => {
            format!("check that {}:{} is reachable from here and is a MySQL server", address.host, address.port)
        }
    };
    Finding::problem(subject, format!("{error}{cause}"), mend)
}

async fn facts(conn: &mut Conn) -> Result<(HashMap<String, String>, String), DriverFailure> {
    // Gateways answer this themselves and may not know the statement below.
    let family: Option<(String, Option<String>)> = conn.query_first(sql::FAMILY).await?;
    let (version, comment) = family.unwrap_or_default();
    let comment = comment.unwrap_or_default();
    let gateway = settings::is_gateway(&version, &comment);
    let rows: Vec<(String, Option<String>)> = match conn.query(sql::GLOBAL_VARIABLES).await {
        Err(_) if gateway => Vec::new(),
        rows => rows?,
    };
    let known = rows.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut variables: HashMap<String, String> = known.collect();
    variables.insert("version".to_owned(), version);
    variables.insert("version_comment".to_owned(), comment);
    let account: Option<String> = conn.query_first(sql::CURRENT_USER).await?;
    let account = account.unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    Ok((variables, format!("'{user}'@'{host}'")))
}

async fn server(conn: &mut Conn, variables: &HashMap<String, String>) -> Server {
    // A variable that the server does not have reads as empty.
    let text = |name: &str| variables.get(name).cloned().unwrap_or_default();
    let version = text("version");
    let flavor = if version.contains("MariaDB") { Flavor::MariaDb } else { Flavor::MySql };
    Server {
        flavor,
        number: numbers(&version),
        version,
        comment: text("version_comment"),
        server_uuid: Some(text("server_uuid")).filter(|uuid| !uuid.is_empty()),
        server_id: text("server_id").parse().unwrap_or_default(),
        executed: start::executed(conn).await.ok().and_then(|executed| executed.text()),
        purged: Some(text("gtid_purged").replace('\n', "")).filter(|_| flavor == Flavor::MySql),
        fold_names: text("lower_case_table_names") == "1",
    }
}

/// `8.4.3-log` → (8, 4, 3).
fn numbers(version: &str) -> (u16, u16, u16) {
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

/// The first of two spellings of a statement that the server understands.
async fn either<T: mysql_async::prelude::FromRow + Send + 'static>(
    conn: &mut Conn,
    spellings: [&'static str; 2],
) -> Result<Vec<T>, DriverFailure> {
    match conn.query(spellings[0]).await {
        Err(DriverFailure::Server(e)) if e.code == PARSE_ERROR => conn.query(spellings[1]).await,
        result => result,
    }
}

/// ER_PARSE_ERROR.
const PARSE_ERROR: u16 = 1064;
