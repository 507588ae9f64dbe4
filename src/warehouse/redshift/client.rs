//! A connection over the PostgreSQL protocol.
//!
//! Everything goes by the simple protocol, as text: named statements go stale at Redshift when a table is truncated, and a
//! column of an unknown type would make sqlx ask the catalog for what Redshift's does not have.

use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Either, Row, TypeInfo, ValueRef,
    postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgRow},
};

use crate::warehouse::{error::FailureKind, session::Value};

use super::{
    errors::{Class, Said, Trouble, classify},
    script::{Answer, Channel, Expect, Halt, Script, Sql},
    sql,
};

/// Longest statement: the COPY or the merge of a first load of a very large table.
pub(crate) const STATEMENT_MAX: Duration = Duration::from_secs(3600);
/// A server that does not answer at all is given up a little after it should have cancelled the statement itself.
const ANSWER_MAX: Duration = Duration::from_secs(3660);
/// Longest time to a usable connection. A serverless workgroup that sleeps takes ten seconds to wake up.
const CONNECT_MAX: Duration = Duration::from_secs(60);

/// Redshift takes statements of 16 MB; a quarter is enough for the rows of a small delta.
pub(crate) const TEXT_BYTES_MAX: usize = 4 << 20;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire {
    connection: PgConnection,
    broken: bool,
}

impl Wire {
    pub(crate) async fn connect(options: &PgConnectOptions) -> Result<Self, Trouble> {
        let connection = tokio::time::timeout(CONNECT_MAX, options.connect())
            .await
            .map_err(|_| Trouble::lost("no connection in time"))?
            .map_err(|e| trouble(&e, false))?;
        let mut wire = Self { connection, broken: false };
        for statement in sql::session(STATEMENT_MAX) {
            wire.run(&Sql::new(statement)).await?;
        }
        Ok(wire)
    }

    async fn answer(&mut self, text: &str, sensitive: bool) -> Result<Answer, Trouble> {
        let connection = &mut self.connection;
        let call = async move {
            let mut answer = Answer::default();
            let mut results = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).fetch_many(connection);
            while let Some(result) = results.try_next().await? {
                match result {
                    Either::Left(done) => answer.changed += done.rows_affected(),
                    Either::Right(row) => answer.rows.push(values(&row)?),
                }
            }
            Ok(answer)
        };
        let done = tokio::time::timeout(ANSWER_MAX, call).await;
        let done = done.map_err(|_| Trouble::lost("the cluster did not answer in time"));
        let done = done.and_then(|result: Result<Answer, sqlx::Error>| result.map_err(|e| trouble(&e, sensitive)));
        if let Err(failed) = &done {
            self.broken |= failed.lost;
        }
        done
    }

    async fn transaction(&mut self, script: &Script) -> Result<Vec<Answer>, Halt> {
        let outside = |trouble| Halt::Transaction { trouble, undecided: false };
        self.answer("BEGIN", false).await.map_err(outside)?;
        let mut answers = Vec::with_capacity(script.steps.len());
        for step in &script.steps {
            let answer = self
                .answer(step.sql.text(), step.sql.is_sensitive())
                .await
                .map_err(|trouble| Halt::Failed { about: step.about.clone(), trouble })?;
            if let Expect::Count(expected, otherwise) = step.expect
                && answer.integer() != Some(expected)
            {
                let found = answer.integer();
                return Err(Halt::Unmet { about: step.about.clone(), found, expected, otherwise });
            }
            answers.push(answer);
        }
        match self.answer("COMMIT", false).await {
            Ok(_) => Ok(answers),
            Err(trouble) => {
                // A refusal of the server says that it was rolled back; a lost answer says nothing.
                let undecided = trouble.class != Class::Conflict;
                self.broken |= undecided;
                Err(Halt::Transaction { trouble, undecided })
            }
        }
    }
}

#[async_trait]
impl Channel for Wire {
    async fn run(&mut self, sql: &Sql) -> Result<Answer, Trouble> {
        self.answer(sql.text(), sql.is_sensitive()).await
    }

    async fn transact(&mut self, script: &Script) -> Result<Vec<Answer>, Halt> {
        let outside = |trouble| Halt::Transaction { trouble, undecided: false };
        if let Some(max) = script.statement_max {
            self.answer(&sql::statement_timeout(max), false).await.map_err(outside)?;
        }
        let done = self.transaction(script).await;
        if done.is_err() && !self.broken {
            // What cannot be rolled back is given up; the first error is the one that counts.
            self.broken |= self.answer("ROLLBACK", false).await.is_err();
        }
        if script.statement_max.is_some() && !self.broken {
            self.broken |= self.answer(&sql::statement_timeout(STATEMENT_MAX), false).await.is_err();
        }
        done
    }

    fn steps_max(&self) -> usize {
        usize::MAX
    }

    fn is_broken(&self) -> bool {
        self.broken
    }
}

/// The columns of a row, all of which came as text.
fn values(row: &PgRow) -> Result<Vec<Value>, sqlx::Error> {
    row.columns()
        .iter()
        .map(|column| {
            let raw = row.try_get_raw(column.ordinal())?;
            if raw.is_null() {
                return Ok(Value::Null);
            }
            let text = raw.as_str().map_err(sqlx::Error::Decode)?;
            Ok(match column.type_info().name() {
                "INT2" | "INT4" | "INT8" => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Int),
                _ => Value::Text(text.to_owned()),
            })
        })
        .collect()
}

/// What an error of the client means.
fn trouble(error: &sqlx::Error, sensitive: bool) -> Trouble {
    if let Some(db) = error.as_database_error() {
        let code = db.code().unwrap_or_default();
        let detail = db.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::detail).unwrap_or_default();
        return classify(Said { code: &code, message: db.message(), detail, sensitive });
    }
    let text = error.to_string();
    if let Some(advice) = of_login(&text) {
        return Trouble { lost: true, ..Trouble::new(FailureKind::Denied, Class::Plain, advice) };
    }
    match error {
        sqlx::Error::Configuration(_) => {
            Trouble { lost: true, ..Trouble::new(FailureKind::Denied, Class::Plain, text) }
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::Encode(_) => {
            Trouble { lost: true, ..Trouble::new(FailureKind::Fatal, Class::Plain, text) }
        }
        _ => Trouble::lost(text),
    }
}

/// Redshift may ask for ways to log in that only its own drivers know: 13 (a password stored as a SHA-256 digest) and 14 (an
/// identity provider's token). Source: `redshift_connector`, core.py.
fn of_login(text: &str) -> Option<String> {
    let asked = |code: &str| {
        let behind = text.split_once("authentication method: ").map(|(_, behind)| behind);
        behind.is_some_and(|b| b.split(|c: char| !c.is_ascii_digit()).next() == Some(code))
    };
    if asked("13") {
        return Some(
            "the cluster asks for authentication method 13, which only AWS's own drivers know: the user's password is \
             stored as a SHA-256 digest. Set it anew as MD5 (ALTER USER … PASSWORD 'md5…'), or set \
             warehouse.redshift.login to cluster, cluster-iam or workgroup"
                .to_owned(),
        );
    }
    asked("14").then(|| {
        "the cluster asks for a token of an identity provider (authentication method 14); use a user with a password \
         or temporary credentials"
            .to_owned()
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_sqlx_does_not_know_is_explained() {
        for (text, advice) in [
            (
                "Postgres protocol error (reading Authentication): unknown authentication method: 13 (authentication:84)",
                "MD5",
            ),
            ("encountered unexpected or invalid data: unknown authentication method: 14", "identity provider"),
        ] {
            let trouble = trouble(&sqlx::Error::Protocol(text.to_owned()), false);
            assert_eq!(trouble.failure.kind, FailureKind::Denied);
            assert!(trouble.failure.text.contains(advice), "{}", trouble.failure.text);
        }
        assert!(trouble(&sqlx::Error::Protocol("unexpected message".to_owned()), false).lost);
    }
}
