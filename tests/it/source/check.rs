//! What `check` says of servers with something amiss.

use tailwater::{
    model::{Severity, Shard},
    source::mysql::{
        connect::Address,
        preflight::{Preflight, preflight},
    },
};
use tailwater_servers::{MariaDb, Mysql, MysqlOptions};

async fn look(url: &str, server_id: u32) -> Preflight {
    preflight(&Shard::new("s1"), &Address::from_url(url).unwrap(), server_id, &|database, _| database == "d").await
}

/// Texts of the findings of a severity, each with its remedy.
fn texts(preflight: &Preflight, severity: Severity) -> Vec<String> {
    let of = preflight.findings.iter().filter(|f| f.severity == severity);
    of.map(|f| format!("{} => {}", f.what, f.mend.as_deref().unwrap_or("-"))).collect()
}

fn assert_one(found: &[String], parts: &[&str]) {
    let matching = found.iter().filter(|text| parts.iter().all(|part| text.contains(part))).count();
    assert_eq!(matching, 1, "{parts:?} in {found:#?}");
}

const SERVER_ID: u32 = 1_900_000_001;

#[tokio::test(flavor = "multi_thread")]
async fn a_fit_server_has_no_problem() {
    let mysql = Mysql::start(MysqlOptions::default()).unwrap();
    mysql.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
    let found = look(&mysql.url(), SERVER_ID).await;
    assert_eq!(texts(&found, Severity::Problem), [""; 0]);
    assert_eq!(texts(&found, Severity::Warning), [""; 0]);
    let server = found.server.unwrap();
    assert_eq!(server.executed.as_deref(), Some(&*mysql.gtid_executed().unwrap()));
    assert_eq!(server.server_uuid, Some(mysql.value("SELECT @@server_uuid").unwrap()));
    assert_eq!(found.tables.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_told_at_once_with_its_remedy() {
    let options = MysqlOptions::default()
        .minimal_metadata()
        .without_gtid()
        .arg("--binlog-row-image=MINIMAL")
        .arg("--binlog-row-value-options=PARTIAL_JSON")
        .arg("--binlog-expire-logs-seconds=3600");
    let mysql = Mysql::start(options).unwrap();
    mysql
        .sql(
            "CREATE DATABASE d; CREATE TABLE d.keyless (id INT); CREATE TABLE d.nullable (id INT UNIQUE);
             CREATE TABLE d.keyed (id INT NOT NULL UNIQUE); CREATE TABLE d.flat (id INT PRIMARY KEY) ENGINE=MyISAM;
             CREATE USER poor@'%' IDENTIFIED BY 'x'; GRANT SELECT ON d.* TO poor@'%'",
        )
        .unwrap();
    let url = mysql.url().replace(&format!("{}:{}", tailwater_servers::USER, tailwater_servers::PASSWORD), "poor:x");
    let found = look(&url, mysql.server_id()).await;
    let problems = texts(&found, Severity::Problem);
    assert_one(&problems, &["GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'poor'@'%'"]);
    assert_one(&problems, &["binlog_row_metadata is MINIMAL", "SET PERSIST binlog_row_metadata=FULL"]);
    assert_one(&problems, &["binlog_row_image is MINIMAL", "SET PERSIST binlog_row_image=FULL"]);
    assert_one(&problems, &["binlog_row_value_options"]);
    assert_one(&problems, &["server_id", "the source server's own"]);
    let warnings = texts(&found, Severity::Warning);
    assert_one(&warnings, &["gtid_mode is OFF", "ON_PERMISSIVE"]);
    assert_one(&warnings, &["kept for 1 h"]);
    assert_one(&warnings, &["without a primary key", "d.keyless, d.nullable =>"]);
    assert_one(&warnings, &["without transactions", "d.flat =>"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_cannot_be_read_are_told_apart() {
    let mysql = Mysql::start(MysqlOptions::default().without_binlog()).unwrap();
    let found = look(&mysql.url(), SERVER_ID).await;
    assert_one(&texts(&found, Severity::Problem), &["binary logging is off", "log_bin"]);

    let wrong = look(&mysql.url().replace(tailwater_servers::PASSWORD, "guess"), SERVER_ID).await;
    let problems = texts(&wrong, Severity::Problem);
    assert_one(&problems, &["1045", "CREATE USER"]);
    assert!(!problems.concat().contains("guess"));

    drop(mysql);
    let gone = look("mysql://tw:x@127.0.0.1:1/?connect_timeout=2s", SERVER_ID).await;
    assert_one(&texts(&gone, Severity::Problem), &["cannot connect", "127.0.0.1:1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn cascades_that_are_not_logged_are_warned_of() {
    let mariadb = MariaDb::start(&["--binlog-row-metadata=FULL", "--binlog-format=ROW"]).unwrap();
    mariadb
        .sql(
            "CREATE DATABASE d; CREATE TABLE d.parent (id INT PRIMARY KEY);
             CREATE TABLE d.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES d.parent (id) ON DELETE CASCADE)",
        )
        .unwrap();
    let found = look(&mariadb.url(), SERVER_ID).await;
    assert_one(&texts(&found, Severity::Warning), &["foreign keys", "d.child =>"]);
    assert_eq!(texts(&found, Severity::Problem), [""; 0]);
}
