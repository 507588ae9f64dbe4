//! Gauges of source tables: written as text straight away, without a map of series behind them.
//!
//! There may be tens of thousands of such tables, and a map would have to be emptied, filled, hashed and formatted label by label
//! at every scrape. Here a table's labels become text once, when the table is first met, and a scrape only copies them.

use std::fmt::Write as _;

use super::bounded::{ORIGINS_MAX, OTHER};
use crate::model::Origin;

/// Labels of one source table as they stand in the exposition.
#[derive(Clone, Debug)]
pub(super) struct TableLabels {
    text: Box<str>,
    /// Where the labels behind shard and table begin, which tables beyond the bound keep.
    rest_at: usize,
}

impl TableLabels {
    pub(super) fn of(origin: &Origin) -> Self {
        Self::with(origin, &[])
    }

    /// The same with further labels, of few values each.
    pub(super) fn with(origin: &Origin, more: &[(&str, &str)]) -> Self {
        let mut text = String::from("{shard=\"");
        escape(&mut text, origin.shard.as_str());
        text.push_str("\",table=\"");
        escape(&mut text, &origin.database);
        text.push('.');
        escape(&mut text, &origin.table);
        text.push('"');
        let rest_at = text.len();
        for (name, value) in more {
            text.extend([",", name, "=\""]);
            escape(&mut text, value);
            text.push('"');
        }
        text.push('}');
        Self { text: text.into(), rest_at }
    }

    fn rest(&self) -> &str {
        self.text.get(self.rest_at..).unwrap_or_default()
    }
}

/// A label's value as both text forms take it.
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// A number as a sample's value.
pub(super) trait Sample: Copy {
    fn write(self, out: &mut String);
}

impl Sample for i64 {
    fn write(self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(out, "{self}");
    }
}

impl Sample for f64 {
    fn write(self, out: &mut String) {
        out.push_str(ryu::Buffer::new().format(self));
    }
}

/// One such family. Its text is the same in both forms of the exposition.
#[derive(Clone, Debug)]
pub(super) struct TableGauge {
    /// With the prefix.
    pub(super) name: String,
    pub(super) meaning: &'static str,
}

impl TableGauge {
    /// Writes the family, and nothing where it has no series: the first tables on their own, those beyond the bound as the
    /// `worst` of them.
    pub(super) fn write<'a, V: Sample>(
        &self,
        out: &mut String,
        series: impl Iterator<Item = (&'a TableLabels, V)>,
        worst: fn(V, V) -> V,
    ) {
        let mut series = series.peekable();
        if series.peek().is_none() {
            return;
        }
        out.extend(["# HELP ", &self.name, " ", self.meaning, ".\n# TYPE ", &self.name, " gauge\n"]);
        // By the labels that they keep, of which there are few.
        let mut rest: Vec<(&str, V)> = Vec::new();
        for (n, (labels, value)) in series.enumerate() {
            if n < ORIGINS_MAX {
                out.push_str(&self.name);
                out.push_str(&labels.text);
                end(out, value);
            } else if let Some((_, known)) = rest.iter_mut().find(|(kept, _)| *kept == labels.rest()) {
                *known = worst(*known, value);
            } else {
                rest.push((labels.rest(), value));
            }
        }
        for (kept, value) in rest {
            out.extend([&self.name, "{shard=\"", OTHER, "\",table=\"", OTHER, "\"", kept]);
            end(out, value);
        }
    }
}

fn end(out: &mut String, value: impl Sample) {
    out.push(' ');
    value.write(out);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shard;

    fn origin(table: &str) -> Origin {
        Origin::new(&Shard::new("s1"), "shop", table)
    }

    #[test]
    fn names_of_tables_cannot_leave_their_label() {
        let labels = TableLabels::with(&origin("a\"} 1\n\\b"), &[("half", "apply")]);
        assert_eq!(&*labels.text, "{shard=\"s1\",table=\"shop.a\\\"} 1\\n\\\\b\",half=\"apply\"}");
    }

    #[test]
    fn tables_beyond_the_bound_show_the_worst_of_them() {
        let gauge = TableGauge { name: "tailwater_x".to_owned(), meaning: "Some" };
        let labels: Vec<_> = (0..ORIGINS_MAX + 3).map(|n| TableLabels::of(&origin(&n.to_string()))).collect();
        let mut text = String::new();
        gauge.write(&mut text, labels.iter().zip(0_i64..), i64::min);
        assert!(text.starts_with(
            "# HELP tailwater_x Some.\n# TYPE tailwater_x gauge\ntailwater_x{shard=\"s1\",table=\"shop.0\"} 0\n"
        ));
        assert_eq!(text.lines().count(), 2 + ORIGINS_MAX + 1);
        let last = format!("tailwater_x{{shard=\"(other)\",table=\"(other)\"}} {ORIGINS_MAX}");
        assert_eq!(text.lines().last(), Some(last.as_str()));
        let mut text = String::new();
        gauge.write(&mut text, std::iter::empty::<(&TableLabels, f64)>(), f64::max);
        assert_eq!(text, "");
    }
}
