//! The operations of the Data API.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::Answer;
use super::credentials::{epoch_seconds, exists};
use super::parameters::{Parameter, bind, is_single};
use super::statement::{Asked, Statement, Status};
use super::statements::{NotTaken, Statements};
use super::{Host, Options, records};

/// Bytes of a statement's text ("Considerations when calling the Data API": 100 KB).
const TEXT_BYTES_MAX: usize = 100 << 10;
/// Statements of a batch.
const BATCH_MAX: usize = 40;
/// Longest wait of one request, in seconds.
const WAIT_SECONDS_MAX: u64 = 30;
/// Statements on one page of a list.
const LIST_MAX: usize = 100;

/// The API.
pub(super) struct DataApi {
    options: Options,
    host: Arc<dyn Host>,
    statements: Statements,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Execute {
    sql: Option<String>,
    sqls: Option<Vec<String>>,
    cluster_identifier: Option<String>,
    workgroup_name: Option<String>,
    secret_arn: Option<String>,
    db_user: Option<String>,
    database: Option<String>,
    statement_name: Option<String>,
    parameters: Option<Vec<SqlParameter>>,
    client_token: Option<String>,
    execution_mode: Option<String>,
    result_format: Option<String>,
    session_id: Option<String>,
    session_keep_alive_seconds: Option<u64>,
    wait_time_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct SqlParameter {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ById {
    id: String,
    next_token: Option<String>,
    wait_time_seconds: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    next_token: Option<String>,
    max_results: Option<usize>,
    statement_name: Option<String>,
    status: Option<String>,
}

impl DataApi {
    pub(super) fn new(options: Options, host: Arc<dyn Host>) -> Self {
        Self { options, host, statements: Statements::default() }
    }

    /// Answers one operation.
    pub(super) async fn answer(&self, operation: &str, body: &[u8]) -> Answer {
        let answer = match operation {
            "ExecuteStatement" => self.execute(body, false).await,
            "BatchExecuteStatement" => self.execute(body, true).await,
            "DescribeStatement" => self.describe(body).await,
            "GetStatementResult" => self.result(body).await,
            "CancelStatement" => self.cancel(body),
            "ListStatements" => self.list(body),
            _ => Err(Answer::error(400, "UnknownOperationException", "the stand-in does not serve this operation")),
        };
        answer.unwrap_or_else(|error| error)
    }

    async fn execute(&self, body: &[u8], batch: bool) -> Result<Answer, Answer> {
        let mut request: Execute = parse(body)?;
        let wait = wait(request.wait_time_seconds)?;
        let token = request.client_token.take();
        let asked = self.asked(request, batch)?;
        let statement = self.statements.submit(asked, token, Arc::clone(&self.host)).map_err(|why| match why {
            NotTaken::TooMany => {
                Answer::error(400, "ActiveStatementsExceededException", "Active statements exceeded the allowed quota.")
            }
            NotTaken::TokenUsed => invalid("ClientToken was used for a request with other parameters"),
        })?;
        let mut answer = json!({
            "Id": statement.id,
            "CreatedAt": epoch_seconds(statement.created),
            "Database": statement.asked.database,
        });
        for (member, value) in &statement.asked.who {
            answer[*member] = value.as_str().into();
        }
        if let Some(limit) = wait {
            statement.wait(limit).await;
            answer["Status"] = statement.progress().status.name().into();
        }
        Ok(Answer::json(&answer))
    }

    fn asked(&self, request: Execute, batch: bool) -> Result<Asked, Answer> {
        let texts = match (batch, request.sql, request.sqls) {
            (false, Some(sql), None) => vec![sql],
            (true, None, Some(sqls)) if (1..=BATCH_MAX).contains(&sqls.len()) => sqls,
            (true, None, Some(_)) => return Err(invalid(&format!("Sqls must have 1 to {BATCH_MAX} members"))),
            _ => return Err(invalid(if batch { "Sqls is required" } else { "Sql is required" })),
        };
        if texts.iter().any(String::is_empty) {
            return Err(invalid("Sql must not be empty"));
        }
        if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(invalid(
                "Cannot process SQL statement. SQL statement length exceeds the allowed limit of 100KB.",
            ));
        }
        if request.session_id.is_some() || request.session_keep_alive_seconds.is_some() {
            return Err(invalid("the stand-in does not keep sessions"));
        }
        if !matches!(request.result_format.as_deref(), None | Some("JSON" | "json")) {
            return Err(invalid("the stand-in gives results as JSON only"));
        }
        let auto_commit = match request.execution_mode.as_deref() {
            None | Some("TRANSACTION") => false,
            Some("AUTO_COMMIT") if batch => true,
            Some(other) => return Err(invalid(&format!("ExecutionMode {other} is not valid"))),
        };
        let mut who = Vec::new();
        match (&request.cluster_identifier, &request.workgroup_name) {
            (Some(cluster), None) if !exists(&self.options.clusters, cluster) => {
                return Err(invalid(&format!("Redshift endpoint doesn't exist in this region: {cluster}")));
            }
            (None, Some(workgroup)) if !exists(&self.options.workgroups, workgroup) => {
                return Err(invalid(&format!("Redshift endpoint doesn't exist in this region: {workgroup}")));
            }
            (Some(cluster), None) => who.push(("ClusterIdentifier", cluster.clone())),
            (None, Some(workgroup)) => who.push(("WorkgroupName", workgroup.clone())),
            _ => return Err(invalid("exactly one of ClusterIdentifier and WorkgroupName is required")),
        }
        let database = request.database.filter(|database| !database.is_empty());
        let database = database.ok_or_else(|| invalid("Database is required"))?;
        if request.secret_arn.is_some() && request.db_user.is_some() {
            return Err(invalid("SecretArn and DbUser exclude each other"));
        }
        let user = request.db_user.clone().unwrap_or_else(|| self.options.identity.clone());
        who.extend(request.secret_arn.map(|secret| ("SecretArn", secret)));
        who.extend(request.db_user.map(|user| ("DbUser", user)));
        let parameters: Vec<Parameter> =
            request.parameters.unwrap_or_default().into_iter().map(Parameter::from).collect();
        let bound = bind_all(&texts, &parameters)?;
        let name = request.statement_name;
        Ok(Asked { texts, bound, batch, auto_commit, parameters, name, database, user, who })
    }

    async fn describe(&self, body: &[u8]) -> Result<Answer, Answer> {
        let request: ById = parse(body)?;
        let (statement, _) = self.find(&request.id)?;
        if let Some(limit) = wait(request.wait_time_seconds)? {
            statement.wait(limit).await;
        }
        Ok(Answer::json(&statement.described()))
    }

    async fn result(&self, body: &[u8]) -> Result<Answer, Answer> {
        let request: ById = parse(body)?;
        let (statement, part) = self.find(&request.id)?;
        if let Some(limit) = wait(request.wait_time_seconds)? {
            statement.wait(limit).await;
        }
        let progress = statement.progress();
        let none = || {
            let text = "Query does not have result. Please check query status with DescribeStatement.";
            Answer::error(400, "ResourceNotFoundException", text)
        };
        if progress.status != Status::Finished || (statement.asked.batch && part.is_none()) {
            return Err(none());
        }
        let rows = progress.parts.get(part.unwrap_or_default()).and_then(|part| part.rows.clone()).ok_or_else(none)?;
        let from = match request.next_token {
            None => 0,
            Some(token) => token.parse().map_err(|_| invalid("NextToken is not valid"))?,
        };
        Ok(Answer::json(&records::page(&rows, from)))
    }

    fn cancel(&self, body: &[u8]) -> Result<Answer, Answer> {
        let request: ById = parse(body)?;
        let (statement, _) = self.find(&request.id)?;
        if self.statements.cancel(&statement.id) == Some(true) {
            return Ok(Answer::json(&json!({ "Status": true })));
        }
        let status = statement.progress().status.name();
        Err(invalid(&format!("Could not cancel a query that is already in {status} state with ID: {}", statement.id)))
    }

    fn list(&self, body: &[u8]) -> Result<Answer, Answer> {
        let request: List = parse(body)?;
        let fits = |statement: &Arc<Statement>| {
            let status = request.status.as_deref().unwrap_or("ALL");
            let name = statement.asked.name.as_deref().unwrap_or_default();
            (status == "ALL" || status == statement.progress().status.name())
                && request.statement_name.as_deref().is_none_or(|prefix| name.starts_with(prefix))
        };
        let all: Vec<Arc<Statement>> = self.statements.newest_first().into_iter().filter(fits).collect();
        // The token is the last statement of the page before: new ones come in front of it.
        let from = match &request.next_token {
            None => 0,
            Some(id) => match all.iter().position(|statement| statement.id == *id) {
                Some(at) => at + 1,
                None => return Err(invalid("NextToken is not valid")),
            },
        };
        let most = request.max_results.unwrap_or(LIST_MAX).clamp(1, LIST_MAX);
        let page = &all[from..all.len().min(from + most)];
        let mut answer =
            json!({ "Statements": page.iter().map(|statement| statement.listed()).collect::<Vec<Value>>() });
        if let Some(last) = page.last().filter(|_| from + most < all.len()) {
            answer["NextToken"] = last.id.as_str().into();
        }
        Ok(Answer::json(&answer))
    }

    /// A statement, and the number of its part where the id names one (`<id>:2`).
    fn find(&self, id: &str) -> Result<(Arc<Statement>, Option<usize>), Answer> {
        let (id, part) = id.split_once(':').map_or((id, None), |(id, part)| (id, Some(part)));
        let found = self.statements.find(id);
        let missing = || Answer::error(400, "ResourceNotFoundException", "Query does not exist.");
        let statement = found.ok_or_else(missing)?;
        let part = match part {
            None => None,
            Some(number) => match number.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
                Some(at) if statement.asked.batch && at < statement.asked.texts.len() => Some(at),
                _ => return Err(missing()),
            },
        };
        Ok((statement, part))
    }
}

impl From<SqlParameter> for Parameter {
    fn from(SqlParameter { name, value }: SqlParameter) -> Self {
        Self { name, value }
    }
}

/// Puts parameters into every text; each must be used somewhere.
fn bind_all(texts: &[String], parameters: &[Parameter]) -> Result<Vec<String>, Answer> {
    let mut used = Vec::new();
    let mut bound = Vec::with_capacity(texts.len());
    for text in texts {
        if !is_single(text) {
            return Err(invalid("cannot insert multiple commands into a prepared statement"));
        }
        let (sql, names) = bind(text, parameters).map_err(|error| invalid(&error))?;
        used.extend(names);
        bound.push(sql);
    }
    match parameters.iter().find(|parameter| !used.contains(&parameter.name)) {
        Some(unused) => {
            let text = format!("Parameters list contains unused parameters. Unused parameters: [{}]", unused.name);
            Err(invalid(&text))
        }
        None => Ok(bound),
    }
}

fn wait(seconds: Option<u64>) -> Result<Option<Duration>, Answer> {
    match seconds {
        Some(seconds) if seconds > WAIT_SECONDS_MAX => {
            Err(invalid(&format!("WaitTimeSeconds must be at most {WAIT_SECONDS_MAX}")))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Answer> {
    serde_json::from_slice(body).map_err(|error| Answer::error(400, "SerializationException", &error.to_string()))
}

fn invalid(message: &str) -> Answer {
    Answer::error(400, "ValidationException", message)
}
