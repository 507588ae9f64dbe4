//! S1–S7: the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sqlx::postgres::PgSslMode;
use sqlx::{ConnectOptions, Row};
use tailwater_redshift::{Auth, BinaryNumeric, Options, Redshift};

use super::cluster::{Client, options, refused, snapshot};

/// What a server answers to a startup message with these parameters, up to the end or to ReadyForQuery.
fn startup(server: &Redshift, parameters: &[(&str, &str)]) -> Vec<(u8, Vec<u8>)> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut body = 196_608_i32.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend([name.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
    }
    body.push(0);
    stream.write_all(&i32::try_from(body.len() + 4).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    let mut messages = Vec::new();
    while let Some((kind, body)) = message(&mut stream) {
        let cleartext = kind == b'R' && body == 3_i32.to_be_bytes();
        messages.push((kind, body));
        if cleartext {
            let password = b"Secret-1234\0";
            stream.write_all(b"p").unwrap();
            stream.write_all(&i32::try_from(password.len() + 4).unwrap().to_be_bytes()).unwrap();
            stream.write_all(password).unwrap();
        }
        if kind == b'Z' || (kind == b'R' && !cleartext && messages.len() == 1) {
            break;
        }
    }
    messages
}

fn message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let mut body = vec![0; usize::try_from(length).unwrap() - 4];
    stream.read_exact(&mut body).unwrap();
    Some((head[0], body))
}

fn cleartext() -> Redshift {
    Redshift::start(Options { auth: Auth::Cleartext, ..Options::default() }).unwrap()
}

#[test]
fn s1_what_the_server_says_of_itself() {
    let server = cleartext();
    let messages = startup(&server, &[("user", "awsuser"), ("database", "dev")]);
    let told: Vec<_> = messages
        .iter()
        .filter(|(kind, _)| *kind == b'S')
        .map(|(_, body)| String::from_utf8(body.clone()).unwrap().trim_end_matches('\0').replace('\0', "="))
        .collect();
    for want in [
        "server_version=8.0.2",
        "server_encoding=UTF8",
        "integer_datetimes=on",
        "is_superuser=on",
        "DateStyle=ISO, MDY",
    ] {
        assert!(told.contains(&want.to_owned()), "{told:?}");
    }
    assert!(!told.iter().any(|parameter| parameter.starts_with("standard_conforming_strings")), "{told:?}");
}

#[test]
fn s2_s3_parameters_of_the_start() {
    let server = cleartext();
    let fatal = |name, value| {
        let messages = startup(&server, &[("user", "awsuser"), ("database", "dev"), (name, value)]);
        let (kind, body) = messages.last().unwrap().clone();
        assert_eq!(kind, b'E');
        String::from_utf8(body).unwrap().replace('\0', " ")
    };
    let answer = fatal("extra_float_digits", "3");
    assert!(
        answer.contains("SFATAL C22023 M3 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 2)"),
        "{answer}"
    );
    let answer = fatal("options", "-c standard_conforming_strings=on");
    assert!(
        answer.contains("SFATAL C42704 Munrecognized configuration parameter \"standard_conforming_strings\""),
        "{answer}"
    );
    let answer = fatal("work_mem", "1");
    assert!(answer.contains("C42704"), "{answer}");
    let messages =
        startup(&server, &[("user", "awsuser"), ("database", "dev"), ("options", "-c query_group=x -c search_path=a")]);
    assert_eq!(messages.last().unwrap().0, b'Z');
}

#[tokio::test]
async fn s4_ways_to_prove_a_password() {
    for auth in [Auth::Md5, Auth::Cleartext] {
        let server = Redshift::start(Options { auth, ..Options::default() }).unwrap();
        Client::at(&server.url("dev")).await.close().await;
        let wrong = options(&server.url("dev")).password("wrong");
        let error = wrong.connect().await.unwrap_err();
        assert_eq!(refused(&error).code, "28000");
        // A password that has expired is no password, but the session it opened lives on.
        let now = std::time::SystemTime::now();
        server.logins().set("awsuser", "temporary", Some(now + Duration::from_secs(3600)));
        let temporary = options(&server.url("dev")).password("temporary");
        let connection = temporary.connect().await.unwrap();
        let mut client = Client { connection };
        server.logins().remove("awsuser");
        server.logins().set("awsuser", "temporary", Some(now));
        assert!(temporary.connect().await.is_err());
        client.run("SELECT 1").await;
    }
}

#[tokio::test]
async fn s4_method_13_is_only_for_aws() {
    let server = Redshift::start(Options { auth: Auth::Sha256, ..Options::default() }).unwrap();
    let messages = startup(&server, &[("user", "awsuser"), ("database", "dev")]);
    assert_eq!(messages[0].0, b'R');
    assert_eq!(messages[0].1[..4], 13_i32.to_be_bytes());
    let error = options(&server.url("dev")).connect().await.unwrap_err();
    assert!(error.to_string().contains("13"), "{error}");
}

#[tokio::test]
async fn s4_tls_is_declined_or_required() {
    let url = snapshot().create_database("s4_tls").unwrap();
    assert!(options(&url).ssl_mode(PgSslMode::Require).connect().await.is_err());
    assert!(options(&url).ssl_mode(PgSslMode::Prefer).connect().await.is_ok());
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, include_str!("../../data/certificate.pem")).unwrap();
    std::fs::write(&key, include_str!("../../data/key.pem")).unwrap();
    let options_of_server = Options { tls: Some((certificate.clone(), key)), require_tls: true, ..Options::default() };
    let server = Redshift::start(options_of_server).unwrap();
    let error = options(&server.url("dev")).ssl_mode(PgSslMode::Disable).connect().await.unwrap_err();
    assert_eq!(refused(&error).code, "28000");
    let verified =
        options(&server.url("dev")).host("localhost").ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(&certificate);
    verified.connect().await.unwrap();
}

#[tokio::test]
async fn s5_the_types_of_8_0() {
    let mut client = Client::new("s5").await;
    let (code, message) = client.error("SELECT oid::regtype::text FROM pg_type").await;
    assert_eq!((code.as_str(), message.as_str()), ("42846", "cannot cast type regtype to character varying"));
    assert_eq!(client.error("SELECT typcategory FROM pg_type").await.0, "42703");
    assert_eq!(client.value("SELECT typname FROM pg_catalog.pg_type WHERE oid = 1043").await, "varchar");
    client.run("CREATE TABLE t (s SUPER, b VARBYTE(10)); INSERT INTO t VALUES (NULL, 'abc')").await;
    // The simple protocol shows them by number and as text, even when there is no row.
    assert_eq!(client.rows("SELECT s, b FROM t").await, ["NULL|616263"]);
    let rows = sqlx::raw_sql("SELECT s, b FROM t").fetch_all(&mut client.connection).await.unwrap();
    let oid = |index: usize| {
        let column: &sqlx::postgres::PgColumn = &rows[0].columns()[index];
        sqlx::Column::type_info(column).oid().unwrap().0
    };
    assert_eq!((oid(0), oid(1)), (4_000, 6_551));
    // The extended protocol of this client asks pg_type about them, with words that Redshift does not have.
    let error = sqlx::query("SELECT s FROM t").fetch_all(&mut client.connection).await.unwrap_err();
    let refused = refused(&error);
    assert!(["42846", "42883"].contains(&refused.code.as_str()), "{refused:?}");
}

#[tokio::test]
async fn s6_prepared_statements_grow_stale() {
    let server = Redshift::start(Options { stale_prepared: true, ..Options::default() }).unwrap();
    let url = server.url("dev");
    let mut client = Client { connection: options(&url).statement_cache_capacity(10).connect().await.unwrap() };
    client.run("CREATE TABLE t (a BIGINT)").await;
    let query = "SELECT a FROM t WHERE a = $1";
    sqlx::query(query).bind(1_i64).fetch_all(&mut client.connection).await.unwrap();
    client.run("TRUNCATE t").await;
    let error = sqlx::query(query).bind(1_i64).fetch_all(&mut client.connection).await.unwrap_err();
    let refused = refused(&error);
    assert_eq!(refused.code, "XX000");
    assert!(refused.message.contains("34510"), "{}", refused.message);
}

#[tokio::test]
async fn s7_typed_reads() {
    let mut client = Client::new("s7").await;
    client.run("CREATE TABLE t (a BIGINT, b VARCHAR(10), c BOOLEAN, d DOUBLE PRECISION, e INT, f SMALLINT, n DECIMAL(10, 2), s TIMESTAMP)").await;
    let insert = "INSERT INTO t (a, b, c, d, e, f) VALUES ($1, $2, $3, $4, $5, $6)";
    let done = sqlx::query(insert)
        .bind(1_i64 << 40)
        .bind("it's \\ ä")
        .bind(true)
        .bind(0.5_f64)
        .bind(-5_i32)
        .bind(None::<i16>)
        .execute(&mut client.connection)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    let row = sqlx::query("SELECT a, b, c, d, e, f FROM t WHERE a = $1")
        .bind(1_i64 << 40)
        .fetch_one(&mut client.connection)
        .await
        .unwrap();
    assert_eq!(row.get::<i64, _>(0), 1 << 40);
    assert_eq!(row.get::<String, _>(1), "it's \\ ä");
    assert!(row.get::<bool, _>(2));
    assert_eq!(row.get::<f64, _>(3).to_bits(), 0.5_f64.to_bits());
    assert_eq!(row.get::<i32, _>(4), -5);
    assert_eq!(row.get::<Option<i16>, _>(5), None);
    client.run("UPDATE t SET n = 1.25, s = '2026-01-02 03:04:05.000006'").await;
    // NUMERIC is not PostgreSQL's in binary, so nobody may read it so.
    let error = sqlx::query("SELECT n FROM t").fetch_one(&mut client.connection).await.unwrap_err();
    assert_eq!(refused(&error).code, "0A000");
    let server = Redshift::start(Options { binary_numeric: BinaryNumeric::Scaled, ..Options::default() }).unwrap();
    let mut other = Client::at(&server.url("dev")).await;
    let row = sqlx::query("SELECT CAST(1.25 AS DECIMAL(10, 2))").fetch_one(&mut other.connection).await.unwrap();
    let value = row.try_get_raw(0).unwrap();
    assert_eq!(value.as_bytes().unwrap(), 125_i64.to_be_bytes());
    // Bound parameters of LIMIT are not implemented, types that do not exist cannot be bound.
    let error =
        sqlx::query("SELECT a FROM t LIMIT $1").bind(1_i64).fetch_all(&mut client.connection).await.unwrap_err();
    assert_eq!(refused(&error).code, "0A000");
    let error = sqlx::query("SELECT $1").bind(b"x".as_slice()).fetch_all(&mut client.connection).await.unwrap_err();
    assert_eq!(refused(&error).code, "42704");
}

#[tokio::test]
async fn nothing_is_an_answer_too() {
    let mut client = Client::new("nothing").await;
    client.run("").await;
    client.run(" ; -- nothing\n ;").await;
    client.run("CREATE TABLE t (a INT)").await;
    let rows = sqlx::query("SELECT a FROM t").fetch_all(&mut client.connection).await.unwrap();
    assert!(rows.is_empty());
    // A transaction that fails in the extended protocol is failed in the simple one too.
    client.run("BEGIN").await;
    assert!(sqlx::query("SELECT nothing FROM t").fetch_all(&mut client.connection).await.is_err());
    assert_eq!(client.error("SELECT 1").await.0, "25P02");
    client.run("ROLLBACK").await;
}
