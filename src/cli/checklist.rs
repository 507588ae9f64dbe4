//! Findings as a checklist.

use std::{fmt::Write, io::IsTerminal};

use serde_json::json;

use crate::{
    config::mask_urls,
    model::{Finding, Severity},
};

/// Marks of the three severities.
pub(super) type Symbols = [&'static str; 3];

/// Marks for people.
const SIGNS: Symbols = ["✔", "!", "✘"];
/// Marks for files and pipes, where the encoding is not known.
const WORDS: Symbols = ["ok     ", "warning", "PROBLEM"];

/// Signs on a terminal, words otherwise.
pub(super) fn symbols() -> Symbols {
    if std::io::stdout().is_terminal() { SIGNS } else { WORDS }
}

/// Findings in the order of the data path, one block for each subject.
#[derive(Debug)]
pub(super) struct Checklist {
    findings: Vec<Finding>,
}

impl Checklist {
    /// Keeps the order of subjects, and puts what is worst first within each.
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        let mut subjects: Vec<String> = Vec::new();
        for finding in &findings {
            if !subjects.contains(&finding.subject) {
                subjects.push(finding.subject.clone());
            }
        }
        let mut findings = findings;
        findings.sort_by_key(|f| (subjects.iter().position(|s| *s == f.subject), std::cmp::Reverse(f.severity)));
        Self { findings }
    }

    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// Number of problems.
    pub(super) fn problems(&self) -> usize {
        self.count(Severity::Problem)
    }

    /// The list for people.
    pub(super) fn text(&self, colour: bool, symbols: Symbols) -> String {
        let mut out = String::new();
        let mut subject = None;
        for finding in &self.findings {
            // Writing to a String cannot fail.
            if subject != Some(&finding.subject) {
                let gap = if subject.is_some() { "\n" } else { "" };
                let _ = writeln!(out, "{gap}{}", finding.subject);
                subject = Some(&finding.subject);
            }
            let (symbol, code) = match finding.severity {
                Severity::Ok => (symbols[0], "32"),
                Severity::Warning => (symbols[1], "33"),
                Severity::Problem => (symbols[2], "1;31"),
            };
            let symbol = if colour { format!("\u{1b}[{code}m{symbol}\u{1b}[0m") } else { symbol.to_owned() };
            let _ = writeln!(out, "  {symbol} {}", mask_urls(&finding.what));
            if let Some(mend) = &finding.mend {
                // Statements of several lines stay whole, so that they can be pasted.
                for (i, line) in mask_urls(mend).lines().enumerate() {
                    let _ = writeln!(out, "      {} {line}", if i == 0 { "mend:" } else { "     " });
                }
            }
        }
        let _ = writeln!(out, "\n{}", self.verdict());
        out
    }

    fn verdict(&self) -> String {
        let of = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
        match (self.problems(), self.count(Severity::Warning)) {
            (0, 0) => "everything is as it should be".to_owned(),
            (0, w) => format!("no problems, {}", of(w, "warning")),
            (p, w) => format!("{}, {}", of(p, "problem"), of(w, "warning")),
        }
    }

    /// The list for programs.
    pub(super) fn json(&self) -> String {
        let value = json!({
            "problems": self.problems(),
            "warnings": self.count(Severity::Warning),
            "findings": self.findings,
        });
        // Row values never stand in findings; addresses in foreign messages are masked here as in the text.
        mask_urls(&format!("{value:#}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checklist_groups_by_subject_with_the_worst_first() {
        let list = Checklist::new(vec![
            Finding::ok("shard s1", "connected"),
            Finding::ok("lake", "writable"),
            Finding::problem(
                "shard s1",
                "binlog_row_image is MINIMAL",
                "SET PERSIST binlog_row_image = 'FULL';\nreconnect",
            ),
            Finding::warning("lake", "far away", "move"),
        ]);
        assert_eq!(list.problems(), 1);
        assert_eq!(
            list.text(false, SIGNS),
            "shard s1\n  ✘ binlog_row_image is MINIMAL\n      mend: SET PERSIST binlog_row_image = 'FULL';\n            \
             reconnect\n  ✔ connected\n\nlake\n  ! far away\n      mend: move\n  ✔ writable\n\n1 problem, 1 warning\n"
        );
        assert!(list.json().contains("\"severity\": \"problem\""));
    }
}
