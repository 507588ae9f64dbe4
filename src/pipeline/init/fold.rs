//! Which tables are one table in many pieces: `shop_07.orders_03` and its like.
//!
//! Pieces differ in digits alone and have the same columns in the same order. Nothing is folded that would need a guess: where the
//! pattern would match other tables too, or the common target has another owner, every table keeps a target of its own.

use std::collections::{BTreeMap, BTreeSet};

use crate::{config::Pattern, model::Digest};

/// Most digits for which a pattern says how many they are; more are written `[0-9]*`.
const DIGITS_MAX: usize = 4;

/// Tables that are one table in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Pattern that matches the pieces and nothing else that is there.
    pub pattern: String,
    /// Where all of them go.
    pub target: String,
    /// The pieces, `(database, table)`, in order.
    pub pieces: Vec<(String, String)>,
}

/// What pieces of one table have in common: the stems of their names, and their columns.
type Alike<'a> = (String, String, &'a BTreeSet<Digest>);

/// Finds families among tables `(database, table)` with their shapes. Tables that several servers have are given once.
pub(super) fn families(tables: &BTreeMap<(String, String), BTreeSet<Digest>>) -> Vec<Family> {
    let mut alike: BTreeMap<Alike<'_>, Vec<&(String, String)>> = BTreeMap::new();
    for (name, shapes) in tables {
        if shapes.len() == 1 {
            alike.entry((stem(&name.0), stem(&name.1), shapes)).or_default().push(name);
        }
    }
    let mut families: Vec<Family> =
        alike.into_values().filter(|pieces| pieces.len() > 1).filter_map(|pieces| family(&pieces, tables)).collect();
    // Two families, or a family and a table, must not meet in one target.
    let mut targets: BTreeMap<String, usize> = BTreeMap::new();
    for family in &families {
        *targets.entry(family.target.clone()).or_default() += 1;
    }
    for (database, table) in tables.keys() {
        *targets.entry(format!("{database}.{table}")).or_default() += 1;
    }
    families.retain(|family| {
        let own = family.pieces.iter().filter(|(d, t)| format!("{d}.{t}") == family.target).count();
        targets.get(&family.target).is_some_and(|n| *n == 1 + own)
    });
    families
}

/// Patterns that together match the given databases: those that differ in digits alone become one.
pub(super) fn databases(names: &BTreeSet<String>) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for name in names {
        alike.entry(stem(name)).or_default().push(name);
    }
    alike.into_values().map(|names| part(&names).0).collect()
}

fn family(pieces: &[&(String, String)], all: &BTreeMap<(String, String), BTreeSet<Digest>>) -> Option<Family> {
    let (database, database_target) = part(&pieces.iter().map(|p| p.0.as_str()).collect::<Vec<_>>());
    let (table, table_target) = part(&pieces.iter().map(|p| p.1.as_str()).collect::<Vec<_>>());
    let pattern = format!("{database}.{table}");
    let matcher: Pattern = pattern.parse().ok()?;
    let matched = all.keys().filter(|(d, t)| matcher.matches(d, t)).count();
    let whole = !database_target.is_empty() && !table_target.is_empty() && !table_target.contains('.');
    (matched == pieces.len() && whole && !database_target.contains('.')).then(|| Family {
        pattern,
        target: format!("{database_target}.{table_target}"),
        pieces: pieces.iter().map(|p| (*p).clone()).collect(),
    })
}

/// A name with every run of digits replaced by one `#`.
fn stem(name: &str) -> String {
    runs(name).map(|run| if is_digits(run) { "#" } else { run }).collect()
}

/// Runs of digits and of other characters.
fn runs(name: &str) -> impl Iterator<Item = &str> {
    name.as_bytes()
        .chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        // Cut beside ASCII digits alone: every piece is UTF-8.
        .map(|run| std::str::from_utf8(run).unwrap_or_default())
}

fn is_digits(run: &str) -> bool {
    run.starts_with(|c: char| c.is_ascii_digit())
}

/// Pattern of names of one stem, and the name without the digits in which they differ and what joins these to it.
fn part(names: &[&str]) -> (String, String) {
    let split: Vec<Vec<&str>> = names.iter().map(|name| runs(name).collect()).collect();
    let Some(first) = split.first() else { return (String::new(), String::new()) };
    let (mut pattern, mut plain) = (String::new(), String::new());
    for (i, run) in first.iter().enumerate() {
        let values: BTreeSet<&str> = split.iter().filter_map(|runs| runs.get(i).copied()).collect();
        if values.len() == 1 {
            pattern.push_str(&Pattern::plain(run));
            plain.push_str(run);
            continue;
        }
        let widths: BTreeSet<usize> = values.iter().map(|v| v.len()).collect();
        match widths.first() {
            Some(width) if widths.len() == 1 && *width <= DIGITS_MAX => pattern.push_str(&"[0-9]".repeat(*width)),
            _ => pattern.push_str("[0-9]*"),
        }
        plain.truncate(plain.trim_end_matches(['_', '-']).len());
    }
    (pattern, plain.trim_start_matches(['_', '-']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(names: &[(&str, &str, &str)]) -> BTreeMap<(String, String), BTreeSet<Digest>> {
        let table = |(d, t, shape): &(&str, &str, &str)| {
            (((*d).to_owned(), (*t).to_owned()), BTreeSet::from([Digest::of(shape.as_bytes())]))
        };
        names.iter().map(table).collect()
    }

    fn folded(names: &[(&str, &str, &str)]) -> Vec<(String, String, usize)> {
        families(&tables(names)).into_iter().map(|f| (f.pattern, f.target, f.pieces.len())).collect()
    }

    #[test]
    fn pieces_that_differ_in_digits_are_one_table() {
        let same = [
            ("shop_00", "orders_1", "o"),
            ("shop_00", "orders_12", "o"),
            ("shop_01", "orders_3", "o"),
            ("shop_01", "users", "u"),
        ];
        assert_eq!(folded(&same), [("shop_[0-9][0-9].orders_[0-9]*".to_owned(), "shop.orders".to_owned(), 3)]);
        let names: BTreeSet<String> = ["shop_00", "shop_01", "crm"].map(str::to_owned).into();
        assert_eq!(databases(&names), ["crm", "shop_[0-9][0-9]"]);
        let years = [("crm", "log_2024", "l"), ("crm", "log_2025", "l"), ("crm", "v2_a", "v"), ("crm", "v2_b", "v")];
        assert_eq!(folded(&years), [("crm.log_[0-9][0-9][0-9][0-9]".to_owned(), "crm.log".to_owned(), 2)]);
    }

    #[test]
    fn nothing_is_folded_that_needs_a_guess() {
        // Other columns.
        assert_eq!(folded(&[("d", "a_1", "x"), ("d", "a_2", "y")]), []);
        // The pattern would match another table too.
        assert_eq!(folded(&[("d", "a_1", "x"), ("d", "a_22", "x"), ("d", "a_3_old", "z")]), []);
        // The target is a table of its own, or another family's.
        assert_eq!(folded(&[("d", "a_1", "x"), ("d", "a_2", "x"), ("d", "a", "z")]), []);
        assert_eq!(folded(&[("d", "a_1", "x"), ("d", "a_2", "x"), ("d", "a1", "z"), ("d", "a2", "z")]), []);
        // Nothing is left of the name.
        assert_eq!(folded(&[("d", "1", "x"), ("d", "2", "x")]), []);
    }
}
