//! M1–M4: queries and data manipulation.

use super::cluster::Client;

#[tokio::test]
async fn m1_the_shape_of_a_merge_by_hand() {
    let mut client = Client::new("m1_by_hand").await;
    client.run("CREATE TABLE target (id BIGINT, v VARCHAR(20), PRIMARY KEY (id)); CREATE TABLE stage (id BIGINT, v VARCHAR(20), op CHAR(1), seq BIGINT)").await;
    client.run("INSERT INTO target VALUES (1, 'a'), (2, 'b'), (3, 'c')").await;
    client
        .run("INSERT INTO stage VALUES (1, 'old', 'U', 1), (1, 'A', 'U', 2), (2, NULL, 'D', 3), (4, 'd', 'I', 4)")
        .await;
    client.run("BEGIN").await;
    client.run("LOCK TABLE target").await;
    let deleted = client.attempt("DELETE FROM target USING stage WHERE target.id = stage.id").await.unwrap();
    assert_eq!(deleted, 2);
    let inserted = client
        .attempt(
            "INSERT INTO target (id, v) SELECT id, v FROM (SELECT id, v, op, ROW_NUMBER() OVER (PARTITION BY id ORDER BY seq DESC) AS n \
             FROM stage) AS newest WHERE n = 1 AND op <> 'D'",
        )
        .await
        .unwrap();
    assert_eq!(inserted, 2);
    client.run("COMMIT").await;
    assert_eq!(client.rows("SELECT id, v FROM target ORDER BY id").await, ["1|A", "3|c", "4|d"]);
    client.run("UPDATE target SET v = stage.v || '!' FROM stage WHERE target.id = stage.id AND stage.op = 'I'").await;
    assert_eq!(client.value("SELECT v FROM target WHERE id = 4").await, "d!");
    client.run("DELETE target WHERE id = 4").await;
    let missing = "SELECT id FROM target AS t WHERE NOT EXISTS (SELECT 1 FROM stage AS s WHERE s.id = t.id) EXCEPT SELECT 9 ORDER BY 1";
    assert_eq!(client.rows(missing).await, ["3"]);
    let grouped = "SELECT op, count(*) FROM stage GROUP BY op HAVING count(*) > 1 UNION ALL SELECT 'x', 0";
    assert_eq!(client.rows(grouped).await, ["U|2", "x|0"]);
}

#[tokio::test]
async fn l6_no_literal_is_longer_than_a_varchar() {
    let mut client = Client::new("l6_literals").await;
    client.run("CREATE TABLE t (v VARCHAR(65535), b VARBYTE(16777216))").await;
    let long = "x".repeat(65_535);
    client.run(&format!("INSERT INTO t (v) VALUES ('{long}')")).await;
    for refused in [
        format!("INSERT INTO t (v) VALUES ('{long}x')"),
        format!("INSERT INTO t (b) VALUES (FROM_HEX('{}'))", "ab".repeat(32_768)),
    ] {
        let (code, message) = client.error(&refused).await;
        assert_eq!((code.as_str(), message.contains("65535 bytes")), ("XX000", true), "{message}");
    }
}

#[tokio::test]
async fn m1_merge_inserts_duplicates() {
    let mut client = Client::new("m1_merge").await;
    client.run("CREATE TABLE t (id INT, v INT); CREATE TABLE s (id INT, v INT)").await;
    let merge = "MERGE INTO t USING s AS x ON t.id = x.id WHEN MATCHED THEN UPDATE SET v = x.v \
                 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (x.id, x.v)";
    client.run("INSERT INTO s VALUES (1, 1), (1, 2)").await;
    client.run(merge).await;
    // Both rows are in, although they have one key.
    assert_eq!(client.rows("SELECT id, v FROM t ORDER BY v").await, ["1|1", "1|2"]);
    let (code, message) = client.error(merge).await;
    assert_eq!((code.as_str(), message.as_str()), ("XX000", "Found multiple matches to update the same tuple."));
    let delete =
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)";
    client.run("TRUNCATE s; INSERT INTO s VALUES (1, 0), (2, 7)").await;
    client.run(delete).await;
    assert_eq!(client.rows("SELECT id, v FROM t").await, ["2|7"]);
}

#[tokio::test]
async fn m1_qualify_and_top() {
    let mut client = Client::new("m1_qualify").await;
    client.run("CREATE TABLE t (k INT, v INT); INSERT INTO t VALUES (1, 1), (1, 2), (2, 3)").await;
    let query = "SELECT k AS key, v FROM t WHERE v > 0 QUALIFY row_number() OVER (PARTITION BY k ORDER BY v DESC) = 1";
    let mut rows = client.rows(query).await;
    rows.sort();
    assert_eq!(rows, ["1|2", "2|3"]);
    assert_eq!(client.rows("SELECT TOP 1 v FROM t ORDER BY v DESC").await, ["3"]);
}

#[tokio::test]
async fn m1_functions() {
    let mut client = Client::new("m1_functions").await;
    for (expression, want) in [
        ("NVL(NULL, 'x')", "x"),
        ("NVL2(1, 'a', 'b')", "a"),
        ("LEN('äö')", "2"),
        ("OCTET_LENGTH('äö')", "4"),
        ("DATEADD(day, 1, '2026-02-28')", "2026-03-01 00:00:00"),
        ("DATEADD('month', -1, DATE '2026-03-31')", "2026-02-28 00:00:00"),
        ("DATEDIFF(hour, '2026-01-01 00:59:59', '2026-01-01 02:00:00')", "2"),
        ("DATEDIFF(year, '2025-12-31', '2026-01-01')", "1"),
        ("EXTRACT(epoch FROM TIMESTAMP '2026-01-01 00:00:00.7')", "1767225600"),
        ("DATE_PART(epoch, TIMESTAMP '1970-01-02 00:00:00')", "86400"),
        ("DATE_TRUNC('day', TIMESTAMP '2026-01-01 10:00:00')", "2026-01-01 00:00:00"),
        ("MD5('a')", "0cc175b9c0f1b6a831c399e269772661"),
        ("FNV_HASH('')", "-3750763034362895579"),
        ("FNV_HASH('a')", "-5808556873153909620"),
        ("TO_HEX('abc'::VARBYTE)", "616263"),
        ("TO_HEX(FROM_HEX('00ff'))", "00ff"),
        ("FROM_VARBYTE(TO_VARBYTE('616263', 'hex'), 'utf8')", "abc"),
        ("CAST('äöü' AS VARCHAR(3))", "ä"),
        ("CAST(1.5 AS VARCHAR)", "1.5"),
        ("CAST(CAST(-7 AS SMALLINT) AS VARCHAR)", "-7"),
        ("CAST(7 AS VARCHAR(1))", "7"),
        ("CAST(CAST(7 AS BIGINT) AS VARCHAR)", "7"),
        ("CAST('2026-01-01' AS DATE)", "2026-01-01"),
        ("CAST(12.345 AS DECIMAL(10, 2))", "12.35"),
        ("LISTAGG(x, ',') WITHIN GROUP (ORDER BY x) FROM (SELECT 'b' AS x UNION ALL SELECT 'a') AS s", "a,b"),
        ("REGEXP_REPLACE('aXbX', 'X', '-')", "a-b-"),
        ("CONCAT('a', NULL)", "NULL"),
        ("pg_last_copy_count()", "0"),
    ] {
        assert_eq!(client.value(&format!("SELECT {expression}")).await, want, "{expression}");
    }
    assert_eq!(client.value("SELECT current_user").await, "awsuser");
    assert_eq!(client.value("SELECT current_database()").await, "m1_functions");
    assert!(client.value("SELECT version()").await.starts_with("PostgreSQL 8.0.2 "));
    assert_eq!(
        client
            .value("SELECT has_schema_privilege('public', 'create') AND has_database_privilege('m1_functions', 'temp')")
            .await,
        "t"
    );
    assert_eq!(client.value("SELECT (GETDATE() - SYSDATE) < INTERVAL '1 minute'").await, "t");
    assert_eq!(client.error("SELECT CAST(TRUE AS VARCHAR)").await.0, "42846");
}

#[tokio::test]
async fn m1_everything_but_booleans_casts_to_text() {
    let mut client = Client::new("m1_casts").await;
    client
        .run(
            "CREATE TABLE t (a SMALLINT, b INTEGER, c BIGINT, d DECIMAL(10, 2), e REAL, f DOUBLE PRECISION, g DATE, h TIMESTAMP, \
             i TIMESTAMPTZ, j CHAR(3), k VARCHAR(9), l VARBYTE(9), m SUPER, n TIME)",
        )
        .await;
    client
        .run(
            "INSERT INTO t VALUES (1, 2, 3, 4.5, 5.5, 6.5, '2026-01-02', '2026-01-02 03:04:05', '2026-01-02 03:04:05', 'x', 'y', 'z', 'w', \
             '01:02:03')",
        )
        .await;
    let casts =
        ('a'..='n').map(|name| format!("CAST({name} AS VARCHAR), {name}::VARCHAR(10)")).collect::<Vec<_>>().join(", ");
    let want = "1|1|2|2|3|3|4.50|4.50|5.5|5.5|6.5|6.5|2026-01-02|2026-01-02|2026-01-02 03:04:05|2026-01-02|\
                2026-01-02 03:04:05+00|2026-01-02|x|x|y|y|z|z|w|w|01:02:03|01:02:03";
    assert_eq!(client.value(&format!("SELECT {casts} FROM t")).await, want);
    assert_eq!(client.value("SELECT CAST(NULL AS VARCHAR), 7::VARCHAR, CAST(1 + 1 AS VARCHAR(5))").await, "NULL|7|2");
}

#[tokio::test]
async fn m1_columns_keep_their_names() {
    let mut client = Client::new("m1_names").await;
    client.run("CREATE TABLE t (a INT, s SUPER); INSERT INTO t VALUES (1, NULL)").await;
    let query = "SELECT version(), NVL(a, 2), CAST(a AS VARCHAR), 'x'::VARCHAR(3), EXTRACT(epoch FROM SYSDATE), SYSDATE, \
                 JSON_SERIALIZE(s), pg_last_copy_count(), a + 1, MAX(a) OVER () FROM t";
    let rows = sqlx::raw_sql(query).fetch_all(&mut client.connection).await.unwrap();
    let names: Vec<_> = sqlx::Row::columns(&rows[0]).iter().map(sqlx::Column::name).collect();
    let want = [
        "version",
        "nvl",
        "a",
        "varchar",
        "date_part",
        "sysdate",
        "json_serialize",
        "pg_last_copy_count",
        "?column?",
        "max",
    ];
    assert_eq!(names, want);
    assert_eq!(client.rows("SELECT nvl FROM (SELECT NVL(a, 2) FROM t) AS s ORDER BY nvl").await, ["1"]);
}

#[tokio::test]
async fn m2_m3_m4_what_does_not_fit() {
    let mut client = Client::new("m2").await;
    client.run("CREATE TABLE t (a INT NOT NULL, b SMALLINT, c DECIMAL(4, 1))").await;
    let refused = client.refused("INSERT INTO t (a) VALUES (NULL)").await;
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("XX000", "Cannot insert a NULL value into column a")
    );
    assert!(refused.detail.contains("8007"), "{}", refused.detail);
    assert!(client.error("INSERT INTO t VALUES (1, 2, 1000)").await.1.starts_with("Numeric data overflow"));
    assert!(client.error("INSERT INTO t VALUES (1, 70000)").await.1.starts_with("Numeric data overflow"));
    client.run("INSERT INTO t VALUES (1, 2, 3.14)").await;
    // More digits behind the point are rounded away.
    assert_eq!(client.value("SELECT c FROM t").await, "3.1");
}

#[tokio::test]
async fn settings_are_an_allow_list() {
    let mut client = Client::new("settings").await;
    for text in [
        "SET statement_timeout TO 60000",
        "SET query_group TO 'loader'",
        "SET timezone TO 'UTC'",
        "SET TIME ZONE 'UTC'",
        "SET search_path TO a, public",
        "SET json_parse_truncate_strings = ON",
        "SET wlm_query_slot_count TO 3",
        "RESET query_group",
    ] {
        client.run(text).await;
    }
    assert_eq!(client.value("SHOW search_path").await, "a, public");
    assert_eq!(client.value("SHOW statement_timeout").await, "60000");
    assert_eq!(client.value("SHOW query_group").await, "default");
    let (code, message) = client.error("SET standard_conforming_strings TO on").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("42704", "unrecognized configuration parameter \"standard_conforming_strings\"")
    );
    assert_eq!(client.error("SHOW work_mem").await.0, "42704");
    client.run("CREATE SCHEMA a; CREATE TABLE here (x INT)").await;
    assert_eq!(client.value("SELECT table_schema FROM information_schema.tables WHERE table_name = 'here'").await, "a");
    // What a transaction set goes with it.
    client.run("BEGIN; SET query_group TO 'x'").await;
    client.run("ROLLBACK").await;
    assert_eq!(client.value("SHOW query_group").await, "default");
}

#[tokio::test]
async fn a_statement_times_out() {
    let mut client = Client::new("timeout").await;
    client.run("SET statement_timeout TO 50").await;
    let slow = "SELECT count(*) FROM generate_series(1, 100000000) AS a (n)";
    assert_eq!(client.error(slow).await.0, "57014");
}
