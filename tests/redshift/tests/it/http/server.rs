//! The endpoints of a whole stand-in: passwords that log in, statements that run.

use aws_sdk_redshiftdata::config::{BehaviorVersion, Region};
use aws_sdk_redshiftdata::types::StatusString;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection, Row};
use tailwater_redshift::{Auth, Loader, Options, Redshift};

use super::api::{KEY, SECRET, credentials};

fn start(auth: Auth) -> Redshift {
    // The keys count; there is nothing to load.
    let loader = Loader::new("http://127.0.0.1:1", KEY, SECRET);
    let http = Some(([127, 0, 0, 1], 0).into());
    Redshift::start(Options { loader, http, auth, ..Options::default() }).unwrap()
}

fn endpoint(redshift: &Redshift) -> String {
    format!("http://{}", redshift.http_address().unwrap())
}

fn cluster_client(redshift: &Redshift) -> aws_sdk_redshift::Client {
    aws_sdk_redshift::Client::from_conf(
        aws_sdk_redshift::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint(redshift))
            .credentials_provider(credentials(KEY, SECRET))
            .build(),
    )
}

async fn log_in(redshift: &Redshift, database: &str, user: &str, password: &str) -> sqlx::Result<PgConnection> {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(redshift.address().port())
        .username(user)
        .password(password)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .statement_cache_capacity(0)
        .connect()
        .await
}

async fn current_user(client: &mut PgConnection) -> String {
    let row = sqlx::raw_sql("SELECT current_user").fetch_one(client).await.unwrap();
    // As text, whatever its type.
    row.try_get_raw(0).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_temporary_password_logs_in_until_it_is_taken_away() {
    for auth in [Auth::Md5, Auth::Cleartext] {
        let redshift = start(auth);
        let client = cluster_client(&redshift);
        let request = client.get_cluster_credentials().cluster_identifier("c1").db_user("awsuser").db_name("dev");
        let issued = request.send().await.unwrap();
        let (user, password) = (issued.db_user().unwrap(), issued.db_password().unwrap());
        let mut session = log_in(&redshift, "dev", user, password).await.unwrap();
        assert_eq!(current_user(&mut session).await, "awsuser");
        // Not for another database, not for another user.
        redshift.create_database("other").unwrap();
        assert!(log_in(&redshift, "other", user, password).await.is_err());
        assert!(log_in(&redshift, "dev", "awsuser", password).await.is_err());
        // The session outlives its password.
        redshift.logins().remove(user);
        assert!(log_in(&redshift, "dev", user, password).await.is_err());
        assert_eq!(current_user(&mut session).await, "awsuser");
        session.close().await.unwrap();
    }
}

#[tokio::test]
async fn users_are_made_where_that_is_asked_for() {
    let redshift = start(Auth::Md5);
    let client = cluster_client(&redshift);
    let request = || client.get_cluster_credentials().cluster_identifier("c1").db_user("newcomer");
    let issued = request().send().await.unwrap();
    let refused = log_in(&redshift, "dev", issued.db_user().unwrap(), issued.db_password().unwrap()).await;
    assert!(refused.is_err(), "a user that does not exist logged in");
    let issued = request().auto_create(true).db_groups("etl").send().await.unwrap();
    assert_eq!(issued.db_user(), Some("IAMA:newcomer:etl"));
    let session = log_in(&redshift, "dev", issued.db_user().unwrap(), issued.db_password().unwrap()).await;
    assert_eq!(current_user(&mut session.unwrap()).await, "newcomer");
    let issued = client.get_cluster_credentials_with_iam().cluster_identifier("c1").send().await.unwrap();
    let session = log_in(&redshift, "dev", issued.db_user().unwrap(), issued.db_password().unwrap()).await;
    assert_eq!(current_user(&mut session.unwrap()).await, "IAMR:stand-in");
}

#[tokio::test]
async fn the_data_api_runs_statements_in_the_database() {
    let redshift = start(Auth::Md5);
    let client = aws_sdk_redshiftdata::Client::from_conf(
        aws_sdk_redshiftdata::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(endpoint(&redshift))
            .credentials_provider(credentials(KEY, SECRET))
            .build(),
    );
    let batch = || client.batch_execute_statement().workgroup_name("w1").database("dev");
    let ended = async |id: Option<&str>| {
        let described = client.describe_statement().id(id.unwrap()).wait_time_seconds(30).send().await.unwrap();
        (described.status().cloned().unwrap(), described.error().unwrap_or_default().to_owned())
    };
    let made =
        batch().sqls("CREATE TABLE t (id INTEGER, v VARCHAR(9))").sqls("INSERT INTO t VALUES (1, 'a'), (2, NULL)");
    let made = made.send().await.unwrap();
    assert_eq!(ended(made.id()).await, (StatusString::Finished, String::new()));
    // The second fails, so the first did not happen.
    let failed = batch().sqls("DELETE FROM t").sqls("SELECT * FROM nowhere").send().await.unwrap();
    let (status, error) = ended(failed.id()).await;
    assert_eq!(status, StatusString::Failed);
    assert!(error.starts_with("Query #2 failed with ERROR: relation \"nowhere\" does not exist"), "{error}");
    let select = client.execute_statement().workgroup_name("w1").database("dev").sql("SELECT id, v FROM t ORDER BY id");
    let select = select.send().await.unwrap();
    assert_eq!(ended(select.id()).await.0, StatusString::Finished);
    let result = client.get_statement_result().id(select.id().unwrap()).send().await.unwrap();
    assert_eq!(result.records()[0][0].as_long_value(), Ok(&1));
    assert_eq!(result.records()[0][1].as_string_value().unwrap(), "a");
    assert!(result.records()[1][1].is_is_null());
    let types: Vec<&str> = result.column_metadata().iter().map(|column| column.type_name().unwrap()).collect();
    assert_eq!(types, ["int4", "varchar"]);
}
