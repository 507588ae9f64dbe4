//! Errors as operators see them: what failed, why, what to do, and the exit code.

use std::fmt::Write;

use anyhow::Error;

use crate::{
    config::{Problem, Problems, mask_urls},
    exit::Exit,
};

/// Why a verb ended without success.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    error: Error,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its cause chain.
    pub fn new(exit: Exit, error: impl Into<Error>) -> Self {
        Self { exit, error: error.into(), hint: None }
    }

    /// Adds what the operator does about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error and its causes, each once: a cause whose text its error already shows is left out.
    fn chain(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for cause in self.error.chain() {
            let text = cause.to_string();
            if !lines.iter().any(|line| line.contains(&text)) {
                lines.push(text);
            }
        }
        lines
    }

    /// The report for people.
    pub(super) fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| match colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let mut out = String::new();
        for (i, line) in self.chain().iter().enumerate() {
            let label = if i == 0 { paint("1;31", "error:") } else { "  because:".to_owned() };
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{label} {line}");
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "{} {hint}", paint("1;36", "hint:"));
        }
        out
    }

    /// The report for machines.
    pub(super) fn log(&self) {
        let mut chain = self.chain().into_iter().map(|line| mask_urls(&line));
        let message = chain.next().unwrap_or_default();
        let causes = Some(chain.collect::<Vec<_>>().join("; ")).filter(|c| !c.is_empty());
        let hint = self.hint.as_deref().map(mask_urls);
        tracing::error!(exit_code = self.exit.code(), causes, hint, "{message}");
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::new(Exit::Config, problems)
            .hint("`tailwater check` shows the same list; `tailwater schema config` prints every key")
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let hint = problem.mend.clone();
        Self::new(Exit::Usage, anyhow::anyhow!("{problem}")).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_is_shown_once_with_the_hint_at_its_end() {
        let error = anyhow::anyhow!("connection refused")
            .context("cannot reach shard s1: connection refused")
            .context("extract failed");
        let text = Failure::new(Exit::Unavailable, error).hint("start the server").render(false);
        assert_eq!(
            text,
            "error: extract failed\n  because: cannot reach shard s1: connection refused\nhint: start the server\n"
        );
    }
}
