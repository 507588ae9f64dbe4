//! Every SQL text that is sent to a source. All of it is read-only.

/// Heartbeats are sent when the log has been silent for this long; both names are set because 8.4 dropped the older.
pub(super) fn dump_session(heartbeat_ns: u128, replica_uuid: &str) -> String {
    // net_write_timeout: a consumer that stalls (object store, decode of a huge row) must not make the server drop us; its
    // default is 60 s. wait_timeout: the dump connection sends nothing itself.
    format!(
        "SET @master_heartbeat_period={heartbeat_ns}, @source_heartbeat_period={heartbeat_ns}, \
         @slave_uuid='{replica_uuid}', @replica_uuid='{replica_uuid}', \
         SESSION net_write_timeout=3600, SESSION net_read_timeout=3600, SESSION wait_timeout=86400"
    )
}

/// MariaDB: capability 4 = understands its GTID events; without it the server replaces them. Strict mode refuses a position
/// that the server's log has no trace of.
pub(super) fn mariadb_dump_session(position: &str) -> String {
    format!(
        "SET @mariadb_slave_capability=4, @slave_connect_state='{position}', @slave_gtid_strict_mode=1, \
         @slave_gtid_ignore_duplicates=0"
    )
}

pub(super) const VERSION: &str = "SELECT @@version";

/// A global variable that not every server has: no row where it does not exist.
pub(super) fn variable(name: &str) -> String {
    format!("SHOW GLOBAL VARIABLES LIKE '{}'", name.replace('_', "\\_"))
}

pub(super) const GTID_EXECUTED: &str = "SELECT @@GLOBAL.gtid_executed";
/// Transactions that are being committed, each with its thread.
pub(super) const GTID_OWNED: &str = "SELECT @@GLOBAL.gtid_owned";
pub(super) const GTID_PURGED: &str = "SELECT @@GLOBAL.gtid_purged";
pub(super) const MARIADB_BINLOG_POSITION: &str = "SELECT @@GLOBAL.gtid_binlog_pos";

/// MariaDB: what was committed before the first event of `file`.
pub(super) fn mariadb_position_of(file: &str) -> String {
    format!("SELECT BINLOG_GTID_POS('{}', 4)", file.replace(['\'', '\\'], ""))
}

/// MariaDB: what was committed before an offset of `file`.
pub(super) fn mariadb_position_at(file: &str, offset: u64) -> String {
    format!("SELECT BINLOG_GTID_POS('{}', {offset})", file.replace(['\'', '\\'], ""))
}

/// A read view, with the place in the binlog that it corresponds to on MariaDB and Percona Server.
pub(super) const CONSISTENT_SNAPSHOT: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
pub(super) const SNAPSHOT_PLACE: &str = "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'";
pub(super) const END_SNAPSHOT: &str = "ROLLBACK";

pub(super) const BINARY_LOGS: &str = "SHOW BINARY LOGS";

/// Columns declared TINYINT(1) of a table: `(database, table)`.
pub(super) const BOOLEAN_COLUMNS: &str = "SELECT COLUMN_NAME FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_TYPE LIKE 'tinyint(1)%'";

/// Index name and column of each UNIQUE key without NULL, by key and place: `(database, table)`.
pub(super) const UNIQUE_KEYS: &str = "SELECT s.INDEX_NAME, s.COLUMN_NAME FROM information_schema.STATISTICS s \
     WHERE s.TABLE_SCHEMA = ? AND s.TABLE_NAME = ? AND s.NON_UNIQUE = 0 AND NOT EXISTS (\
       SELECT 1 FROM information_schema.STATISTICS n WHERE n.TABLE_SCHEMA = s.TABLE_SCHEMA AND n.TABLE_NAME = s.TABLE_NAME \
       AND n.INDEX_NAME = s.INDEX_NAME AND (n.NULLABLE = 'YES' OR n.COLUMN_NAME IS NULL OR n.SUB_PART IS NOT NULL)) \
     ORDER BY s.INDEX_NAME <> 'PRIMARY', s.INDEX_NAME, s.SEQ_IN_INDEX";

/// Databases of the server itself.
macro_rules! system_databases {
    () => {
        "('mysql', 'information_schema', 'performance_schema', 'sys')"
    };
}

pub(super) const TABLES: &str = concat!(
    "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES \
     WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN ",
    system_databases!(),
    " ORDER BY TABLE_SCHEMA, TABLE_NAME"
);

/// Columns of all tables and views, in their order.
pub(super) const COLUMNS_OF_ALL: &str = concat!(
    "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, EXTRA FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA NOT IN ",
    system_databases!(),
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
);

/// Columns of all unique keys, primary keys first; the last says whether the column is whole and never NULL.
pub(super) const KEYS_OF_ALL: &str = concat!(
    "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, \
     CAST(NOT (NULLABLE = 'YES' OR COLUMN_NAME IS NULL OR SUB_PART IS NOT NULL) AS CHAR) \
     FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA NOT IN ",
    system_databases!(),
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX"
);

/// `(database, table)`
pub(super) const COLUMNS: &str = "SELECT COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLLATION_NAME \
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION";

/// A primary key on a prefix still identifies a row; another unique key on a prefix or an expression is not used.
pub(super) const KEYED_TABLES: &str = concat!(
    "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM (SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME \
     FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA NOT IN ",
    system_databases!(),
    " GROUP BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME HAVING INDEX_NAME = 'PRIMARY' \
     OR SUM(NULLABLE = 'YES' OR COLUMN_NAME IS NULL OR SUB_PART IS NOT NULL) = 0) k"
);

/// Tables with foreign keys. REFERENTIAL_CONSTRAINTS would tell their rules, but hides them from users who may only SELECT
/// (MariaDB, MySQL 5.7).
pub(super) const REFERRING_TABLES: &str = "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE \
     WHERE REFERENCED_TABLE_NAME IS NOT NULL ORDER BY TABLE_SCHEMA, TABLE_NAME";

/// Needs SELECT.
pub(super) fn show_create(database: &str, table: &str) -> String {
    format!("SHOW CREATE TABLE `{}`.`{}`", database.replace('`', "``"), table.replace('`', "``"))
}

pub(super) const FAMILY: &str = "SELECT @@version, @@version_comment";
pub(super) const GLOBAL_VARIABLES: &str = "SHOW GLOBAL VARIABLES";
pub(super) const GRANTS: &str = "SHOW GRANTS";
pub(super) const CURRENT_USER: &str = "SELECT CURRENT_USER()";

/// Replicas that are connected now; needs REPLICATION SLAVE. The second is for MySQL before 8.0.22 and MariaDB.
pub(super) const REPLICAS: [&str; 2] = ["SHOW REPLICAS", "SHOW SLAVE HOSTS"];

/// Whether the server itself replicates; needs REPLICATION CLIENT.
pub(super) const REPLICA_STATUS: [&str; 2] = ["SHOW REPLICA STATUS", "SHOW SLAVE STATUS"];

/// Databases the binlog leaves out; needs REPLICATION CLIENT.
pub(super) const BINLOG_STATUS: [&str; 2] = ["SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"];

/// By age (MySQL 8, MySQL 5.7 and MariaDB), and by size (Percona Server, MariaDB).
pub(super) const RETENTION: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('binlog_expire_logs_seconds', \
     'expire_logs_days', 'binlog_expire_logs_auto_purge', 'binlog_space_limit', 'max_binlog_total_size')";

/// Amazon RDS and Aurora: how long binlogs are kept; other servers do not have the table.
pub(super) const RDS_RETENTION: &str =
    "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'";

/// Type, NULL, what is done on update, and digits of the second of a column: `(database, table, column)`.
pub(super) const DECLARED_COLUMN: &str = "SELECT DATA_TYPE, IS_NULLABLE, EXTRA, CAST(DATETIME_PRECISION AS UNSIGNED) \
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME = ?";

/// A row where an index begins with the column: `(database, table, column)`.
pub(super) const INDEXED_COLUMN: &str = "SELECT CAST(1 AS UNSIGNED) FROM information_schema.STATISTICS \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME = ? AND SEQ_IN_INDEX = 1 LIMIT 1";

/// A row where the primary key is one AUTO_INCREMENT column: `(database, table)`.
pub(super) const AUTOMATIC_KEY: &str = "SELECT CAST(1 AS UNSIGNED) FROM information_schema.COLUMNS \
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_KEY = 'PRI' AND EXTRA LIKE '%auto_increment%' LIMIT 1";

/// Succeeds with the SELECT privilege on the table and reads nothing.
pub(super) fn may_select(database: &str, table: &str) -> String {
    format!("SELECT 1 FROM `{}`.`{}` LIMIT 0", database.replace('`', "``"), table.replace('`', "``"))
}
