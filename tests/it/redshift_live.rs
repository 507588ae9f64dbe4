//! The open questions about Redshift, asked of a cluster. What AWS does not document and nobody has written down is asked by
//! doing it; the answers are printed, so that whoever has a cluster can settle them.
//!
//! ```sh
//! export TAILWATER_TEST_REDSHIFT_URL='redshift://user:password@host:5439/database'
//! export TAILWATER_TEST_REDSHIFT_BUCKET=my-bucket                       # in the cluster's region
//! export TAILWATER_TEST_REDSHIFT_IAM_ROLE='arn:aws:iam::1234…:role/r'   # or `default`
//! export TAILWATER_TEST_REDSHIFT_S3_ENDPOINT=http://127.0.0.1:9000      # only for a stand-in
//! cargo test --test it redshift_live -- --ignored --nocapture
//! ```
//!
//! The user may create schemas. AWS credentials and region come from the usual places. Everything happens in a schema and
//! below a prefix of the suite's own, both removed at the end. The same code runs against the stand-in in every test run, where
//! the answers are the stand-in's defaults: what is not known to work is refused.

mod cluster;
mod files;
mod questions;

use cluster::Cluster;
use questions::Answer;
use tailwater_redshift::{Isolation, Loader, Options, Redshift};
use tailwater_servers::S3;

/// Asks everything and prints what was found.
async fn walk(cluster: Cluster) -> Vec<Answer> {
    let mut answers = Vec::new();
    let opened = cluster.open().await;
    if opened.is_ok() {
        answers = questions::ask_all(&cluster).await;
    }
    let closed = cluster.close().await;
    opened.and(closed).unwrap_or_else(|e| panic!("the suite's own schema and prefix: {e}"));
    for answer in &answers {
        println!("({}) {}", answer.number, answer.question);
        answer.facts.iter().for_each(|fact| println!("      {fact}"));
    }
    answers
}

#[tokio::test]
#[ignore = "needs a cluster: TAILWATER_TEST_REDSHIFT_URL, _BUCKET and _IAM_ROLE"]
async fn the_open_questions_on_a_cluster() {
    let cluster = Cluster::from_environment().await.unwrap_or_else(|e| panic!("{e}"));
    let answers = walk(cluster).await;
    assert_eq!(answers.len(), questions::COUNT);
}

/// A stand-in with an S3 server, and a cluster that is both.
async fn stand_in(isolation: Isolation) -> (Redshift, S3, Cluster) {
    let s3 = S3::with_bucket("lake").unwrap();
    let loader = Loader::new(s3.endpoint(), S3::ACCESS_KEY, S3::SECRET_KEY);
    let options = Options { loader, isolation, ..Options::default() };
    let (database, redshift) = (options.database.clone(), Redshift::start(options).unwrap());
    let url = redshift.url(&database);
    let keys = (S3::ACCESS_KEY, S3::SECRET_KEY, S3::REGION);
    let cluster = Cluster::new(&url, "lake", "default", Some(s3.endpoint()), Some(keys)).await.unwrap();
    (redshift, s3, cluster)
}

#[tokio::test]
async fn the_stand_in_answers_with_its_defaults() {
    let (_redshift, _s3, cluster) = stand_in(Isolation::Snapshot).await;
    let answers = walk(cluster).await;
    let numbers: Vec<usize> = answers.iter().map(|a| a.number).collect();
    assert_eq!(numbers, (1..=questions::COUNT).collect::<Vec<_>>());
    assert!(answers.iter().all(|a| !a.facts.is_empty()));
    let says = |number: usize, part: &str| {
        let facts = &answers[number - 1].facts;
        assert!(facts.iter().any(|f| f.contains(part)), "({number}) does not say {part:?}: {facts:#?}");
    };
    // What Tailwater's merge is built on works; what nobody has measured is refused.
    says(2, "JSON_PARSE made an object");
    for refused in [1, 3, 4, 5, 6] {
        says(refused, "refused: ");
    }
    says(8, "code 5");
    says(10, "both committed");
    for word in ["SAVEPOINT: refused", "ON CONFLICT: refused", "RETURNING: refused"] {
        says(11, word);
    }
}

#[tokio::test]
async fn the_stand_in_has_both_isolation_levels() {
    let (_redshift, _s3, cluster) = stand_in(Isolation::Serializable).await;
    cluster.open().await.unwrap();
    let answer = questions::conflicting_positions(&cluster).await;
    cluster.close().await.unwrap();
    assert!(answer.facts.iter().any(|f| f.contains("1023")), "{:#?}", answer.facts);
}
