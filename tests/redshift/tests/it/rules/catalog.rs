//! Catalog views and privileges.

use super::cluster::{Client, snapshot};

#[tokio::test]
async fn columns_are_described() {
    let mut client = Client::new("catalog_columns").await;
    client
        .run(
            "CREATE TABLE t (a SMALLINT, b INTEGER NOT NULL, c BIGINT, d DECIMAL(10, 2), e REAL, f DOUBLE PRECISION, g BOOLEAN, h DATE, \
             i TIMESTAMP, j TIMESTAMPTZ, k TIME, l CHAR(3), m VARCHAR(7), n VARBYTE(9), o SUPER)",
        )
        .await;
    let query = "SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable \
                 FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 't' ORDER BY ordinal_position";
    let want = [
        "a|smallint|NULL|16|0|YES",
        "b|integer|NULL|32|0|NO",
        "c|bigint|NULL|64|0|YES",
        "d|numeric|NULL|10|2|YES",
        "e|real|NULL|24|NULL|YES",
        "f|double precision|NULL|53|NULL|YES",
        "g|boolean|NULL|NULL|NULL|YES",
        "h|date|NULL|NULL|NULL|YES",
        "i|timestamp without time zone|NULL|NULL|NULL|YES",
        "j|timestamp with time zone|NULL|NULL|NULL|YES",
        "k|time without time zone|NULL|NULL|NULL|YES",
        "l|character|3|NULL|NULL|YES",
        "m|character varying|7|NULL|NULL|YES",
        "n|binary varying|9|NULL|NULL|YES",
        "o|super|NULL|NULL|NULL|YES",
    ];
    assert_eq!(client.rows(query).await, want);
    let all = query.replace("information_schema.columns", "svv_all_columns").replace("table_schema", "schema_name");
    assert_eq!(client.rows(&all).await, want);
    let types = client.rows("SELECT type FROM pg_table_def WHERE tablename = 't'").await;
    assert_eq!(types.last().unwrap(), "super");
    assert_eq!(types[12], "character varying(7)");
}

#[tokio::test]
async fn tables_and_schemas_are_listed() {
    let mut client = Client::new("catalog_tables").await;
    client.run("CREATE SCHEMA shop; CREATE TABLE shop.t (a INT); CREATE VIEW shop.v AS SELECT a FROM shop.t").await;
    let tables = "SELECT table_schema, table_name, table_type FROM information_schema.tables ORDER BY table_name";
    assert_eq!(client.rows(tables).await, ["shop|t|BASE TABLE", "shop|v|VIEW"]);
    let schemas = client.rows("SELECT schema_name FROM svv_redshift_schemas").await;
    assert!(schemas.contains(&"shop".to_owned()) && schemas.contains(&"public".to_owned()), "{schemas:?}");
    assert!(!schemas.iter().any(|name| name.starts_with("tw_") || name == "redshift"), "{schemas:?}");
    // Only what is in the path.
    assert_eq!(client.rows("SELECT tablename FROM pg_table_def").await, Vec::<String>::new());
    client.run("SET search_path TO shop").await;
    assert_eq!(client.rows("SELECT tablename FROM pg_table_def").await, ["t"]);
    let classes = "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relname = 't'";
    assert_eq!(client.rows(classes).await, ["shop|t"]);
    for view in ["sys_load_error_detail", "stl_load_errors", "svl_s3log"] {
        assert_eq!(client.rows(&format!("SELECT * FROM {view}")).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn users_have_only_what_they_are_granted() {
    let server = snapshot();
    let mut owner = Client::new("grants").await;
    server.create_user("grants_reader", "Reader-1").unwrap();
    let url = format!("postgres://grants_reader:Reader-1@{}/grants", server.address());
    let mut reader = Client::at(&url).await;
    owner.run("CREATE SCHEMA shop; CREATE TABLE shop.t (a INT)").await;
    assert_eq!(reader.error("SELECT a FROM shop.t").await.0, "42501");
    assert_eq!(reader.value("SELECT has_schema_privilege('shop', 'usage')").await, "f");
    owner
        .run("GRANT USAGE ON SCHEMA shop TO grants_reader; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO grants_reader")
        .await;
    assert_eq!(reader.rows("SELECT a FROM shop.t").await, Vec::<String>::new());
    assert_eq!(reader.error("INSERT INTO shop.t VALUES (1)").await.0, "42501");
    assert_eq!(reader.error("CREATE TABLE shop.u (a INT)").await.0, "42501");
    assert_eq!(reader.value("SELECT current_user").await, "grants_reader");
    owner.run("CREATE USER grants_loader PASSWORD 'Loader-1'; GRANT CREATE ON SCHEMA shop TO grants_loader").await;
    Client::at(&format!("postgres://grants_loader:Loader-1@{}/grants", server.address())).await.close().await;
}
