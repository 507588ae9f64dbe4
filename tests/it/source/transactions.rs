//! What MySQL logs, and what comes out.

use tailwater::source::mysql::start::StartPoint;
use tailwater_servers::{Mysql, MysqlOptions};

use super::reading::{Reading, inserted, inserts};

fn server() -> Mysql {
    let mysql = Mysql::start(MysqlOptions::default()).unwrap();
    mysql
        .sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY); CREATE TABLE d.u (id INT PRIMARY KEY)")
        .unwrap();
    mysql
}

async fn latest(mysql: &Mysql) -> Reading {
    Reading::start(&mysql.url(), StartPoint::Latest).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_where_it_is_told_to() {
    let mysql = server();
    mysql.sql(&inserts("t", 1, 3)).unwrap();
    let middle = mysql.gtid_executed().unwrap();
    mysql.sql(&inserts("t", 4, 6)).unwrap();
    let mut late = latest(&mysql).await;
    mysql.sql("FLUSH BINARY LOGS").unwrap();
    mysql.sql(&inserts("t", 7, 9)).unwrap();

    let mut all = Reading::start(&mysql.url(), StartPoint::Earliest).await.unwrap();
    let seen = all.take_seen(11).await;
    assert!(seen[0].starts_with("CreateTable"), "{seen:?}");
    assert_eq!(seen[2..], inserted("t", 1, 9));
    let mut some = Reading::with_id(&mysql.url(), StartPoint::Gtids(middle), 1_900_000_002).await.unwrap();
    assert_eq!(some.take_seen(6).await, inserted("t", 4, 9));

    // The first reader with the same identity gave way to the second, so it is read with another one.
    drop(all);
    late.until(|r| r.seen.len() >= 3).await;
    assert_eq!(late.seen, inserted("t", 7, 9));

    // All of them stand at the same place, and a resumed reader goes on from it.
    let position = some.assembler.position();
    assert_eq!(position.gtid_set.as_deref(), Some(&*mysql.gtid_executed().unwrap()));
    let (file, offset) = mysql.binlog_position().unwrap();
    assert_eq!((position.file.as_deref(), position.offset), (Some(&*file), offset));
    let mut resumed = Reading::with_id(&mysql.url(), StartPoint::Resume(position), 1_900_000_003).await.unwrap();
    mysql.sql(&inserts("t", 10, 10)).unwrap();
    assert_eq!(resumed.take_seen(1).await, ["t+10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_source_beats() {
    let mysql = server();
    let mut reading = latest(&mysql).await;
    reading.until(|r| r.idle >= 2).await;
    assert_eq!(reading.restarts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_every_kind() {
    let mysql = server();
    mysql
        .sql(
            "CREATE TABLE d.m (id INT PRIMARY KEY) ENGINE=MyISAM; CREATE DATABASE e; CREATE TABLE e.x (id INT PRIMARY KEY);
             CREATE TRIGGER d.tr AFTER INSERT ON d.t FOR EACH ROW INSERT INTO d.u VALUES (NEW.id + 100)",
        )
        .unwrap();
    let mut reading = latest(&mysql).await;
    mysql
        .sql(
            "INSERT INTO d.t VALUES (1);
             BEGIN; INSERT INTO d.t VALUES (2); SAVEPOINT s; INSERT INTO d.t VALUES (3); ROLLBACK TO s; COMMIT;
             BEGIN; INSERT INTO d.t VALUES (4); ROLLBACK;
             INSERT INTO d.m VALUES (5);
             INSERT INTO e.x VALUES (6);
             DELETE d.t, d.u FROM d.t JOIN d.u ON d.u.id = d.t.id + 100;
             CREATE TABLE d.c AS SELECT 7 AS id;
             TRUNCATE d.c;
             RENAME TABLE d.c TO d.c2;
             ALTER TABLE d.c2 ADD COLUMN v INT NOT NULL DEFAULT 5;
             DROP TABLE d.c2",
        )
        .unwrap();
    let seen = reading.take_seen(14).await;
    assert_eq!(seen[..2], ["t+1", "u+101"]);
    assert_eq!(seen[2..4], ["t+2", "u+102"]);
    assert_eq!(seen[4], "m+5");
    let mut deleted = seen[5..9].to_vec();
    deleted.sort();
    assert_eq!(deleted, ["t-1", "t-2", "u-101", "u-102"]);
    assert!(seen[9].starts_with("CreateTable"), "{seen:?}");
    assert_eq!(seen[10], "c+7");
    assert!(seen[11].starts_with("Truncate") && seen[12].starts_with("Rename"), "{seen:?}");
    assert!(seen[13].contains("AddedColumn") && seen[13].contains(r#"Literal("5")"#), "{seen:?}");
    assert!(reading.take_seen(1).await[0].starts_with("DropTables"));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_transactions_arrive_whole() {
    let mysql = server();
    let mut reading = latest(&mysql).await;
    let many: Vec<_> = (1..=5000).map(|id| format!("({id})")).collect();
    let batch = format!(
        "SET binlog_transaction_compression=ON; INSERT INTO d.t VALUES {}; INSERT INTO d.u VALUES (1)",
        many.join(",")
    );
    mysql.sql(&batch).unwrap();
    let seen = reading.take_seen(5001).await;
    assert_eq!(seen[..5000], inserted("t", 1, 5000));
    assert_eq!(seen[5000], "u+1");
    assert_eq!(reading.restarts, 0);
    let (file, offset) = mysql.binlog_position().unwrap();
    let position = reading.assembler.position();
    assert_eq!((position.file.as_deref(), position.offset), (Some(&*file), offset));
}

#[tokio::test(flavor = "multi_thread")]
async fn xa_transactions_are_prepared_and_decided() {
    let mysql = server();
    let mut reading = latest(&mysql).await;
    let xa = |id: i32, end: &str| format!("XA START 'g','b'; INSERT INTO d.t VALUES ({id}); XA END 'g','b'; {end};");
    mysql.sql(&xa(1, "XA PREPARE 'g','b'; XA COMMIT 'g','b'")).unwrap();
    mysql.sql(&xa(2, "XA PREPARE 'g','b'; XA ROLLBACK 'g','b'")).unwrap();
    mysql.sql(&xa(3, "XA COMMIT 'g','b' ONE PHASE")).unwrap();
    let xid = "X'67',X'62',1";
    let (prepared, committed, undone) =
        (format!("prepared {xid}"), format!("committed {xid}"), format!("undone {xid}"));
    assert_eq!(reading.take_seen(7).await, [&prepared, "t+1", &committed, &prepared, "t+2", &undone, "t+3"]);
    assert_eq!(reading.assembler.position().gtid_set.as_deref(), Some(&*mysql.gtid_executed().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_without_rows_are_reported() {
    let mysql = server();
    mysql.sql("CREATE DATABASE e; CREATE TABLE e.x (id INT PRIMARY KEY)").unwrap();
    let mut reading = latest(&mysql).await;
    mysql
        .sql("SET binlog_format=STATEMENT; INSERT INTO e.x VALUES (1); INSERT INTO d.t VALUES (1); UPDATE d.t JOIN d.u SET d.t.id=2")
        .unwrap();
    assert_eq!(reading.take_seen(2).await, [r#"text ["t"]"#, "text []"]);
}
