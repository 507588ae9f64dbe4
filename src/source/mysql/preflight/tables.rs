//! The captured tables: there, readable, with keys.

use std::collections::BTreeSet;

use super::{Check, RETRY, privileges};
use crate::source::mysql::{
    catalog::{self, ListedTable},
    ddl::TableName,
};

/// First MySQL version that logs the rows that foreign keys change.
const CASCADES_LOGGED: (u16, u16, u16) = (9, 6, 0);

/// Names that one finding lists; the rest is counted.
const NAMED: usize = 10;

/// Checks the captured tables and returns them.
pub(super) async fn look(check: &mut Check<'_>) -> Vec<ListedTable> {
    let listed = match catalog::tables(&mut check.conn).await {
        Ok(tables) => tables,
        Err(e) => {
            check.problem(format!("cannot list the tables: {e}"), RETRY);
            return Vec::new();
        }
    };
    let all = listed.len();
    let tables: Vec<_> = listed.into_iter().filter(|t| (check.captured)(&t.name.database, &t.name.table)).collect();
    let names: Vec<&TableName> = tables.iter().map(|t| &t.name).collect();
    if names.is_empty() {
        let account = check.account.clone();
        check.warning(
            format!("none of the {all} tables that {account} can see is captured"),
            format!("check the table patterns, and GRANT SELECT ON *.* TO {account}"),
        );
        return tables;
    }
    check.ok(format!("{} tables are captured", names.len()));
    privileges::select(check, &names).await;
    engines(check, &tables);
    keys(check, &names).await;
    cascades(check, &names).await;
    tables
}

fn engines(check: &mut Check<'_>, tables: &[ListedTable]) {
    let transactional = |engine: &str| ["InnoDB", "ROCKSDB", "ndbcluster", "TokuDB"].contains(&engine);
    let others: Vec<_> = tables.iter().filter(|t| !transactional(&t.engine)).map(|t| &t.name).collect();
    if !others.is_empty() {
        let what = format!("tables without transactions may lose or keep half of a change: {}", list(&others));
        check.warning(what, "ALTER TABLE … ENGINE=InnoDB");
    }
}

async fn keys(check: &mut Check<'_>, names: &[&TableName]) {
    let keyed: BTreeSet<TableName> = match catalog::keyed(&mut check.conn).await {
        Ok(keyed) => keyed.into_iter().collect(),
        Err(e) => return check.warning(format!("cannot list the keys of the tables: {e}"), RETRY),
    };
    let without: Vec<_> = names.iter().copied().filter(|name| !keyed.contains(name)).collect();
    if !without.is_empty() {
        let what =
            format!("tables without a primary key or a unique key without NULL cannot be merged: {}", list(&without));
        check.warning(
            what,
            "ALTER TABLE … ADD PRIMARY KEY (…), and for tables to come SET PERSIST sql_generate_invisible_primary_key = ON (MySQL \
             8.0.30 or newer); or exclude the tables, or park them (no_key = \"park\"). Until then every change of theirs is appended \
             to a history, and a snapshot of each is one long read in one view",
        );
    }
}

async fn cascades(check: &mut Check<'_>, names: &[&TableName]) {
    let native = check.variable("innodb_native_foreign_keys") == Some("ON");
    if !check.is_mariadb() && check.server.number >= CASCADES_LOGGED && !native {
        return;
    }
    let cascading = match catalog::cascading(&mut check.conn, names).await {
        Ok(cascading) => cascading,
        Err(e) => return check.warning(format!("cannot list the foreign keys of the tables: {e}"), RETRY),
    };
    let touched: Vec<_> = cascading.iter().collect();
    if !touched.is_empty() {
        let what = format!(
            "this server does not log the rows that foreign keys delete or change (ON DELETE/UPDATE CASCADE, SET NULL) in: {}",
            list(&touched)
        );
        check.warning(
            what,
            "upgrade to MySQL 9.6 or newer (innodb_native_foreign_keys=OFF), change these rows by statements of their own, or \
             take new snapshots of these tables regularly",
        );
    }
}

fn list(names: &[&TableName]) -> String {
    let mut text: Vec<_> = names.iter().take(NAMED).map(|n| format!("{}.{}", n.database, n.table)).collect();
    if names.len() > NAMED {
        text.push(format!("and {} more", names.len() - NAMED));
    }
    text.join(", ")
}
