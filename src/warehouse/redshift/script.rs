//! Transactions as values: statements with what is expected of each, run by whatever way leads to the cluster.
//!
//! Over the PostgreSQL protocol a script runs statement by statement; through the Data API it is one batch, where nobody can
//! look at a result before the commit. So an expectation is a query of its own that counts something: one way compares the
//! count, the other lets the transaction fail by itself when it is another.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::{model::Target, warehouse::session::Value};

use super::errors::Trouble;

/// Text of a statement. Printed by its first word: it may hold keys or row values.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Sql {
    text: String,
    sensitive: bool,
}

impl Sql {
    /// A statement that holds nothing but names, origins and positions.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), sensitive: false }
    }

    /// A statement with keys or row values in it, of whose errors nothing is repeated.
    pub(crate) fn sensitive(text: impl Into<String>) -> Self {
        Self { text: text.into(), sensitive: true }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_sensitive(&self) -> bool {
        self.sensitive
    }
}

impl fmt::Debug for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} …", self.text.split_whitespace().next().unwrap_or_default())
    }
}

/// What a statement answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Anything.
    Any,
    /// One row with this integer; where it is another one, the text says what that means.
    Count(i64, &'static str),
    /// One row with an integer that the caller wants to know.
    Tell,
}

/// What a statement is about: whose error its failure is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// The fence: another epoch holds it.
    Fence,
    /// Watermarks and exceptions stand elsewhere.
    Position,
    /// One table.
    Table(Target),
}

/// One statement of a script.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) sql: Sql,
    pub(crate) expect: Expect,
    pub(crate) about: About,
    /// What its changed rows count as.
    pub(crate) effect: Effect,
}

/// What the rows that a statement changed count as in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Inserted,
    Deleted,
    Marked,
}

/// Statements that take effect together or not at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    /// Longest time for one of the statements, where it is not the connection's own.
    pub(crate) statement_max: Option<Duration>,
}

impl Script {
    pub(crate) fn push(&mut self, about: &About, sql: impl Into<String>) {
        self.step(about, Sql::new(sql), Expect::Any, Effect::None);
    }

    pub(crate) fn count(&mut self, about: &About, sql: impl Into<String>, expected: i64, otherwise: &'static str) {
        self.step(about, Sql::new(sql), Expect::Count(expected, otherwise), Effect::None);
    }

    pub(crate) fn effect(&mut self, about: &About, sql: impl Into<String>, effect: Effect) {
        self.step(about, Sql::new(sql), Expect::Any, effect);
    }

    pub(crate) fn step(&mut self, about: &About, sql: Sql, expect: Expect, effect: Effect) {
        self.steps.push(Step { sql, expect, about: about.clone(), effect });
    }
}

/// What one statement answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Rows that it changed.
    pub(crate) changed: u64,
    /// Rows that it selected.
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Answer {
    /// The integer of the first row, where there is one.
    pub(crate) fn integer(&self) -> Option<i64> {
        self.rows.first()?.first()?.int()
    }
}

/// Why a script came to nothing.
#[derive(Debug)]
pub(crate) enum Halt {
    /// A statement failed.
    Failed { about: About, trouble: Trouble },
    /// A count was another one than expected; the Data API does not tell which.
    Unmet { about: About, found: Option<i64>, expected: i64, otherwise: &'static str },
    /// The connection could not begin or the commit could not end it. `undecided` when it may have been committed.
    Transaction { trouble: Trouble, undecided: bool },
}

/// A way to the cluster.
#[async_trait]
pub(crate) trait Channel: Send + fmt::Debug {
    /// Runs one statement by itself.
    async fn run(&mut self, sql: &Sql) -> Result<Answer, Trouble>;
    /// Runs all of the script, or nothing of it.
    async fn transact(&mut self, script: &Script) -> Result<Vec<Answer>, Halt>;
    /// Most statements that one script may have.
    fn steps_max(&self) -> usize;
    /// Whether it must not be used again.
    fn is_broken(&self) -> bool;
}

/// The rows of a query.
pub(crate) async fn query(channel: &mut dyn Channel, sql: impl Into<String>) -> Result<Vec<Vec<Value>>, Trouble> {
    Ok(channel.run(&Sql::new(sql)).await?.rows)
}
