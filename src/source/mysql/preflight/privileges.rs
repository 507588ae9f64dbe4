//! Privileges, proved by use.

use mysql_async::{Error as DriverFailure, Row, prelude::Queryable};

use super::{Check, either};
use crate::source::mysql::{ddl::TableName, sql};

/// ER_SPECIFIC_ACCESS_DENIED_ERROR.
const PRIVILEGE_MISSING: u16 = 1227;

/// Checks REPLICATION CLIENT (positions) and REPLICATION SLAVE (the log itself). Whether the former is there.
pub(super) async fn replication(check: &mut Check<'_>) -> bool {
    // MariaDB renamed REPLICATION CLIENT in 10.5 and takes the old name still.
    let client = check.conn.query::<Row, _>(sql::BINARY_LOGS).await.err();
    let replicas = either::<Row>(&mut check.conn, sql::REPLICAS).await;
    let denied = |e: &DriverFailure| matches!(e, DriverFailure::Server(e) if e.code == PRIVILEGE_MISSING);
    let mut missing = Vec::new();
    // MariaDB asks for REPLICATION MASTER ADMIN to list replicas, and has nothing else harmless that REPLICATION SLAVE allows.
    let no_slave = match check.is_mariadb() {
        true => !granted(check, &["REPLICATION SLAVE", "ALL PRIVILEGES"]).await,
        false => replicas.as_ref().is_err_and(denied),
    };
    if no_slave {
        missing.push("REPLICATION SLAVE");
    }
    let no_client = client.as_ref().is_some_and(denied);
    if no_client {
        missing.push("REPLICATION CLIENT");
    }
    if missing.is_empty() {
        check.ok("user may read the binlog");
    } else {
        let (list, account) = (missing.join(", "), check.account.clone());
        check.rights_missing += 1;
        check.problem(format!("user {account} lacks {list}"), format!("GRANT {list} ON *.* TO {account}"));
    }
    same_id(check, &replicas.unwrap_or_default());
    !no_client
}

/// Whether SHOW GRANTS has one of the privileges on everything.
async fn granted(check: &mut Check<'_>, privileges: &[&str]) -> bool {
    let grants: Vec<String> = check.conn.query(sql::GRANTS).await.unwrap_or_default();
    let global = grants.iter().filter_map(|grant| grant.split_once(" ON *.* ")).map(|(list, _)| list);
    global.into_iter().any(|list| privileges.iter().any(|privilege| list.contains(privilege)))
}

/// Two readers with one server id disconnect each other for ever.
fn same_id(check: &mut Check<'_>, replicas: &[Row]) {
    let id = check.server_id;
    if check.server.server_id == id {
        check.problem(
            format!("server_id {id} is the source server's own"),
            "set another server_id for this source in the configuration",
        );
    } else if replicas.iter().any(|row| row.get_opt::<u32, _>(0).is_some_and(|found| found == Ok(id))) {
        check.warning(
            format!("a reader with server_id {id} is connected to the source now; a second one disconnects it"),
            "stop the other reader, or set another server_id for this source",
        );
    } else {
        check.ok(format!("server_id {id} is free"));
    }
}

/// Tables that are tried: one of each database, because SELECT is granted by database or as a whole.
const DATABASES_TRIED: usize = 200;

/// Checks SELECT, which snapshots and the catalog need.
pub(super) async fn select(check: &mut Check<'_>, tables: &[&TableName]) {
    let mut tried: Vec<&TableName> = tables.to_vec();
    tried.dedup_by(|a, b| a.database == b.database);
    let mut denied = Vec::new();
    for table in tried.into_iter().take(DATABASES_TRIED) {
        let query = sql::may_select(&table.database, &table.table);
        if let Err(DriverFailure::Server(_)) = check.conn.query_drop(query).await {
            denied.push(table.database.clone());
        }
    }
    if let Some(first) = denied.first() {
        let account = check.account.clone();
        let mend = match denied.len() {
            1 => format!("GRANT SELECT ON `{first}`.* TO {account}"),
            _ => format!("GRANT SELECT ON *.* TO {account}"),
        };
        check.problem(format!("user {account} may not read tables of {}", denied.join(", ")), mend);
    }
}
