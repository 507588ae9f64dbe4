//! SQL texts of snapshots. All of it is read-only, and needs SELECT alone.

use super::key::KeyColumn;

/// What a session of a reader is set to, statement by statement. Servers that lack a variable refuse that statement alone.
///
/// Nothing is converted on the way (`NAMES binary`), so that text arrives in the bytes that the binlog has, and keys go back
/// as they came. TIMESTAMP is shown in UTC, zero dates and unpadded CHAR as they are stored. Each chunk is one statement and
/// takes no lock; a metadata lock is waited for shortly, so that a reader is never in the way of DDL that queues behind it.
pub(super) const SESSION: [&str; 7] = [
    "SET NAMES binary",
    "SET SESSION time_zone = '+00:00', SESSION sql_mode = ''",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION net_write_timeout = 3600, SESSION wait_timeout = 86400, SESSION lock_wait_timeout = 10",
    "SET SESSION max_execution_time = 0",
    "SET SESSION max_statement_time = 0",
    "SET SESSION show_gipk_in_create_table_and_information_schema = ON",
];

/// Which of [`SESSION`] every supported server knows.
pub(super) const SESSION_REQUIRED: usize = 4;

/// The source's clock, UTC microseconds.
pub(super) const NOW: &str = "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)";

/// `(database, table)`. Character sets by the id of their default collation: which collation a column has does not matter for
/// reading it, and newer servers have collations without a number.
pub(super) const COLUMNS: &str = "SELECT c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, c.IS_NULLABLE, c.CHARACTER_OCTET_LENGTH, \
     c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.DATETIME_PRECISION, c.CHARACTER_SET_NAME, c.COLLATION_NAME, \
     (SELECT MIN(l.ID) FROM information_schema.COLLATIONS l WHERE l.CHARACTER_SET_NAME = c.CHARACTER_SET_NAME \
       AND l.IS_DEFAULT = 'Yes'), c.EXTRA \
     FROM information_schema.COLUMNS c WHERE c.TABLE_SCHEMA = ? AND c.TABLE_NAME = ? ORDER BY c.ORDINAL_POSITION";

/// Columns of the primary key in order: `(database, table)`.
pub(super) const PRIMARY_KEY: &str = "SELECT COLUMN_NAME FROM information_schema.STATISTICS \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX";

/// MySQL 8 shows statistics that may be a day old, and none for tables that are younger.
pub(super) const FRESH_STATISTICS: &str = "SET SESSION information_schema_stats_expiry = 0";

/// Estimated rows and bytes per row of a table: `(database, table)`.
pub(super) const ESTIMATE: &str = "SELECT TABLE_ROWS, AVG_ROW_LENGTH FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')";

pub(super) const THREADS_RUNNING: &str = "SHOW GLOBAL STATUS LIKE 'Threads\\_running'";

/// Columns of the replica's status that tell how many seconds it is behind, by version.
pub(super) const LAG_COLUMNS: [&str; 2] = ["Seconds_Behind_Source", "Seconds_Behind_Master"];

/// A table to be read, with its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct From<'a> {
    pub(super) database: &'a str,
    pub(super) table: &'a str,
    /// Index of the key; empty leaves the choice to the server.
    pub(super) index: &'a str,
    pub(super) key: &'a [KeyColumn],
}

/// The rows whose key is above the first bound (where there is one) and not above the second (where there is one).
/// `columns` are expressions made by [`column()`].
pub(super) fn chunk(from: From<'_>, columns: &[String], above: bool, up_to: bool) -> String {
    format!("SELECT {} FROM {}{}", columns.join(", "), from.source(), from.range(above, up_to))
}

/// The rows that a condition selects.
pub(super) fn rows_where(from: From<'_>, columns: &[String], condition: &str) -> String {
    format!("SELECT {} FROM {} WHERE {condition}", columns.join(", "), from.source())
}

/// The key of the row that is `rows` rows behind the beginning of the range, in the server's own order.
pub(super) fn boundary(from: From<'_>, rows: u64, above: bool, up_to: bool) -> String {
    let key: Vec<String> = from.key.iter().map(KeyColumn::read).collect();
    let order: Vec<String> = from.key.iter().map(|k| quote(&k.name)).collect();
    format!(
        "SELECT {} FROM {}{} ORDER BY {} LIMIT 1 OFFSET {}",
        key.join(", "),
        from.source(),
        from.range(above, up_to),
        order.join(", "),
        rows.saturating_sub(1)
    )
}

/// Least and greatest value of a key of one column.
pub(super) fn extremes(from: From<'_>) -> String {
    let key = from.key.first().map(|k| quote(&k.name)).unwrap_or_default();
    format!("SELECT MIN({key}), MAX({key}) FROM {}", from.source())
}

impl From<'_> {
    fn source(&self) -> String {
        let table = format!("{}.{}", quote(self.database), quote(self.table));
        if self.index.is_empty() { table } else { format!("{table} FORCE INDEX ({})", quote(self.index)) }
    }

    fn range(&self, above: bool, up_to: bool) -> String {
        let conditions = [above.then(|| self.compare(">", ">")), up_to.then(|| self.compare("<", "<="))];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
    }

    /// `(a > ?) OR (a = ? AND b > ?)`: optimizers find the ranges in it; of `(a, b) > (?, ?)` not all do. `last` is the
    /// operator of the last column.
    fn compare(&self, operator: &str, last: &str) -> String {
        let term = |n: usize| {
            let equal = self.key[..n].iter().map(|k| k.compare("="));
            let operator = if n + 1 == self.key.len() { last } else { operator };
            let parts: Vec<String> = equal.chain([self.key[n].compare(operator)]).collect();
            format!("({})", parts.join(" AND "))
        };
        let terms: Vec<String> = (0..self.key.len()).map(term).collect();
        format!("({})", terms.join(" OR "))
    }
}

/// Where a window begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With the first row.
    Open,
    /// At a value of the first column, which is included.
    AtLeast,
    /// Behind a row.
    Above,
}

/// The rows behind a place in the order of `from.key`, with that place of each row behind its columns. With `rows` the first so
/// many of them in that order, else all in none.
pub(super) fn window(from: From<'_>, columns: &[String], begin: Begin, rows: Option<u64>) -> String {
    let place = from.key.iter().map(KeyColumn::read);
    let list: Vec<String> = columns.iter().cloned().chain(place).collect();
    let first = from.key.first();
    let condition = match (begin, first) {
        (Begin::Open, _) | (_, None) => String::new(),
        (Begin::AtLeast, Some(first)) => format!(" WHERE {}", first.compare(">=")),
        (Begin::Above, Some(_)) => from.range(true, false),
    };
    let order = rows.map(|rows| {
        let names: Vec<String> = from.key.iter().map(|k| quote(&k.name)).collect();
        format!(" ORDER BY {} LIMIT {rows}", names.join(", "))
    });
    format!("SELECT {} FROM {}{condition}{}", list.join(", "), from.source(), order.unwrap_or_default())
}

/// The greatest value of the first column of the key that is not above a parameter.
pub(super) fn latest(from: From<'_>) -> String {
    let Some(first) = from.key.first() else { return String::new() };
    format!("SELECT MAX({}) FROM {} WHERE {}", quote(&first.name), from.source(), first.compare("<="))
}

/// The key of the row that has `skip` rows behind it.
pub(super) fn last_key(from: From<'_>, skip: u64) -> String {
    let key: Vec<String> = from.key.iter().map(KeyColumn::read).collect();
    let order: Vec<String> = from.key.iter().map(|k| format!("{} DESC", quote(&k.name))).collect();
    format!("SELECT {} FROM {} ORDER BY {} LIMIT 1 OFFSET {skip}", key.join(", "), from.source(), order.join(", "))
}

/// The server's clock, in UTC and in the server's own zone.
pub(super) const CLOCK: &str = "SELECT UTC_TIMESTAMP(6), CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@GLOBAL.time_zone)";

/// An index that begins with a column: `(database, table, column)`.
pub(super) const INDEX_OF: &str = "SELECT INDEX_NAME FROM information_schema.STATISTICS \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND SEQ_IN_INDEX = 1 AND COLUMN_NAME = ? AND SUB_PART IS NULL \
     AND INDEX_TYPE = 'BTREE' ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME LIMIT 1";

/// Everything that the session reads until the end is as it was at one moment.
pub(super) const BEGIN_VIEW: [&str; 2] =
    ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"];
pub(super) const END_VIEW: &str = "ROLLBACK";

/// How often each value of a bound of `columns` columns is bound by [`From::compare`]: indexes in order.
pub(super) fn bind_order(columns: usize) -> impl Iterator<Item = usize> {
    (0..columns).flat_map(|n| 0..=n)
}

/// How a column is read: ENUM and SET by their number, which needs no character set.
pub(super) fn column(name: &str, numbered: bool) -> String {
    if numbered { format!("CAST({} AS UNSIGNED)", quote(name)) } else { quote(name) }
}

/// An identifier.
pub(super) fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
