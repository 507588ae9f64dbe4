//! Where reading begins, and whether a server can still serve it.

mod view;
mod visible;

use mysql_async::{Conn, Error as DriverFailure, prelude::*};

use super::{
    event::{Connected, StreamPosition},
    gtid::{BadGtidSet, DomainPosition, Executed, GtidSet},
    sql,
    stream::Remedy,
    table_map::Flavor,
};
use crate::model::Position;

use visible::consistent_place_of;

pub use view::{Seen, ViewPlace, view};
pub use visible::{Visible, visible};

/// Where the operator wants a new log to begin, or where an old one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartPoint {
    /// At the oldest transaction the server's binlogs still have.
    Earliest,
    /// Behind everything that is committed now.
    Latest,
    /// Where snapshots may begin: everything in front of it is visible to reads, as little as possible behind it.
    Anchor,
    /// Behind the given GTID set.
    Gtids(String),
    /// Where a log entry says.
    Resume(Position),
}

/// Reading cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The server could not be asked.
    #[error("cannot read the binlog state of the source")]
    Query(#[source] DriverFailure),
    /// The position is not a GTID set.
    #[error(transparent)]
    Position(#[from] BadGtidSet),
    /// The server deleted transactions that were not read.
    #[error(
        "the source purged binlogs that were not read yet (missing {missing}): take new snapshots of all tables, and raise \
         binlog_expire_logs_seconds (RDS, Aurora: mysql.rds_set_configuration 'binlog retention hours')"
    )]
    Purged {
        /// The missing transactions or the missing file.
        missing: String,
    },
    /// We have transactions that the server does not.
    #[error(
        "the source lacks transactions that were already read ({extra}): it is another server or was restored, or a failover \
         lost them; connect to the server that has them, or take new snapshots of all tables"
    )]
    Ahead {
        /// The transactions.
        extra: String,
    },
    /// File and offset of another server.
    #[error(
        "the position {file} belongs to the server {expected}, this one is {found}: without GTIDs reading cannot continue on \
         another server; take new snapshots of all tables"
    )]
    OtherServer {
        /// Binlog file of the position.
        file: String,
        /// UUID of the server it belongs to.
        expected: String,
        /// UUID of the server that answered.
        found: String,
    },
    /// The protocol has 32 bits for an offset.
    #[error(
        "reading without GTIDs cannot continue at {file}:{offset}, behind 4 GiB: take new snapshots, and set gtid_mode=ON"
    )]
    BeyondReach {
        /// File.
        file: String,
        /// Offset.
        offset: u64,
    },
    /// The server has no binlog.
    #[error("binary logging is off on the source; set log_bin and restart it")]
    NoBinlog,
    /// A position with GTIDs on a server without, or of the other family.
    #[error("the position {position} does not fit a {server} server")]
    Mismatch {
        /// Text of the position.
        position: String,
        /// What the server is.
        server: &'static str,
    },
}

impl StartError {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Query(DriverFailure::Server(_)) => Remedy::RetrySome,
            Self::Query(_) => Remedy::Retry,
            // A replica that is being promoted may still be applying what it has.
            Self::Ahead { .. } => Remedy::RetrySome,
            _ => Remedy::Operator,
        }
    }
}

impl From<DriverFailure> for StartError {
    fn from(failure: DriverFailure) -> Self {
        Self::Query(failure)
    }
}

/// How a server counts transactions.
enum Counting {
    Gtids,
    Domains,
    Files,
}

/// Which family the server is of.
///
/// # Errors
/// [`StartError::Query`].
pub async fn flavor(conn: &mut Conn) -> Result<Flavor, StartError> {
    let version: Option<String> = conn.query_first(sql::VERSION).await?;
    Ok(if version.unwrap_or_default().contains("MariaDB") { Flavor::MariaDb } else { Flavor::MySql })
}

async fn counting(conn: &mut Conn) -> Result<Counting, StartError> {
    if flavor(conn).await? == Flavor::MariaDb {
        return Ok(Counting::Domains);
    }
    let mode = variable(conn, "gtid_mode").await?;
    Ok(if mode.is_some_and(|mode| mode == "ON") { Counting::Gtids } else { Counting::Files })
}

/// Names of the transactions that the server has committed now.
///
/// # Errors
/// [`StartError::Query`] and unreadable answers.
pub async fn executed(conn: &mut Conn) -> Result<Executed, StartError> {
    Ok(match counting(conn).await? {
        Counting::Gtids => Executed::Set(gtids(conn, sql::GTID_EXECUTED).await?),
        Counting::Domains => Executed::Domains(domains(conn, sql::MARIADB_BINLOG_POSITION.to_owned()).await?),
        Counting::Files => Executed::Untracked,
    })
}

/// Finds the position of `start` and checks that the server can serve it.
///
/// # Errors
/// [`StartError`].
pub async fn resolve(conn: &mut Conn, start: &StartPoint) -> Result<StreamPosition, StartError> {
    let position = match start {
        StartPoint::Earliest => earliest(conn).await?,
        StartPoint::Latest => resolve_latest(conn).await?,
        StartPoint::Anchor => anchor(conn).await?,
        StartPoint::Gtids(text) => by_text(conn, text).await?,
        StartPoint::Resume(position) => match &position.gtid_set {
            Some(text) => StreamPosition {
                file: position.file.clone().unwrap_or_default(),
                offset: position.offset,
                server_uuid: position.server_uuid.clone(),
                ..by_text(conn, text).await?
            },
            None => StreamPosition {
                executed: Executed::Untracked,
                file: position.file.clone().unwrap_or_default(),
                offset: position.offset,
                server_uuid: position.server_uuid.clone(),
            },
        },
    };
    check(conn, &position).await?;
    Ok(position)
}

async fn earliest(conn: &mut Conn) -> Result<StreamPosition, StartError> {
    let server_uuid = server_uuid(conn).await?;
    let counting = counting(conn).await?;
    let (file, _) = files(conn).await?.into_iter().next().ok_or(StartError::NoBinlog)?;
    let executed = match counting {
        Counting::Gtids => Executed::Set(gtids(conn, sql::GTID_PURGED).await?),
        Counting::Domains => Executed::Domains(domains(conn, sql::mariadb_position_of(&file)).await?),
        Counting::Files => Executed::Untracked,
    };
    Ok(StreamPosition { executed, file, offset: FIRST_OFFSET, server_uuid })
}

/// Offset of the first event of a binlog file.
const FIRST_OFFSET: u64 = 4;

/// A binlog file up to this size has its header events and no transaction: the smallest is some 150 bytes, and the header
/// 126 to 157 (MySQL source documentation, `Format_description_event`, `Previous_gtids_log_event`).
pub(super) const HEADER_BYTES_MAX: u64 = 256;

/// What the server has committed now, as a place that a stream reaches. The target of a run that ends when it has caught up.
///
/// # Errors
/// [`StartError::Query`] and unreadable answers.
pub async fn present(conn: &mut Conn) -> Result<Visible, StartError> {
    let StreamPosition { executed, file, offset, server_uuid } = resolve_latest(conn).await?;
    Ok(match executed {
        Executed::Untracked => {
            // A stream stands at the beginning of a file until it has read a transaction in it.
            let offset = if offset <= HEADER_BYTES_MAX { FIRST_OFFSET } else { offset };
            Visible::UpTo { file, offset, server_uuid }
        }
        executed => Visible::Executed(executed),
    })
}

/// Behind everything that is committed now.
pub(super) async fn resolve_latest(conn: &mut Conn) -> Result<StreamPosition, StartError> {
    let server_uuid = server_uuid(conn).await?;
    let (file, offset) = files(conn).await?.pop().ok_or(StartError::NoBinlog)?;
    Ok(StreamPosition { executed: executed(conn).await?, file, offset, server_uuid })
}

async fn anchor(conn: &mut Conn) -> Result<StreamPosition, StartError> {
    let server_uuid = server_uuid(conn).await?;
    Ok(match visible(conn).await? {
        // What is said of a source that nobody follows.
        Visible::Everything => return Err(StartError::NoBinlog),
        Visible::Executed(executed) => {
            // Only for people: reading begins behind the transactions.
            let (file, offset) = files(conn).await?.pop().ok_or(StartError::NoBinlog)?;
            StreamPosition { executed, file, offset, server_uuid }
        }
        Visible::UpTo { file, offset, .. } => {
            StreamPosition { executed: Executed::Untracked, file, offset, server_uuid }
        }
    })
}

async fn by_text(conn: &mut Conn, text: &str) -> Result<StreamPosition, StartError> {
    let executed = match counting(conn).await? {
        Counting::Gtids => Executed::Set(text.parse()?),
        Counting::Domains => Executed::Domains(text.parse()?),
        Counting::Files => {
            return Err(StartError::Mismatch { position: text.to_owned(), server: "MySQL without gtid_mode=ON" });
        }
    };
    Ok(StreamPosition { executed, file: String::new(), offset: FIRST_OFFSET, server_uuid: None })
}

/// Checks that the server has everything behind `position` and everything in front of it. Returns what it is.
pub(super) async fn check(conn: &mut Conn, position: &StreamPosition) -> Result<Connected, StartError> {
    let uuid = server_uuid(conn).await?;
    match &position.executed {
        Executed::Set(ours) => {
            let purged = gtids(conn, sql::GTID_PURGED).await?;
            if !purged.is_subset(ours) {
                return Err(StartError::Purged { missing: purged.subtract(ours).to_string() });
            }
            let theirs = gtids(conn, sql::GTID_EXECUTED).await?;
            if !ours.is_subset(&theirs) {
                return Err(StartError::Ahead { extra: ours.subtract(&theirs).to_string() });
            }
        }
        Executed::Domains(ours) => {
            let theirs = domains(conn, sql::MARIADB_BINLOG_POSITION.to_owned()).await?;
            if !ours.is_behind(&theirs) {
                return Err(StartError::Ahead { extra: ours.to_string() });
            }
        }
        Executed::Untracked => {
            if let (Some(expected), Some(found)) = (&position.server_uuid, &uuid)
                && expected != found
            {
                let (file, expected, found) = (position.file.clone(), expected.clone(), found.clone());
                return Err(StartError::OtherServer { file, expected, found });
            }
            if u32::try_from(position.offset).is_err() {
                return Err(StartError::BeyondReach { file: position.file.clone(), offset: position.offset });
            }
            let files = files(conn).await?;
            let Some((_, size)) = files.iter().find(|(file, _)| *file == position.file) else {
                return Err(StartError::Purged { missing: position.file.clone() });
            };
            if *size < position.offset {
                return Err(StartError::Ahead { extra: format!("{}:{}", position.file, position.offset) });
            }
        }
    }
    let folding = variable(conn, "lower_case_table_names").await?;
    Ok(Connected { server_uuid: uuid, fold_names: folding.is_some_and(|value| value == "1") })
}

pub(super) async fn server_uuid(conn: &mut Conn) -> Result<Option<String>, StartError> {
    Ok(variable(conn, "server_uuid").await?.filter(|uuid| !uuid.is_empty()))
}

/// A global variable; `None` where the server does not have it.
pub(super) async fn variable(conn: &mut Conn, name: &str) -> Result<Option<String>, StartError> {
    let row: Option<(String, Option<String>)> = conn.query_first(sql::variable(name)).await?;
    Ok(row.and_then(|(_, value)| value))
}

pub(super) async fn gtids(conn: &mut Conn, query: &'static str) -> Result<GtidSet, StartError> {
    let text: Option<String> = conn.query_first(query).await?;
    Ok(text.unwrap_or_default().parse()?)
}

async fn domains(conn: &mut Conn, query: String) -> Result<DomainPosition, StartError> {
    let text: Option<Option<String>> = conn.query_first(query).await?;
    Ok(text.flatten().unwrap_or_default().parse()?)
}

/// Binlog files with their sizes, oldest first.
pub(super) async fn files(conn: &mut Conn) -> Result<Vec<(String, u64)>, StartError> {
    let rows: Vec<mysql_async::Row> = match conn.query(sql::BINARY_LOGS).await {
        Err(DriverFailure::Server(e)) if e.code == NOT_USING_BINLOG => return Err(StartError::NoBinlog),
        rows => rows?,
    };
    // The number of columns differs between versions (Encrypted since 8.0.14).
    Ok(rows.iter().filter_map(|row| Some((row.get_opt(0)?.ok()?, row.get_opt(1)?.ok()?))).collect())
}

/// ER_NO_BINARY_LOGGING.
const NOT_USING_BINLOG: u16 = 1381;
