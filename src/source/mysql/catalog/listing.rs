//! Lists of tables and columns.

use std::collections::BTreeSet;

use mysql_async::{Conn, Error as DriverFailure, Row, prelude::Queryable};

use crate::source::mysql::{ddl::TableName, sql};

/// A base table of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTable {
    /// Its names.
    pub name: TableName,
    /// Storage engine; empty where the server cannot open the table.
    pub engine: String,
    /// Estimated rows. InnoDB's estimate can be off by half.
    pub rows: u64,
    /// Estimated bytes of data without indexes.
    pub bytes: u64,
}

/// A column as it is declared now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedColumn {
    /// Name.
    pub name: String,
    /// Declared type with everything, e.g. `tinyint(1) unsigned`.
    pub declared: String,
    /// Whether NULL is allowed.
    pub nullable: bool,
    /// Default as the catalog shows it; `None` for none or NULL.
    pub default: Option<String>,
    /// Whether the server computes the value.
    pub generated: bool,
    /// False for INVISIBLE columns.
    pub visible: bool,
    /// Collation of text columns.
    pub collation: Option<String>,
}

/// Every base table but those of the server itself.
///
/// # Errors
/// What the server or the client library says.
pub async fn tables(conn: &mut Conn) -> Result<Vec<ListedTable>, DriverFailure> {
    type Columns = (String, String, Option<String>, Option<u64>, Option<u64>);
    let rows: Vec<Columns> = conn.query(sql::TABLES).await?;
    let listed = |(database, table, engine, rows, bytes): Columns| ListedTable {
        name: TableName { database, table },
        engine: engine.unwrap_or_default(),
        rows: rows.unwrap_or_default(),
        bytes: bytes.unwrap_or_default(),
    };
    Ok(rows.into_iter().map(listed).collect())
}

/// The columns of `database.table` in their order; empty when it does not exist.
///
/// # Errors
/// What the server or the client library says.
pub async fn columns(conn: &mut Conn, database: &str, table: &str) -> Result<Vec<ListedColumn>, DriverFailure> {
    let rows: Vec<Row> = conn.exec(sql::COLUMNS, (database, table)).await?;
    Ok(rows.iter().map(listed_column).collect())
}

fn listed_column(row: &Row) -> ListedColumn {
    let text = |column: usize| row.get_opt::<Option<String>, _>(column).and_then(Result::ok).flatten();
    let extra = text(4).unwrap_or_default().to_ascii_uppercase();
    ListedColumn {
        name: text(0).unwrap_or_default(),
        declared: text(1).unwrap_or_default(),
        nullable: text(2).is_some_and(|n| n == "YES"),
        // MariaDB writes the word NULL where MySQL has no default.
        default: text(3).filter(|default| default != "NULL"),
        // VIRTUAL GENERATED, STORED GENERATED, but not DEFAULT_GENERATED, which is an expression default.
        generated: extra.split(' ').any(|word| word == "GENERATED"),
        visible: !extra.contains("INVISIBLE"),
        collation: text(5),
    }
}

/// Tables that have a primary key or a UNIQUE key without NULL.
pub(in crate::source::mysql) async fn keyed(conn: &mut Conn) -> Result<Vec<TableName>, DriverFailure> {
    let rows: Vec<(String, String)> = conn.query(sql::KEYED_TABLES).await?;
    Ok(rows.into_iter().map(|(database, table)| TableName { database, table }).collect())
}

/// Tables that are read for [`cascading`]: each is one round trip.
const REFERRING_MAX: usize = 2000;

/// Those of `names` whose rows are changed by a foreign key's CASCADE, SET NULL or SET DEFAULT.
pub(in crate::source::mysql) async fn cascading(
    conn: &mut Conn,
    names: &[&TableName],
) -> Result<Vec<TableName>, DriverFailure> {
    let names: BTreeSet<&TableName> = names.iter().copied().collect();
    let rows: Vec<(String, String)> = conn.query(sql::REFERRING_TABLES).await?;
    let referring = rows.into_iter().map(|(database, table)| TableName { database, table });
    let mut found = Vec::new();
    for name in referring.filter(|name| names.contains(name)).take(REFERRING_MAX) {
        let row: Option<Row> = conn.query_first(sql::show_create(&name.database, &name.table)).await?;
        let text = row.and_then(|row| row.get_opt::<String, _>(1)).and_then(Result::ok).unwrap_or_default();
        if has_cascade(&text) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Whether a CREATE TABLE as the server prints it has a foreign key that changes rows: one constraint a line, rules at its end.
fn has_cascade(create: &str) -> bool {
    let acts = |line: &str| {
        ["CASCADE", "SET NULL", "SET DEFAULT"]
            .iter()
            .any(|act| line.contains(&format!(" ON DELETE {act}")) || line.contains(&format!(" ON UPDATE {act}")))
    };
    create
        .lines()
        .any(|line| line.trim_start().starts_with("CONSTRAINT ") && line.contains(" FOREIGN KEY ") && acts(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cascades_stand_in_foreign_keys_only() {
        let table = |key: &str| format!("CREATE TABLE `t` (\n  `a` int COMMENT ' ON DELETE CASCADE',\n  {key}\n)");
        let key = "CONSTRAINT `f` FOREIGN KEY (`a`) REFERENCES `u` (`b`)";
        assert!(has_cascade(&table(&format!("{key} ON DELETE CASCADE"))));
        assert!(has_cascade(&table(&format!("{key} ON DELETE NO ACTION ON UPDATE SET NULL,"))));
        assert!(!has_cascade(&table(&format!("{key} ON DELETE RESTRICT"))));
        assert!(!has_cascade(&table("KEY `a` (`a`)")));
    }
}
