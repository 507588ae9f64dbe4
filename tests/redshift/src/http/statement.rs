//! One request of the Data API on its way: SUBMITTED, PICKED, STARTED, and FINISHED, FAILED or ABORTED.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::credentials::epoch_seconds;
use super::parameters::Parameter;
use super::{Host, Session, random, records};
use crate::Refusal;
use crate::session::{Outcome, Rows};

/// Bytes of one result ("Considerations when calling the Data API").
const RESULT_BYTES_MAX: usize = 100 << 20;

/// Where a statement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Submitted,
    Picked,
    Started,
    Finished,
    Failed,
    Aborted,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Submitted => "SUBMITTED",
            Self::Picked => "PICKED",
            Self::Started => "STARTED",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Aborted)
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// As sent, without parameters put in.
    pub(super) texts: Vec<String>,
    /// As run.
    pub(super) bound: Vec<String>,
    pub(super) batch: bool,
    /// Whether a batch commits after each statement.
    pub(super) auto_commit: bool,
    pub(super) parameters: Vec<Parameter>,
    pub(super) name: Option<String>,
    pub(super) database: String,
    pub(super) user: String,
    /// Members that name the cluster, the workgroup, the secret and the user, as sent.
    pub(super) who: Vec<(&'static str, String)>,
}

/// How one text fared.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    pub(super) rows: Option<Arc<Rows>>,
    count: u64,
    bytes: usize,
    duration: Duration,
    updated: SystemTime,
}

/// How all of it fared.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) status: Status,
    pub(super) error: Option<String>,
    pub(super) parts: Vec<Part>,
    pid: i64,
    duration: Duration,
    updated: SystemTime,
}

/// A request and its progress.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) id: String,
    pub(super) asked: Asked,
    pub(super) token: Option<String>,
    pub(super) created: SystemTime,
    progress: watch::Sender<Progress>,
}

impl Statement {
    pub(super) fn new(asked: Asked, token: Option<String>) -> Self {
        let now = SystemTime::now();
        let part = Part {
            status: Status::Submitted,
            error: None,
            rows: None,
            count: 0,
            bytes: 0,
            duration: Duration::ZERO,
            updated: now,
        };
        let parts = vec![part; asked.bound.len()];
        let progress =
            Progress { status: Status::Submitted, error: None, parts, pid: 0, duration: Duration::ZERO, updated: now };
        Self { id: random::uuid(), asked, token, created: now, progress: watch::Sender::new(progress) }
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    pub(super) fn is_final(&self) -> bool {
        self.progress.borrow().status.is_final()
    }

    /// Bytes of the results kept.
    pub(super) fn bytes(&self) -> usize {
        self.progress.borrow().parts.iter().map(|part| part.bytes).sum()
    }

    /// Waits for the end, or until the limit.
    pub(super) async fn wait(&self, limit: Duration) {
        let mut progress = self.progress.subscribe();
        // Either way the caller looks at the status.
        let _ = tokio::time::timeout(limit, progress.wait_for(|progress| progress.status.is_final())).await;
    }

    /// Starts it.
    pub(super) fn start(self: &Arc<Self>, host: Arc<dyn Host>) -> AbortHandle {
        let statement = Arc::clone(self);
        tokio::spawn(async move { statement.run(host.as_ref()).await }).abort_handle()
    }

    /// Marks it as cancelled; false when it has ended already.
    pub(super) fn cancel(&self) -> bool {
        self.progress.send_if_modified(|progress| {
            let cancelled = !progress.status.is_final();
            if cancelled {
                progress.end(Status::Aborted, Some("Query was cancelled by the user".to_owned()));
            }
            cancelled
        })
    }

    async fn run(&self, host: &dyn Host) {
        let started = Instant::now();
        self.advance(|progress| progress.status = Status::Picked);
        let outcome = self.execute(host).await;
        self.advance(|progress| {
            progress.duration = started.elapsed();
            match outcome {
                Ok(()) => progress.end(Status::Finished, None),
                Err(error) => progress.end(Status::Failed, Some(error)),
            }
        });
    }

    async fn execute(&self, host: &dyn Host) -> Result<(), String> {
        let asked = &self.asked;
        let opened = host.open(&asked.database, &asked.user).await;
        let mut session = opened.map_err(|refusal| told(&refusal))?;
        let pid = session.pid();
        self.advance(|progress| (progress.status, progress.pid) = (Status::Started, pid));
        let done = if asked.batch && !asked.auto_commit {
            self.transaction(session.as_mut()).await
        } else {
            self.statements(session.as_mut()).await
        };
        session.close().await;
        done
    }

    /// All texts in one transaction.
    async fn transaction(&self, session: &mut dyn Session) -> Result<(), String> {
        session.execute("BEGIN").await.map_err(|refusal| told(&refusal))?;
        let done = self.statements(session).await;
        if done.is_err() {
            // The connection's end would do the same.
            let _ = session.execute("ROLLBACK").await;
            return done;
        }
        session.execute("COMMIT").await.map(drop).map_err(|refusal| told(&refusal))
    }

    /// One text after the other, each in what transaction the session is in. A failure is the last one, unless each
    /// text stands for itself; the first one is told.
    async fn statements(&self, session: &mut dyn Session) -> Result<(), String> {
        let asked = &self.asked;
        let mut failed = None;
        for (at, sql) in asked.bound.iter().enumerate() {
            self.advance(|progress| progress.parts[at].status = Status::Started);
            let began = Instant::now();
            let outcome = session.execute(sql).await.map_err(|refusal| told(&refusal)).and_then(result);
            let error = outcome.as_ref().err().cloned();
            self.advance(|progress| progress.parts[at].finish(outcome, began.elapsed()));
            if let Some(error) = error {
                failed.get_or_insert(if asked.batch {
                    format!("Query #{} failed with {error}", at + 1)
                } else {
                    error
                });
                if !asked.auto_commit {
                    break;
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Changes the progress unless it has ended.
    fn advance(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_if_modified(|progress| {
            let open = !progress.status.is_final();
            if open {
                change(progress);
                progress.updated = SystemTime::now();
            }
            open
        });
    }

    /// What DescribeStatement answers.
    pub(super) fn described(&self) -> Value {
        let progress = self.progress();
        let (asked, last) = (&self.asked, progress.parts.last());
        let mut answer = json!({
            "Id": self.id,
            "Status": progress.status.name(),
            "CreatedAt": epoch_seconds(self.created),
            "UpdatedAt": epoch_seconds(progress.updated),
            "Duration": nanoseconds(progress.duration),
            "RedshiftPid": progress.pid,
            "RedshiftQueryId": 0,
            "HasResultSet": progress.parts.iter().any(|part| part.rows.is_some()),
            "ResultRows": last.map_or(-1, Part::result_rows),
            "ResultSize": last.map_or(-1, Part::result_size),
            "ResultFormat": "json",
            "Database": asked.database,
        });
        for (member, value) in &asked.who {
            answer[*member] = value.as_str().into();
        }
        if let Some(error) = &progress.error {
            answer["Error"] = error.as_str().into();
        }
        if !asked.parameters.is_empty() {
            let parameter = |one: &Parameter| json!({ "name": one.name, "value": one.value });
            answer["QueryParameters"] = asked.parameters.iter().map(parameter).collect();
        }
        if asked.batch {
            answer["ExecutionMode"] = if asked.auto_commit { "AUTO_COMMIT" } else { "TRANSACTION" }.into();
            let parts = progress.parts.iter().zip(&asked.texts).enumerate();
            answer["SubStatements"] = parts.map(|(at, (part, text))| self.described_part(at, part, text)).collect();
        } else {
            answer["QueryString"] = asked.texts.first().map(String::as_str).into();
        }
        answer
    }

    fn described_part(&self, at: usize, part: &Part, text: &str) -> Value {
        let mut answer = json!({
            "Id": format!("{}:{}", self.id, at + 1),
            "Status": part.status.name(),
            "CreatedAt": epoch_seconds(self.created),
            "UpdatedAt": epoch_seconds(part.updated),
            "Duration": nanoseconds(part.duration),
            "QueryString": text,
            "RedshiftQueryId": 0,
            "HasResultSet": part.rows.is_some(),
            "ResultRows": part.result_rows(),
            "ResultSize": part.result_size(),
        });
        if let Some(error) = &part.error {
            answer["Error"] = error.as_str().into();
        }
        answer
    }

    /// What ListStatements answers about it.
    pub(super) fn listed(&self) -> Value {
        let progress = self.progress();
        let mut answer = json!({
            "Id": self.id,
            "Status": progress.status.name(),
            "CreatedAt": epoch_seconds(self.created),
            "UpdatedAt": epoch_seconds(progress.updated),
            "IsBatchStatement": self.asked.batch,
            "ResultFormat": "json",
        });
        if let Some(name) = &self.asked.name {
            answer["StatementName"] = name.as_str().into();
        }
        if self.asked.batch {
            answer["QueryStrings"] = self.asked.texts.iter().map(String::as_str).collect();
        } else {
            answer["QueryString"] = self.asked.texts.first().map(String::as_str).into();
        }
        answer
    }
}

impl Progress {
    fn end(&mut self, status: Status, error: Option<String>) {
        self.status = status;
        self.error = error;
        self.updated = SystemTime::now();
        for part in self.parts.iter_mut().filter(|part| !part.status.is_final()) {
            part.status = Status::Aborted;
        }
    }
}

impl Part {
    fn finish(&mut self, outcome: Result<Outcome, String>, duration: Duration) {
        self.duration = duration;
        self.updated = SystemTime::now();
        match outcome {
            Ok(outcome) => {
                self.status = Status::Finished;
                self.count = outcome.count;
                self.bytes = outcome.rows.as_ref().map_or(0, records::bytes);
                self.rows = outcome.rows.map(Arc::new);
            }
            Err(error) => (self.status, self.error) = (Status::Failed, Some(error)),
        }
    }

    fn result_rows(&self) -> i64 {
        if self.status == Status::Finished { i64::try_from(self.count).unwrap_or(i64::MAX) } else { -1 }
    }

    fn result_size(&self) -> i64 {
        if self.rows.is_some() { i64::try_from(self.bytes).unwrap_or(i64::MAX) } else { -1 }
    }
}

/// The answer that counts: of a text with one statement it is the only one.
fn result(outcomes: Vec<Outcome>) -> Result<Outcome, String> {
    let outcome = outcomes.into_iter().next_back().unwrap_or_default();
    match &outcome.rows {
        Some(rows) if records::bytes(rows) > RESULT_BYTES_MAX => {
            Err(format!("ERROR: the result is larger than {RESULT_BYTES_MAX} bytes"))
        }
        _ => Ok(outcome),
    }
}

/// An error as the API tells it: a text, without SQLSTATE.
fn told(refusal: &Refusal) -> String {
    let detail = refusal.detail.as_deref().map(|detail| format!("\n  Detail: {detail}")).unwrap_or_default();
    format!("ERROR: {}{detail} [ErrorId: 1-{}]", refusal.message, random::uuid())
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
