//! SUPER and VARBYTE.

use super::cluster::Client;

#[tokio::test]
async fn m1_json_parse_and_serialize() {
    let mut client = Client::new("json_parse").await;
    client.run("CREATE TABLE t (id INT, s SUPER, v VARCHAR(65535))").await;
    client.run(r#"INSERT INTO t SELECT 1, JSON_PARSE('{"a": [1, "x, y: z", null], "b": {"c": true}}')"#).await;
    assert_eq!(client.value("SELECT JSON_SERIALIZE(s) FROM t").await, r#"{"a":[1,"x, y: z",null],"b":{"c":true}}"#);
    assert_eq!(client.value("SELECT s FROM t").await, r#"{"a":[1,"x, y: z",null],"b":{"c":true}}"#);
    assert_eq!(client.value("SELECT JSON_TYPEOF(s) FROM t").await, "object");
    assert_eq!(client.value("SELECT JSON_SIZE(s) FROM t").await, "39");
    let refused = client.refused("SELECT JSON_PARSE('{')").await;
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("XX000", "Invalid input"));
    assert!(
        refused.detail.contains("8001") && refused.detail.contains("JSON_PARSE() error: End-of-input"),
        "{}",
        refused.detail
    );
    assert_eq!(client.value("SELECT CAN_JSON_PARSE('{'), CAN_JSON_PARSE('[1]'), IS_VALID_JSON('{}')").await, "f|t|t");
    assert_eq!(client.error("SELECT IS_VALID_JSON(s) FROM t").await.0, "42883");
    assert_eq!(
        client.value(r#"SELECT JSON_SERIALIZE(OBJECT('a', 1, 'b', ARRAY(1, 'x')))"#).await,
        r#"{"a":1,"b":[1,"x"]}"#
    );
    assert_eq!(client.value("SELECT JSON_SERIALIZE(JSON_PARSE(CAST('[1, 2]' AS VARBYTE)))").await, "[1,2]");
}

#[tokio::test]
async fn m1_a_text_into_super_is_a_string() {
    let mut client = Client::new("super_text").await;
    client.run("CREATE TABLE t (id INT, s SUPER, b VARBYTE(20))").await;
    client.run(r#"INSERT INTO t VALUES (1, '{"a":1}', 'ab'), (2, NULL, NULL)"#).await;
    client.run("INSERT INTO t (b, s, id) SELECT 'cd', 'plain', 3").await;
    client.run("UPDATE t SET s = 'other' WHERE id = 2").await;
    assert_eq!(
        client.rows("SELECT JSON_TYPEOF(s), JSON_SERIALIZE(s), TO_HEX(b) FROM t ORDER BY id").await,
        [r#"string|"{\"a\":1}"|6162"#, r#"string|"other"|NULL"#, r#"string|"plain"|6364"#]
    );
}

#[tokio::test]
async fn m1_strings_in_super_have_65535_bytes() {
    let mut client = Client::new("super_long").await;
    client.run("CREATE TABLE t (s SUPER)").await;
    // No literal is that long (L6): the text is put together from parts.
    let parsed = |parts: &[&str]| {
        let parts: Vec<String> = parts.iter().map(|part| format!("CAST('{part}' AS VARBYTE)")).collect();
        format!("INSERT INTO t SELECT JSON_PARSE({})", parts.join(" || "))
    };
    let fits = "x".repeat(65_535);
    client.run(&parsed(&["[\"", &fits, "\", \"", &fits, "\"]"])).await;
    let refused = client.refused(&parsed(&["[\"", &fits, "x\"]"])).await;
    assert_eq!(refused.code, "XX000");
    assert!(refused.detail.contains("String value exceeds the max size of 65535 bytes"), "{}", refused.detail);
    client.run("SET json_parse_truncate_strings = ON").await;
    client.run("TRUNCATE t").await;
    client.run(&parsed(&["{\"a\":[\"", &fits, "x\"]}"])).await;
    assert_eq!(client.value("SELECT JSON_SIZE(s) FROM t").await, "65545");
}

#[tokio::test]
async fn m1_what_super_cannot_hold() {
    let mut client = Client::new("super_not").await;
    assert_eq!(client.error("SELECT CAST(DATE '2026-01-01' AS SUPER)").await.0, "42846");
    assert_eq!(client.error(r#"SELECT JSON_PARSE('"\\u0000"')"#).await.0, "XX000");
    assert_eq!(client.error(r"SELECT 'a\000b'").await.0, "22021");
}
