//! What `tailwater gc` does.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use super::{Pace, groups, since};
use crate::{
    config::{Config, Deletes, TableRules},
    lake::{
        Clock as _, Store, StoreError, SystemClock,
        consumers::{Consumer, ConsumerError, RENEW_EVERY},
        gc::{Gc, GcError, Outlook, Removed, Round, Wanted, WithoutSnapshot},
        log::{self, LogError},
    },
    model::{Origin, Shard},
    pipeline::open,
};

/// Listings in one go of the sweep, until it has come to its end.
const PAGES: usize = 64;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// How long entries stay at least, instead of what is configured.
    pub retention: Option<Duration>,
    /// Only tell.
    pub dry_run: bool,
    /// Consumers that are gone for good.
    pub forget: Vec<String>,
    /// These shards; all that have a log where none is named.
    pub shards: Vec<Shard>,
}

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Nothing was changed.
    pub dry_run: bool,
    /// Consumers that were forgotten.
    pub forgotten: Vec<String>,
    /// By shard.
    pub shards: BTreeMap<Shard, ShardReport>,
}

/// What was done with one shard's log.
#[derive(Clone, Debug, Serialize)]
pub struct ShardReport {
    /// The newest entry.
    pub newest_entry: u64,
    /// The oldest entry that was kept before, and when it was written (UTC microseconds).
    pub oldest_entry: u64,
    /// When that was written, UTC microseconds.
    pub oldest_written_at: i64,
    /// The oldest entry that is kept from now on; with `dry_run` the one that would be.
    pub keeps_from: u64,
    /// What was deleted; with `dry_run` what this run and the next one would delete.
    pub removed: Removed,
    /// Files that no entry named and that were deleted.
    pub orphans: Removed,
    /// When what was given up may be deleted by another run, UTC microseconds.
    pub waits_until: Option<i64>,
    /// What keeps entries that are older than the retention, the strictest first.
    pub held: Vec<Held>,
    /// Source tables that `rebuild` cannot make anew any more without a new snapshot.
    pub need_snapshot: Vec<String>,
    /// Not all of the log was looked through for them.
    pub need_snapshot_cut_short: bool,
}

/// Something that keeps entries.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    /// The oldest entry that it keeps.
    pub from: u64,
    /// What it is.
    pub by: String,
    /// When a consumer registered last, UTC microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<i64>,
}

/// Why nothing, or not all, was done.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Registrations.
    #[error(transparent)]
    Consumers(#[from] ConsumerError),
    /// One shard.
    #[error("old entries of shard {shard} could not be removed")]
    Shard {
        /// The shard.
        shard: Shard,
        /// Why.
        #[source]
        source: GcError,
    },
    /// Everything is kept for ever.
    #[error("no retention is set, so nothing is ever old enough to be removed")]
    NoRetention,
    /// There is no such consumer.
    #[error("no consumer is called {name:?}; there are: {known}")]
    UnknownConsumer {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// It is at work.
    #[error("consumer {name} registered {seconds} s ago and is at work as far as the lake knows")]
    AtWork {
        /// Its name.
        name: String,
        /// Since it registered last.
        seconds: u64,
    },
}

/// Removes what is old, or tells what would be removed.
///
/// # Errors
/// When something cannot be done. What was done by then stays done, and the next run goes on.
pub async fn run(config: &Config, order: &Order) -> Result<Report, CommandError> {
    let retention = order.retention.or(config.lake.retention.map(|span| span.get()));
    if retention.is_none() && order.forget.is_empty() {
        return Err(CommandError::NoRetention);
    }
    let store = open::store(config).await?;
    let clock = Arc::new(SystemClock::new());
    let mut consumers = Consumer::load_all(&*store).await?;
    let forgotten = forget(&*store, order, &mut consumers, clock.unix_micros()).await?;
    let shards = if order.shards.is_empty() { log::shards(&*store).await? } else { order.shards.clone() };
    let groups = groups(config);
    let since = retention.map(|retention| since(clock.unix_micros(), retention));
    let wanted = Wanted { since, consumers: &consumers, groups: &groups };
    let mut report = Report { dry_run: order.dry_run, forgotten, shards: BTreeMap::new() };
    for shard in shards {
        let gc = Pace::choose().apply(Gc::new(Arc::clone(&store), Arc::clone(&clock) as _, shard.clone()));
        let done = one(&gc, &wanted, order.dry_run, &config.table_rules()).await;
        let done = done.map_err(|source| CommandError::Shard { shard: shard.clone(), source })?;
        report.shards.extend(done.map(|done| (shard, done)));
    }
    Ok(report)
}

/// Takes consumers that are gone for good out of the lake, and of `consumers`.
async fn forget(
    store: &dyn Store,
    order: &Order,
    consumers: &mut Vec<Consumer>,
    now: i64,
) -> Result<Vec<String>, CommandError> {
    for name in &order.forget {
        let Some(consumer) = consumers.iter().find(|consumer| consumer.name == *name) else {
            let known: Vec<&str> = consumers.iter().map(|consumer| consumer.name.as_str()).collect();
            return Err(CommandError::UnknownConsumer { name: name.clone(), known: known.join(", ") });
        };
        let age = Duration::from_micros(u64::try_from(now.saturating_sub(consumer.updated_at)).unwrap_or(0));
        if !consumer.ended && age < RENEW_EVERY * 3 {
            return Err(CommandError::AtWork { name: name.clone(), seconds: age.as_secs() });
        }
    }
    for consumer in consumers.iter().filter(|consumer| order.forget.contains(&consumer.name) && !order.dry_run) {
        consumer.forget(store).await?;
    }
    consumers.retain(|consumer| !order.forget.contains(&consumer.name));
    Ok(order.forget.clone())
}

/// Does one shard; `None` where it has no log.
async fn one(gc: &Gc, wanted: &Wanted<'_>, dry_run: bool, rules: &TableRules) -> Result<Option<ShardReport>, GcError> {
    let Some(outlook) = gc.look(wanted).await? else { return Ok(None) };
    let mut report = report(&outlook);
    if dry_run {
        report.removed = gc.estimate(outlook.next).await?;
        need_snapshot(&mut report, gc.without_snapshot(&outlook).await?, rules);
        return Ok(Some(report));
    }
    loop {
        let (removed, more) = gc.remove(&outlook).await?;
        report.removed += removed;
        if !more {
            break;
        }
    }
    let mut round = Round::default();
    loop {
        let (swept, ended) = gc.sweep(&outlook, &mut round, PAGES).await?;
        report.orphans += swept;
        if ended {
            break;
        }
    }
    let raised = gc.raise(&outlook).await?;
    let after = if raised { gc.look(wanted).await?.unwrap_or(outlook) } else { outlook };
    report.keeps_from = after.floor;
    report.waits_until = after.due_at.filter(|_| !after.due);
    need_snapshot(&mut report, gc.without_snapshot(&after).await?, rules);
    Ok(Some(report))
}

fn report(outlook: &Outlook) -> ShardReport {
    let held = outlook.blocks().map(|hold| Held {
        from: hold.from,
        by: hold.by.to_string(),
        updated_at: hold.by.updated_at(),
    });
    ShardReport {
        newest_entry: outlook.head,
        oldest_entry: outlook.floor,
        oldest_written_at: outlook.oldest_at,
        keeps_from: outlook.next,
        removed: Removed::default(),
        orphans: Removed::default(),
        waits_until: None,
        held: held.collect(),
        need_snapshot: Vec::new(),
        need_snapshot_cut_short: false,
    }
}

/// Tables of which the kept log does not have all rows: those without a whole snapshot in it, and those whose deleted rows stay.
fn need_snapshot(report: &mut ShardReport, without: WithoutSnapshot, rules: &TableRules) {
    let WithoutSnapshot { origins, known, cut_short } = without;
    let needs_one = |origin: &&Origin| {
        let rule = rules.resolve(&origin.database, &origin.table);
        rule.is_some_and(|rule| rule.deletes != Deletes::Hard || origins.contains(*origin))
    };
    let names: BTreeSet<String> = known.iter().filter(needs_one).map(Origin::to_string).collect();
    report.need_snapshot = names.into_iter().collect();
    report.need_snapshot_cut_short = cut_short;
}
