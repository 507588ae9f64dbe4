//! M5: transactions and isolation.

use super::cluster::{Client, serializable, snapshot};

#[tokio::test]
async fn m5_an_error_spoils_the_transaction() {
    let mut client = Client::new("m5_error").await;
    client.run("CREATE TABLE t (a INT)").await;
    client.run("BEGIN; INSERT INTO t VALUES (1)").await;
    assert_eq!(client.error("SELECT nothing FROM t").await.0, "42703");
    let (code, message) = client.error("SELECT 1").await;
    assert_eq!(code, "25P02");
    assert_eq!(message, "current transaction is aborted, commands ignored until end of transaction block");
    // COMMIT rolls back, and says so to whoever reads the tag.
    client.run("COMMIT").await;
    assert_eq!(client.value("SELECT count(*) FROM t").await, "0");
}

#[tokio::test]
async fn m5_several_statements_are_one_transaction() {
    let mut client = Client::new("m5_several").await;
    client.run("CREATE TABLE t (a INT)").await;
    assert_eq!(client.error("INSERT INTO t VALUES (1); INSERT INTO nothing VALUES (1)").await.0, "42P01");
    assert_eq!(client.value("SELECT count(*) FROM t").await, "0");
    client.run("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await;
    client.run("BEGIN; INSERT INTO t VALUES (3); COMMIT; BEGIN; INSERT INTO t VALUES (4); ROLLBACK").await;
    assert_eq!(client.value("SELECT count(*) FROM t").await, "3");
}

#[tokio::test]
async fn m5_definitions_are_transactional() {
    let mut client = Client::new("m5_definitions").await;
    client.run("CREATE TABLE t (a INT)").await;
    client
        .run("BEGIN; ALTER TABLE t ADD COLUMN b INT; CREATE TABLE u (a INT); ALTER TABLE t RENAME TO v; ROLLBACK")
        .await;
    assert_eq!(client.rows("SELECT table_name, column_name FROM svv_columns").await, ["t|a"]);
}

#[tokio::test]
async fn m5_lock_needs_a_transaction() {
    let mut client = Client::new("m5_lock").await;
    client.run("CREATE TABLE t (a INT)").await;
    assert_eq!(client.error("LOCK TABLE t").await.0, "25P01");
    client.run("BEGIN; LOCK t; COMMIT").await;
    assert_eq!(client.error("BEGIN; VACUUM t").await.0, "25001");
    client.run("ROLLBACK").await;
    client.run("VACUUM DELETE ONLY t").await;
    client.run("ANALYZE t").await;
}

/// Two transactions that have both read delete the same rows.
#[tokio::test]
async fn m5_conflicts_are_1023() {
    let url = snapshot().create_database("m5_conflict").unwrap();
    let (mut a, mut b) = (Client::at(&url).await, Client::at(&url).await);
    a.run("CREATE TABLE t (a INT); INSERT INTO t VALUES (1)").await;
    a.run("BEGIN; SELECT * FROM t; DELETE FROM t").await;
    b.run("BEGIN; SELECT * FROM t").await;
    // Its snapshot is older than the commit, whichever of the two is first now.
    let waiting = tokio::spawn(async move {
        let refused = b.refused("DELETE FROM t").await;
        b.run("ROLLBACK").await;
        refused
    });
    a.run("COMMIT").await;
    let refused = waiting.await.unwrap();
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("XX000", "1023"));
    assert!(refused.detail.starts_with("Serializable isolation violation on table - "), "{}", refused.detail);
}

/// Different rows of one table: a violation under serializable, none under snapshot.
#[tokio::test]
async fn m5_serializable_sees_cycles() {
    let url = serializable().create_database("m5_cycle").unwrap();
    let (mut a, mut b) = (Client::at(&url).await, Client::at(&url).await);
    a.run("CREATE TABLE p (a INT); CREATE TABLE q (a INT)").await;
    a.run("BEGIN; SELECT * FROM p").await;
    b.run("BEGIN; SELECT * FROM q").await;
    a.run("INSERT INTO q VALUES (1)").await;
    b.run("INSERT INTO p VALUES (1)").await;
    a.run("COMMIT").await;
    let (code, message) = b.error("COMMIT").await;
    assert_eq!((code.as_str(), message.as_str()), ("XX000", "1023"));
    // The session is out of the transaction.
    b.run("SELECT 1").await;
}

/// LOCK as the first statement takes no snapshot: what comes after it sees what the other one did.
#[tokio::test]
async fn m5_a_fence_first_prevents_it() {
    for (server, name) in [(snapshot(), "m5_fence_a"), (serializable(), "m5_fence_b")] {
        let url = server.create_database(name).unwrap();
        let (mut a, mut b) = (Client::at(&url).await, Client::at(&url).await);
        a.run("CREATE TABLE fence (a INT); CREATE TABLE t (a INT); INSERT INTO t VALUES (0)").await;
        a.run("BEGIN; LOCK fence; UPDATE t SET a = a + 1").await;
        b.run("BEGIN").await;
        let waiting = tokio::spawn(async move {
            b.run("LOCK fence; UPDATE t SET a = a + 1; COMMIT").await;
            b.value("SELECT a FROM t").await
        });
        a.run("COMMIT").await;
        assert_eq!(waiting.await.unwrap(), "2");
    }
}

#[tokio::test]
async fn m5_the_level_can_be_asked() {
    let mut client = Client::new("m5_level").await;
    assert_eq!(client.value("SELECT isolation_level FROM stv_db_isolation_level").await, "Snapshot Isolation");
    let mut client = Client::at(&serializable().create_database("m5_level").unwrap()).await;
    assert_eq!(client.value("SELECT isolation_level FROM stv_db_isolation_level").await, "Serializable");
}

#[tokio::test]
async fn d3_duplicates_fail_where_asked() {
    let options = tailwater_redshift::Options { check_keys: true, ..Default::default() };
    let server = tailwater_redshift::Redshift::start(options).unwrap();
    let mut client = Client::at(&server.url("dev")).await;
    client.run("CREATE TABLE t (id INT PRIMARY KEY, v INT)").await;
    assert_eq!(client.error("INSERT INTO t VALUES (1, 1), (1, 2)").await.0, "23505");
    client.run("BEGIN; INSERT INTO t VALUES (1, 1); INSERT INTO t VALUES (1, 2)").await;
    assert_eq!(client.error("COMMIT").await.0, "23505");
    assert_eq!(client.value("SELECT count(*) FROM t").await, "0");
}
