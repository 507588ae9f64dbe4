//! S8, S9: faults on request.

use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use tailwater_redshift::{Fault, Kind};

use super::cluster::{Client, options, refused, snapshot};

#[tokio::test]
async fn s8_a_connection_is_lost_before_a_commit() {
    let mut client = Client::new("s8_before").await;
    client.run("CREATE TABLE t (a INT)").await;
    snapshot().inject(Fault::lose_before().on("^COMMIT").in_database("s8_before"));
    client.run("BEGIN; INSERT INTO t VALUES (1)").await;
    let error = client.attempt("COMMIT").await.unwrap_err();
    assert!(error.as_database_error().is_none(), "{error}");
    let mut client = Client::at(&snapshot().url("s8_before")).await;
    assert_eq!(client.value("SELECT count(*) FROM t").await, "0");
}

#[tokio::test]
async fn s8_a_connection_is_lost_after_a_commit() {
    let mut client = Client::new("s8_after").await;
    client.run("CREATE TABLE t (a INT)").await;
    snapshot().inject(Fault::lose_after().on("^COMMIT").in_database("s8_after"));
    client.run("BEGIN; INSERT INTO t VALUES (1)").await;
    let error = client.attempt("COMMIT").await.unwrap_err();
    assert!(error.as_database_error().is_none(), "{error}");
    let mut client = Client::at(&snapshot().url("s8_after")).await;
    assert_eq!(client.value("SELECT count(*) FROM t").await, "1");
}

#[tokio::test]
async fn s9_every_third_commit_fails() {
    let mut client = Client::new("s9_third").await;
    client.run("CREATE TABLE t (a INT)").await;
    snapshot().inject(Fault::serialization_violation().on("^COMMIT").every(3).times(2).in_database("s9_third"));
    let mut failed = 0;
    for _ in 0..9 {
        client.run("BEGIN; INSERT INTO t VALUES (1)").await;
        if let Err(error) = client.attempt("COMMIT").await {
            let refused = refused(&error);
            assert_eq!((refused.code.as_str(), refused.message.as_str()), ("XX000", "1023"));
            failed += 1;
        }
    }
    assert_eq!(failed, 2);
    // What failed was rolled back, and the session goes on.
    assert_eq!(client.value("SELECT count(*) FROM t").await, "7");
}

#[tokio::test]
async fn s9_scripted_errors() {
    let mut client = Client::new("s9_scripted").await;
    client.run("CREATE TABLE t (a INT)").await;
    for (fault, code, message) in [
        (Fault::deadlock(), "40P01", "deadlock detected"),
        (Fault::disk_full(), "XX000", "Disk Full"),
        (Fault::resize(), "XX000", "Cannot execute write query because system is in resize mode"),
        (Fault::cancelled(), "57014", "Query (17) cancelled on user's request"),
    ] {
        snapshot().inject(fault.on("insert into t").in_database("s9_scripted"));
        let found = client.error("INSERT INTO t VALUES (1)").await;
        assert_eq!((found.0.as_str(), found.1.as_str()), (code, message));
    }
    client.run("INSERT INTO t VALUES (1)").await;
}

#[tokio::test]
async fn s8_slowness() {
    let mut client = Client::new("s8_slow").await;
    snapshot().inject(Fault::delay(Duration::from_millis(120)).on("select 1").in_database("s8_slow"));
    let started = Instant::now();
    client.run("SELECT 1").await;
    assert!(started.elapsed() >= Duration::from_millis(120));
    let options = tailwater_redshift::Options { commit_floor: Duration::from_millis(80), ..Default::default() };
    let server = tailwater_redshift::Redshift::start(options).unwrap();
    let mut client = Client::at(&server.url("dev")).await;
    let started = Instant::now();
    client.run("BEGIN; CREATE TABLE t (a INT); COMMIT").await;
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn the_server_is_down_for_a_while() {
    let server = tailwater_redshift::Redshift::start(tailwater_redshift::Options::default()).unwrap();
    let url = server.url("dev");
    let mut client = Client::at(&url).await;
    client.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)").await;
    client.run("BEGIN; INSERT INTO t VALUES (2)").await;
    server.pause();
    assert!(client.attempt("COMMIT").await.is_err());
    assert!(options(&url).connect().await.is_err());
    server.resume().unwrap();
    let mut client = Client::at(&url).await;
    assert_eq!(client.value("SELECT count(*) FROM t").await, "1");
}

#[tokio::test]
async fn statements_are_logged() {
    let mut client = Client::new("logged").await;
    client.run("CREATE TABLE t (a INT)").await;
    client.run("BEGIN; INSERT INTO t VALUES (1), (2); COMMIT").await;
    client.run("INSERT INTO t VALUES (3)").await;
    let _ = client
        .error("COPY t FROM 's3://b/k' ACCESS_KEY_ID 'AKIA' SECRET_ACCESS_KEY 'very-secret' FORMAT PARQUET")
        .await;
    let all: Vec<_> = snapshot().statements().into_iter().filter(|statement| statement.database == "logged").collect();
    let kinds: Vec<_> = all.iter().map(|statement| statement.kind).collect();
    assert_eq!(kinds, [Kind::Definition, Kind::Begin, Kind::Insert, Kind::Commit, Kind::Insert, Kind::Copy]);
    assert_eq!(all.iter().filter(|statement| statement.committed).count(), 3);
    assert_eq!(all[2].rows, 2);
    assert!(all[5].error.is_some() && !all[5].text.contains("very-secret"), "{}", all[5].text);
}
