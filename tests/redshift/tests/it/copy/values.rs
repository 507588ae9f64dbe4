//! Values: lengths in bytes, NULL, invalid text, overflow, the size of a row.

use super::cluster::Cluster;
use crate::parquet_files::{Values, file, int32, int64, text};

const TEXT: &str = "optional byte_array v (STRING);";

#[tokio::test]
async fn the_length_of_text_is_its_bytes() {
    let mut cluster = Cluster::start("copy_length").await;
    cluster.sql("CREATE TABLE t (v VARCHAR(4))").await;
    cluster.put("fits.parquet", &file(TEXT, &[text(&["éé", "abcd", ""])]));
    cluster.put("long.parquet", &file(TEXT, &[text(&["abcd", "ééa"])]));
    cluster.copy("t", "fits.parquet", "").await.unwrap();
    assert_eq!(cluster.rows("SELECT v FROM t ORDER BY v").await, ["", "abcd", "éé"]);
    let (message, detail) = cluster.refused("t", "long.parquet", "").await;
    assert_eq!(message, "Spectrum Scan Error");
    let text = "The length of the data column v is longer than the length defined in the table. Table: 4, Data: 5";
    assert!(detail.contains(text), "{detail}");
    let row = cluster.load_error("line_number, trim(column_name), trim(column_length), error_code").await;
    assert_eq!(row, "2|v|4|15007");
}

#[tokio::test]
async fn a_failing_row_undoes_all_files() {
    let mut cluster = Cluster::start("copy_all_or_nothing").await;
    cluster.sql("CREATE TABLE t (v VARCHAR(4))").await;
    let many: Vec<&str> = std::iter::repeat_n("ok", 50_000).collect();
    cluster.put("p/1.parquet", &file(TEXT, &[text(&many)]));
    cluster.put("p/2.parquet", &file(TEXT, &[text(&["too long"])]));
    cluster.refused("t", "p/", "").await;
    assert_eq!(cluster.rows("SELECT COUNT(*) FROM t").await, ["0"]);
}

#[tokio::test]
async fn null_is_refused_or_becomes_the_default() {
    let mut cluster = Cluster::start("copy_null").await;
    cluster.sql("CREATE TABLE t (id INTEGER NOT NULL, v VARCHAR(9) NOT NULL DEFAULT 'none')").await;
    let fields = "optional int32 id; optional byte_array v (STRING);";
    cluster.put("default.parquet", &file(fields, &[int32(&[1]), Values::Bytes(vec![None])]));
    cluster.put("null.parquet", &file(fields, &[Values::Int32(vec![None]), text(&["x"])]));
    cluster.copy("t", "default.parquet", "").await.unwrap();
    assert_eq!(cluster.rows("SELECT id, v FROM t").await, ["1|none"]);
    let (message, detail) = cluster.refused("t", "null.parquet", "").await;
    assert_eq!(message, "Cannot insert a NULL value into column id");
    assert!(detail.contains("code:      8007"), "{detail}");
}

#[tokio::test]
async fn invalid_text_is_refused_or_replaced_byte_by_byte() {
    let mut cluster = Cluster::start("copy_utf8").await;
    cluster.sql("CREATE TABLE t (v VARCHAR(9))").await;
    cluster.put("f.parquet", &file(TEXT, &[Values::Bytes(vec![Some(b"a\xe2\x82z".to_vec())])]));
    let (_, detail) = cluster.refused("t", "f.parquet", "").await;
    assert!(detail.contains("Bad UTF8 hex sequence: e2"), "{detail}");
    cluster.copy("t", "f.parquet", "ACCEPTINVCHARS").await.unwrap();
    cluster.copy("t", "f.parquet", "ACCEPTINVCHARS AS '^'").await.unwrap();
    assert_eq!(cluster.rows("SELECT v FROM t ORDER BY v").await, ["a??z", "a^^z"]);
    cluster.put("zero.parquet", &file(TEXT, &[text(&["a\0"])]));
    let (_, detail) = cluster.refused("t", "zero.parquet", "").await;
    assert!(detail.contains("zero byte"), "{detail}");
}

#[tokio::test]
async fn numbers_out_of_range_are_refused() {
    let mut cluster = Cluster::start("copy_range").await;
    cluster
        .sql("CREATE TABLE small (c SMALLINT); CREATE TABLE d (c DECIMAL(19,0)); CREATE TABLE e (c DECIMAL(10,0))")
        .await;
    cluster.put("small.parquet", &file("optional int32 c (INTEGER(16,true));", &[int32(&[32_768])]));
    let beyond = i128::from(i64::MAX) + 1;
    let nineteen = |value: i128| vec![Some(value.to_be_bytes()[7..].to_vec())];
    let fields = "optional fixed_len_byte_array(9) c (DECIMAL(19,0));";
    cluster.put("cap.parquet", &file(fields, &[Values::Fixed(nineteen(beyond))]));
    cluster.put("max.parquet", &file(fields, &[Values::Fixed(nineteen(beyond - 1))]));
    cluster.put("ten.parquet", &file("optional int64 c (DECIMAL(10,0));", &[int64(&[10_000_000_000])]));
    for (table, key) in [("small", "small.parquet"), ("d", "cap.parquet"), ("e", "ten.parquet")] {
        let (_, detail) = cluster.refused(table, key, "").await;
        assert!(detail.contains("Numeric data overflow"), "{detail}");
    }
    cluster.copy("d", "max.parquet", "").await.unwrap();
    assert_eq!(cluster.rows("SELECT c FROM d").await, ["9223372036854775807"]);
}

#[tokio::test]
async fn char_takes_single_bytes_and_varbyte_its_length() {
    let mut cluster = Cluster::start("copy_char").await;
    cluster.sql("CREATE TABLE c (v CHAR(4)); CREATE TABLE b (v VARBYTE(8))").await;
    cluster.put("c.parquet", &file(TEXT, &[text(&["é"])]));
    cluster.put("b.parquet", &file("optional byte_array v;", &[text(&["123456789"])]));
    let (_, detail) = cluster.refused("c", "c.parquet", "").await;
    assert!(detail.contains("Multibyte character not supported for CHAR"), "{detail}");
    let (_, detail) = cluster.refused("b", "b.parquet", "").await;
    assert!(detail.contains("Table: 8, Data: 9"), "{detail}");
}

#[tokio::test]
async fn a_row_has_at_most_four_megabytes() {
    let mut cluster = Cluster::start("copy_row_size").await;
    let columns: Vec<String> = (0..65).map(|i| format!("c{i} VARCHAR(65535)")).collect();
    cluster.sql(&format!("CREATE TABLE t ({})", columns.join(", "))).await;
    let fields: String = (0..65).map(|i| format!("optional byte_array c{i} (STRING);")).collect();
    let value = "x".repeat(65_535);
    let fits: Vec<Values> = (0..65).map(|i| text(&[if i < 64 { &value } else { "" }])).collect();
    let long: Vec<Values> = (0..65).map(|_| text(&[&value])).collect();
    cluster.put("fits.parquet", &file(&fields, &fits));
    cluster.put("long.parquet", &file(&fields, &long));
    assert_eq!(cluster.copy("t", "fits.parquet", "").await.unwrap(), 1);
    let (_, detail) = cluster.refused("t", "long.parquet", "").await;
    assert!(detail.contains("exceeds the limit of 4194304 bytes"), "{detail}");
}
