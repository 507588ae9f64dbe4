//! A [`Forecast`] for people and for programs.

use std::fmt::Write;

use indicatif::{HumanBytes, HumanCount};

use super::status_table::table;
use crate::{
    config::mask_urls,
    pipeline::plan::{Action, Change, Forecast, ShardForecast, TargetForecast},
};

/// Tables whose changes are merely copied on that are listed by name; with more of them the rest is counted.
const FOLLOWED: usize = 50;

/// For programs.
pub(super) fn json(forecast: &Forecast) -> String {
    // Serialising plain structs into memory cannot fail.
    mask_urls(&(serde_json::to_string_pretty(forecast).unwrap_or_default() + "\n"))
}

/// For people.
pub(super) fn text(forecast: &Forecast) -> String {
    // Writing to a String cannot fail.
    let mut out = format!("pipeline {}: what `tailwater run` would do now\n", forecast.pipeline);
    for trouble in &forecast.trouble {
        let _ = writeln!(out, "  {trouble}");
    }
    for s in &forecast.shards {
        shard(s, &mut out);
    }
    if !forecast.targets.is_empty() {
        out.push_str("\nwarehouse\n");
    }
    for t in &forecast.targets {
        target(t, &mut out);
    }
    let _ = writeln!(out, "\n{}", verdict(forecast));
    mask_urls(&out)
}

fn shard(s: &ShardForecast, out: &mut String) {
    let begins = match s.entry {
        Some(entry) => format!("resumes behind entry {entry}, at {}", s.begins),
        None => format!("begins a new log: {}", s.begins),
    };
    let _ = writeln!(out, "\nshard {} {begins}", s.shard);
    if let Some(trouble) = &s.trouble {
        let _ = writeln!(out, "  cannot be read: {trouble}");
    }
    let reads =
        || s.tables.iter().filter(|t| matches!(t.action, Action::Snapshot | Action::ResumeSnapshot | Action::Copy));
    let (rows, bytes) = (reads().map(|t| t.rows).sum(), reads().map(|t| t.bytes).sum());
    if reads().count() > 0 {
        let _ =
            writeln!(out, "  reads {} tables, about {} rows, {}", reads().count(), HumanCount(rows), HumanBytes(bytes));
    }
    let mut rows = vec![["", "TABLE", "ACTION", "ROWS", "SIZE", "TARGET"].map(str::to_owned).to_vec()];
    let mut left = 0;
    for t in &s.tables {
        if t.action == Action::Follow && t.notes.is_empty() && rows.len() > FOLLOWED {
            left += 1;
            continue;
        }
        let name = t.origin.split_once(':').map_or(t.origin.as_str(), |(_, name)| name).to_owned();
        let (rows_of, size) = (HumanCount(t.rows).to_string(), HumanBytes(t.bytes).to_string());
        rows.push(vec![String::new(), name, action(t.action).to_owned(), rows_of, size, t.target.clone()]);
    }
    if rows.len() > 1 {
        table(&rows, out);
    }
    if left > 0 {
        let _ = writeln!(out, "  and {left} more to follow");
    }
    for t in s.tables.iter().filter(|t| !t.notes.is_empty()) {
        for note in &t.notes {
            let _ = writeln!(out, "  {}: {note}", t.origin);
        }
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Follow => "follow",
        Action::Snapshot => "read, then follow",
        Action::ResumeSnapshot => "read on, then follow",
        Action::Copy => "copy again and again",
        Action::Ask => "ask for what is new",
        Action::Park => "PARKED",
    }
}

fn target(t: &TargetForecast, out: &mut String) {
    let from = match t.origins.as_slice() {
        [one] => format!("from {one}"),
        many => format!("from {} source tables", many.len()),
    };
    let name = &t.target;
    match &t.change {
        Change::Keep { place } => {
            let _ = writeln!(out, "  keep {name} as {place}, {from}");
        }
        Change::Create { statements } => {
            let _ = writeln!(out, "  create {name}, {from}");
            for line in statements.iter().flat_map(|s| format!("{s};").lines().map(str::to_owned).collect::<Vec<_>>()) {
                let _ = writeln!(out, "      {line}");
            }
        }
        Change::Alter { place, added, widened } => {
            let _ = writeln!(out, "  alter {name} as {place}, {from}");
            added.iter().for_each(|column| _ = writeln!(out, "      add column {column}"));
            widened.iter().for_each(|column| _ = writeln!(out, "      widen column {column}"));
        }
        Change::Refuse { reason } => {
            let _ = writeln!(out, "  PARK {name}, {from}: {reason}");
        }
        Change::Unknown => {
            let _ = writeln!(out, "  {name}, {from}: not known");
        }
    }
}

fn verdict(forecast: &Forecast) -> String {
    match forecast.obstacles() {
        0 => "nothing stands in the way; `tailwater run` does it".to_owned(),
        1 => "1 obstacle; `tailwater check` names the mend".to_owned(),
        n => format!("{n} obstacles; `tailwater check` names the mends"),
    }
}
