//! Targets: what the logs say of their source tables, put together with what was merged and compared.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{ParkedTable, TableState};
use crate::{
    live::{GroupView, Live, LiveShard},
    model::{Origin, Shard, Target},
    progress::ShardProgress,
};

/// What brings back a table whose rows no longer reach the lake.
const READ_ANEW: &str = "mend what the reason names, then read the table anew; all others go on meanwhile";

/// What brings back a table whose rows wait before the target.
const TRY_AGAIN: &str =
    "mend what the reason names, then have it tried again, as every start does; nothing is lost meanwhile";

/// All targets, by name.
pub(super) fn tables(
    live: &Live,
    shards: &[(Shard, Arc<LiveShard>)],
    groups: &[(String, GroupView)],
    figures: &[ShardProgress],
) -> Vec<TableState> {
    let mut tables: BTreeMap<Target, TableState> = BTreeMap::new();
    let lags: HashMap<&str, Option<f64>> = figures.iter().map(|s| (s.shard.as_str(), s.lag_seconds())).collect();
    live.with_verifications(|verified| {
        for (name, shard) in shards {
            let lag = lags.get(name.as_str()).copied().flatten();
            shard.with_catalog(|catalog| {
                for (origin, known) in &catalog.origins {
                    // Thousands of source tables have few targets: a name is copied for each of these alone.
                    let table = match tables.get_mut(&known.target) {
                        Some(table) => table,
                        None => tables.entry(known.target.clone()).or_default(),
                    };
                    table.origins += 1;
                    table.lag_seconds = table.lag_seconds.into_iter().chain(lag).reduce(f64::max);
                    let note = |reason: &String| of_extract(origin, reason.clone());
                    table.reading.extend(known.snapshot.iter().map(|_| origin.to_string()));
                    table.parked.extend(known.parked.iter().map(note));
                    table.needs_snapshot.extend(known.needs_snapshot.iter().map(note));
                    if let Some(found) = verified.get(origin) {
                        table.verified += 1;
                        table.different_rows += found.different.unwrap_or_default();
                        table.verified_through = match table.verified {
                            1 => found.through,
                            _ => table.verified_through.zip(found.through).map(|(a, b)| a.min(b)),
                        };
                    }
                }
            });
        }
    });
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
