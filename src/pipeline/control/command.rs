//! What commands do: pause, resume, try again. They write to the lake and to nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{SystemTime, UNIX_EPOCH},
};

use super::Holds;
use crate::{
    config::{Config, Pattern, suggestion},
    lake::{
        Store, StoreError,
        control::{Pause, Paused, Retry, Wishes},
        log::{Head, LogError},
        requests::Request,
    },
    model::{Origin, Shard},
    pipeline::{open, status},
    warehouse::ExceptionKind,
};

/// Names that an error lists.
const NAMED: usize = 10;

/// Which shards or tables a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Tables by pattern; none means the shards as a whole.
    pub tables: Vec<Pattern>,
    /// Shards by name; with tables, those of these shards alone.
    pub shards: Vec<String>,
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lake's logs cannot be listed.
    #[error("the lake's logs cannot be listed")]
    Shards(#[source] LogError),
    /// Something else that is asked does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// No shard of that name.
    #[error("no shard is called {name:?}{hint}")]
    NoShard {
        /// As it was given.
        name: String,
        /// What was perhaps meant, and what there is.
        hint: String,
    },
    /// No table like that.
    #[error("no table of the lake matches {pattern}{hint}")]
    NoTable {
        /// As it was given.
        pattern: String,
        /// What was perhaps meant.
        hint: String,
    },
    /// It is not paused.
    #[error("{what} is not paused{hint}")]
    NotPaused {
        /// What.
        what: String,
        /// What is.
        hint: String,
    },
    /// Nothing was named.
    #[error("neither a table nor a shard is named")]
    Nothing,
}

/// What a command did with one thing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Effect {
    /// A shard, a pattern of tables or a table.
    pub what: String,
    /// What became of it.
    pub done: &'static str,
    /// Source tables that it concerns, as far as the lake knows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
}

/// The lake as commands see it.
struct Lake {
    store: std::sync::Arc<dyn Store>,
    heads: BTreeMap<Shard, Head>,
    shards: BTreeSet<Shard>,
}

impl Lake {
    async fn open(config: &Config) -> Result<Self, ControlError> {
        let store = open::store(config).await?;
        let logs = crate::lake::log::shards(&*store).await.map_err(ControlError::Shards)?;
        let mut heads = BTreeMap::new();
        for (shard, head) in status::heads(&*store, &logs).await {
            let head = head.map_err(|e| ControlError::Unreachable(format!("the log of shard {shard}: {e}")))?;
            heads.extend(head.map(|head| (shard, head)));
        }
        let shards = config.source.iter().map(|s| s.shard()).chain(logs).collect();
        Ok(Self { store, heads, shards })
    }

    fn shard(&self, name: &str) -> Result<Shard, ControlError> {
        let known = self.shards.iter().find(|s| s.as_str() == name).cloned();
        known.ok_or_else(|| no_shard(name, self.shards.iter()))
    }

    /// Source tables that a pattern matches.
    fn tables(&self, pattern: &Pattern, shards: &[Shard]) -> Result<Vec<&Origin>, ControlError> {
        let all = || self.heads.values().flat_map(|head| head.catalog.origins.keys());
        let mine =
            |o: &&Origin| (shards.is_empty() || shards.contains(&o.shard)) && pattern.matches(&o.database, &o.table);
        let matched: Vec<&Origin> = all().filter(mine).collect();
        if !matched.is_empty() {
            return Ok(matched);
        }
        let names: BTreeSet<String> = all().map(|o| format!("{}.{}", o.database, o.table)).collect();
        let hint = suggestion(&pattern.to_string(), names.iter().map(String::as_str));
        Err(ControlError::NoTable { pattern: pattern.to_string(), hint })
    }
}

/// There is no shard of that name.
pub(crate) fn no_shard<'a>(name: &str, known: impl Iterator<Item = &'a Shard>) -> ControlError {
    let names: Vec<&str> = known.map(Shard::as_str).take(NAMED).collect();
    let mut hint = suggestion(name, names.iter().copied());
    if hint.is_empty() && !names.is_empty() {
        hint = format!("; there are: {}", names.join(", "));
    }
    ControlError::NoShard { name: name.to_owned(), hint }
}

/// The selection as what it holds or held.
fn pauses(lake: &Lake, selection: &Selection) -> Result<Vec<Paused>, ControlError> {
    let shards: Vec<Shard> = selection.shards.iter().map(|name| lake.shard(name)).collect::<Result<_, _>>()?;
    let mut pauses = Vec::new();
    for pattern in &selection.tables {
        let tables = pattern.to_string();
        let of = |shard| Paused::Tables { tables: tables.clone(), shard };
        match shards.as_slice() {
            [] => pauses.push(of(None)),
            some => pauses.extend(some.iter().cloned().map(|s| of(Some(s)))),
        }
    }
    if selection.tables.is_empty() {
        pauses.extend(shards.into_iter().map(|shard| Paused::Shard { shard }));
    }
    if pauses.is_empty() { Err(ControlError::Nothing) } else { Ok(pauses) }
}

fn name(what: &Paused) -> String {
    match what {
        Paused::Shard { shard } => format!("shard {shard}"),
        Paused::Tables { tables, shard: None } => format!("tables {tables}"),
        Paused::Tables { tables, shard: Some(shard) } => format!("tables {tables} of shard {shard}"),
    }
}

/// Source tables that a pause concerns.
fn concerned<'a>(lake: &'a Lake, what: &Paused) -> Result<Vec<&'a Origin>, ControlError> {
    let Paused::Tables { tables, shard } = what else { return Ok(Vec::new()) };
    let Ok(pattern) = tables.parse::<Pattern>() else { return Ok(Vec::new()) };
    lake.tables(&pattern, shard.as_slice())
}

/// Holds back what is selected. All names are looked at before anything is written.
///
/// # Errors
/// Unknown names, and when the lake cannot be written.
pub async fn pause(config: &Config, selection: &Selection) -> Result<Vec<Effect>, ControlError> {
    let lake = Lake::open(config).await?;
    let pauses = pauses(&lake, selection)?;
    let mut effects = Vec::with_capacity(pauses.len());
    for what in &pauses {
        let tables = concerned(&lake, what)?.iter().map(ToString::to_string).collect();
        effects.push(Effect { what: name(what), done: "paused", tables });
    }
    for (what, effect) in pauses.into_iter().zip(&mut effects) {
        if !Pause::new(what, now()).leave(&*lake.store).await? {
            effect.done = "paused already";
        }
    }
    Ok(effects)
}

/// Lets go of what is selected, in the words in which it was paused; of everything where nothing is named.
///
/// # Errors
/// When it is not paused, and when the lake cannot be written.
pub async fn resume(config: &Config, selection: &Selection) -> Result<Vec<Effect>, ControlError> {
    let lake = Lake::open(config).await?;
    let held: Vec<Paused> = Wishes::read(&*lake.store).await?.pauses.into_iter().map(|p| p.what).collect();
    let asked = match pauses(&lake, selection) {
        Err(ControlError::Nothing) => held.clone(),
        asked => asked?,
    };
    if let Some(what) = asked.iter().find(|what| !held.contains(what)) {
        return Err(not_paused(what, &held));
    }
    let mut effects = Vec::with_capacity(asked.len());
    for what in asked {
        // Two commands at once: the other one did it.
        let done = if what.resume(&*lake.store).await? { "resumed" } else { "resumed already" };
        effects.push(Effect { what: name(&what), done, tables: Vec::new() });
    }
    Ok(effects)
}

fn not_paused(what: &Paused, held: &[Paused]) -> ControlError {
    let hint = match held {
        [] => "; nothing is".to_owned(),
        held => {
            let names: Vec<String> = held.iter().take(NAMED).map(name).collect();
            format!("; paused are: {}", names.join(", "))
        }
    };
    ControlError::NotPaused { what: name(what), hint }
}

/// Has parked tables tried again: where applying failed, by the applier; where extraction failed or rows are stale, by reading the
/// table anew, because the lake lacks rows.
///
/// # Errors
/// Unknown names, a warehouse that does not answer, and when the lake cannot be written.
pub async fn unpark(config: &Config, selection: &Selection) -> Result<Vec<Effect>, ControlError> {
    if selection.tables.is_empty() {
        return Err(ControlError::Nothing);
    }
    let lake = Lake::open(config).await?;
    let shards: Vec<Shard> = selection.shards.iter().map(|name| lake.shard(name)).collect::<Result<_, _>>()?;
    let mut origins: BTreeSet<&Origin> = BTreeSet::new();
    for pattern in &selection.tables {
        origins.extend(lake.tables(pattern, &shards)?);
    }
    let groups = status::groups(config).await.map_err(|e| ControlError::Unreachable(format!("warehouse: {e}")))?;
    let mut effects = Vec::new();
    for origin in origins {
        let what = origin.to_string();
        let known = lake.heads.get(&origin.shard).and_then(|head| head.catalog.origins.get(origin));
        if known.is_some_and(|k| k.parked.is_some() || k.needs_snapshot.is_some()) {
            let pattern = Pattern::exactly(&origin.database, &origin.table);
            Request::snapshot(origin.shard.clone(), pattern, now()).leave(&*lake.store).await?;
            effects.push(Effect { what, done: "is read anew", tables: Vec::new() });
            continue;
        }
        for (group, state) in &groups {
            let exception = state.exceptions.get(origin);
            if exception.is_some_and(|e| e.kind == ExceptionKind::Parked) {
                Retry::new(group, origin.clone(), now()).leave(&*lake.store).await?;
                effects.push(Effect { what: what.clone(), done: "is tried again", tables: Vec::new() });
            }
        }
    }
    Ok(effects)
}

/// What is held back now.
///
/// # Errors
/// When the lake cannot be read.
pub async fn holds(store: &dyn Store) -> Result<Holds, StoreError> {
    Holds::read(store).await
}

/// The present, UTC microseconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or_default()
}
