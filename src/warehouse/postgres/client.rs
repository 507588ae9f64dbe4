//! The connection: statements with a bound, errors by what to do about them.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Row, TypeInfo,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgRow},
    query::Query,
};

use crate::warehouse::{
    error::{Failure, FailureKind},
    one_connection::{Staging, StagingSession},
    session::{Session, Statement, Value},
};

use super::sql;

/// Longest statement: the merge of a first load of a very large table.
const STATEMENT_SECONDS_MAX: u64 = 3600;
/// Longest wait for a lock that somebody else holds, such as the fence during another applier's merge.
const LOCK_SECONDS_MAX: u64 = 60;
/// A server that does not answer at all is given up a little after it should have cancelled the statement itself.
const ANSWER_MAX: Duration = Duration::from_secs(STATEMENT_SECONDS_MAX + 60);
/// Longest time to a usable connection.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// One connection with what lies in its temporary tables.
#[derive(Debug)]
pub(crate) struct PgSession {
    pub(crate) connection: PgConnection,
    staging: Staging,
    /// The connection must not be used again.
    pub(crate) broken: bool,
}

impl PgSession {
    pub(crate) async fn connect(options: &PgConnectOptions) -> Result<Self, Failure> {
        let connecting = tokio::time::timeout(CONNECT_MAX, options.connect());
        let connection = connecting
            .await
            .map_err(|_| Failure::new(FailureKind::Transient, "no connection in time"))?
            .map_err(|e| classify(&e).0)?;
        let mut session = Self { connection, staging: Staging::default(), broken: false };
        for statement in sql::settings(STATEMENT_SECONDS_MAX, LOCK_SECONDS_MAX) {
            session.execute(&statement).await?;
        }
        Ok(session)
    }

    /// Classifies an error and remembers when it was the connection's last.
    pub(crate) fn failed(&mut self, error: &sqlx::Error) -> Failure {
        let (failure, lost) = classify(error);
        self.broken |= lost;
        failure
    }

    /// Waits for an answer, but not for ever.
    pub(crate) async fn answer<T>(
        broken: &mut bool,
        call: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(ANSWER_MAX, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let (failure, lost) = classify(&error);
                *broken |= lost;
                Err(failure)
            }
            Err(_) => {
                *broken = true;
                Err(Failure::new(FailureKind::Transient, "the server did not answer in time"))
            }
        }
    }
}

/// Planned at every run: a plan made for an almost empty stage must not serve a full one.
fn query(statement: &Statement) -> Query<'_, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(statement.sql.as_str())).persistent(false);
    for parameter in &statement.parameters {
        query = match parameter {
            // In the private state only commit times can be NULL.
            Value::Null => query.bind(None::<i64>),
            Value::Int(value) => query.bind(*value),
            Value::Text(text) => query.bind(text.as_str()),
        };
    }
    query
}

#[async_trait]
impl Session for PgSession {
    async fn execute(&mut self, statement: &Statement) -> Result<u64, Failure> {
        let done = query(statement).execute(&mut self.connection);
        Ok(Self::answer(&mut self.broken, done).await?.rows_affected())
    }

    async fn query(&mut self, statement: &Statement) -> Result<Vec<Vec<Value>>, Failure> {
        let rows = Self::answer(&mut self.broken, query(statement).fetch_all(&mut self.connection)).await?;
        rows.iter().map(values).collect::<Result<_, _>>().map_err(|e| self.failed(&e))
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        self.execute(&sql::begin()).await?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let done = self.execute(&Statement::new("COMMIT")).await;
        // Whatever went wrong at COMMIT, the connection's state is not worth finding out.
        self.broken |= done.is_err();
        done.map(|_| ())
    }

    async fn rollback(&mut self) -> Result<(), Failure> {
        let done = self.execute(&Statement::new("ROLLBACK")).await;
        self.broken |= done.is_err();
        done.map(|_| ())
    }
}

impl StagingSession for PgSession {
    fn staging(&mut self) -> &mut Staging {
        &mut self.staging
    }

    fn broken(&self) -> bool {
        self.broken
    }
}

fn values(row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
    row.columns()
        .iter()
        .map(|column| {
            Ok(match column.type_info().name() {
                "INT8" => row.try_get::<Option<i64>, _>(column.ordinal())?.into(),
                _ => row.try_get::<Option<String>, _>(column.ordinal())?.into(),
            })
        })
        .collect()
}

/// Kind of an error by SQLSTATE (PostgreSQL documentation, appendix A), and whether the connection is lost.
///
/// Messages of the classes 22 and 23 may repeat a value: of those only what cannot is told.
pub(crate) fn classify(error: &sqlx::Error) -> (Failure, bool) {
    let Some(db) = error.as_database_error() else {
        return classify_client(error);
    };
    let code = db.code().unwrap_or_default().into_owned();
    let detail = db.try_downcast_ref::<PgDatabaseError>();
    let text = match code.get(..2) {
        Some("22" | "23") => {
            let part = |name: &str, value: Option<&str>| value.map(|v| format!(" {name} {v}")).unwrap_or_default();
            format!(
                "a value does not fit (SQLSTATE {code}){}{}{}",
                part("table", detail.and_then(PgDatabaseError::table)),
                part("column", detail.and_then(PgDatabaseError::column)),
                part("constraint", detail.and_then(PgDatabaseError::constraint)),
            )
        }
        _ => format!("{} (SQLSTATE {code})", db.message()),
    };
    let kind = kind_of(&code);
    // 57P01-57P05 and 08xxx end the connection.
    let lost = code.starts_with("08") || code.starts_with("57P");
    (Failure::new(kind, text), lost)
}

fn kind_of(code: &str) -> FailureKind {
    match code {
        // Serialization failure, deadlock, lock or statement timeout, standby after a failover, disk full and the like.
        "40001" | "40P01" | "55P03" | "57014" | "25006" | "25P02" => FailureKind::Transient,
        "42501" | "3D000" => FailureKind::Denied,
        _ => match code.get(..2).unwrap_or_default() {
            "08" | "53" | "57" | "58" => FailureKind::Transient,
            "28" => FailureKind::Denied,
            "0A" | "22" | "23" | "2B" | "42" | "54" | "55" => FailureKind::Data,
            _ => FailureKind::Fatal,
        },
    }
}

fn classify_client(error: &sqlx::Error) -> (Failure, bool) {
    let kind = match error {
        sqlx::Error::Configuration(_) => FailureKind::Denied,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => FailureKind::Fatal,
        _ => FailureKind::Transient,
    };
    (Failure::new(kind, error.to_string()), true)
}
