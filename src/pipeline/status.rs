//! How far a pipeline is, as lake, warehouse and sources tell it. Changes nothing anywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    time::Duration,
};

use futures::{StreamExt, future::join_all, stream};
use tokio::time::timeout;

use super::{apply, control::Holds, extract, open};
use crate::{
    config::{Config, LakeUrl, Mode, Source, TableRules},
    errors::chain,
    lake::{
        Clock, Store, StoreError, SystemClock,
        log::{self, Head},
        paths,
        verified::Verified,
    },
    model::{
        EntryKind, GroupPosition, Origin, ParkedOrigin, Position, Shard, ShardStatus, Status, TableStatus, Target,
        VerifiedOrigin, VerifiedThrough,
    },
    source::mysql::start,
    warehouse::{ExceptionKind, GroupState, Watermark},
};

/// Longest wait for one answer: people wait in front of it.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Shards that are looked at together: bounds connections and requests.
const TOGETHER: usize = 16;

/// Age of the newest entry from which a log that lacks what its source has, or is not applied, is told as standing still.
/// Several times the interval of position-only entries and of the slowest tick; twice the pace of idle commits where they are
/// slow.
const STANDSTILL: Duration = Duration::from_secs(300);

/// How the trouble of a shard begins that is not read.
const STANDS_STILL: &str = "nothing was extracted for ";

/// State of each group in the warehouse, by the group's own name.
pub(super) type Groups = BTreeMap<String, GroupState>;

/// Looks at everything that the configuration names.
///
/// # Errors
/// When there is no way to the lake. Everything else that does not answer is told in the status.
pub async fn look(config: &Config) -> Result<Status, StoreError> {
    let now = SystemClock::new().unix_micros();
    let mut status = Status { pipeline: config.pipeline.clone(), at: now, ..Status::default() };
    if let LakeUrl::Folder(path) = &config.lake.url
        && !path.join(paths::part(&config.pipeline)).is_dir()
    {
        // Opening would make it.
        status.trouble.push(format!("lake: pipeline {:?} has none in {} yet", config.pipeline, path.display()));
        return Ok(status);
    }
    let store = open::store(config).await?;
    let groups = match bounded("warehouse", groups(config)).await {
        Ok(groups) => groups,
        Err(trouble) => {
            status.trouble.push(trouble);
            Groups::new()
        }
    };
    let mut shards: BTreeSet<Shard> = config.source.iter().map(Source::shard).collect();
    match bounded("lake", async { log::shards(&*store).await.map_err(|e| chain(&e)) }).await {
        Ok(found) => shards.extend(found),
        Err(trouble) => status.trouble.push(trouble),
    }
    let verified = verified(&*store, &shards).await;
    let rules = config.table_rules();
    let held = bounded("lake", async { Holds::read(&*store).await.map_err(|e| chain(&e)) }).await;
    let held = held.unwrap_or_else(|trouble| {
        status.trouble.push(format!("what is paused is not known: {trouble}"));
        Holds::default()
    });
    let idle = config.warehouse.as_ref().map(|w| w.idle_commit().get() * 2).unwrap_or_default();
    let looks = shards.into_iter().map(|shard| {
        let source = config.source.iter().find(|s| s.shard() == shard);
        let rules = &rules;
        let groups = &groups;
        let store = &*store;
        async move {
            let (mut status, head) = one(store, shard, source, groups, (now, idle)).await;
            status.not_seen = source.map(|s| not_seen(config, s, rules, head.as_ref())).unwrap_or_default();
            (status, head)
        }
    });
    let looked: Vec<_> = stream::iter(looks).buffered(TOGETHER).collect().await;
    status.tables = tables(&looked, &groups, &verified, &held);
    status.shards = looked.into_iter().map(|(shard, _)| shard).collect();
    for shard in &mut status.shards {
        shard.paused = held.shard(&Shard::new(&shard.shard));
        if shard.paused.is_some() {
            // That it stands still is what was asked for.
            shard.trouble.take_if(|trouble| trouble.starts_with(STANDS_STILL));
        }
    }
    Ok(status)
}

/// An answer in time, or what to tell instead.
async fn bounded<T>(who: &str, answer: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    match timeout(ANSWER_MAX, answer).await {
        Ok(answer) => answer.map_err(|e| format!("{who}: {e}")),
        Err(_) => Err(format!("{who}: no answer within {} s", ANSWER_MAX.as_secs())),
    }
}

/// State of every configured group that was ever applied.
pub(super) async fn groups(config: &Config) -> Result<Groups, String> {
    let Some(target) = &config.warehouse else { return Ok(Groups::new()) };
    let store = open::store(config).await.map_err(|e| chain(&e))?;
    let warehouse = open::warehouse(target, Some(&store)).map_err(|e| chain(&e))?;
    let mut groups = Groups::new();
    for group in config.table_rules().groups() {
        let place = open::group(&config.pipeline, group);
        if let Some(state) = warehouse.group_state(&place).await.map_err(|e| chain(&e))? {
            groups.insert(group.to_owned(), state);
        }
    }
    Ok(groups)
}

/// What is not learnt of the tables of a source whose binlog is not followed.
fn not_seen(config: &Config, source: &Source, rules: &TableRules, head: Option<&Head>) -> Vec<String> {
    let Some(polls) = config.polls(source) else { return Vec::new() };
    let mut texts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for origin in head.iter().flat_map(|head| head.catalog.origins.keys()) {
        if let Some(rule) = rules.resolve(&origin.database, &origin.table) {
            *texts.entry(polls.of(&rule).cannot_see()).or_default() += 1;
        }
    }
    texts.into_iter().map(|(text, tables)| format!("{tables} tables: {text}")).collect()
}

async fn one(
    store: &dyn Store,
    shard: Shard,
    source: Option<&Source>,
    groups: &Groups,
    (now, idle): (i64, Duration),
) -> (ShardStatus, Option<Head>) {
    let log = bounded("lake", async { log::read_head(store, &shard).await.map_err(|e| chain(&e)) });
    let server = async {
        match source.filter(|s| s.mode == Mode::Binlog) {
            Some(source) => bounded("source", executed(source)).await,
            // Nobody follows its binlog, or it is not known here.
            None => Ok(None),
        }
    };
    let (log, server) = tokio::join!(log, server);
    let mut status = ShardStatus { shard: shard.to_string(), ..ShardStatus::default() };
    let mut troubles = Vec::new();
    status.source_position = server.unwrap_or_else(|trouble| {
        troubles.push(trouble);
        None
    });
    let head = log.unwrap_or_else(|trouble| {
        troubles.push(trouble);
        None
    });
    if let Some(head) = &head {
        let entry = &head.newest.entry;
        status.position = place(&entry.position);
        status.head = entry.number;
        status.committed_at = head.committed_at;
        status.written_at = Some(entry.written_at);
        status.writer = Some(entry.writer.clone());
    } else if troubles.is_empty() {
        troubles.push("nothing was extracted yet".to_owned());
    }
    for (group, state) in groups {
        let Some(mark) = state.watermarks.get(&shard) else { continue };
        status.applied.push(GroupPosition { group: group.clone(), entry: applied(mark) });
        if let Some(head) = &head
            && head.newest.entry.log_id != mark.log_id
        {
            troubles.push(format!("group {group} applied another log than the lake has: the lake was replaced"));
        }
    }
    troubles.extend(head.as_ref().and_then(|head| standstill(head, &status, now, idle)));
    status.trouble = Some(troubles.join("; ")).filter(|t| !t.is_empty());
    (status, head)
}

/// The last entry that is applied as a whole: a watermark stands in front of the next step.
pub(super) fn applied(mark: &Watermark) -> u64 {
    mark.position.entry.saturating_sub(1)
}

/// Tells a half that should move and does not. A group may be behind entries of the last `idle`, in case nothing is in them.
fn standstill(head: &Head, status: &ShardStatus, now: i64, idle: Duration) -> Option<String> {
    let entry = &head.newest.entry;
    let age = Duration::from_micros(u64::try_from(now - entry.written_at).unwrap_or_default());
    // A writer that ended in good order is not expected to write.
    if age < STANDSTILL || entry.kind == EntryKind::Release {
        return None;
    }
    let minutes = age.as_secs() / 60;
    if status.source_position.as_ref().is_some_and(|source| *source != status.position) {
        return Some(format!("{STANDS_STILL}{minutes} min although the source went on: is an extractor running?"));
    }
    let behind = status.applied.iter().find(|g| g.entry < entry.number && age >= idle)?;
    Some(format!("group {} has not applied what was stored {minutes} min ago: is an applier running?", behind.group))
}

/// Everything that the source has committed.
async fn executed(source: &Source) -> Result<Option<String>, String> {
    let mut conn = open::address(source).connect().await.map_err(|e| chain(&e))?;
    let executed = start::executed(&mut conn).await.map_err(|e| chain(&e))?;
    let _ = conn.disconnect().await;
    Ok(executed.text())
}

/// What comparisons found equal. A note that cannot be read is no trouble of the pipeline.
async fn verified(store: &dyn Store, shards: &BTreeSet<Shard>) -> BTreeMap<Origin, VerifiedThrough> {
    let reads = shards.iter().map(|shard| timeout(ANSWER_MAX, Verified::read(store, shard)));
    let notes: Vec<_> = stream::iter(reads).buffered(TOGETHER).collect().await;
    notes.into_iter().flatten().flatten().flat_map(|note| note.origins).collect()
}

/// A position for people.
pub(crate) fn place(position: &Position) -> String {
    match (&position.gtid_set, &position.file) {
        (Some(set), _) => set.clone(),
        (None, Some(file)) => format!("{file}:{}", position.offset),
        (None, None) => String::new(),
    }
}

fn tables(
    shards: &[(ShardStatus, Option<Head>)],
    groups: &Groups,
    verified: &BTreeMap<Origin, VerifiedThrough>,
    held: &Holds,
) -> Vec<TableStatus> {
    let mut tables: BTreeMap<&Target, TableStatus> = BTreeMap::new();
    for (_, head) in shards {
        for (origin, known) in head.iter().flat_map(|head| &head.catalog.origins) {
            let table = tables
                .entry(&known.target)
                .or_insert_with(|| TableStatus { target: known.target.to_string(), ..TableStatus::default() });
            table.origins += 1;
            let through = verified.get(origin).cloned();
            table.verified.extend(through.map(|through| VerifiedOrigin { origin: origin.to_string(), through }));
            let note = |reason: &String| ParkedOrigin { origin: origin.to_string(), reason: reason.clone() };
            table.paused.extend(held.origin(origin).map(|_| origin.to_string()));
            table.reading.extend(known.snapshot.iter().map(|_| origin.to_string()));
            table.appends.extend(known.appends.then(|| ParkedOrigin {
                origin: origin.to_string(),
                reason: format!("it has no key; {}", extract::add_key(origin)),
            }));
            table.parked.extend(known.parked.iter().map(note));
            table.needs_snapshot.extend(known.needs_snapshot.iter().map(note));
            table.rebuilding |= groups.values().any(|state| state.rebuilds.contains_key(&known.target));
            for (group, state) in groups {
                let Some(exception) = state.exceptions.get(origin) else { continue };
                let catches_up = exception.kind == ExceptionKind::CatchingUp && exception.reason == apply::PAUSED;
                if exception.kind != ExceptionKind::Held && !catches_up {
                    let at = exception.position.entry;
                    let reason = format!("in group {group} since entry {at}: {}", exception.reason);
                    table.parked.push(ParkedOrigin { origin: origin.to_string(), reason });
                }
            }
        }
    }
    tables.into_values().collect()
}

/// Heads of the given shards' logs, each with what kept it from being read.
pub(super) async fn heads(store: &dyn Store, shards: &[Shard]) -> BTreeMap<Shard, Result<Option<Head>, String>> {
    let mut heads = BTreeMap::new();
    for some in shards.chunks(TOGETHER) {
        let looks = some.iter().map(|shard| async move {
            let head = bounded("lake", async { log::read_head(store, shard).await.map_err(|e| chain(&e)) }).await;
            (shard.clone(), head)
        });
        heads.extend(join_all(looks).await);
    }
    heads
}
