//! D1–D3, D5: tables, their types and attributes.

use super::cluster::Client;

#[tokio::test]
async fn d1_physical_attributes_are_kept() {
    let mut client = Client::new("d1_kept").await;
    client
        .run(
            "CREATE TABLE t (id BIGINT NOT NULL ENCODE raw, name VARCHAR(300) ENCODE lzo, at TIMESTAMP ENCODE az64, \
             PRIMARY KEY (id)) BACKUP NO DISTSTYLE KEY DISTKEY (id) COMPOUND SORTKEY (at, id)",
        )
        .await;
    let definition =
        "SELECT \"column\", type, encoding, distkey, sortkey, \"notnull\" FROM pg_table_def WHERE tablename = 't'";
    let rows = client.rows(definition).await;
    assert_eq!(
        rows,
        ["id|bigint|raw|t|2|t", "name|character varying(300)|lzo|f|0|f", "at|timestamp without time zone|az64|f|1|f"]
    );
    let info = "SELECT \"table\", diststyle, sortkey1, sortkey_num, tbl_rows, max_varchar FROM svv_table_info";
    // A table without rows is not shown.
    assert_eq!(client.rows(info).await, Vec::<String>::new());
    client.run("INSERT INTO t VALUES (1, 'x', '2026-01-01')").await;
    assert_eq!(client.rows(info).await, ["t|KEY(id)|at|2|1|300"]);
}

#[tokio::test]
async fn d1_attributes_are_checked() {
    let mut client = Client::new("d1_checked").await;
    assert_eq!(client.error("CREATE TABLE t (a INT) DISTKEY (b)").await.0, "42703");
    assert_eq!(client.error("CREATE TABLE t (a SUPER) SORTKEY (a)").await.0, "0A000");
    assert_eq!(client.error("CREATE TABLE t (a SUPER DISTKEY)").await.0, "0A000");
    assert_eq!(client.error("CREATE TABLE t (a INT ENCODE text255)").await.0, "0A000");
    assert_eq!(client.error("CREATE TABLE t (a VARCHAR(5) ENCODE az64)").await.0, "0A000");
    assert_eq!(client.error("CREATE TABLE t (a INT ENCODE quick)").await.0, "42601");
    assert_eq!(client.error("CREATE TABLE t (a INT) DISTSTYLE EVEN DISTKEY (a)").await.0, "42611");
    assert_eq!(client.error("CREATE TEMP TABLE public.t (a INT)").await.0, "42P16");
    let columns = |count: usize| (0..count).map(|n| format!("c{n} INT")).collect::<Vec<_>>().join(", ");
    let (_, message) = client.error(&format!("CREATE TABLE t ({})", columns(1_601))).await;
    assert_eq!(message, "tables can have at most 1600 columns");
    let keys = (0..401).map(|n| format!("c{n}")).collect::<Vec<_>>().join(", ");
    assert_eq!(client.error(&format!("CREATE TABLE t ({}) SORTKEY ({keys})", columns(401))).await.0, "54011");
}

#[tokio::test]
async fn d1_like_copies_keys_and_encodings() {
    let mut client = Client::new("d1_like").await;
    client.run("CREATE TABLE a (id INT NOT NULL DEFAULT 7 ENCODE raw, s SUPER, PRIMARY KEY (id)) DISTKEY (id) SORTKEY (id)").await;
    client.run("CREATE TEMP TABLE b (LIKE a)").await;
    client.run("CREATE TABLE c (LIKE a INCLUDING DEFAULTS)").await;
    let of = |table| {
        format!(
            "SELECT \"column\", type, encoding, distkey, sortkey, \"notnull\" FROM pg_table_def WHERE tablename = '{table}'"
        )
    };
    let want = ["id|integer|raw|t|1|t", "s|super|none|f|0|f"];
    assert_eq!(client.rows(&of("b")).await, want);
    assert_eq!(client.rows(&of("c")).await, want);
    client.run("INSERT INTO c (s) VALUES (NULL)").await;
    assert_eq!(client.value("SELECT id FROM c").await, "7");
    assert_eq!(client.error("INSERT INTO b (s) VALUES (NULL)").await.0, "XX000");
}

#[tokio::test]
async fn d1_hash_names_and_identity() {
    let mut client = Client::new("d1_hash").await;
    client.run("CREATE TABLE #t (id BIGINT IDENTITY(5, 10), v INT)").await;
    client.run("INSERT INTO #t (v) VALUES (1), (2)").await;
    assert_eq!(client.rows("SELECT id, v FROM #t ORDER BY id").await, ["5|1", "15|2"]);
    assert_eq!(client.error("INSERT INTO #t (id, v) VALUES (1, 1)").await.0, "0A000");
    assert_eq!(client.rows("SELECT table_type FROM svv_tables WHERE table_name = '#t'").await, ["LOCAL TEMPORARY"]);
}

#[tokio::test]
async fn d1_if_not_exists_and_as() {
    let mut client = Client::new("d1_as").await;
    client.run("CREATE SCHEMA IF NOT EXISTS s; CREATE SCHEMA IF NOT EXISTS s").await;
    client.run("CREATE TABLE IF NOT EXISTS s.t (a INT); CREATE TABLE IF NOT EXISTS s.t (b INT)").await;
    assert_eq!(client.error("CREATE TABLE s.t (a INT)").await.0, "42P07");
    client.run("INSERT INTO s.t VALUES (3)").await;
    client.run("CREATE TABLE u DISTKEY (b) AS SELECT a AS b, 'x'::VARCHAR AS c FROM s.t").await;
    assert_eq!(client.rows("SELECT b, c FROM u").await, ["3|x"]);
    client.run("DROP TABLE IF EXISTS u; DROP TABLE IF EXISTS u").await;
    assert_eq!(client.error("DROP TABLE u").await.0, "42P01");
}

#[tokio::test]
async fn d2_varchar_counts_bytes() {
    let mut client = Client::new("d2_varchar").await;
    client.run("CREATE TABLE t (a VARCHAR(4), b TEXT, c CHAR(3), d VARCHAR(MAX), e VARBYTE(3))").await;
    client.run("INSERT INTO t (a) VALUES ('ää')").await;
    let (code, message) = client.error("INSERT INTO t (a) VALUES ('ääx')").await;
    assert_eq!((code.as_str(), message.as_str()), ("22001", "value too long for type character varying(4)"));
    let refused = client.refused("INSERT INTO t (a) SELECT b FROM (SELECT 'ääx'::VARCHAR AS b) AS s").await;
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("XX000", "Value too long for character type"));
    assert!(refused.detail.contains("8001"), "{}", refused.detail);
    client.run(&format!("INSERT INTO t (b) VALUES ('{}')", "x".repeat(256))).await;
    assert_eq!(client.error(&format!("INSERT INTO t (b) VALUES ('{}')", "x".repeat(257))).await.0, "22001");
    assert_eq!(client.error("INSERT INTO t (c) VALUES ('ä')").await.0, "22023");
    assert_eq!(client.error("INSERT INTO t (e) VALUES ('abcd')").await.0, "22001");
    assert_eq!(client.error("CREATE TABLE u (a VARCHAR(65536))").await.0, "22023");
    assert_eq!(client.error("CREATE TABLE u (a CHAR(4097))").await.0, "22023");
    assert_eq!(client.error("CREATE TABLE u (a VARBYTE(16777217))").await.0, "22023");
}

#[tokio::test]
async fn d2_decimals() {
    let mut client = Client::new("d2_decimals").await;
    client.run("CREATE TABLE t (a DECIMAL, b DECIMAL(38, 37), c DECIMAL(19, 2))").await;
    let types = "SELECT numeric_precision, numeric_scale FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position";
    assert_eq!(client.rows(types).await, ["18|0", "38|37", "19|2"]);
    // 19 digits have 8 bytes.
    client.run("INSERT INTO t (c) VALUES (92233720368547758.07)").await;
    let (_, message) = client.error("INSERT INTO t (c) VALUES (92233720368547758.08)").await;
    assert!(message.starts_with("Numeric data overflow"), "{message}");
    let (_, message) = client.error("INSERT INTO t (a) VALUES (1e18)").await;
    assert!(message.starts_with("Numeric data overflow"), "{message}");
    let (_, message) = client.error("CREATE TABLE u (a DECIMAL(39, 0))").await;
    assert!(message.starts_with("Precision exceeds maximum"), "{message}");
    assert_eq!(client.error("CREATE TABLE u (a DECIMAL(10, 11))").await.0, "22023");
}

#[tokio::test]
async fn d3_keys_are_not_enforced() {
    let mut client = Client::new("d3").await;
    client.run("CREATE TABLE t (id INT, u INT UNIQUE, PRIMARY KEY (id))").await;
    client.run("INSERT INTO t VALUES (1, 1), (1, 1)").await;
    assert_eq!(client.value("SELECT count(*) FROM t").await, "2");
    assert_eq!(client.error("INSERT INTO t VALUES (NULL, 1)").await.0, "XX000");
    client
        .run("CREATE TABLE f (id INT REFERENCES t (id), FOREIGN KEY (id) REFERENCES t (id)); INSERT INTO f VALUES (99)")
        .await;
}

#[tokio::test]
async fn d5_truncate_commits() {
    let mut client = Client::new("d5").await;
    client.run("CREATE TABLE a (v INT); CREATE TABLE b (v INT); INSERT INTO b VALUES (1)").await;
    client.run("BEGIN").await;
    client.run("INSERT INTO a VALUES (1)").await;
    client.run("TRUNCATE TABLE b").await;
    // There is nothing left to roll back.
    client.run("ROLLBACK").await;
    assert_eq!(client.rows("SELECT count(*) FROM a UNION ALL SELECT count(*) FROM b").await, ["1", "0"]);
}
