//! COPY as a statement of a session: transactions, counts, notices.

use std::sync::Arc;

use tailwater_redshift::session::Session;

use super::cluster::{Cluster, ROLE};
use crate::parquet_files::{file, int32, text};

#[tokio::test]
async fn rows_belong_to_the_transaction_and_errors_end_it() {
    let mut cluster = Cluster::start("copy_transaction").await;
    cluster.sql("CREATE TABLE t (id INTEGER)").await;
    cluster.put("good.parquet", &file("optional int32 id;", &[int32(&[1, 2])]));
    cluster.put("bad.parquet", &file("optional byte_array id (STRING);", &[text(&["x"])]));
    cluster.sql("BEGIN").await;
    assert_eq!(cluster.copy("t", "good.parquet", "").await.unwrap(), 2);
    assert_eq!(cluster.rows("SELECT COUNT(*) FROM t").await, ["2"]);
    cluster.sql("ROLLBACK").await;
    assert_eq!(cluster.rows("SELECT COUNT(*) FROM t").await, ["0"]);

    cluster.sql("BEGIN").await;
    cluster.copy("t", "good.parquet", "").await.unwrap();
    cluster.refused("t", "bad.parquet", "").await;
    assert_eq!(cluster.run("SELECT 1").await.unwrap_err().code, "25P02");
    cluster.sql("ROLLBACK").await;
    assert_eq!(cluster.rows("SELECT COUNT(*) FROM t").await, ["0"]);
    // What could not be loaded is still told.
    assert_eq!(cluster.load_error("trim(file_name)").await, "s3://copy-transaction/bad.parquet");
    assert_eq!(cluster.rows("SELECT COUNT(*) FROM stl_load_errors WHERE err_code = 15007").await, ["1"]);
}

#[tokio::test]
async fn the_count_is_that_of_the_last_copy() {
    let mut cluster = Cluster::start("copy_last_count").await;
    cluster.sql("CREATE TABLE t (id INTEGER)").await;
    cluster.put("two.parquet", &file("optional int32 id;", &[int32(&[1, 2])]));
    assert_eq!(cluster.copy("t", "two.parquet", "").await.unwrap(), 2);
    assert_eq!(cluster.copy("t", "nothing/", "").await.unwrap(), 0);
}

#[tokio::test]
async fn a_load_is_announced() {
    let mut cluster = Cluster::start_own("copy_notice").await;
    cluster.sql("CREATE TABLE shop (id INTEGER)").await;
    cluster.put("f.parquet", &file("optional int32 id;", &[int32(&[1, 2, 3])]));
    let server = Arc::clone(cluster.server());
    let mut session = Session::open(server, "copy_notice", "awsuser").await.unwrap();
    let copy = format!("COPY shop FROM '{}' {ROLE} PARQUET", cluster.url("f.parquet"));
    let outcomes = session.execute(&copy).await.unwrap();
    assert_eq!(outcomes[0].tag, "COPY");
    let notice = &outcomes[0].notices[0];
    assert_eq!(notice.severity, "INFO");
    assert_eq!(notice.message, "Load into table 'shop' completed, 3 record(s) loaded successfully.");
    session.close().await;
}

#[tokio::test]
async fn copy_needs_the_right_to_insert() {
    let mut cluster = Cluster::start_own("copy_rights").await;
    cluster.sql("CREATE TABLE t (id INTEGER)").await;
    cluster.put("f.parquet", &file("optional int32 id;", &[int32(&[1])]));
    cluster.redshift().create_user("guest", "Guest-1234").unwrap();
    let server = Arc::clone(cluster.server());
    let mut session = Session::open(server, "copy_rights", "guest").await.unwrap();
    let copy = format!("COPY t FROM '{}' {ROLE} PARQUET", cluster.url("f.parquet"));
    assert_eq!(session.execute(&copy).await.unwrap_err().code, "42501");
    session.close().await;
}
