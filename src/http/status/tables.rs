//! Targets: what the logs say of their source tables, put together with what was merged and compared.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use super::{ParkedTable, TableState};
use crate::{
    live::{GroupView, Live, TargetOverview},
    model::{Origin, Target},
    progress::ShardProgress,
};

/// What brings back a table whose rows no longer reach the lake.
const READ_ANEW: &str = "mend what the reason names, then read the table anew; all others go on meanwhile";

/// What brings back a table whose rows wait before the target.
const TRY_AGAIN: &str =
    "mend what the reason names, then have it tried again, as every start does; nothing is lost meanwhile";

/// All targets, by name.
pub(super) fn tables(live: &Live, groups: &[(String, GroupView)], figures: &[ShardProgress]) -> Vec<TableState> {
    let lags: HashMap<&str, f64> = figures.iter().filter_map(|s| Some((s.shard.as_str(), s.lag_seconds()?))).collect();
    let overview = live.overview();
    let known = overview.targets.iter().map(|known| (known.target.clone(), of_logs(known, &lags)));
    let mut tables: BTreeMap<Target, TableState> = known.collect();
    for (group, view) in groups {
        for (origin, waits) in &view.parked {
            let table = tables.entry(waits.target.clone()).or_default();
            table.group = Some(group.clone());
            table.parked.push(ParkedTable {
                origin: origin.to_string(),
                stage: "apply",
                reason: waits.reason.clone(),
                mend: TRY_AGAIN,
                command: Some(command("unpark", origin)),
            });
        }
    }
    for (target, merged) in live.targets() {
        let table = tables.entry(target).or_default();
        (table.rows_applied, table.applied_at) = (merged.rows, merged.applied_at);
    }
    let named = tables.into_iter().map(|(target, table)| TableState {
        target: target.to_string(),
        // Proven is what every source table of it was.
        verified_through: table.verified_through.filter(|_| table.verified == table.origins),
        // What is parked does not arrive at all.
        lag_seconds: table.lag_seconds.filter(|_| table.parked.is_empty()),
        ..table
    });
    named.collect()
}

/// What logs, comparisons and operators say of a target.
fn of_logs(known: &TargetOverview, lags: &HashMap<&str, f64>) -> TableState {
    let note = |(origin, reason): &(Origin, String)| of_extract(origin, reason.clone());
    let names = |origins: &[Origin]| origins.iter().map(Origin::to_string).collect();
    let lags = known.shards.iter().filter_map(|shard| lags.get(shard.as_str()).copied());
    TableState {
        origins: known.origins,
        lag_seconds: lags.reduce(f64::max),
        reading: names(&known.reading),
        paused: names(&known.paused),
        parked: known.parked.iter().map(note).collect(),
        needs_snapshot: known.needs_snapshot.iter().map(note).collect(),
        verified: known.verified,
        different_rows: known.different,
        verified_through: known.through,
        ..TableState::default()
    }
}

fn of_extract(origin: &Origin, reason: String) -> ParkedTable {
    ParkedTable {
        origin: origin.to_string(),
        stage: "extract",
        reason,
        mend: READ_ANEW,
        command: Some(command("snapshot", origin)),
    }
}

/// A verb for one source table, as it is typed.
fn command(verb: &str, origin: &Origin) -> String {
    let table = format!("{}.{}", origin.database, origin.table);
    format!("tailwater {verb} --table {} --shard {}", quoted(&table), quoted(origin.shard.as_str()))
}

/// A word as a shell takes it for one word. The command is there to be copied, and names of tables are other people's.
fn quoted(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', "'\\''"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables_cannot_leave_their_word() {
        assert_eq!(quoted("shop.orders_00"), "shop.orders_00");
        assert_eq!(quoted("shop.a'; rm -rf ~; '"), "'shop.a'\\''; rm -rf ~; '\\'''");
        assert_eq!(quoted("shop.$(id)"), "'shop.$(id)'");
    }
}
