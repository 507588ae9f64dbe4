//! What a server has, for whoever writes a configuration for it: tables with their sizes, keys and columns of note.
//!
//! Two statements read the catalog of all tables at once; what is kept of a table is a summary, so that a server with a hundred
//! thousand tables costs tens of megabytes and no round trip per table.

use std::collections::HashMap;

use mysql_async::{Conn, Error as DriverFailure, Row, prelude::Queryable};

use super::{
    catalog::{self, CatalogError, ListedTable},
    connect::Address,
    sql,
};
use crate::model::Digest;

/// Names that columns with the time of a row's last change usually have, compared without case and underscores.
const CHANGE_NAMES: [&str; 11] = [
    "updatedat",
    "updated",
    "updatedon",
    "updatetime",
    "modifiedat",
    "modified",
    "modifiedon",
    "modifytime",
    "lastmodified",
    "lastupdate",
    "mtime",
];

/// Types whose values may be longer than Redshift's longest text, 65,535 bytes.
const LONG_TYPES: [&str; 5] = ["mediumtext", "longtext", "mediumblob", "longblob", "json"];

/// A table as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Names, engine, estimates.
    pub table: ListedTable,
    /// Columns that identify a row: the primary key, else the first UNIQUE key without NULL; empty for none.
    pub key: Vec<String>,
    /// Columns that may tell when a row was changed, the surest first.
    pub changed: Vec<ChangeColumn>,
    /// Columns whose values may be longer than 65,535 bytes.
    pub long: Vec<String>,
    /// The same for tables whose columns have the same names and types in the same order.
    pub shape: Digest,
}

/// A column that may tell when a row was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeColumn {
    /// Its name.
    pub name: String,
    /// The server sets it: ON UPDATE CURRENT_TIMESTAMP. Otherwise its name is all that speaks for it.
    pub on_update: bool,
}

/// Reads what the server has, but for databases of the server itself.
///
/// # Errors
/// When the server cannot be asked.
pub async fn discover(address: &Address) -> Result<Vec<Found>, CatalogError> {
    let mut conn = address.connect().await?;
    let found = read(&mut conn).await;
    // The server may have gone away already; nothing depends on a polite goodbye.
    let _ = conn.disconnect().await;
    let at = format!("{}:{}", address.host, address.port);
    found.map_err(|source| CatalogError::Query { at, source })
}

type Name = (String, String);

async fn read(conn: &mut Conn) -> Result<Vec<Found>, DriverFailure> {
    let listed = catalog::tables(conn).await?;
    let mut columns = conn.query_fold(sql::COLUMNS_OF_ALL, HashMap::<Name, Summary>::new(), add_column).await?;
    let mut keys = conn.query_fold(sql::KEYS_OF_ALL, HashMap::<Name, Keys>::new(), add_key_column).await?;
    let found = |table: ListedTable| {
        let name = (table.name.database.clone(), table.name.table.clone());
        let summary = columns.remove(&name).unwrap_or_default();
        let key = keys.remove(&name).unwrap_or_default().best();
        let mut changed = summary.changed;
        changed.sort_by_key(|c| !c.on_update);
        Found { table, key, changed, long: summary.long, shape: Digest::of(summary.shape.as_bytes()) }
    };
    Ok(listed.into_iter().map(found).collect())
}

/// What is kept of a table's columns.
#[derive(Debug, Default)]
struct Summary {
    changed: Vec<ChangeColumn>,
    long: Vec<String>,
    shape: String,
}

fn text(row: &Row, column: usize) -> String {
    row.get_opt::<Option<String>, _>(column).and_then(Result::ok).flatten().unwrap_or_default()
}

fn add_column(mut tables: HashMap<Name, Summary>, row: Row) -> HashMap<Name, Summary> {
    let summary = tables.entry((text(&row, 0), text(&row, 1))).or_default();
    summary.add(text(&row, 2), &text(&row, 3), &text(&row, 4));
    tables
}

impl Summary {
    fn add(&mut self, name: String, declared: &str, extra: &str) {
        summary_line(&mut self.shape, &name, declared);
        let kind = declared.split(['(', ' ']).next().unwrap_or_default();
        let on_update = extra.to_ascii_lowercase().contains("on update");
        let plain: String = name.to_ascii_lowercase().replace('_', "");
        if on_update || (["datetime", "timestamp"].contains(&kind) && CHANGE_NAMES.contains(&plain.as_str())) {
            self.changed.push(ChangeColumn { name: name.clone(), on_update });
        }
        if LONG_TYPES.contains(&kind) {
            self.long.push(name);
        }
    }
}

fn summary_line(shape: &mut String, name: &str, declared: &str) {
    shape.push_str(name);
    shape.push('\0');
    shape.push_str(declared);
    shape.push('\0');
}

/// Unique keys of one table, the primary key first.
#[derive(Debug, Default)]
struct Keys(Vec<(String, Vec<String>, bool)>);

fn add_key_column(mut tables: HashMap<Name, Keys>, row: Row) -> HashMap<Name, Keys> {
    let keys = tables.entry((text(&row, 0), text(&row, 1))).or_default();
    let (index, column, usable) = (text(&row, 2), text(&row, 3), text(&row, 4) == "1");
    match keys.0.last_mut().filter(|(name, ..)| *name == index) {
        Some((_, columns, fits)) => {
            columns.push(column);
            *fits &= usable;
        }
        None => keys.0.push((index, vec![column], usable)),
    }
    tables
}

impl Keys {
    /// A primary key counts in any form; another one only without NULL, prefixes and expressions.
    fn best(self) -> Vec<String> {
        let fits = |(name, _, fits): &(String, Vec<String>, bool)| *fits || name == "PRIMARY";
        self.0.into_iter().find(fits).map(|(_, columns, _)| columns).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_note_are_found_by_what_the_server_does_and_by_name() {
        let mut summary = Summary::default();
        summary.add("id".into(), "int", "auto_increment");
        summary.add("updated_at".into(), "datetime(6)", "");
        summary.add("touched".into(), "timestamp", "DEFAULT_GENERATED on update CURRENT_TIMESTAMP");
        summary.add("modified".into(), "varchar(20)", "");
        summary.add("note".into(), "longtext", "");
        let names: Vec<_> = summary.changed.iter().map(|c| (c.name.as_str(), c.on_update)).collect();
        assert_eq!(names, [("updated_at", false), ("touched", true)]);
        assert_eq!(summary.long, ["note"]);
    }

    #[test]
    fn the_best_key_is_the_primary_one_or_the_first_without_null() {
        let key = |name: &str, columns: &[&str], fits| {
            (name.to_owned(), columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>(), fits)
        };
        let keys = Keys(vec![key("PRIMARY", &["a", "b"], false), key("u", &["c"], true)]);
        assert_eq!(keys.best(), ["a", "b"]);
        let keys = Keys(vec![key("t", &["n"], false), key("u", &["c"], true)]);
        assert_eq!(keys.best(), ["c"]);
        assert!(Keys(vec![key("t", &["n"], false)]).best().is_empty());
    }
}
