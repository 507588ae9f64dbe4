//! `[[table]]`: which tables are copied, and how.

use std::{collections::BTreeMap, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ColumnRule, DistKey, Span, TableMode, glob::Pattern, problem::Misfit, written::written};
use crate::model::Target;

/// A rule for tables. Rules are tried in order, the first that matches a table decides. Without any rule every table is
/// copied with the defaults. Tables of MySQL itself (`mysql`, `sys`, `performance_schema`, `information_schema`), of
/// Vitess (`_vt`) and shadow tables of online schema changes (`_t_gho`, `_t_ghc`, `_t_del`, `_t_new`, `_t_old`) are
/// never copied.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableRule {
    /// Pattern on `database.table`: `*` any characters, `?` one, `[0-9]` one of a set (`[!0-9]` none of it), `{a,b}`
    /// either, `\` takes the next character as it is. Compared case-sensitively.
    #[serde(rename = "match")]
    #[schemars(extend("examples" = ["*.*"]))]
    pub pattern: Pattern,
    /// Leaves the matching tables out. No other key makes sense beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclude: bool,
    /// Table of the warehouse, `[schema.]table`. `{database}` and `{table}` stand for the source's names. Many source
    /// tables may share a target: `match = "shop_*.orders_*"`, `target = "shop.orders"`. Default
    /// `{database}.{table}`.
    #[serde(default)]
    pub target: TargetTemplate,
    /// What identifies a row of the target. Default `origin`.
    #[serde(default)]
    pub key: KeyScope,
    /// Column that tells when a row was changed. It decides which shard's row is newer with `key = "global"` (default: the
    /// time of the commit), and what is new with `mode = "incremental"` (default: the primary key tells).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// What a delete on the source does in the target. Default `hard`.
    #[serde(default)]
    pub deletes: Deletes,
    /// What becomes of a table that has neither a primary key nor a UNIQUE key without NULL. Default `append`.
    #[serde(default)]
    pub no_key: NoKey,
    /// Which changes the lake keeps. Default `net`.
    #[serde(default)]
    pub lake: LakeChanges,
    /// On sources whose binlog is not followed, how this table is asked: `full` or `incremental`. Sources with
    /// `mode = "binlog"` are never asked, whatever stands here. Default: the source's `mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TableMode>,
    /// Time from the beginning of one round over the table to the next, where it is asked. Default: the source's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_interval: Option<Span>,
    /// How far a round of `incremental` looks back behind what the one before it saw. Default: `poll.overlap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Span>,
    /// When rows of a snapshot show in the target. Default `when_complete`.
    #[serde(default)]
    pub publish: Publish,
    /// Tables of one group are merged in one transaction, so that what one source transaction wrote becomes visible
    /// together; groups are independent of each other. Default `main`.
    #[serde(default = "default_group")]
    #[schemars(extend("format" = "group-name"))]
    pub group: String,
    /// What TINYINT(1) becomes. Default `boolean`.
    #[serde(default)]
    pub tinyint1: TinyInt1,
    /// What becomes of dates that are none, such as 0000-00-00. Default `null`, counted in a metric.
    #[serde(default)]
    pub zero_dates: ZeroDates,
    /// What becomes of text that is not valid in its character set. Default `replace`, counted in a metric.
    #[serde(default)]
    pub invalid_text: InvalidText,
    /// What becomes of values that are longer than the warehouse takes; see `text_bytes_max`. Key columns always park.
    /// Default `cut`, counted in a metric.
    #[serde(default)]
    pub long_text: LongText,
    /// Most bytes (not characters) of a text in UTF-8; longer ones follow `long_text`. The target's column gets this
    /// width where it has one. Default: no limit, or 65535 where the lake is made for Redshift, whose other limits
    /// follow `long_text` too: 16777216 for bytes and JSON, 65535 for a string inside of JSON, 4000000 for a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub text_bytes_max: Option<u32>,
    /// By what rows are spread over a cluster's slices, so that the merge needs no traffic between them: `key` (the first
    /// column of the primary key), the name of a column, `even`, `all` (a copy on every node, for small tables that
    /// many others are joined with) or `auto` (Redshift chooses). Redshift only, and only when the table is created; a
    /// column that the table lacks is logged and `auto` taken instead. Default `key`.
    #[serde(default)]
    pub dist_key: DistKey,
    /// Columns that rows are sorted by; `_tw_committed_at` is one as well. An empty list leaves the choice to Redshift.
    /// Redshift only, and only when the table is created; columns that the table lacks are logged and left out. Default:
    /// `updated_at` where it is set, else the primary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort_key: Option<Vec<String>>,
    /// Settings of single columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ColumnRule>,
}

fn default_group() -> String {
    "main".to_owned()
}

impl TableRule {
    /// A rule with defaults for everything but the pattern.
    pub fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            exclude: false,
            target: TargetTemplate::default(),
            key: KeyScope::default(),
            updated_at: None,
            deletes: Deletes::default(),
            no_key: NoKey::default(),
            lake: LakeChanges::default(),
            mode: None,
            poll_interval: None,
            overlap: None,
            publish: Publish::default(),
            group: default_group(),
            tinyint1: TinyInt1::default(),
            zero_dates: ZeroDates::default(),
            invalid_text: InvalidText::default(),
            long_text: LongText::default(),
            text_bytes_max: None,
            dist_key: DistKey::default(),
            sort_key: None,
            columns: BTreeMap::new(),
        }
    }
}

/// What identifies a row of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyScope {
    /// The origin and the primary key: rows of different source tables never meet.
    #[default]
    Origin,
    /// The primary key alone. The operator states that it is unique across all source tables of the target; where a row
    /// lives on two shards (while it moves), one wins: live before deleted, then the newest, then the origin's name.
    Global,
}

/// What a delete on the source does in the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Deletes {
    /// The row is deleted.
    #[default]
    Hard,
    /// The row stays with `_tw_deleted` set.
    Soft,
    /// The row stays as it is.
    Ignore,
}

/// What becomes of a table without a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoKey {
    /// Its target is a history: every change is appended as a row with `_tw_op`, an update as the row before (`d`) and the row
    /// after (`u`). `key` and `deletes` mean nothing there.
    #[default]
    Append,
    /// The table stops arriving until it has a key.
    Park,
}

/// Which changes the lake keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LakeChanges {
    /// The last change per key and batch.
    #[default]
    Net,
    /// Every change.
    All,
}

/// When rows of a snapshot show in the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// When all of them are in the lake; until then the target's rows of that source table stay as they are.
    #[default]
    WhenComplete,
    /// As they come. Changes made meanwhile follow when all are there.
    Progressively,
}

/// What TINYINT(1) becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TinyInt1 {
    /// BOOLEAN: zero is false, every other number true.
    #[default]
    Boolean,
    /// SMALLINT: the number.
    Smallint,
}

/// What becomes of dates that are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ZeroDates {
    /// NULL.
    #[default]
    Null,
    /// The table stops arriving until it is read anew.
    Park,
}

/// What becomes of text that is not valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvalidText {
    /// Each invalid part becomes U+FFFD.
    #[default]
    Replace,
    /// The table stops arriving until it is read anew.
    Park,
}

/// What becomes of values that are too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LongText {
    /// Text is cut behind the last whole character that fits; bytes and JSON, of which a part is worth nothing, become
    /// NULL; long strings inside of JSON are cut.
    #[default]
    Cut,
    /// NULL.
    Null,
    /// The table stops arriving until it is read anew.
    Park,
}

/// `[schema.]table` with `{database}` and `{table}` in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTemplate(String);

impl TargetTemplate {
    /// The target of a source table.
    pub fn fill(&self, database: &str, table: &str) -> Target {
        // One pass, so that a database called "{table}" stays what it is.
        let mut out = String::with_capacity(self.0.len() + database.len() + table.len());
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (name, tail) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(if name == "database" { database } else { table });
            rest = tail;
        }
        out.push_str(rest);
        Target::new(out)
    }

    /// The target when it is the same for every table.
    pub fn literal(&self) -> Option<&str> {
        (!self.0.contains('{')).then_some(self.0.as_str())
    }
}

impl Default for TargetTemplate {
    fn default() -> Self {
        Self("{database}.{table}".to_owned())
    }
}

impl FromStr for TargetTemplate {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        const FORM: &str = "write \"schema.table\" or \"table\", with {database} and {table} for the source's names";
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let name = after.split_once('}').map(|(name, _)| name);
            match name {
                Some("database" | "table") if !before.contains('}') => {}
                Some(other) => {
                    let hint = super::problem::suggestion(other, ["database", "table"]);
                    return Err(Misfit::new(format!("{{{other}}} stands for nothing{hint}"), FORM));
                }
                None => return Err(Misfit::new("a { is not closed", FORM)),
            }
            rest = after.split_once('}').map_or("", |(_, tail)| tail);
        }
        if rest.contains('}') {
            return Err(Misfit::new("a } closes nothing", FORM));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let plain = |p: &str| !p.trim().is_empty() && p.trim() == p && !p.chars().any(char::is_control);
        if parts.len() > 2 || !parts.iter().all(|p| plain(p)) {
            return Err(Misfit::new("not a target table", FORM));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TargetTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written!(TargetTemplate, "target-template");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn templates_fill_once() {
        let t: TargetTemplate = "dw.{database}_{table}".parse().unwrap();
        assert_eq!(t.fill("{table}", "orders").as_str(), "dw.{table}_orders");
        assert_eq!(t.literal(), None);
        assert_eq!("shop.orders".parse::<TargetTemplate>().unwrap().literal(), Some("shop.orders"));
    }

    #[test]
    fn bad_templates_are_refused() {
        for bad in ["", ".", "a.", "a.b.c", "{databse}", "{table", "table}", " a", "a. b"] {
            assert!(bad.parse::<TargetTemplate>().is_err(), "{bad}");
        }
    }
}
