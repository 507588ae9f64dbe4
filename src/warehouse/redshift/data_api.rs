//! The Redshift Data API: statements over HTTPS, without a network path to the cluster.
//!
//! A script is one `BatchExecuteStatement`, which runs as one transaction. Expected counts become statements that fail, and
//! with them the transaction, when the count is another ([`guard`](super::sql::guard)). Source of the limits: management
//! guide, "Using the Amazon Redshift Data API", and the API reference of `BatchExecuteStatement`.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_redshiftdata::{
    Client,
    error::DisplayErrorContext,
    operation::describe_statement::DescribeStatementOutput,
    types::{Field, StatementStatusString, StatusString, SubStatementData},
};

use crate::warehouse::{error::FailureKind, session::Value};

use super::{
    client::STATEMENT_MAX,
    credentials::denied,
    errors::{Class, Said, Trouble, classify, trimmed},
    options::DataApiTarget,
    script::{Answer, Channel, Expect, Halt, Script, Sql, Step},
    sql,
};

/// Most statements of a batch.
const STATEMENTS_MAX: usize = 40;
/// Targets of a tick to begin with: each takes two statements, usually, and seven hold the fence and move the watermarks.
pub(crate) const TARGETS_MAX: usize = (STATEMENTS_MAX - 7) / 2;
/// Most bytes of a statement: the documented 100 KB, with some room.
pub(crate) const TEXT_BYTES_MAX: usize = 98_000;
/// First and longest pause between two looks at a running statement.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_LAST: Duration = Duration::from_secs(2);
/// Looks in a row that may fail before a statement is given up; the SDK has tried each three times.
const LOOKS_FAILED_MAX: u32 = 5;
/// Pages of one result: it holds a group's state at most, a page of which has thousands of rows.
const PAGES_MAX: usize = 1_000;

/// A way to the cluster through the Data API.
#[derive(Debug)]
pub(crate) struct DataApi {
    client: Client,
    target: DataApiTarget,
    database: String,
}

/// How a statement ended, once it did.
enum Ended {
    Finished(Box<DescribeStatementOutput>),
    Failed(Box<DescribeStatementOutput>),
}

impl DataApi {
    pub(crate) fn new(aws: &SdkConfig, target: DataApiTarget, database: String) -> Self {
        Self { client: Client::new(aws), target, database }
    }

    /// Cluster and user, or workgroup.
    fn place(&self) -> (Option<String>, Option<String>, Option<String>) {
        match &self.target {
            DataApiTarget::Cluster { cluster, user } => (Some(cluster.clone()), user.clone(), None),
            DataApiTarget::Workgroup { workgroup } => (None, None, Some(workgroup.clone())),
        }
    }

    /// Looks at a statement until it has ended.
    async fn wait(&self, id: &str) -> Result<Ended, Trouble> {
        let (began, mut pause, mut failed) = (Instant::now(), LOOK_FIRST, 0);
        loop {
            match Box::pin(self.client.describe_statement().id(id).send()).await {
                Ok(seen) => {
                    failed = 0;
                    match seen.status() {
                        Some(StatusString::Finished) => return Ok(Ended::Finished(Box::new(seen))),
                        Some(StatusString::Failed | StatusString::Aborted) => return Ok(Ended::Failed(Box::new(seen))),
                        _ => {}
                    }
                }
                Err(error) => {
                    failed += 1;
                    if failed >= LOOKS_FAILED_MAX {
                        return Err(refused("DescribeStatement", &error, false));
                    }
                }
            }
            if began.elapsed() > STATEMENT_MAX {
                // It may end by itself meanwhile: what became of it is asked of the watermark.
                drop(Box::pin(self.client.cancel_statement().id(id).send()).await);
                return Err(Trouble::lost("the statement did not end in time and was cancelled"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LOOK_LAST);
        }
    }

    /// The rows of a statement's result.
    async fn rows(&self, id: &str) -> Result<Vec<Vec<Value>>, Trouble> {
        let (mut rows, mut next) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let call = self.client.get_statement_result().id(id).set_next_token(next);
            let page = Box::pin(call.send()).await.map_err(|e| refused("GetStatementResult", &e, denied(&e)))?;
            rows.extend(page.records().iter().map(|record| record.iter().map(value).collect::<Vec<_>>()));
            next = page.next_token;
            if next.is_none() {
                return Ok(rows);
            }
        }
        Err(Trouble::new(FailureKind::Fatal, Class::Plain, "a result has more pages than a group's state can have"))
    }

    async fn submit(&self, script: &Script) -> Result<String, Trouble> {
        let (cluster, user, workgroup) = self.place();
        let texts = script.steps.iter().map(text).collect::<Vec<_>>();
        let call = self
            .client
            .batch_execute_statement()
            .database(&self.database)
            .set_cluster_identifier(cluster)
            .set_db_user(user)
            .set_workgroup_name(workgroup)
            // The same batch sent twice, because an answer was lost on its way, runs once.
            .client_token(token())
            .set_sqls(Some(texts));
        let answer = Box::pin(call.send()).await.map_err(|e| refused("BatchExecuteStatement", &e, denied(&e)))?;
        answer.id.ok_or_else(|| Trouble::lost("the Data API gave no id to a batch"))
    }

    async fn answers(&self, script: &Script, parts: &[SubStatementData]) -> Result<Vec<Answer>, Trouble> {
        let mut answers = Vec::with_capacity(script.steps.len());
        for (place, step) in script.steps.iter().enumerate() {
            let part = parts.get(place);
            let mut answer = Answer { changed: changed(part.map(SubStatementData::result_rows)), rows: Vec::new() };
            if let (Expect::Tell, Some(part)) = (step.expect, part) {
                answer.rows = self.rows(part.id()).await?;
            }
            answers.push(answer);
        }
        Ok(answers)
    }
}

#[async_trait]
impl Channel for DataApi {
    async fn run(&mut self, sql: &Sql) -> Result<Answer, Trouble> {
        let (cluster, user, workgroup) = self.place();
        let call = self
            .client
            .execute_statement()
            .database(&self.database)
            .set_cluster_identifier(cluster)
            .set_db_user(user)
            .set_workgroup_name(workgroup)
            .client_token(token())
            .sql(sql.text());
        let answer = Box::pin(call.send()).await.map_err(|e| refused("ExecuteStatement", &e, denied(&e)))?;
        let id = answer.id.ok_or_else(|| Trouble::lost("the Data API gave no id to a statement"))?;
        match self.wait(&id).await? {
            Ended::Finished(seen) => {
                let rows = if seen.has_result_set() == Some(true) { self.rows(&id).await? } else { Vec::new() };
                Ok(Answer { changed: changed(Some(seen.result_rows())), rows })
            }
            Ended::Failed(seen) => Err(said(seen.error().unwrap_or_default(), sql.is_sensitive())),
        }
    }

    async fn transact(&mut self, script: &Script) -> Result<Vec<Answer>, Halt> {
        let undecided = |trouble| Halt::Transaction { trouble, undecided: true };
        if script.steps.len() > STATEMENTS_MAX {
            let text = format!(
                "the transaction has {} statements and a batch of the Data API takes {STATEMENTS_MAX}: connect \
                 directly",
                script.steps.len()
            );
            let trouble = Trouble::new(FailureKind::Denied, Class::Plain, text);
            return Err(Halt::Transaction { trouble, undecided: false });
        }
        let id = self.submit(script).await.map_err(|trouble| Halt::Transaction {
            undecided: trouble.failure.kind == FailureKind::Transient,
            trouble,
        })?;
        match self.wait(&id).await.map_err(undecided)? {
            Ended::Finished(seen) => self.answers(script, seen.sub_statements()).await.map_err(undecided),
            Ended::Failed(seen) => Err(halt(script, &seen)),
        }
    }

    fn steps_max(&self) -> usize {
        STATEMENTS_MAX
    }

    fn is_broken(&self) -> bool {
        false
    }
}

/// The text that stands for a step.
fn text(step: &Step) -> String {
    match step.expect {
        Expect::Count(expected, _) => sql::guard(step.sql.text(), expected),
        Expect::Any | Expect::Tell => step.sql.text().to_owned(),
    }
}

/// Why a batch failed: the error of the one statement that did.
fn halt(script: &Script, seen: &DescribeStatementOutput) -> Halt {
    let parts = seen.sub_statements();
    let failed = |part: &SubStatementData| part.status() == Some(&StatementStatusString::Failed);
    let Some((part, step)) = parts.iter().zip(&script.steps).find(|(part, _)| failed(part)) else {
        let trouble = said(seen.error().unwrap_or_default(), true);
        return Halt::Transaction { trouble, undecided: false };
    };
    let error = part.error().or(seen.error()).unwrap_or_default();
    let about = step.about.clone();
    match step.expect {
        // How PostgreSQL and Redshift call it.
        Expect::Count(expected, otherwise) if error.to_ascii_lowercase().contains("zero") => {
            Halt::Unmet { about, found: None, expected, otherwise }
        }
        _ => Halt::Failed { about, trouble: said(error, step.sql.is_sensitive()) },
    }
}

/// Classifies the one text that the Data API has for an error.
fn said(error: &str, sensitive: bool) -> Trouble {
    let (message, detail) = error.split_once("Detail:").unwrap_or((error, ""));
    let message = message.trim().trim_start_matches("ERROR:").trim();
    classify(Said { code: "", message, detail, sensitive })
}

fn refused(call: &str, error: &(impl std::error::Error + 'static), denied: bool) -> Trouble {
    let text = format!("redshift-data:{call}: {}", trimmed(&DisplayErrorContext(error).to_string()));
    let kind = if denied { FailureKind::Denied } else { FailureKind::Transient };
    Trouble::new(kind, Class::Plain, text)
}

/// -1 says that there is no number.
fn changed(rows: Option<i64>) -> u64 {
    rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or_default()
}

fn value(field: &Field) -> Value {
    match field {
        Field::LongValue(value) => Value::Int(*value),
        Field::StringValue(text) => Value::Text(text.clone()),
        Field::BooleanValue(value) => Value::Int((*value).into()),
        Field::DoubleValue(value) => Value::Text(value.to_string()),
        _ => Value::Null,
    }
}

/// 128 random bits: the name of one submission.
fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::warehouse::redshift::script::About;

    #[test]
    fn expected_counts_become_guards() {
        let mut script = Script::default();
        script.count(&About::Fence, "SELECT count(*) FROM f", 1, "fenced");
        script.push(&About::Fence, "UPDATE f SET x = 1");
        let texts: Vec<String> = script.steps.iter().map(text).collect();
        assert_eq!(
            texts,
            ["SELECT 1 / CASE WHEN (SELECT count(*) FROM f) = 1 THEN 1 ELSE 0 END", "UPDATE f SET x = 1"]
        );
    }

    #[test]
    fn the_failed_statement_of_a_batch_is_the_one_to_blame() {
        let mut script = Script::default();
        script.count(&About::Fence, "SELECT count(*) FROM f", 1, "fenced");
        script.push(&About::Position, "UPDATE f SET x = 1");
        let part = |status, error: Option<&str>| {
            SubStatementData::builder().id("x").status(status).set_error(error.map(str::to_owned)).build()
        };
        let seen = |parts: Vec<_>| {
            let parts = parts.into_iter().collect::<Result<Vec<_>, _>>();
            DescribeStatementOutput::builder().id("x").set_sub_statements(parts.ok()).build()
        };
        let unmet = seen(vec![
            part(StatementStatusString::Failed, Some("ERROR: Divide by zero")),
            part(StatementStatusString::Aborted, None),
        ]);
        assert!(matches!(unmet.map(|s| halt(&script, &s)), Ok(Halt::Unmet { about: About::Fence, .. })));
        let crossed = seen(vec![
            part(StatementStatusString::Finished, None),
            part(
                StatementStatusString::Failed,
                Some("ERROR: 1023 Detail: Serializable isolation violation on table - 1"),
            ),
        ]);
        match crossed.map(|s| halt(&script, &s)) {
            Ok(Halt::Failed { about: About::Position, trouble }) => assert_eq!(trouble.class, Class::Conflict),
            other => panic!("{other:?}"),
        }
    }
}
