//! Which target a source table goes to, and how.

use std::{collections::BTreeMap, time::Duration};

use super::{
    ColumnRule, Deletes, DistKey, InvalidText, KeyScope, LakeChanges, LongText, NoKey, Publish, Span, TableMode,
    TableRule, TinyInt1, ZeroDates,
};
use crate::model::Target;

/// Schemas of MySQL itself and of Vitess. Compared without case: some have been written in capitals.
const SYSTEM_SCHEMAS: [&str; 5] = ["mysql", "sys", "performance_schema", "information_schema", "_vt"];

/// Endings of the shadow tables of gh-ost (`_t_gho`, `_t_ghc`, `_t_del`) and pt-online-schema-change (`_t_new`, `_t_old`).
const SHADOW_ENDINGS: [&str; 5] = ["_gho", "_ghc", "_del", "_new", "_old"];

/// How one table is copied.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TablePolicy {
    /// Table of the warehouse, `[schema.]table`.
    pub target: Target,
    /// What identifies a row of the target.
    pub key: KeyScope,
    /// Column that tells when a row was changed.
    pub updated_at: Option<String>,
    /// What a delete does.
    pub deletes: Deletes,
    /// What becomes of it where it has no key.
    pub no_key: NoKey,
    /// Which changes the lake keeps.
    pub lake: LakeChanges,
    /// How it is asked where the binlog is not followed; `None` is the source's mode.
    pub mode: Option<TableMode>,
    /// From the beginning of a round to the next; `None` is the source's.
    pub poll_interval: Option<Duration>,
    /// How far rounds look back; `None` is the default.
    pub overlap: Option<Duration>,
    /// When rows of a snapshot show.
    pub publish: Publish,
    /// Tables of one group are merged together.
    pub group: String,
    /// What TINYINT(1) becomes.
    pub tinyint1: TinyInt1,
    /// What becomes of dates that are none.
    pub zero_dates: ZeroDates,
    /// What becomes of invalid text.
    pub invalid_text: InvalidText,
    /// What becomes of values that are too long.
    pub long_text: LongText,
    /// Most bytes of a text; `None` is the default.
    pub text_bytes_max: Option<u32>,
    /// By what rows are spread over a cluster.
    pub dist_key: DistKey,
    /// Columns that rows are sorted by; `None` is the default.
    pub sort_key: Option<Vec<String>>,
    /// Settings of single columns, by name.
    pub columns: BTreeMap<String, ColumnRule>,
}

/// The rules of a configuration, ready to be asked.
#[derive(Clone, Debug)]
pub struct TableRules {
    rules: Vec<TableRule>,
}

impl TableRules {
    /// Rules in their order; none means that every table is copied with the defaults.
    pub fn new(mut rules: Vec<TableRule>) -> Self {
        if rules.is_empty() {
            // The one pattern that is no input: it cannot fail to parse.
            rules.extend("*.*".parse().ok().map(TableRule::new));
        }
        Self { rules }
    }

    /// How `database.table` is copied; `None` when it is not.
    pub fn resolve(&self, database: &str, table: &str) -> Option<TablePolicy> {
        if is_system(database, table) {
            return None;
        }
        let rule = self.rules.iter().find(|r| r.pattern.matches(database, table)).filter(|r| !r.exclude)?;
        Some(TablePolicy {
            target: rule.target.fill(database, table),
            key: rule.key,
            updated_at: rule.updated_at.clone(),
            deletes: rule.deletes,
            no_key: rule.no_key,
            lake: rule.lake,
            mode: rule.mode,
            poll_interval: rule.poll_interval.map(Span::get),
            overlap: rule.overlap.map(Span::get),
            publish: rule.publish,
            group: rule.group.clone(),
            tinyint1: rule.tinyint1,
            zero_dates: rule.zero_dates,
            invalid_text: rule.invalid_text,
            long_text: rule.long_text,
            text_bytes_max: rule.text_bytes_max,
            dist_key: rule.dist_key.clone(),
            sort_key: rule.sort_key.clone(),
            columns: rule.columns.clone(),
        })
    }

    /// Whether any table of the group keeps rows that were deleted on the source.
    pub fn keeps_deleted(&self, group: &str) -> bool {
        let mut own = self.rules.iter().filter(|r| !r.exclude && r.group == group);
        own.any(|r| r.deletes != Deletes::Hard)
    }

    /// Names of all groups, without repetition, in the order of the rules.
    pub fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<&str> = Vec::new();
        for rule in self.rules.iter().filter(|r| !r.exclude) {
            if !groups.contains(&rule.group.as_str()) {
                groups.push(&rule.group);
            }
        }
        groups
    }
}

/// Tables that are never copied, whatever the rules say.
fn is_system(database: &str, table: &str) -> bool {
    let shadow = || {
        let body = table.strip_prefix('_').unwrap_or_default();
        SHADOW_ENDINGS.iter().any(|end| body.len() > end.len() && body.ends_with(end))
    };
    SYSTEM_SCHEMAS.iter().any(|s| s.eq_ignore_ascii_case(database)) || table.starts_with("_vt_") || shadow()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(pattern: &str) -> TableRule {
        TableRule::new(pattern.parse().unwrap())
    }

    #[test]
    fn the_first_matching_rule_decides() {
        let mut secret = rule("shop.secret*");
        secret.exclude = true;
        let mut orders = rule("shop_*.orders_*");
        orders.target = "shop.orders".parse().unwrap();
        let rules = TableRules::new(vec![secret, orders, rule("shop*.*")]);
        let target = |d: &str, t: &str| rules.resolve(d, t).map(|p| p.target.to_string());
        assert_eq!(target("shop", "secrets"), None);
        assert_eq!(target("shop_07", "orders_03").as_deref(), Some("shop.orders"));
        assert_eq!(target("shop_07", "items").as_deref(), Some("shop_07.items"));
        assert_eq!(target("crm", "items"), None);
    }

    #[test]
    fn system_and_shadow_tables_are_never_copied() {
        let rules = TableRules::new(Vec::new());
        for (database, table) in [
            ("mysql", "user"),
            ("SYS", "x"),
            ("_vt", "resharding_journal"),
            ("shop", "_orders_gho"),
            ("shop", "_orders_del"),
            ("shop", "_orders_new"),
            ("shop", "_vt_HOLD_1"),
        ] {
            assert!(rules.resolve(database, table).is_none(), "{database}.{table}");
        }
        for table in ["orders", "orders_new", "_new", "_x", "news_old"] {
            assert!(rules.resolve("shop", table).is_some(), "{table}");
        }
    }
}
