//! Every server starts, answers, survives its restart and is gone afterwards.
#![allow(clippy::unwrap_used)]

use tailwater_servers::{MariaDb, Mysql, MysqlOptions, Postgres, Prometheus};

#[test]
fn mysql_starts_answers_and_restarts() {
    let mut mysql = Mysql::start(MysqlOptions::default()).unwrap();
    mysql.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO d.t VALUES (1, 'a\tb'), (2, NULL)").unwrap();
    assert_eq!(mysql.query("SELECT * FROM d.t ORDER BY id").unwrap(), ["1\ta\\tb", "2\tNULL"]);
    let error = mysql.sql("SELECT * FROM d.missing").unwrap_err();
    assert!(error.to_string().contains("1146"), "{error}");

    assert_eq!(mysql.value("SELECT @@gtid_mode").unwrap(), "ON");
    assert_eq!(mysql.value("SELECT @@binlog_row_metadata").unwrap(), "FULL");
    let (file, position) = mysql.binlog_position().unwrap();
    assert!(position > 157, "{file} {position}");
    assert!(mysql.dump_binlog(&file).unwrap().contains("### INSERT INTO `d`.`t`"));
    assert!(mysql.gtid_executed().unwrap().ends_with(":1-3"));

    let port = mysql.port();
    mysql.restart().unwrap();
    mysql.kill9();
    assert!(mysql.sql("SELECT 1").is_err());
    mysql.restart().unwrap();
    assert_eq!(mysql.port(), port);
    assert_eq!(mysql.value("SELECT COUNT(*) FROM d.t").unwrap(), "2");
    assert_eq!(mysql.binlog_files().unwrap().len(), 3);

    let folder = mysql.datadir();
    drop(mysql);
    assert!(!folder.exists());
}

#[test]
fn mariadb_starts_answers_and_restarts() {
    let mut mariadb = MariaDb::start(&[]).unwrap();
    mariadb.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); INSERT INTO d.t VALUES (7)").unwrap();
    mariadb.kill9();
    mariadb.restart().unwrap();
    assert_eq!(mariadb.query("SELECT * FROM d.t").unwrap(), ["7"]);
    assert!(mariadb.query("SELECT @@version").unwrap()[0].contains("MariaDB"));
}

#[test]
fn postgres_starts_answers_and_restarts() {
    let mut postgres = Postgres::start().unwrap();
    let url = postgres.create_database("a b").unwrap();
    assert!(url.ends_with("/a b"), "{url}");
    postgres.sql("a b", "CREATE TABLE t (id INT, v TEXT); INSERT INTO t VALUES (1, NULL)").unwrap();
    let error = postgres.sql("a b", "SELECT * FROM missing").unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    postgres.restart().unwrap();
    postgres.kill9();
    postgres.restart().unwrap();
    assert_eq!(postgres.query("a b", "SELECT * FROM t").unwrap(), ["1\tNULL"]);
}

#[test]
fn prometheus_starts_and_answers() {
    let prometheus = Prometheus::scraping(&[]).unwrap();
    let answer = prometheus.query("1 + 1").unwrap();
    assert!(answer.contains("\"2\""), "{answer}");
    assert!(Prometheus::promtool(&["check", "rules", "/nonexistent"]).is_err());
}
