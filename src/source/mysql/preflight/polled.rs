//! What a source must offer whose tables are asked again and again: `SELECT`, and columns that tell what is new.

use mysql_async::prelude::Queryable;

use super::{Check, Preflight, RETRY, UnfitError, refused, settings, tables};
use crate::{
    model::{Severity, Shard},
    source::mysql::{catalog::ListedTable, connect::Address, sql},
};

/// Oldest versions whose catalogs and read views are known to serve.
const OLDEST: ((u16, u16, u16), (u16, u16, u16)) = ((5, 7, 0), (10, 2, 0));

/// Tables whose columns are looked at: each is a round trip.
const LOOKED_AT_MAX: usize = 1000;

/// How a captured table is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Only for what is new.
    pub incremental: bool,
    /// The column that tells what is new, where it is not the key.
    pub updated_at: Option<String>,
    /// What its target will not learn of.
    pub cannot_see: &'static str,
}

/// Checks a source whose binlog is not followed; `asked` says how each captured table is.
///
/// Never fails: what cannot be asked is a finding.
pub async fn preflight_asked(
    shard: &Shard,
    address: &Address,
    asked: &(dyn Fn(&str, &str) -> Option<Asked> + Send + Sync),
) -> Preflight {
    let captured = |database: &str, table: &str| asked(database, table).is_some();
    let mut check = match Check::begin(shard, address, 0, &captured).await {
        Ok(check) => check,
        Err(e) => {
            let findings = vec![refused(&format!("shard {shard}"), address, &e)];
            return Preflight { findings, server: None, tables: Vec::new() };
        }
    };
    let mut found = Vec::new();
    if family(&mut check) {
        found = tables::look(&mut check).await;
        for table in found.iter().take(LOOKED_AT_MAX) {
            let name = &table.name;
            if let Some(how) = asked(&name.database, &name.table) {
                columns(&mut check, table, &how).await;
            }
        }
        blind(&mut check, &found, asked);
    }
    let Check { conn, findings, server, .. } = check;
    // The server may have gone away already; nothing depends on a polite goodbye.
    let _ = conn.disconnect().await;
    Preflight { findings, server: Some(server), tables: found }
}

/// Refuses a source whose tables cannot be asked, before anything is read or written.
///
/// # Errors
/// [`UnfitError`].
pub async fn require_readable(shard: &Shard, address: &Address) -> Result<(), UnfitError> {
    let mut check = Check::begin(shard, address, 0, &|_, _| true).await?;
    family(&mut check);
    let Check { conn, findings, .. } = check;
    let _ = conn.disconnect().await;
    let problems: Vec<_> = findings.into_iter().filter(|f| f.severity == Severity::Problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(UnfitError::Unfit { rights_only: false, problems }) }
}

fn family(check: &mut Check<'_>) -> bool {
    let (version, comment) = (check.server.version.clone(), check.server.comment.clone());
    if settings::is_gateway(&version, &comment) {
        check.problem(
            "this is Vitess or PlanetScale, whose gateway answers for many servers and has no read view over them",
            "connect to each shard's mysqld directly",
        );
        return false;
    }
    let (major, minor, patch) = if check.is_mariadb() { OLDEST.1 } else { OLDEST.0 };
    if check.server.number < (major, minor, patch) {
        check.problem(
            format!("the server is version {version}, which was never tried"),
            format!("read from a server (a replica will do) of version {major}.{minor}.{patch} or newer"),
        );
        return false;
    }
    check.ok(format!("{version} {comment} answers; its binlog is not looked at"));
    true
}

/// Whether the columns of a table tell what is new.
async fn columns(check: &mut Check<'_>, table: &ListedTable, how: &Asked) {
    let (database, name) = (table.name.database.clone(), table.name.table.clone());
    match (&how.updated_at, how.incremental) {
        (Some(column), true) => stamp(check, &database, &name, column).await,
        (None, true) => key(check, &database, &name).await,
        (_, false) => {}
    }
}

async fn stamp(check: &mut Check<'_>, database: &str, table: &str, column: &str) {
    type Declared = (String, String, String, Option<u64>);
    let names = (database, table, column);
    let found: Result<Option<Declared>, _> = check.conn.exec_first(sql::DECLARED_COLUMN, names).await;
    let indexed: Result<Option<u64>, _> = check.conn.exec_first(sql::INDEXED_COLUMN, names).await;
    let subject = format!("{database}.{table}");
    let (found, indexed) = match (found, indexed) {
        (Ok(found), Ok(indexed)) => (found, indexed),
        (Err(e), _) | (_, Err(e)) => return check.warning(format!("cannot look at columns of {subject}: {e}"), RETRY),
    };
    let Some((kind, nullable, extra, fsp)) = found else {
        let mend = "name a column that it has, or give the table a rule of its own";
        return check.problem(format!("{subject} has no column {column:?}, which updated_at names"), mend);
    };
    let kind = kind.to_ascii_lowercase();
    if !["datetime", "timestamp"].contains(&kind.as_str()) {
        let what = format!("column {column:?} of {subject}, which updated_at names, is of type {kind}");
        return check.problem(
            what,
            "name a DATETIME or TIMESTAMP column, or remove updated_at: then the key tells what is new",
        );
    }
    let alter = |change: String| format!("ALTER TABLE `{database}`.`{table}` {change}");
    if indexed.is_none() {
        let what = format!("column {column:?} of {subject} has no index: every round reads the whole table");
        check.warning(what, alter(format!("ADD INDEX (`{column}`)")));
    }
    if !extra.to_ascii_lowercase().contains("on update current_timestamp") {
        let what = format!(
            "column {column:?} of {subject} lacks ON UPDATE CURRENT_TIMESTAMP: changes that leave it as it is are not seen"
        );
        check.warning(what, "add it, or make sure that every statement that changes a row sets the column");
    }
    if nullable.eq_ignore_ascii_case("YES") {
        let what = format!(
            "column {column:?} of {subject} may be NULL: rows without a time are not seen behind the first round"
        );
        check.warning(what, "declare it NOT NULL DEFAULT CURRENT_TIMESTAMP");
    }
    if fsp.unwrap_or_default() == 0 {
        let what = format!(
            "column {column:?} of {subject} counts whole seconds: the rows of the last ones are looked at again in every round"
        );
        check.warning(
            what,
            format!("nothing is lost; {kind}(6) makes rounds cheaper where many rows change in a second"),
        );
    }
    if kind == "datetime" {
        check.ok(format!("column {column:?} of {subject} is a DATETIME: all its writers must use one time zone"));
    }
}

async fn key(check: &mut Check<'_>, database: &str, table: &str) {
    let automatic: Result<Option<u64>, _> = check.conn.exec_first(sql::AUTOMATIC_KEY, (database, table)).await;
    match automatic {
        Ok(Some(_)) => {}
        Ok(None) => check.warning(
            format!("the primary key of {database}.{table} is not AUTO_INCREMENT: rows with keys below the greatest are not seen"),
            "make sure that keys only increase, or set updated_at or mode = \"full\" for the table",
        ),
        Err(e) => check.warning(format!("cannot look at the key of {database}.{table}: {e}"), RETRY),
    }
}

/// Names that one finding lists; the rest is counted.
const NAMED: usize = 10;

/// Says what will not be seen.
fn blind(check: &mut Check<'_>, found: &[ListedTable], asked: &(dyn Fn(&str, &str) -> Option<Asked> + Send + Sync)) {
    let mut kinds: Vec<(&'static str, Vec<String>)> = Vec::new();
    for table in found {
        let Some(how) = asked(&table.name.database, &table.name.table) else { continue };
        let name = format!("{}.{}", table.name.database, table.name.table);
        match kinds.iter_mut().find(|(text, _)| *text == how.cannot_see) {
            Some((_, names)) => names.push(name),
            None => kinds.push((how.cannot_see, vec![name])),
        }
    }
    for (text, mut names) in kinds {
        let more = names.len().saturating_sub(NAMED);
        names.truncate(NAMED);
        if more > 0 {
            names.push(format!("and {more} more"));
        }
        check.warning(
            format!("not seen in {}: {text}", names.join(", ")),
            "right where this does not matter; else follow the binlog (mode = \"binlog\"), see docs/modes.md",
        );
    }
}
