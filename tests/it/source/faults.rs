//! What networks, disks and operators do.

use tailwater::source::mysql::{
    connect::{Address, ConnectError},
    start::{StartError, StartPoint},
    stream::{Remedy, StreamError},
};
use tailwater_servers::{Mysql, MysqlOptions, PASSWORD, Proxy};

use super::reading::{Reading, inserted, inserts};

fn server() -> Mysql {
    let mysql = Mysql::start(MysqlOptions::default()).unwrap();
    mysql.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
    mysql
}

fn plain(proxy: &Proxy, mysql: &Mysql) -> String {
    format!("{}?tls=disabled", proxy.url(&mysql.url()))
}

/// Transactions in the log of [`long_log`]: about 300 bytes each.
const TRANSACTIONS: i32 = 1500;

fn long_log(mysql: &Mysql) -> StartPoint {
    let before = mysql.gtid_executed().unwrap();
    mysql.sql(&inserts("t", 1, TRANSACTIONS)).unwrap();
    StartPoint::Gtids(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_loses_and_repeats_nothing() {
    let mysql = server();
    let start = long_log(&mysql);
    let proxy = Proxy::start(mysql.address()).unwrap();
    let mut reading = Reading::start(&plain(&proxy, &mysql), start).await.unwrap();
    // Cuts in the middle of groups, some right after reconnecting.
    for n in 1..=5usize {
        proxy.cut_after(40_000 + 7_001 * n as u64);
        reading.until(|r| r.restarts >= n || r.seen.len() == TRANSACTIONS as usize).await;
    }
    assert!(reading.restarts >= 3, "{} restarts", reading.restarts);
    assert_eq!(reading.take_seen(TRANSACTIONS as usize).await, inserted("t", 1, TRANSACTIONS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_noticed_and_read_again() {
    let mysql = server();
    let start = long_log(&mysql);
    let proxy = Proxy::start(mysql.address()).unwrap();
    let mut reading = Reading::start(&plain(&proxy, &mysql), start).await.unwrap();
    proxy.corrupt_at(200_000);
    assert_eq!(reading.take_seen(TRANSACTIONS as usize).await, inserted("t", 1, TRANSACTIONS));
    assert!(!proxy.is_armed());
    assert_eq!(reading.restarts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_falls_silent_is_left() {
    let mysql = server();
    let proxy = Proxy::start(mysql.address()).unwrap();
    let mut reading = Reading::start(&plain(&proxy, &mysql), StartPoint::Latest).await.unwrap();
    reading.until(|r| r.idle >= 1).await;
    proxy.set_stalled(true);
    mysql.sql(&inserts("t", 1, 1)).unwrap();
    reading.until(|r| r.restarts >= 1).await;
    proxy.cut();
    proxy.set_stalled(false);
    assert_eq!(reading.take_seen(1).await, ["t+1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_server_is_read_on_when_it_is_back() {
    let mut mysql = server();
    let mut reading = Reading::start(&mysql.url(), StartPoint::Latest).await.unwrap();
    mysql.sql(&inserts("t", 1, 5)).unwrap();
    reading.until(|r| r.seen.len() == 5).await;
    mysql.kill9();
    mysql.restart().unwrap();
    mysql.sql(&inserts("t", 6, 8)).unwrap();
    assert_eq!(reading.take_seen(8).await, inserted("t", 1, 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_transactions_are_an_error_that_says_so() {
    let mysql = server();
    let before = mysql.gtid_executed().unwrap();
    mysql.sql(&inserts("t", 1, 3)).unwrap();
    mysql.sql("FLUSH BINARY LOGS").unwrap();
    let newest = mysql.binlog_files().unwrap().pop().unwrap();
    mysql.sql(&format!("PURGE BINARY LOGS TO '{newest}'")).unwrap();
    let Err(error) = Reading::start(&mysql.url(), StartPoint::Gtids(before)).await else { panic!("it starts") };
    assert!(matches!(error, StartError::Purged { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Operator);
    assert!(error.to_string().contains("snapshot"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_our_transactions_is_refused() {
    let mysql = server();
    let alien = format!("{},11111111-2222-3333-4444-555555555555:1-9", mysql.gtid_executed().unwrap());
    let Err(error) = Reading::start(&mysql.url(), StartPoint::Gtids(alien)).await else { panic!("it starts") };
    assert!(matches!(error, StartError::Ahead { .. }), "{error}");
    assert!(error.to_string().contains("11111111-2222-3333-4444-555555555555:1-9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_not_tried_again() {
    let mysql = server();
    let address = Address::from_url(&mysql.url().replace(PASSWORD, "not-this-one")).unwrap();
    let error = address.connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { code: 1045, .. }), "{error}");
    assert!(error.is_definite());
    assert!(!format!("{error} {error:?}").contains("not-this-one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reader_with_our_identity_ends_the_first() {
    let mysql = server();
    let mut first = Reading::start(&mysql.url(), StartPoint::Latest).await.unwrap();
    first.until(|r| r.idle >= 1).await;
    let mut second = Reading::start(&mysql.url(), StartPoint::Latest).await.unwrap();
    second.until(|r| r.idle >= 1).await;
    let error = first.failure().await;
    assert!(matches!(error, StreamError::Server { code: 1236, .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Operator);
    mysql.sql(&inserts("t", 1, 1)).unwrap();
    assert_eq!(second.take_seen(1).await, ["t+1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_as_strict_as_asked() {
    use mysql_async::prelude::Queryable as _;
    let mysql = server();
    let ca = mysql.datadir().join("ca.pem");
    let connect = async |options: &str| {
        let address = Address::from_url(&format!("{}?{options}", mysql.url())).unwrap();
        let mut conn = address.connect().await?;
        let cipher: Option<(String, String)> = conn.query_first("SHOW STATUS LIKE 'Ssl_cipher'").await.unwrap();
        conn.disconnect().await.unwrap();
        Ok::<_, ConnectError>(!cipher.unwrap().1.is_empty())
    };
    assert!(!connect("tls=disabled").await.unwrap());
    if !ca.exists() {
        return; // a build of the server without certificates of its own
    }
    assert!(connect("tls=preferred").await.unwrap());
    assert!(connect("tls=required").await.unwrap());
    // The server's own certificate names no host.
    let strict = format!("tls=verify-identity&ca={}", ca.display());
    assert!(connect(&strict).await.is_err());
    assert!(connect("tls=verify-ca").await.is_err(), "the built-in authorities did not sign it");
}
