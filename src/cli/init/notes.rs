//! What a new configuration file says of servers and tables, as comments in front of its sections.

use indicatif::{HumanBytes, HumanCount};
use serde_json::{Map, Value, json};

use crate::{
    config::{Config, MadeFor, Template},
    model::Severity,
    pipeline::init::{Discovery, Family, FoundServer, FoundTable},
};

/// Tables that one comment lists; the rest is counted.
const LISTED: usize = 40;
/// Names that one line lists.
const NAMED: usize = 6;

/// The file: `tree` is what the flags say, `patterns` are the tables that they ask for.
pub(super) fn template(tree: Map<String, Value>, config: &Config, found: &Discovery, patterns: &[String]) -> Template {
    let mut template = Template { tree, ..Template::default() };
    template.notes.insert(String::new(), head(config));
    for (i, server) in found.servers.iter().enumerate() {
        template.notes.insert(format!("source[{i}]"), about_server(server, found));
    }
    let mut rules = Vec::new();
    for family in &found.families {
        template.notes.insert(format!("table[{}]", rules.len()), about_family(family, config, found));
        rules.push(json!({ "match": family.pattern, "target": family.target }));
    }
    let rest = if patterns.is_empty() {
        found.databases.iter().map(|d| format!("{d}.*")).collect()
    } else {
        patterns.to_vec()
    };
    // Which rule takes a table is decided by the patterns themselves: the first that matches.
    let mut left = left(found);
    for pattern in rest {
        let matcher: Option<crate::config::Pattern> = pattern.parse().ok();
        let (mine, others) =
            left.into_iter().partition(|((d, t), _)| matcher.as_ref().is_some_and(|m| m.matches(d, t)));
        left = others;
        template.notes.insert(format!("table[{}]", rules.len()), about_tables(mine, config));
        rules.push(json!({ "match": pattern }));
    }
    if !rules.is_empty() {
        template.tree.insert("table".to_owned(), Value::Array(rules));
    }
    template
}

type Named<'a> = (&'a (String, String), &'a FoundTable);

/// Tables of no family.
fn left(found: &Discovery) -> Vec<Named<'_>> {
    let folded: std::collections::BTreeSet<_> = found.families.iter().flat_map(|f| &f.pieces).collect();
    found.tables.iter().filter(|(name, _)| !folded.contains(name)).collect()
}

fn head(config: &Config) -> Vec<String> {
    let line = |text: &str| text.to_owned();
    vec![
        format!("Configuration of the pipeline {:?}. `tailwater check` compares it with the servers,", config.pipeline),
        line("`tailwater plan` shows what `tailwater run` would do."),
        line(""),
        line("Lines that begin with \"# \" explain. Lines that begin with \"#\" and a key are options with"),
        line("their defaults or an example: remove the \"#\" to set one."),
        line(""),
    ]
}

fn about_server(server: &FoundServer, found: &Discovery) -> Vec<String> {
    let tables = found.tables.values().filter(|t| t.shards.contains(&server.shard)).count();
    let mut lines = vec![String::new(), format!("server {}: {tables} tables", server.version)];
    for finding in &server.findings {
        let mark = if finding.severity == Severity::Problem { "PROBLEM" } else { "warning" };
        lines.push(format!("{mark}: {}", finding.what));
        lines.extend(finding.mend.iter().flat_map(|mend| mend.lines()).map(|line| format!("  mend: {line}")));
    }
    lines
}

fn about_family(family: &Family, config: &Config, found: &Discovery) -> Vec<String> {
    let tables: Vec<&FoundTable> = family.pieces.iter().filter_map(|name| found.tables.get(name)).collect();
    let mut names: Vec<String> = family.pieces.iter().take(NAMED).map(|(d, t)| format!("{d}.{t}")).collect();
    if family.pieces.len() > NAMED {
        names.push(format!("and {} more", family.pieces.len() - NAMED));
    }
    let mut lines =
        vec![format!("One table in pieces with the same columns: {}", size(tables.iter().copied())), names.join(", ")];
    if let Some(first) = tables.first() {
        lines.push(format!("key: {}{}", key(first), changed(first)));
        lines.extend(long(first, config));
        if !first.key.is_empty() {
            lines.push(
                "Rows of different pieces never meet. Where the key is unique across all of them, write".to_owned(),
            );
            let by = first.changed.first().map(|c| format!(", updated_at = {:?}", c.name)).unwrap_or_default();
            lines.push(format!("key = \"global\"{by}: a row that moves between pieces stays one row."));
        }
    }
    lines
}

fn about_tables(tables: Vec<Named<'_>>, config: &Config) -> Vec<String> {
    if tables.is_empty() {
        return vec!["None now but those above; this takes tables to come.".to_owned()];
    }
    let mut lines = vec![size(tables.iter().map(|(_, t)| *t))];
    for ((database, table), found) in tables.iter().take(LISTED) {
        let on = if found.shards.len() > 1 { format!(" on {} shards", found.shards.len()) } else { String::new() };
        let rows = HumanCount(found.rows);
        lines.push(format!(
            "  {database}.{table}{on}: about {rows} rows, {}; key {}{}",
            HumanBytes(found.bytes),
            key(found),
            changed(found)
        ));
        if found.shapes.len() > 1 {
            lines.push("    warning: its columns are not the same on all shards".to_owned());
        }
        lines.extend(long(found, config).map(|line| format!("    {line}")));
    }
    if tables.len() > LISTED {
        lines.push(format!("  and {} more", tables.len() - LISTED));
    }
    lines
}

/// Number and size of tables.
pub(super) fn size<'a>(tables: impl Iterator<Item = &'a FoundTable> + Clone) -> String {
    let count: usize = tables.clone().map(|t| t.shards.len()).sum();
    let rows: u64 = tables.clone().map(|t| t.rows).fold(0, u64::saturating_add);
    let bytes: u64 = tables.map(|t| t.bytes).fold(0, u64::saturating_add);
    let tables = if count == 1 { "1 table".to_owned() } else { format!("{count} tables") };
    format!("{tables}, about {} rows, {}", HumanCount(rows), HumanBytes(bytes))
}

fn key(table: &FoundTable) -> String {
    if table.key.is_empty() {
        return "none: it cannot be merged, its changes are appended (no_key); ALTER TABLE … ADD PRIMARY KEY (…), or exclude it".to_owned();
    }
    table.key.join(", ")
}

fn changed(table: &FoundTable) -> String {
    let name = |c: &crate::source::mysql::discover::ChangeColumn| match c.on_update {
        true => format!("{} (ON UPDATE CURRENT_TIMESTAMP)", c.name),
        false => format!("{} (by its name)", c.name),
    };
    match table.changed.as_slice() {
        [] => String::new(),
        columns => format!("; changed: {}", columns.iter().map(name).collect::<Vec<_>>().join(", ")),
    }
}

/// Redshift holds no text of more than 65,535 bytes.
fn long(table: &FoundTable, config: &Config) -> Option<String> {
    let strikes = config.made_for() == MadeFor::Redshift && !table.long.is_empty();
    strikes.then(|| format!("warning: may be longer than Redshift holds, see long_text: {}", table.long.join(", ")))
}
