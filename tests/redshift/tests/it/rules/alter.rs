//! D4: ALTER TABLE.

use super::cluster::Client;

#[tokio::test]
async fn d4_one_column_a_statement() {
    let mut client = Client::new("d4_add").await;
    client.run("CREATE TABLE t (id INT)").await;
    client.run("INSERT INTO t VALUES (1)").await;
    client.run("ALTER TABLE t ADD COLUMN a VARCHAR(10) DEFAULT 'x' ENCODE zstd").await;
    client.run("ALTER TABLE t ADD b INT NOT NULL DEFAULT 3").await;
    assert_eq!(client.rows("SELECT id, a, b FROM t").await, ["1|x|3"]);
    assert_eq!(client.error("ALTER TABLE t ADD COLUMN c INT, ADD COLUMN d INT").await.0, "42601");
    assert_eq!(client.error("ALTER TABLE t ADD COLUMN c INT NOT NULL").await.0, "0A000");
    assert_eq!(client.error("ALTER TABLE t ADD COLUMN c INT PRIMARY KEY").await.0, "0A000");
    assert_eq!(client.error("ALTER TABLE t ADD COLUMN c INT IDENTITY(1, 1)").await.0, "0A000");
    assert_eq!(client.error("ALTER TABLE t ADD COLUMN a INT").await.0, "42701");
    assert_eq!(client.error("ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT").await.0, "42601");
}

#[tokio::test]
async fn d4_dropping_and_renaming() {
    let mut client = Client::new("d4_drop").await;
    client.run("CREATE TABLE t (id INT PRIMARY KEY, d INT DISTKEY, s INT SORTKEY, v INT, w INT)").await;
    for column in ["id", "d", "s"] {
        assert_eq!(client.error(&format!("ALTER TABLE t DROP COLUMN {column}")).await.0, "0A000");
    }
    client.run("CREATE VIEW seen AS SELECT v FROM t").await;
    assert_eq!(client.error("ALTER TABLE t DROP COLUMN v").await.0, "2BP01");
    assert_eq!(client.error("DROP TABLE t").await.0, "2BP01");
    client.run("ALTER TABLE t DROP COLUMN w").await;
    client.run("ALTER TABLE t RENAME COLUMN v TO \"New\"").await;
    client.run("ALTER TABLE t RENAME TO u").await;
    assert_eq!(
        client.rows("SELECT tablename, \"column\" FROM pg_table_def WHERE tablename = 'u'").await,
        ["u|id", "u|d", "u|s", "u|new"]
    );
}

#[tokio::test]
async fn d4_varchar_grows_outside_of_transactions() {
    let mut client = Client::new("d4_type").await;
    client
        .run(
            "CREATE TABLE t (id VARCHAR(10) PRIMARY KEY, a VARCHAR(4), b VARCHAR(4) DEFAULT 'x', n INT, \
             e VARCHAR(4) ENCODE bytedict, u VARCHAR(4) UNIQUE)",
        )
        .await;
    client.run("INSERT INTO t (id, a) VALUES ('1', 'abcd')").await;
    client.run("ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(8)").await;
    client.run("INSERT INTO t (id, a) VALUES ('2', 'abcdefgh')").await;
    assert_eq!(client.error("INSERT INTO t (id, a) VALUES ('2', 'abcdefghi')").await.0, "22001");
    let (code, message) = client.error("ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(8)").await;
    assert_eq!(code, "0A000");
    assert_eq!(message, "cannot alter column \"a\" of relation \"t\", target column size should be different");
    assert_eq!(client.error("ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(7)").await.0, "22001");
    assert_eq!(client.error("ALTER TABLE t ALTER COLUMN a TYPE INT").await.0, "0A000");
    assert_eq!(client.error("ALTER TABLE t ALTER COLUMN n TYPE BIGINT").await.0, "0A000");
    for column in ["id", "b", "e", "u"] {
        assert_eq!(
            client.error(&format!("ALTER TABLE t ALTER COLUMN {column} TYPE VARCHAR(99)")).await.0,
            "0A000",
            "{column}"
        );
    }
    client.run("BEGIN").await;
    let (code, message) = client.error("ALTER TABLE t ALTER COLUMN a TYPE VARCHAR(9)").await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("25001", "ALTER TABLE ALTER COLUMN cannot run inside a transaction block")
    );
    client.run("ROLLBACK").await;
}

#[tokio::test]
async fn d4_what_there_is_not() {
    let mut client = Client::new("d4_not").await;
    client.run("CREATE TABLE t (a INT NOT NULL, b VARCHAR(4))").await;
    for action in [
        "ALTER COLUMN a DROP NOT NULL",
        "ALTER COLUMN b SET NOT NULL",
        "ALTER COLUMN a SET DEFAULT 1",
        "ALTER COLUMN a DROP DEFAULT",
        "RENAME COLUMN a TO c, RENAME COLUMN b TO d",
    ] {
        assert_eq!(client.error(&format!("ALTER TABLE t {action}")).await.0, "42601", "{action}");
    }
}

#[tokio::test]
async fn d4_physical_attributes_change() {
    let mut client = Client::new("d4_physical").await;
    client.run("CREATE TABLE t (a INT, b INT)").await;
    client.run("ALTER TABLE t ALTER DISTKEY a").await;
    client.run("ALTER TABLE t ALTER SORTKEY (b, a)").await;
    client.run("ALTER TABLE t ALTER COLUMN b ENCODE zstd").await;
    let definition = "SELECT \"column\", encoding, distkey, sortkey FROM pg_table_def WHERE tablename = 't'";
    assert_eq!(client.rows(definition).await, ["a|none|t|2", "b|zstd|f|1"]);
    client.run("ALTER TABLE t ALTER DISTSTYLE EVEN").await;
    assert_eq!(client.rows(definition).await, ["a|none|f|2", "b|zstd|f|1"]);
}

#[tokio::test]
async fn d4_append_moves_rows_and_commits() {
    let mut client = Client::new("d4_append").await;
    client
        .run("CREATE TABLE a (v INT, w VARCHAR(5)); CREATE TABLE b (v INT, w VARCHAR(5)); CREATE TABLE c (v BIGINT)")
        .await;
    client.run("INSERT INTO b VALUES (1, 'x')").await;
    assert_eq!(client.error("BEGIN; ALTER TABLE a APPEND FROM b").await.0, "25001");
    client.run("ROLLBACK").await;
    client.run("ALTER TABLE a APPEND FROM b").await;
    assert_eq!(client.rows("SELECT count(*) FROM a UNION ALL SELECT count(*) FROM b").await, ["1", "0"]);
    assert_eq!(client.error("ALTER TABLE a APPEND FROM c").await.0, "0A000");
}
