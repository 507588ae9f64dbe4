//! L1–L5.

use super::cluster::Client;

#[tokio::test]
async fn l1_quoted_names_are_folded() {
    let mut client = Client::new("l1_folded").await;
    client.run("CREATE TABLE \"Mixed\" (\"Id\" INT, \"ÄÖ\" INT)").await;
    client.run("INSERT INTO mixed (id, \"ÄÖ\") VALUES (1, 2)").await;
    assert_eq!(client.value("SELECT \"ID\" FROM \"MIXED\"").await, "1");
    let columns =
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'mixed' ORDER BY ordinal_position";
    assert_eq!(client.rows(columns).await, ["id", "ÄÖ"]);
    let (code, _) = client.error("CREATE TABLE twice (a INT, \"A\" INT)").await;
    assert_eq!(code, "42701");
}

#[tokio::test]
async fn l1_a_session_can_mind_the_case() {
    let mut client = Client::new("l1_case").await;
    client.run("SET enable_case_sensitive_identifier TO true").await;
    client.run("CREATE TABLE t (\"Id\" INT, \"ID\" INT)").await;
    client.run("INSERT INTO t (\"Id\", \"ID\") VALUES (1, 2)").await;
    assert_eq!(client.value("SELECT \"ID\" FROM T").await, "2");
    assert_eq!(client.error("SELECT ID FROM t").await.0, "42703");
}

#[tokio::test]
async fn l1_names_are_cut_to_127_bytes() {
    let mut client = Client::new("l1_cut").await;
    let long = "n".repeat(130);
    client.run(&format!("CREATE TABLE {long} ({long} INT, b INT)")).await;
    client.run(&format!("INSERT INTO {} VALUES (7, 1)", &long[..127])).await;
    assert_eq!(client.value(&format!("SELECT {}xyz FROM {long}", &long[..127])).await, "7");
    let found = client.rows("SELECT table_name, column_name FROM svv_columns WHERE ordinal_position = 1").await;
    assert_eq!(found, [format!("{0}|{0}", &long[..127])]);
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("SELECT * FROM {long}")))
        .fetch_all(&mut client.connection)
        .await
        .unwrap();
    assert_eq!(sqlx::Column::name(&sqlx::Row::columns(&rows[0])[0]), &long[..127]);
    // 126 bytes and a letter of two: nothing is cut in half.
    let half = format!("{}ä", "m".repeat(126));
    client.run(&format!("CREATE TABLE \"{half}\" (a INT)")).await;
    assert_eq!(client.rows(&format!("SELECT a FROM {}", "m".repeat(126))).await, Vec::<String>::new());
}

#[tokio::test]
async fn l2_a_backslash_escapes() {
    let mut client = Client::new("l2").await;
    assert_eq!(client.value(r"SELECT 'a\\b'").await, r"a\b");
    assert_eq!(client.value(r"SELECT 'it\'s'").await, "it's");
    assert_eq!(client.value(r"SELECT 'it''s''''', 'x\ty'").await, "it's''|x\ty");
    assert_eq!(client.value(r"SELECT len('\\')").await, "1");
}

#[tokio::test]
async fn l3_system_columns_cannot_be_made() {
    let mut client = Client::new("l3").await;
    for name in ["oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"] {
        let (code, _) = client.error(&format!("CREATE TABLE t (\"{name}\" INT)")).await;
        assert_eq!(code, "42701", "{name}");
    }
}

#[tokio::test]
async fn l4_a_statement_has_16_megabytes() {
    let mut client = Client::new("l4").await;
    let (code, message) = client.error(&format!("SELECT '{}'", "x".repeat(16 * 1024 * 1024))).await;
    assert_eq!(code, "54000");
    assert!(message.starts_with("Statement is too large. Statement Size: "), "{message}");
}

#[tokio::test]
async fn l5_reserved_words_need_quotes() {
    let mut client = Client::new("l5").await;
    for word in ["tag", "open", "partition", "snapshot", "percent", "user"] {
        let (code, message) = client.error(&format!("CREATE TABLE t ({word} INT)")).await;
        assert_eq!(code, "42601", "{word}");
        assert!(
            message.starts_with(&format!("syntax error at or near \"{}\"", word.to_uppercase()))
                || message.contains(word),
            "{message}"
        );
    }
    client.run("CREATE TABLE t (\"tag\" INT, \"open\" INT)").await;
    assert_eq!(client.error("SELECT tag FROM t").await.0, "42601");
    assert_eq!(client.rows("SELECT \"tag\", t.\"open\" FROM t").await, Vec::<String>::new());
}
