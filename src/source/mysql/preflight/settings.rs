//! Settings of the server: its family, the binlog, GTIDs, retention, replication.

use std::time::Duration;

use mysql_async::Row;

use super::{Check, either};
use crate::source::mysql::{
    retention::{self, Kept},
    sql,
};

/// Checks that this is a server whose binlog can be read at all.
pub(super) fn family(check: &mut Check<'_>) -> bool {
    let server = &check.server;
    let name = format!("{} {}", server.version, server.comment);
    if is_gateway(&server.version, &server.comment) {
        check.problem(
            "this is Vitess or PlanetScale, whose gateway has no binlog",
            "connect to each shard's mysqld directly; PlanetScale does not offer that and cannot be a source",
        );
        return false;
    }
    let oldest = if check.is_mariadb() { (10, 5, 0) } else { (8, 0, 1) };
    if check.server.number < oldest {
        let (major, minor, patch) = oldest;
        check.problem(
            format!("the server is version {}, whose binlog does not describe its tables", check.server.version),
            format!("read from a server (a replica will do) of version {major}.{minor}.{patch} or newer"),
        );
    } else {
        check.ok(format!("{name} answers"));
    }
    true
}

/// Whether the version texts are those of Vitess or PlanetScale.
pub(super) fn is_gateway(version: &str, comment: &str) -> bool {
    let text = format!("{version} {comment}").to_ascii_lowercase();
    text.contains("vitess") || text.contains("planetscale")
}

/// Checks that the binlog has every change of every row, described.
pub(super) fn binlog(check: &mut Check<'_>) {
    if check.variable("log_bin") != Some("ON") {
        check.problem(
            "binary logging is off",
            "start the server with log_bin (Amazon RDS: enable automated backups; Aurora: binlog_format=ROW in the cluster's \
             parameter group and a restart)",
        );
        return;
    }
    let before = check.findings.len();
    wants(check, "binlog_format", "ROW", "changes are logged as statements, whose rows cannot be known");
    wants(check, "binlog_row_image", "FULL", "row images leave out columns");
    wants(check, "binlog_row_metadata", "FULL", "the binlog does not name columns, signs and keys");
    if check.variable("binlog_row_value_options").is_some_and(|options| !options.is_empty()) {
        let mend = check.set("binlog_row_value_options=''");
        check.problem("binlog_row_value_options logs differences of JSON values, not the values", mend);
    }
    if check.variable("server_id") == Some("0") {
        check.problem("server_id is 0, which lets no replica connect", check.set("server_id=1"));
    }
    if check.findings.len() == before {
        check.ok("binlog has full rows and metadata");
    }
}

fn wants(check: &mut Check<'_>, name: &str, value: &str, why: &str) {
    // Newer servers drop settings that have only one value left; a missing one is right.
    let Some(found) = check.variable(name).filter(|found| !found.eq_ignore_ascii_case(value)) else { return };
    let what = format!("{name} is {found}: {why}");
    let mut mend = check.set(&format!("{name}={value}"));
    mend.push_str(" (sessions that are connected keep the old value until they reconnect)");
    check.problem(what, mend);
}

/// How GTIDs are switched on while the server runs (MySQL Reference Manual, "Changing GTID Mode Online Transactions").
const GTID_PROCEDURE: &str = "online: SET PERSIST enforce_gtid_consistency=WARN, watch the error log, then =ON; SET PERSIST \
     gtid_mode=OFF_PERMISSIVE, then =ON_PERMISSIVE; wait until the status Ongoing_anonymous_transaction_count is 0; SET \
     PERSIST gtid_mode=ON (5.7: SET GLOBAL, and the option file)";

/// Checks that positions survive a failover.
pub(super) fn gtids(check: &mut Check<'_>) {
    if check.is_mariadb() {
        return; // always on
    }
    match check.variable("gtid_mode") {
        Some("ON") => check.ok("GTIDs are on"),
        mode => {
            let what = format!(
                "gtid_mode is {}: positions are files of this one server, so after a failover all tables are read anew, a snapshot \
                 that is asked for waits for the next binlog file, and tables without a key are parked",
                mode.unwrap_or("not available")
            );
            check.warning(what, GTID_PROCEDURE);
        }
    }
}

/// Binlogs should outlive the longest pause that is likely to happen: a weekend's is better, a day's is the least.
const RETENTION_MIN: Duration = Duration::from_secs(24 * 3600);

/// Checks how long the server keeps its binlogs.
pub(super) async fn retention(check: &mut Check<'_>) {
    let rds = "CALL mysql.rds_set_configuration('binlog retention hours', 72)";
    let Ok(retention) = retention::retention(&mut check.conn).await else { return };
    match retention.age {
        Kept::Hardly => check.problem("binlogs are deleted as soon as possible (retention hours not set)", rds),
        Kept::For(time) if retention.rds => kept(check, time, rds.to_owned()),
        Kept::For(time) => {
            let mend = check.set("binlog_expire_logs_seconds=259200");
            kept(check, time, mend);
        }
        Kept::Forever => check.ok("binlogs are not deleted by age"),
    }
}

fn kept(check: &mut Check<'_>, time: Duration, mend: String) {
    let hours = time.as_secs() / 3600;
    if time < RETENTION_MIN {
        let what = format!("binlogs are kept for {hours} h only; a longer pause of Tailwater needs a new snapshot");
        check.warning(what, mend);
    } else {
        check.ok(format!("binlogs are kept for {hours} h"));
    }
}

/// Checks that the server's own binlog has all changes it holds.
pub(super) async fn topology(check: &mut Check<'_>) {
    let replica = either::<Row>(&mut check.conn, sql::REPLICA_STATUS).await.is_ok_and(|rows| !rows.is_empty());
    let logs = check.variable("log_replica_updates").or_else(|| check.variable("log_slave_updates"));
    if replica && logs == Some("OFF") {
        check.problem(
            "the server is a replica and does not log what it replicates",
            "set log_replica_updates=ON (before 8.0.26 and on MariaDB: log_slave_updates) in its option file and restart it",
        );
    }
    let status = either::<Row>(&mut check.conn, sql::BINLOG_STATUS).await.unwrap_or_default();
    for filter in ["Binlog_Do_DB", "Binlog_Ignore_DB"] {
        let list = status.first().and_then(|row| row.get_opt::<String, _>(filter)).and_then(Result::ok);
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            let what = format!("the server leaves databases out of its binlog ({filter} = {list})");
            check.warning(what, "remove binlog-do-db and binlog-ignore-db, or capture only databases that are logged");
        }
    }
}
