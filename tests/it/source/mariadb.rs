//! MariaDB: domains, its GTID event as BEGIN, compressed events.

use tailwater::source::mysql::start::StartPoint;
use tailwater_servers::MariaDb;

use super::reading::{Reading, inserted, inserts};

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_is_read_and_resumed() {
    let mariadb = MariaDb::start(&["--binlog-row-metadata=FULL"]).unwrap();
    mariadb.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
    let mut reading = Reading::start(&mariadb.url(), StartPoint::Latest).await.unwrap();
    mariadb.sql(&inserts("t", 1, 20)).unwrap();
    mariadb.sql("SET STATEMENT max_statement_time=10 FOR TRUNCATE d.t").unwrap();
    let seen = reading.take_seen(21).await;
    assert_eq!(seen[..20], inserted("t", 1, 20));
    assert!(seen[20].starts_with("Truncate"), "{seen:?}");
    let position = reading.assembler.position();
    let mut resumed = Reading::with_id(&mariadb.url(), StartPoint::Resume(position), 1_900_000_002).await.unwrap();
    mariadb.sql("SET SESSION gtid_domain_id=7; INSERT INTO d.t VALUES (21)").unwrap();
    assert_eq!(resumed.take_seen(1).await, ["t+21"]);
    let text = resumed.assembler.position().gtid_set.unwrap();
    assert!(text.contains(",7-"), "{text}");
    let mut all = Reading::with_id(&mariadb.url(), StartPoint::Earliest, 1_900_000_003).await.unwrap();
    let seen = all.take_seen(23).await;
    assert!(seen[0].starts_with("CreateTable"), "{seen:?}");
    assert_eq!(seen[1..21], inserted("t", 1, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_events_are_expanded() {
    let mariadb =
        MariaDb::start(&["--binlog-row-metadata=FULL", "--log-bin-compress=ON", "--log-bin-compress-min-len=10"])
            .unwrap();
    mariadb.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
    let mut reading = Reading::start(&mariadb.url(), StartPoint::Latest).await.unwrap();
    let many: Vec<_> = (1..=500).map(|id| format!("({id})")).collect();
    mariadb.sql(&format!("INSERT INTO d.t VALUES {}; DELETE FROM d.t WHERE id > 1", many.join(","))).unwrap();
    let seen = reading.take_seen(999).await;
    assert_eq!(seen[..500], inserted("t", 1, 500));
    assert!(seen[500..].iter().all(|row| row.starts_with("t-")));
    mariadb.sql("ALTER TABLE d.t COMMENT 'a comment that is long enough to be compressed'").unwrap();
    assert!(reading.take_seen(1).await[0].starts_with("Alter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn xa_transactions_of_mariadb() {
    let mariadb = MariaDb::start(&["--binlog-row-metadata=FULL"]).unwrap();
    mariadb.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
    let mut reading = Reading::start(&mariadb.url(), StartPoint::Latest).await.unwrap();
    let xa = |id: i32, end: &str| format!("XA START 'g','b'; INSERT INTO d.t VALUES ({id}); XA END 'g','b'; {end};");
    mariadb.sql(&xa(1, "XA PREPARE 'g','b'; XA COMMIT 'g','b'")).unwrap();
    mariadb.sql(&xa(2, "XA PREPARE 'g','b'; XA ROLLBACK 'g','b'")).unwrap();
    mariadb.sql(&xa(3, "XA COMMIT 'g','b' ONE PHASE")).unwrap();
    let xid = "X'67',X'62',1";
    let (prepared, committed, undone) =
        (format!("prepared {xid}"), format!("committed {xid}"), format!("undone {xid}"));
    assert_eq!(reading.take_seen(7).await, [&prepared, "t+1", &committed, &prepared, "t+2", &undone, "t+3"]);
}
