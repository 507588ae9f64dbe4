//! What is wrong with a configuration, said so that it can be mended without reading code.

use std::fmt;

/// Why one value does not fit, and what to write instead. Never contains the value of a secret field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl Misfit {
    pub(crate) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.mend)
    }
}

impl std::error::Error for Misfit {}

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: the key's path (`source[0].tls.mode`, elements counted from 0) or the flag.
    pub key: String,
    /// Line of the file, counted from 1, where the configuration came from one.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl Problem {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { key: key.into(), line: None, what: what.into(), mend: mend.into() }
    }

    pub(crate) fn misfit(key: impl Into<String>, misfit: Misfit) -> Self {
        Self::new(key, misfit.what, misfit.mend)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file, or `the command line`.
    pub from: String,
    /// Each problem.
    pub list: Vec<Problem>,
}

impl Problems {
    pub(crate) fn new(from: impl Into<String>, mut list: Vec<Problem>) -> Self {
        // Stable: problems without a line keep their order behind those with one.
        list.sort_by_key(|p| p.line.unwrap_or(usize::MAX));
        list.dedup();
        Self { from: from.into(), list }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.list.len() {
            1 => "1 problem".to_owned(),
            n => format!("{n} problems"),
        };
        write!(f, "{count} in the configuration ({})", self.from)?;
        for problem in &self.list {
            write!(f, "\n  {problem}\n      mend: {}", problem.mend)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// ` (did you mean "x"?)` when one of `known` is close to `given`; empty otherwise.
pub(crate) fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // 0.7 lets one wrong letter in a four-letter word pass and keeps unrelated words out.
    const CLOSE: f64 = 0.7;
    let given = given.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|k| (strsim::normalized_damerau_levenshtein(&given, k).max(strsim::jaro_winkler(&given, k) - 0.1), k))
        .filter(|(score, _)| *score >= CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| format!(", did you mean {k:?}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_key_is_suggested_and_a_distant_one_is_not() {
        let known = ["flush_interval", "codec", "url", "mode"];
        assert_eq!(suggestion("flush_intervall", known), ", did you mean \"flush_interval\"?");
        assert_eq!(suggestion("flush-interval", known), ", did you mean \"flush_interval\"?");
        assert_eq!(suggestion("mod", known), ", did you mean \"mode\"?");
        assert_eq!(suggestion("quux", known), "");
    }
}
