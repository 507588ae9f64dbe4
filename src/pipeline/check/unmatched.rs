//! Rules that match no table of any source: a misspelt name copies nothing and says nothing.

use crate::{
    config::{Config, suggestion},
    model::Finding,
    source::mysql::catalog::ListedTable,
};

/// A finding for each rule that takes tables and finds none among `tables`, the captured ones of all sources.
pub(super) fn unmatched(config: &Config, tables: &[ListedTable]) -> Vec<Finding> {
    let rules = config.table.iter().filter(|rule| !rule.exclude);
    let without = rules.filter(|rule| !tables.iter().any(|t| rule.pattern.matches(&t.name.database, &t.name.table)));
    let names: Vec<String> = tables.iter().map(|t| format!("{}.{}", t.name.database, t.name.table)).collect();
    let finding = |rule: &crate::config::TableRule| {
        let pattern = rule.pattern.to_string();
        let hint = suggestion(&pattern, names.iter().map(String::as_str));
        let what = format!("the [[table]] rule {pattern:?} matches no table of any source{hint}");
        let mend = "correct the pattern (names are compared with case), or remove the rule";
        // A pattern may be meant for tables to come; a plain name is meant for one that is there.
        match pattern.contains(['*', '?', '[', '{']) {
            true => Finding::warning("tables", what, mend),
            false => Finding::problem("tables", what, mend),
        }
    };
    without.map(finding).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{config::Role, model::Severity, source::mysql::ddl::TableName};

    #[test]
    fn a_rule_without_tables_is_told_with_what_was_meant() {
        let text = "[[source]]\nurl = \"mysql://u@h\"\n[lake]\nurl = \"./lake\"\n[[table]]\nmatch = \"shop.ordres\"\n\
                    [[table]]\nmatch = \"shop.gone_*\"\nexclude = true\n[[table]]\nmatch = \"old_*.*\"\n[[table]]\nmatch = \"shop.*\"\n";
        let config = Config::parse(text, Role::Look, &|_| None).unwrap();
        let name = TableName { database: "shop".to_owned(), table: "orders".to_owned() };
        let tables = [ListedTable { name, engine: "InnoDB".to_owned(), rows: 0, bytes: 0 }];
        let found = unmatched(&config, &tables);
        let told: Vec<_> = found.iter().map(|f| (f.severity, f.what.as_str())).collect();
        assert_eq!(
            told,
            [
                (
                    Severity::Problem,
                    "the [[table]] rule \"shop.ordres\" matches no table of any source, did you mean \"shop.orders\"?"
                ),
                (Severity::Warning, "the [[table]] rule \"old_*.*\" matches no table of any source"),
            ]
        );
    }
}
