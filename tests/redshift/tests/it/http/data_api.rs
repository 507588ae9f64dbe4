//! The Data API: states, batches, results, limits.

use std::time::Duration;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::error::ProvideErrorMetadata;
use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::operation::execute_statement::builders::ExecuteStatementFluentBuilder;
use aws_sdk_redshiftdata::types::{ExecutionMode, Field, SqlParameter, StatementStatusString, StatusString};
use tailwater_redshift::http::Options;

use super::api::Api;

async fn start() -> (Api, Client) {
    let api = Api::start(Options::default()).await;
    let client = api.data();
    (api, client)
}

fn execute(client: &Client, sql: &str) -> ExecuteStatementFluentBuilder {
    client.execute_statement().cluster_identifier("c1").db_user("alice").database("dev").sql(sql)
}

/// Waits for the end.
async fn ended(client: &Client, id: &str) -> DescribeStatementOutput {
    let described = client.describe_statement().id(id).wait_time_seconds(30).send().await.unwrap();
    let status = described.status().unwrap();
    assert!(matches!(status, StatusString::Finished | StatusString::Failed | StatusString::Aborted), "{status}");
    described
}

async fn run(client: &Client, sql: &str) -> DescribeStatementOutput {
    let submitted = execute(client, sql).send().await.unwrap();
    ended(client, submitted.id().unwrap()).await
}

fn parameter(name: &str, value: &str) -> SqlParameter {
    SqlParameter::builder().name(name).value(value).build().unwrap()
}

#[tokio::test]
async fn a_statement_runs_behind_the_answer() {
    let (api, client) = start().await;
    let submitted = execute(&client, "wait").send().await.unwrap();
    let id = submitted.id().unwrap();
    assert_eq!((submitted.database(), submitted.db_user()), (Some("dev"), Some("alice")));
    let described = client.describe_statement().id(id).send().await.unwrap();
    let open = [StatusString::Submitted, StatusString::Picked, StatusString::Started];
    assert!(open.contains(described.status().unwrap()));
    let early = client.get_statement_result().id(id).send().await.unwrap_err();
    assert!(early.as_service_error().unwrap().is_resource_not_found_exception());
    api.script.go_on.notify_one();
    let described = ended(&client, id).await;
    assert_eq!(described.status(), Some(&StatusString::Finished));
    assert_eq!((described.redshift_pid(), described.has_result_set()), (4711, Some(false)));
    assert_eq!(described.query_string(), Some("wait"));
    assert_eq!(*api.script.log.lock().unwrap(), ["alice@dev: wait"]);
}

#[tokio::test]
async fn values_have_the_form_of_their_types() {
    let (_api, client) = start().await;
    let described = run(&client, "types").await;
    assert_eq!((described.has_result_set(), described.result_rows()), (Some(true), 1));
    let result = client.get_statement_result().id(described.id()).send().await.unwrap();
    let text = |text: &str| Field::StringValue(text.to_owned());
    let expected = [
        Field::BooleanValue(true),
        Field::LongValue(-7),
        Field::DoubleValue(0.5),
        text("1.20"),
        text("é"),
        text("{\"a\":1}"),
        Field::IsNull(true),
    ];
    assert_eq!(result.records()[0], expected);
    let types: Vec<&str> = result.column_metadata().iter().map(|column| column.type_name().unwrap()).collect();
    assert_eq!(types, ["bool", "int4", "float8", "numeric", "varchar", "super", "varchar"]);
}

#[tokio::test]
async fn results_come_in_pages() {
    let (_api, client) = start().await;
    let described = run(&client, "rows 2500").await;
    let mut rows = Vec::new();
    let mut pages = client.get_statement_result().id(described.id()).into_paginator().send();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert_eq!(page.total_num_rows(), 2500);
        rows.extend(page.records().iter().map(|row| row[0].as_long_value().copied().unwrap()));
        count += 1;
    }
    assert_eq!((count, rows), (3, (0..2500).collect()));
}

#[tokio::test]
async fn an_error_is_a_text_without_sqlstate() {
    let (_api, client) = start().await;
    let described = run(&client, "fail").await;
    assert_eq!(described.status(), Some(&StatusString::Failed));
    let error = described.error().unwrap();
    assert!(error.starts_with("ERROR: Spectrum Scan Error\n  Detail: code: 15007 [ErrorId: 1-"), "{error}");
    let submitted = execute(&client, "rows 1").database("nowhere").send().await.unwrap();
    let described = ended(&client, submitted.id().unwrap()).await;
    assert!(described.error().unwrap().contains("database \"nowhere\" does not exist"));
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let (api, client) = start().await;
    let batch = || client.batch_execute_statement().workgroup_name("w1").database("dev");
    let submitted = batch().sqls("DELETE").sqls("rows 2").send().await.unwrap();
    let id = submitted.id().unwrap();
    let described = ended(&client, id).await;
    assert_eq!(described.status(), Some(&StatusString::Finished));
    let who = "IAMR:stand-in@dev";
    let ran = |statements: &[&str]| statements.iter().map(|sql| format!("{who}: {sql}")).collect::<Vec<_>>();
    assert_eq!(*api.script.log.lock().unwrap(), ran(&["BEGIN", "DELETE", "rows 2", "COMMIT"]));
    let parts = described.sub_statements();
    assert_eq!((parts[0].id(), parts[0].result_rows()), (format!("{id}:1").as_str(), 3));
    assert!(client.get_statement_result().id(id).send().await.is_err());
    let result = client.get_statement_result().id(format!("{id}:2")).send().await.unwrap();
    assert_eq!(result.total_num_rows(), 2);

    api.script.log.lock().unwrap().clear();
    let submitted = batch().sqls("DELETE").sqls("fail").sqls("rows 1").send().await.unwrap();
    let described = ended(&client, submitted.id().unwrap()).await;
    assert_eq!(described.status(), Some(&StatusString::Failed));
    assert!(described.error().unwrap().starts_with("Query #2 failed with ERROR: Spectrum Scan Error"));
    let states: Vec<_> = described.sub_statements().iter().map(|part| part.status().unwrap().clone()).collect();
    use StatementStatusString::{Aborted, Failed, Finished};
    assert_eq!(states, [Finished, Failed, Aborted]);
    assert_eq!(*api.script.log.lock().unwrap(), ran(&["BEGIN", "DELETE", "fail", "ROLLBACK"]));
}

#[tokio::test]
async fn a_batch_may_commit_after_each_statement() {
    let (api, client) = start().await;
    let batch = client.batch_execute_statement().workgroup_name("w1").database("dev").db_user("a");
    let submitted = batch.sqls("fail").sqls("rows 1").execution_mode(ExecutionMode::AutoCommit).send().await.unwrap();
    let described = ended(&client, submitted.id().unwrap()).await;
    assert_eq!(described.status(), Some(&StatusString::Failed));
    assert_eq!(described.sub_statements()[1].status(), Some(&StatementStatusString::Finished));
    assert_eq!(*api.script.log.lock().unwrap(), ["a@dev: fail", "a@dev: rows 1"]);
}

#[tokio::test]
async fn cancelling_ends_the_session_once() {
    let (api, client) = start().await;
    let submitted = execute(&client, "wait").send().await.unwrap();
    let id = submitted.id().unwrap();
    assert_eq!(client.cancel_statement().id(id).send().await.unwrap().status(), Some(true));
    assert_eq!(ended(&client, id).await.status(), Some(&StatusString::Aborted));
    // A session that was never opened is not closed; this one may be either.
    let opened = !api.script.log.lock().unwrap().is_empty();
    if opened {
        tokio::time::timeout(Duration::from_secs(10), api.script.closed.notified()).await.unwrap();
    }
    let again = client.cancel_statement().id(id).send().await.unwrap_err();
    assert!(again.message().unwrap().starts_with("Could not cancel a query that is already in ABORTED state"));
}

#[tokio::test]
async fn a_token_makes_a_request_happen_once() {
    let (api, client) = start().await;
    let first = execute(&client, "rows 1").client_token("t1").send().await.unwrap();
    let second = execute(&client, "rows 1").client_token("t1").send().await.unwrap();
    assert_eq!(first.id(), second.id());
    let other = execute(&client, "rows 2").client_token("t1").send().await.unwrap_err();
    assert!(other.as_service_error().unwrap().is_validation_exception());
    ended(&client, first.id().unwrap()).await;
    assert_eq!(api.script.log.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn parameters_are_put_in_as_literals() {
    let (api, client) = start().await;
    let request = execute(&client, "UPDATE :name, ':id', :id::int");
    let request = request.parameters(parameter("id", "7")).parameters(parameter("name", "o'h\\"));
    let submitted = request.send().await.unwrap();
    let described = ended(&client, submitted.id().unwrap()).await;
    assert_eq!(described.query_string(), Some("UPDATE :name, ':id', :id::int"));
    assert_eq!(described.query_parameters().len(), 2);
    assert_eq!(*api.script.log.lock().unwrap(), ["alice@dev: UPDATE 'o''h\\\\', ':id', '7'::int"]);
    let unused = execute(&client, "rows 1").parameters(parameter("id", "7")).send().await.unwrap_err();
    assert!(unused.message().unwrap().contains("unused parameters"));
    let missing = execute(&client, "rows :n").send().await.unwrap_err();
    assert!(missing.as_service_error().unwrap().is_validation_exception());
}

#[tokio::test]
async fn limits_are_those_of_the_service() {
    let (api, client) = start().await;
    let long = format!("UPDATE {}", "x".repeat(100 << 10));
    let refused = execute(&client, &long).send().await.unwrap_err();
    assert!(refused.message().unwrap().contains("exceeds the allowed limit of 100KB"));
    let many = client.batch_execute_statement().workgroup_name("w").database("dev");
    let refused = many.set_sqls(Some(vec!["rows 1".to_owned(); 41])).send().await.unwrap_err();
    assert!(refused.as_service_error().unwrap().is_validation_exception());
    let two = execute(&client, "rows 1; rows 2").send().await.unwrap_err();
    assert!(two.message().unwrap().contains("multiple commands"));
    let neither = client.execute_statement().database("dev").sql("rows 1").send().await.unwrap_err();
    assert!(neither.as_service_error().unwrap().is_validation_exception());
    let unknown = client.describe_statement().id("00000000-0000-4000-8000-000000000000").send().await.unwrap_err();
    assert!(unknown.as_service_error().unwrap().is_resource_not_found_exception());

    for _ in 0..200 {
        execute(&client, "wait").send().await.unwrap();
    }
    let full = execute(&client, "wait").send().await.unwrap_err();
    assert!(full.as_service_error().unwrap().is_active_statements_exceeded_exception());
    drop(api);
}

#[tokio::test]
async fn statements_are_listed_newest_first() {
    let (_api, client) = start().await;
    for number in 0..5 {
        let request = execute(&client, &format!("rows {number}")).statement_name(format!("job-{}", number % 2));
        ended(&client, request.send().await.unwrap().id().unwrap()).await;
    }
    run(&client, "fail").await;
    let mut texts = Vec::new();
    let mut pages = client.list_statements().status(StatusString::Finished).max_results(2).into_paginator().send();
    while let Some(page) = pages.next().await {
        texts.extend(page.unwrap().statements().iter().map(|one| one.query_string().unwrap().to_owned()));
    }
    assert_eq!(texts, ["rows 4", "rows 3", "rows 2", "rows 1", "rows 0"]);
    let named = client.list_statements().statement_name("job-1").send().await.unwrap();
    assert_eq!(named.statements().len(), 2);
    let all = client.list_statements().send().await.unwrap();
    assert_eq!(all.statements()[0].status(), Some(&StatusString::Failed));
}
