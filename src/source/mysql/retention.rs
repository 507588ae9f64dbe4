//! For how long a server keeps its binlogs.

use std::time::Duration;

use mysql_async::{Conn, Error as DriverFailure, prelude::Queryable};

use super::sql;

/// What a server says of deleting its binlogs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// As long as nobody deletes them by hand.
    Forever,
    /// Until their newest event is this old.
    For(Duration),
    /// Amazon RDS and Aurora without "binlog retention hours": as soon as the service has copied them.
    Hardly,
}

/// When a server deletes binlogs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// By their age.
    pub age: Kept,
    /// The size of all binlogs from which on the oldest are deleted (Percona Server, MariaDB from 11.4 on).
    pub bytes_max: Option<u64>,
    /// The setting is that of Amazon RDS and Aurora, where `binlog_expire_logs_seconds` does not count.
    pub rds: bool,
}

/// Reads what the server is set to.
///
/// # Errors
/// When the server does not answer.
pub async fn retention(conn: &mut Conn) -> Result<Retention, DriverFailure> {
    let settings: Vec<(String, Option<String>)> = conn.query(sql::RETENTION).await?;
    let number = |name: &str| {
        let value = settings.iter().find(|(known, _)| known == name)?.1.as_ref()?;
        value.parse::<f64>().ok().filter(|n| *n > 0.0)
    };
    let space = number("binlog_space_limit").or_else(|| number("max_binlog_total_size"));
    let bytes_max = space.map(|bytes| bytes as u64);
    // Fails everywhere but on RDS and Aurora, or where its table may not be read.
    let rds: Result<Option<Option<String>>, _> = conn.query_first(sql::RDS_RETENTION).await;
    if let Ok(Some(hours)) = rds {
        let hours = hours.and_then(|hours| hours.trim().parse::<u64>().ok());
        let age = hours.map_or(Kept::Hardly, |hours| Kept::For(Duration::from_secs(hours.saturating_mul(3600))));
        return Ok(Retention { age, bytes_max, rds: true });
    }
    // MySQL 8.0.29 and later can keep the age and not act on it.
    let off = settings.iter().any(|(name, value)| {
        name == "binlog_expire_logs_auto_purge" && value.as_deref().is_some_and(|value| value == "OFF")
    });
    let seconds = number("binlog_expire_logs_seconds").or_else(|| Some(number("expire_logs_days")? * 86_400.0));
    let age = seconds.filter(|_| !off).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(Retention { age: age.map_or(Kept::Forever, Kept::For), bytes_max, rds: false })
}
