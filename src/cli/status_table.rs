//! A [`Status`] as a readable table.

use std::{fmt::Write, time::Duration};

use crate::model::{ParkedOrigin, ShardStatus, Status, TableStatus};

/// Longest position that is shown whole; GTID sets of old servers are much longer, and `--json` has them.
const POSITION_CHARS_MAX: usize = 60;

/// Whether somebody has to do something.
pub(super) fn needs_operator(status: &Status) -> bool {
    !status.trouble.is_empty()
        || status.shards.iter().any(|s| s.trouble.is_some() || s.paused.is_some())
        || status.tables.iter().any(|t| !t.parked.is_empty() || !t.needs_snapshot.is_empty() || !t.paused.is_empty())
}

/// For programs.
pub(super) fn json(status: &Status) -> String {
    // Serialising plain structs into memory cannot fail.
    serde_json::to_string_pretty(status).unwrap_or_default() + "\n"
}

/// For programs, on one line.
pub(super) fn json_line(status: &Status) -> String {
    // Serialising plain structs into memory cannot fail.
    serde_json::to_string(status).unwrap_or_default() + "\n"
}

/// For people.
pub(super) fn text(status: &Status) -> String {
    let mut out = format!("pipeline {}\n", status.pipeline);
    for trouble in &status.trouble {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {trouble}");
    }
    out.push('\n');
    let mut rows =
        vec![["SHARD", "ENTRY", "APPLIED", "LAST COMMIT", "LAST WRITTEN", "POSITION"].map(str::to_owned).to_vec()];
    rows.extend(status.shards.iter().map(|s| shard(s, status.at)));
    table(&rows, &mut out);
    for s in &status.shards {
        // Writing to a String cannot fail.
        if let Some(trouble) = &s.trouble {
            let _ = writeln!(out, "  {}: {trouble}", s.shard);
        }
        for text in &s.not_seen {
            let _ = writeln!(out, "  {}: its binlog is not followed; not seen in {text}", s.shard);
        }
        if let Some(since) = s.paused {
            let since = age(status.at - since);
            let _ = writeln!(
                out,
                "  {}: PAUSED for {since}; its binlogs have to last until `tailwater resume --shard {}`",
                s.shard, s.shard
            );
        }
        if let Some(source) = s.source_position.as_ref().filter(|p| **p != s.position) {
            let _ = writeln!(out, "  {}: the source is at {}", s.shard, shorten(source));
        }
    }
    out.push('\n');
    let mut rows = vec![["TABLE", "ORIGINS", "STATE", "VERIFIED THROUGH"].map(str::to_owned).to_vec()];
    rows.extend(status.tables.iter().map(|t| {
        let state = match (t.parked.len(), t.needs_snapshot.len()) {
            (0, 0) if t.rebuilding => "being rebuilt".to_owned(),
            (0, 0) if !t.paused.is_empty() => format!("{} PAUSED", t.paused.len()),
            (0, 0) if !t.reading.is_empty() => format!("{} being read", t.reading.len()),
            (0, 0) => "ok".to_owned(),
            (0, n) => format!("{n} need a snapshot"),
            (p, 0) => format!("{p} parked"),
            (p, n) => format!("{p} parked, {n} need a snapshot"),
        };
        vec![t.target.clone(), t.origins.to_string(), state, verified(t, status.at)]
    }));
    table(&rows, &mut out);
    for t in &status.tables {
        origins("appends its changes", &t.appends, &mut out);
        origins("parked", &t.parked, &mut out);
        origins("needs a snapshot", &t.needs_snapshot, &mut out);
    }
    out
}

/// The oldest commit time that its origins are known to be equal up to; which of how many, where some were never compared.
fn verified(table: &TableStatus, now: i64) -> String {
    let through = table.verified.iter().map(|v| v.through.committed_at.unwrap_or(v.through.verified_at)).min();
    let known = table.verified.len() as u64;
    match through {
        None => "-".to_owned(),
        Some(at) if known < table.origins => format!("{} ago ({known} of {})", age(now - at), table.origins),
        Some(at) => format!("{} ago", age(now - at)),
    }
}

fn origins(state: &str, list: &[ParkedOrigin], out: &mut String) {
    for origin in list {
        let _ = writeln!(out, "  {} {state}: {}", origin.origin, origin.reason);
    }
}

fn shard(s: &ShardStatus, now: i64) -> Vec<String> {
    let ago = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), |at| format!("{} ago", age(now - at)));
    let applied = match s.applied.as_slice() {
        [] => "-".to_owned(),
        [one] => one.entry.to_string(),
        many => many.iter().map(|g| format!("{}={}", g.group, g.entry)).collect::<Vec<_>>().join(" "),
    };
    vec![s.shard.clone(), s.head.to_string(), applied, ago(s.committed_at), ago(s.written_at), shorten(&s.position)]
}

/// An age in its two largest units.
fn age(micros: i64) -> String {
    let seconds = u64::try_from(micros / 1_000_000).unwrap_or_default();
    let text = humantime::format_duration(Duration::from_secs(seconds)).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn shorten(position: &str) -> String {
    match position.char_indices().nth(POSITION_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &position[..at]),
        None => position.to_owned(),
    }
}

/// Rows with their columns under each other.
pub(super) fn table(rows: &[Vec<String>], out: &mut String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupPosition, TableStatus};

    #[test]
    fn a_status_reads_as_a_table() {
        let status = Status {
            pipeline: "shop".into(),
            at: 100_000_000,
            trouble: vec!["warehouse: not reachable".into()],
            shards: vec![ShardStatus {
                shard: "s1".into(),
                position: "binlog.000007:4".into(),
                source_position: Some("binlog.000007:900".into()),
                head: 42,
                applied: vec![GroupPosition { group: "main".into(), entry: 40 }],
                committed_at: Some(9_000_000),
                ..ShardStatus::default()
            }],
            tables: vec![TableStatus {
                target: "shop.orders".into(),
                origins: 2,
                parked: vec![ParkedOrigin { origin: "s1:shop.orders".into(), reason: "wide decimal".into() }],
                ..TableStatus::default()
            }],
        };
        assert!(needs_operator(&status));
        assert_eq!(
            text(&status),
            "pipeline shop\n\
             \x20 warehouse: not reachable\n\n\
             SHARD  ENTRY  APPLIED  LAST COMMIT  LAST WRITTEN  POSITION\n\
             s1     42     40       1m 31s ago   -             binlog.000007:4\n\
             \x20 s1: the source is at binlog.000007:900\n\n\
             TABLE        ORIGINS  STATE     VERIFIED THROUGH\n\
             shop.orders  2        1 parked  -\n\
             \x20 s1:shop.orders parked: wide decimal\n"
        );
    }
}
