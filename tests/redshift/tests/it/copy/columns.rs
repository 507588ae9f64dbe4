//! Columns: by position, with the count that must match.

use super::cluster::Cluster;
use crate::parquet_files::{file, int32, text};

const TWO_TEXTS: &str = "optional byte_array b (STRING); optional byte_array a (STRING);";

#[tokio::test]
async fn columns_are_mapped_by_position_whatever_their_names() {
    let mut cluster = Cluster::start("copy_position").await;
    cluster.sql("CREATE TABLE t (a VARCHAR(9), b VARCHAR(9))").await;
    cluster.put("f.parquet", &file(TWO_TEXTS, &[text(&["of b"]), text(&["of a"])]));
    // The trap: the file's b lands in a.
    cluster.copy("t", "f.parquet", "").await.unwrap();
    assert_eq!(cluster.rows("SELECT a, b FROM t").await, ["of b|of a"]);
    // The list in the file's order puts it right.
    cluster.sql("DELETE FROM t").await;
    cluster.copy("t (b, a)", "f.parquet", "").await.unwrap();
    assert_eq!(cluster.rows("SELECT a, b FROM t").await, ["of a|of b"]);
}

#[tokio::test]
async fn strict_names_fail_what_position_would_hide() {
    let mut cluster = Cluster::start_own("copy_strict_names").await;
    cluster.sql("CREATE TABLE t (a VARCHAR(9), b VARCHAR(9))").await;
    cluster.put("f.parquet", &file(TWO_TEXTS, &[text(&["x"]), text(&["y"])]));
    cluster.change(|loader| loader.strict_names = true);
    let (_, detail) = cluster.refused("t", "f.parquet", "").await;
    assert!(detail.contains("\"b\" and would go into \"a\""), "{detail}");
    assert_eq!(cluster.copy("t (b, a)", "f.parquet", "").await.unwrap(), 1);
}

#[tokio::test]
async fn the_counts_must_match() {
    let mut cluster = Cluster::start("copy_count").await;
    cluster
        .sql("CREATE TABLE t (a VARCHAR(9), b VARCHAR(9), c VARCHAR(9) DEFAULT 'c'); CREATE TABLE one (a VARCHAR(9))")
        .await;
    cluster.put("f.parquet", &file(TWO_TEXTS, &[text(&["x"]), text(&["y"])]));
    let (message, detail) = cluster.refused("t", "f.parquet", "").await;
    assert_eq!(message, "Spectrum Scan Error");
    let text = "Unmatched number of columns between table and file. Table columns: 3, Data columns: 2, File name: \
                https://s3.us-east-1.amazonaws.com/copy-count/f.parquet";
    assert!(detail.contains(text), "{detail}");
    let (_, detail) = cluster.refused("one", "f.parquet", "").await;
    assert!(detail.contains("Table columns: 1, Data columns: 2"), "{detail}");
    // A list makes it match, and what is left out takes its default.
    cluster.copy("t (a, b)", "f.parquet", "").await.unwrap();
    assert_eq!(cluster.rows("SELECT a, b, c FROM t").await, ["x|y|c"]);
}

#[tokio::test]
async fn fillrecord_fills_the_end_with_null() {
    let mut cluster = Cluster::start("copy_fillrecord").await;
    cluster.sql("CREATE TABLE t (a VARCHAR(9), b VARCHAR(9), c VARCHAR(9)); CREATE TABLE n (a VARCHAR(9), b VARCHAR(9), c INTEGER NOT NULL); CREATE TABLE one (a VARCHAR(9))").await;
    cluster.put("f.parquet", &file(TWO_TEXTS, &[text(&["x"]), text(&["y"])]));
    cluster.copy("t", "f.parquet", "FILLRECORD").await.unwrap();
    assert_eq!(cluster.rows("SELECT a, b, c FROM t").await, ["x|y|NULL"]);
    // It fills nothing that takes no NULL, and cuts nothing.
    let (message, _) = cluster.refused("n", "f.parquet", "FILLRECORD").await;
    assert_eq!(message, "Cannot insert a NULL value into column c");
    let (_, detail) = cluster.refused("one", "f.parquet", "FILLRECORD").await;
    assert!(detail.contains("Unmatched number of columns"), "{detail}");
}

#[tokio::test]
async fn identity_columns_are_filled_unless_the_files_have_them() {
    let mut cluster = Cluster::start("copy_identity").await;
    cluster.sql("CREATE TABLE t (id INTEGER IDENTITY(1,1), v VARCHAR(9))").await;
    cluster.put("v.parquet", &file("optional byte_array v (STRING);", &[text(&["x", "y"])]));
    let both = file("optional int32 id; optional byte_array v (STRING);", &[int32(&[70]), text(&["z"])]);
    cluster.put("both.parquet", &both);
    cluster.copy("t", "v.parquet", "").await.unwrap();
    cluster.copy("t", "both.parquet", "EXPLICIT_IDS").await.unwrap();
    assert_eq!(cluster.rows("SELECT id, v FROM t ORDER BY id").await, ["1|x", "2|y", "70|z"]);
    assert_eq!(cluster.copy("t (id, v)", "both.parquet", "").await.unwrap_err().code, "0A000");
    assert_eq!(cluster.copy("t (v)", "v.parquet", "EXPLICIT_IDS").await.unwrap_err().code, "0A000");
}

#[tokio::test]
async fn tables_and_columns_must_exist() {
    let mut cluster = Cluster::start("copy_missing").await;
    cluster.sql("CREATE TABLE t (a VARCHAR(9), n INTEGER NOT NULL)").await;
    cluster.put("f.parquet", &file("optional byte_array a (STRING);", &[text(&["x"])]));
    let missing = cluster.copy("nowhere", "f.parquet", "").await.unwrap_err();
    assert_eq!(
        (missing.code.as_str(), missing.message.as_str()),
        ("42P01", "Cannot COPY into nonexistent table nowhere")
    );
    assert_eq!(cluster.copy("t (b)", "f.parquet", "").await.unwrap_err().code, "42703");
    assert_eq!(cluster.copy("t (a, a)", "f.parquet", "").await.unwrap_err().code, "42701");
    let (message, _) = cluster.refused("t (a)", "f.parquet", "").await;
    assert_eq!(message, "Cannot insert a NULL value into column n");
}
