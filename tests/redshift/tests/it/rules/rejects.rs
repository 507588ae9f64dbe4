//! R1–R14: what Redshift refuses.

use super::cluster::{Client, options, snapshot};
use sqlx::ConnectOptions;

#[tokio::test]
async fn r1_to_r3_indexes_checks_enums() {
    let mut client = Client::new("r1").await;
    client.run("CREATE TABLE t (a INT)").await;
    let (code, message) = client.error("CREATE INDEX i ON t (a)").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("0A000", "SQL command \"CREATE INDEX i ON t (a)\" not supported on Redshift tables")
    );
    assert_eq!(client.error("CREATE UNIQUE INDEX i ON t (a)").await.0, "0A000");
    let (code, message) = client.error("CREATE TABLE c (a INT, CHECK (a > 0))").await;
    assert_eq!((code.as_str(), message.as_str()), ("0A000", "CREATE TABLE CHECK constraint is not supported"));
    assert_eq!(client.error("CREATE TABLE c (a INT CHECK (a > 0))").await.0, "0A000");
    let (code, message) = client.error("CREATE TYPE myenum AS ENUM ('a', 'b')").await;
    assert_eq!(code, "42601");
    assert_eq!(message, "syntax error at or near \"ENUM\" in context \"TYPE myenum AS ENUM\"");
}

#[tokio::test]
async fn r4_r5_types_that_do_not_exist() {
    let mut client = Client::new("r4").await;
    for name in ["uuid", "jsonb", "json", "bytea", "xml", "inet", "serial", "bigserial", "tsvector", "whatever"] {
        let (code, message) = client.error(&format!("CREATE TABLE t (a {name})")).await;
        assert_eq!((code.as_str(), message), ("42704", format!("type \"{name}\" does not exist")));
    }
    assert_eq!(client.error("SELECT '1'::uuid").await.0, "42704");
    for text in ["CREATE TABLE t (a INT[])", "SELECT '{1}'::INT[]", "SELECT ARRAY[1, 2]"] {
        let (code, _) = client.error(text).await;
        assert!(["0A000", "42704"].contains(&code.as_str()), "{text}: {code}");
    }
}

#[tokio::test]
async fn r6_tables_of_postgres() {
    let mut client = Client::new("r6").await;
    for text in [
        "CREATE TABLE t (a INT) PARTITION BY RANGE (a)",
        "CREATE TABLE t (a INT) INHERITS (u)",
        "CREATE TABLE t (a INT) TABLESPACE x",
        "CREATE TABLE t (a INT) WITH (fillfactor = 50)",
        "CREATE TABLE t (a INT, EXCLUDE USING gist (a WITH =))",
        "CREATE TABLE t (a INT, b INT GENERATED ALWAYS AS (a + 1) STORED)",
        "CREATE UNLOGGED TABLE t (a INT)",
        "CREATE SEQUENCE s",
        "CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION f()",
        "CREATE EXTENSION hstore",
        "DO $$ BEGIN END $$",
        "LISTEN x",
        "VALUES (1)",
        "TABLE t",
        "PREPARE p AS SELECT 1",
    ] {
        let (code, _) = client.error(text).await;
        assert!(["42601", "0A000"].contains(&code.as_str()), "{text}: {code}");
    }
}

#[tokio::test]
async fn r7_clauses_that_do_not_exist() {
    let mut client = Client::new("r7").await;
    client.run("CREATE TABLE t (a INT, b INT); CREATE TABLE u (a INT, b INT)").await;
    for text in [
        "INSERT INTO t VALUES (1, 2) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES (1, 2) RETURNING a",
        "DELETE FROM t RETURNING a",
        "UPDATE t SET a = 1 RETURNING a",
        "SELECT DISTINCT ON (a) a, b FROM t",
        "SELECT count(*) FILTER (WHERE a > 1) FROM t",
        "SELECT 1 FROM t, LATERAL (SELECT 1) AS l",
        "SELECT a FROM t FOR UPDATE",
        "SELECT a FROM t FOR SHARE",
        "WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d",
        "SELECT * FROM (VALUES (1), (2)) AS v (a)",
        "SELECT a FROM t TABLESAMPLE SYSTEM (1)",
        "SELECT ROW(1, 2)",
        "SELECT a FROM t WHERE a IS DISTINCT FROM b",
        "SELECT a FROM t WHERE a IS NOT DISTINCT FROM b",
        "SELECT a FROM t FETCH FIRST 1 ROWS ONLY",
        "SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b)",
        "SELECT 1 GROUP",
    ] {
        let (code, message) = client.error(text).await;
        assert_eq!(code, "42601", "{text}: {message}");
    }
}

#[tokio::test]
async fn r8_savepoints() {
    let mut client = Client::new("r8").await;
    for text in ["SAVEPOINT a", "RELEASE SAVEPOINT a", "ROLLBACK TO SAVEPOINT a", "ROLLBACK TO a"] {
        assert_eq!(client.error(text).await.0, "42601", "{text}");
    }
}

#[tokio::test]
async fn r9_functions_that_do_not_exist() {
    let mut client = Client::new("r9").await;
    for call in [
        "pg_advisory_lock(1)",
        "pg_advisory_xact_lock(1)",
        "pg_notify('a', 'b')",
        "lo_create(1)",
        "txid_current()",
        "string_agg('a', ',')",
        "array_agg(1)",
        "encode('a', 'hex')",
        "format('%s', 1)",
        "gen_random_uuid()",
        "clock_timestamp()",
        "pg_sleep(1)",
        "to_jsonb(1)",
        "jsonb_build_object()",
        "octets('a')",
    ] {
        let (code, message) = client.error(&format!("SELECT {call}")).await;
        let name = call.split('(').next().unwrap();
        assert_eq!((code.as_str(), message), ("42883", format!("function {name} does not exist")));
    }
}

#[tokio::test]
async fn r10_the_leader_nodes_functions() {
    let mut client = Client::new("r10").await;
    client.run("CREATE TABLE t (a TIMESTAMP)").await;
    for expression in ["now()", "CURRENT_TIMESTAMP", "current_schema()"] {
        client.rows(&format!("SELECT {expression}")).await;
        let (code, message) = client.error(&format!("SELECT {expression} FROM t")).await;
        assert_eq!(code, "0A000");
        assert_eq!(message, "Specified types or functions (one per INFO message) not supported on Redshift tables.");
    }
    client.rows("SELECT n FROM generate_series(1, 3) AS s (n)").await;
    assert_eq!(client.error("INSERT INTO t SELECT now()").await.0, "0A000");
    client.run("INSERT INTO t SELECT getdate(); INSERT INTO t VALUES (SYSDATE)").await;
}

#[tokio::test]
async fn r11_copy_through_the_connection() {
    let mut client = Client::new("r11").await;
    client.run("CREATE TABLE t (a INT)").await;
    for text in
        ["COPY t FROM STDIN", "COPY t TO STDOUT", "COPY (SELECT 1) TO STDOUT", "COPY t FROM STDIN WITH (FORMAT binary)"]
    {
        let (code, _) = client.error(text).await;
        assert!(["42601", "0A000"].contains(&code.as_str()), "{text}: {code}");
    }
}

#[tokio::test]
async fn r12_targets_have_no_alias() {
    let mut client = Client::new("r12").await;
    client.run("CREATE TABLE t (a INT); CREATE TABLE s (a INT)").await;
    assert_eq!(client.error("DELETE FROM t AS x USING s WHERE x.a = s.a").await.0, "42601");
    assert_eq!(client.error("UPDATE t x SET a = 1").await.0, "42601");
}

#[tokio::test]
async fn r13_merge_has_one_shape() {
    let mut client = Client::new("r13").await;
    client
        .run("CREATE TABLE t (id INT, v INT); CREATE TABLE s (id INT, v INT); CREATE VIEW w AS SELECT id, v FROM s")
        .await;
    let tail = "WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)";
    for text in [
        format!("MERGE INTO t AS x USING s ON x.id = s.id {tail}"),
        format!("MERGE INTO t USING (SELECT id, v FROM s) AS s ON t.id = s.id {tail}"),
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE".to_owned(),
        "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)".to_owned(),
        "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED AND s.v > 1 THEN DELETE \
         WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)"
            .to_owned(),
        format!("WITH s AS (SELECT 1 AS id, 1 AS v) MERGE INTO t USING s ON t.id = s.id {tail}"),
    ] {
        assert_eq!(client.error(&text).await.0, "42601", "{text}");
    }
    let (code, _) = client.error(&format!("MERGE INTO t USING w AS s ON t.id = s.id {tail}")).await;
    assert_eq!(code, "42P01");
}

#[tokio::test]
async fn r14_missing_relations() {
    let mut client = Client::new("r14").await;
    let (code, message) = client.error("SELECT 1 FROM nowhere.nothing").await;
    assert_eq!((code.as_str(), message.as_str()), ("42P01", "relation \"nowhere.nothing\" does not exist"));
    for relation in [
        "pg_enum",
        "pg_range",
        "pg_collation",
        "pg_catalog.pg_stat_activity",
        "information_schema.routines",
        "tw_log.load_errors",
    ] {
        assert_eq!(client.error(&format!("SELECT 1 FROM {relation}")).await.0, "42P01", "{relation}");
    }
    assert_eq!(client.error("DELETE FROM nothing").await.0, "42P01");
    assert_eq!(client.error("SELECT nothing FROM svv_tables").await.0, "42703");
    let missing = snapshot().url("no_such_database");
    let error = options(&missing).connect().await.unwrap_err();
    assert_eq!(super::cluster::refused(&error).code, "3D000");
}
