//! Temporary passwords of clusters and workgroups.

use std::time::SystemTime;

use aws_sdk_redshift::config::{BehaviorVersion, Region};
use aws_sdk_redshift::error::ProvideErrorMetadata;
use tailwater_redshift::http::Options;

use super::api::{Admitted, Api, KEY, SECRET, credentials};

fn cluster_client(api: &Api, key: &str, secret: &str) -> aws_sdk_redshift::Client {
    aws_sdk_redshift::Client::from_conf(
        aws_sdk_redshift::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(api.endpoint())
            .credentials_provider(credentials(key, secret))
            .build(),
    )
}

fn workgroup_client(api: &Api) -> aws_sdk_redshiftserverless::Client {
    aws_sdk_redshiftserverless::Client::from_conf(
        aws_sdk_redshiftserverless::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url(api.endpoint())
            .credentials_provider(credentials(KEY, SECRET))
            .build(),
    )
}

fn admitted(api: &Api) -> Vec<Admitted> {
    api.script.admitted.lock().unwrap().clone()
}

fn seconds_left(expiration: Option<&aws_sdk_redshift::primitives::DateTime>) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    u64::try_from(expiration.unwrap().secs()).unwrap().saturating_sub(now)
}

#[tokio::test]
async fn cluster_credentials_are_those_that_the_login_accepts() {
    let api = Api::start(Options::default()).await;
    let client = cluster_client(&api, KEY, SECRET);
    let request = client.get_cluster_credentials().cluster_identifier("c1").db_user("alice").db_name("dev");
    let issued = request.duration_seconds(1800).send().await.unwrap();
    assert_eq!(issued.db_user(), Some("IAM:alice"));
    assert!((1790..=1800).contains(&seconds_left(issued.expiration())));
    let password = issued.db_password().unwrap();
    assert_eq!(admitted(&api), [("IAM:alice".to_owned(), password.to_owned(), Some("dev".to_owned()))]);
    let request = client.get_cluster_credentials().cluster_identifier("c1").db_user("bob").auto_create(true);
    let issued = request.db_groups("etl").db_groups("bi").send().await.unwrap();
    assert_eq!(issued.db_user(), Some("IAMA:bob:etl:bi"));
    let issued = client.get_cluster_credentials_with_iam().cluster_identifier("c1").send().await.unwrap();
    assert_eq!(issued.db_user(), Some("IAMR:stand-in"));
    assert!(issued.next_refresh_time().is_some());
    assert!((890..=900).contains(&seconds_left(issued.expiration())));
}

#[tokio::test]
async fn workgroup_credentials_are_those_that_the_login_accepts() {
    let api = Api::start(Options { workgroups: vec!["w1".to_owned()], ..Options::default() }).await;
    let client = workgroup_client(&api);
    let issued = client.get_credentials().workgroup_name("w1").db_name("dev").send().await.unwrap();
    assert_eq!(issued.db_user(), Some("IAMR:stand-in"));
    let password = issued.db_password().unwrap();
    assert_eq!(admitted(&api), [("IAMR:stand-in".to_owned(), password.to_owned(), Some("dev".to_owned()))]);
    assert!(issued.expiration().is_some() && issued.next_refresh_time().is_some());
    let missing = client.get_credentials().workgroup_name("w2").send().await.unwrap_err();
    assert!(missing.as_service_error().unwrap().is_resource_not_found_exception());
    let short = client.get_credentials().workgroup_name("w1").duration_seconds(60).send().await.unwrap_err();
    assert!(short.as_service_error().unwrap().is_validation_exception());
}

#[tokio::test]
async fn requests_outside_of_the_rules_are_refused_with_their_codes() {
    let api = Api::start(Options { clusters: vec!["c1".to_owned()], ..Options::default() }).await;
    let client = cluster_client(&api, KEY, SECRET);
    let missing = client.get_cluster_credentials_with_iam().cluster_identifier("c2").send().await.unwrap_err();
    assert!(missing.as_service_error().unwrap().is_cluster_not_found_fault());
    for (user, seconds) in [("1a", 900), ("a:b", 900), ("public", 900), ("alice", 899), ("alice", 3601)] {
        let request = client.get_cluster_credentials().cluster_identifier("c1").db_user(user);
        let refused = request.duration_seconds(seconds).send().await.unwrap_err();
        assert_eq!(refused.code(), Some("InvalidParameterValue"), "{user} {seconds}");
    }
}

#[tokio::test]
async fn requests_must_be_signed_with_the_secret() {
    let api = Api::start(Options::default()).await;
    let wrong = cluster_client(&api, KEY, "another-secret");
    let refused = wrong.get_cluster_credentials_with_iam().cluster_identifier("c1").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("InvalidSignatureException"));
    let somebody = cluster_client(&api, "AKIASOMEBODY", SECRET);
    let refused = somebody.get_cluster_credentials_with_iam().cluster_identifier("c1").send().await.unwrap_err();
    assert_eq!(refused.code(), Some("UnrecognizedClientException"));
    assert!(api.script.admitted.lock().unwrap().is_empty());
}
