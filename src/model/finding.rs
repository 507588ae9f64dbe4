//! What a check of the outside world found.

use serde::Serialize;

/// One line of a checklist. Every stage makes them; the command line shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at: `configuration`, `shard s1`, `lake`, `warehouse`.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, without secrets or row values.
    pub what: String,
    /// The statement or setting that mends it; `None` where nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Works, with a risk.
    Warning,
    /// Does not work.
    Problem,
}

impl Finding {
    /// Something is as it should be.
    pub fn ok(subject: impl Into<String>, what: impl Into<String>) -> Self {
        Self { subject: subject.into(), severity: Severity::Ok, what: what.into(), mend: None }
    }

    /// Something works, with a risk.
    pub fn warning(subject: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject: subject.into(), severity: Severity::Warning, what: what.into(), mend: Some(mend.into()) }
    }

    /// Something does not work.
    pub fn problem(subject: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { subject: subject.into(), severity: Severity::Problem, what: what.into(), mend: Some(mend.into()) }
    }
}
