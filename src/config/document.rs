//! A configuration file as a neutral tree that remembers its lines.
//!
//! The tree is checked as a whole before it becomes [`Config`](super::Config), so that one run shows every problem.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// Parsed TOML: values, and the line of each key path.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) tree: Value,
    lines: BTreeMap<String, usize>,
}

impl Document {
    /// A tree that came from no file.
    pub(super) fn of(tree: Value) -> Self {
        Self { tree, lines: BTreeMap::new() }
    }

    /// Parses TOML; reports every syntax error, without quoting the file (the line may hold a password).
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let line_starts: Vec<usize> =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let line_of = |at: usize| line_starts.partition_point(|start| *start <= at);
        if !errors.is_empty() {
            let problem = |e: &toml::de::Error| {
                let mut p = Problem::new("", format!("not TOML: {}", first_line(e.message())), "correct the syntax");
                p.line = e.span().map(|s| line_of(s.start));
                p
            };
            return Err(errors.iter().map(problem).collect());
        }
        let mut reader = Reader { line_of: &line_of, lines: BTreeMap::new(), problems: Vec::new() };
        let tree = reader.table(table.get_ref(), "");
        if reader.problems.is_empty() { Ok(Self { tree, lines: reader.lines }) } else { Err(reader.problems) }
    }

    /// The line of `key`, or of the nearest table around it.
    pub(super) fn line(&self, key: &str) -> Option<usize> {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return Some(*line);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

struct Reader<'a> {
    line_of: &'a dyn Fn(usize) -> usize,
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, at: &str) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let path = if at.is_empty() { key.get_ref().to_string() } else { format!("{at}.{}", key.get_ref()) };
            self.lines.insert(path.clone(), (self.line_of)(key.span().start));
            map.insert(key.get_ref().to_string(), self.value(value.get_ref(), &path));
        }
        Value::Object(map)
    }

    fn value(&mut self, value: &DeValue<'_>, at: &str) -> Value {
        match value {
            DeValue::String(s) => Value::String(s.to_string()),
            DeValue::Boolean(b) => Value::Bool(*b),
            DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
                Ok(n) => n.into(),
                Err(_) => self.misread(at, "the number is too large", "write one that fits 64 bits"),
            },
            DeValue::Float(f) => match f.as_str().parse::<f64>() {
                Ok(n) => n.into(),
                Err(_) => self.misread(at, "not a number", "write a decimal number"),
            },
            DeValue::Datetime(d) => Value::String(d.to_string()),
            DeValue::Array(array) => {
                let mut items = Vec::with_capacity(array.len());
                for (i, item) in array.iter().enumerate() {
                    let path = format!("{at}[{i}]");
                    self.lines.insert(path.clone(), (self.line_of)(item.span().start));
                    items.push(self.value(item.get_ref(), &path));
                }
                Value::Array(items)
            }
            DeValue::Table(table) => self.table(table, at),
        }
    }

    fn misread(&mut self, at: &str, what: &str, mend: &str) -> Value {
        let mut problem = Problem::new(at, what, mend);
        problem.line = self.lines.get(at).copied();
        self.problems.push(problem);
        Value::Null
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_remember_their_lines() {
        let doc = Document::parse("pipeline = \"a\"\n\n[[source]]\nurl = \"x\"\n[[source]]\nurl = \"y\"\n").unwrap();
        assert_eq!(doc.tree["source"][1]["url"], "y");
        assert_eq!(doc.line("pipeline"), Some(1));
        assert_eq!(doc.line("source[1].url"), Some(6));
        assert_eq!(doc.line("source[1].nothing"), Some(5));
        assert_eq!(doc.line("lake.url"), None);
    }

    #[test]
    fn every_syntax_error_is_reported_and_no_line_is_quoted() {
        let problems = Document::parse("a = \"hunter2\nb = = 1\n[c\n").unwrap_err();
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems.iter().all(|p| p.line.is_some()), "{problems:?}");
        assert!(!format!("{problems:?}").contains("hunter2"));
    }
}
