//! What `verify` found, for people and for programs.

use std::fmt::Write as _;

use crate::model::{Difference, TableOutcome, Verification, VerifiedTable};

/// Differences shown of one table; `--json` has all that are known.
const SHOWN_MAX: usize = 20;

/// For programs. What was found after a repair stands beside what was found first.
pub(super) fn json(result: &Verification, after: Option<&Verification>) -> String {
    #[derive(serde::Serialize)]
    struct Both<'a> {
        #[serde(flatten)]
        found: &'a Verification,
        #[serde(skip_serializing_if = "Option::is_none")]
        after_repair: Option<&'a Verification>,
    }
    // Serialising plain structs into memory cannot fail.
    serde_json::to_string_pretty(&Both { found: result, after_repair: after }).unwrap_or_default() + "\n"
}

/// One table.
pub(super) fn table(table: &VerifiedTable, colour: bool) -> String {
    let paint = |code: &str, text: &str| match colour {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    };
    let seconds = table.elapsed_ms as f64 / 1000.0;
    let mut out = match &table.outcome {
        TableOutcome::Equal => {
            format!("{} {}: {} rows, {seconds:.1} s\n", paint("1;32", "equal  "), table.origin, table.rows)
        }
        TableOutcome::Differs { differences, open } => {
            let mut out = format!(
                "{} {}: {} of {} rows{}, {seconds:.1} s\n",
                paint("1;31", "differs"),
                table.origin,
                differences.len(),
                table.rows,
                if open.is_empty() { "" } else { " and more" },
            );
            for difference in differences.iter().take(SHOWN_MAX) {
                line(&mut out, difference);
            }
            if differences.len() > SHOWN_MAX {
                let _ = writeln!(out, "        … and {} more; --json lists them", differences.len() - SHOWN_MAX);
            }
            for range in open.iter().take(SHOWN_MAX) {
                let (range, here, there) = (&range.range, range.source_rows, range.warehouse_rows);
                let _ = writeln!(
                    out,
                    "        not searched: {range} ({here} rows on the source, {there} in the warehouse)"
                );
            }
            out
        }
        TableOutcome::NotCompared { reason } => {
            format!("{} {}: {reason}\n", paint("1;33", "unknown"), table.origin)
        }
    };
    if table.in_flight > 0 {
        let _ = writeln!(out, "        {} rows kept changing and were left out", table.in_flight);
    }
    if table.explained > 0 {
        let _ = writeln!(out, "        {} rows have values that a policy changed", table.explained);
    }
    for note in &table.notes {
        let _ = writeln!(out, "        {note}");
    }
    out
}

fn line(out: &mut String, difference: &Difference) {
    let key: Vec<String> = difference.key.iter().map(|(name, value)| format!("{name} = {}", plain(value))).collect();
    let columns = match &difference.columns[..] {
        [] => String::new(),
        columns => format!(": {}", columns.join(", ")),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "        {} {}{columns} [{}]",
        difference.kind.as_str(),
        key.join(", "),
        plain(&difference.range)
    );
}

/// Text that cannot steer a terminal.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Below the tables.
pub(super) fn summary(result: &Verification) -> String {
    let count = |is: fn(&TableOutcome) -> bool| result.tables.iter().filter(|t| is(&t.outcome)).count();
    let equal = count(|o| *o == TableOutcome::Equal);
    let differ = count(|o| matches!(o, TableOutcome::Differs { .. }));
    let unknown = count(|o| matches!(o, TableOutcome::NotCompared { .. }));
    if result.tables.is_empty() {
        return "no table of the lake matches\n".to_owned();
    }
    format!("{equal} equal, {differ} different, {unknown} not compared\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DifferenceKind;

    #[test]
    fn a_difference_is_one_line_with_its_key() {
        let mut out = String::new();
        let difference = Difference {
            kind: DifferenceKind::Changed,
            key: vec![("id".to_owned(), "5".to_owned()), ("code".to_owned(), "a\u{1b}[2J".to_owned())],
            columns: vec!["note".to_owned()],
            range: "id in (0 .. 9]".to_owned(),
            tokens: Vec::new(),
        };
        line(&mut out, &difference);
        assert_eq!(out, "        changed id = 5, code = a\\u{1b}[2J: note [id in (0 .. 9]]\n");
    }
}
