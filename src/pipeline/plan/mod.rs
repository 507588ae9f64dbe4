//! What `run` would do now: where it would begin, which tables it would read, what it would create and alter. Changes nothing
//! anywhere.
//!
//! The answers come from the code that would do it: rules are resolved, shapes compiled and targets compared by the same functions.
//! They are those of this moment; a source that is written to while one looks may have moved on.

mod source;
mod target;

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, stream};
use serde::Serialize;

use super::{open, status};
use crate::{
    config::{Config, LakeUrl},
    errors::chain,
    lake::{Schemas, Store, log::Head, paths, requests},
    model::{Origin, Shard, TableSchema, Target},
};

/// Sources that are asked together: bounds connections.
const TOGETHER: usize = 16;

/// What would happen.
#[derive(Debug, Default, Serialize)]
pub struct Forecast {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Why a part of it is not known, when it concerns no single shard or target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trouble: Vec<String>,
    /// Shards, in the order of the configuration.
    pub shards: Vec<ShardForecast>,
    /// Targets, by name.
    pub targets: Vec<TargetForecast>,
}

/// What would happen to one shard.
#[derive(Debug, Default, Serialize)]
pub struct ShardForecast {
    /// The shard.
    pub shard: String,
    /// Number of the newest entry of its log; `None` where a new log begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// Where reading begins: a position, or what a new log begins with.
    pub begins: String,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Captured tables, by name.
    pub tables: Vec<TableForecast>,
}

/// What would happen to one source table.
#[derive(Debug, Serialize)]
pub struct TableForecast {
    /// The table, `<shard>:<database>.<table>`.
    pub origin: String,
    /// Where its rows go.
    pub target: String,
    /// What is done with it.
    pub action: Action,
    /// Estimated rows that it has.
    pub rows: u64,
    /// Estimated bytes of its data.
    pub bytes: u64,
    /// What is done to its values, and what is to be known of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What is done with a source table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its changes are copied.
    Follow,
    /// All its rows are read, then its changes copied.
    Snapshot,
    /// The snapshot that is under way goes on.
    ResumeSnapshot,
    /// It is copied whole again and again: its source's binlog is not followed.
    Copy,
    /// It is asked for what is new, again and again.
    Ask,
    /// Nothing: a note says why, and what to do.
    Park,
}

/// What would happen to one target.
#[derive(Debug, Serialize)]
pub struct TargetForecast {
    /// The target.
    pub target: String,
    /// Its group.
    pub group: String,
    /// Source tables that feed it.
    pub origins: Vec<String>,
    /// What is done.
    #[serde(flatten)]
    pub change: Change,
}

/// What is done to a target.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// It is there as it should be.
    Keep {
        /// Schema and name in the warehouse.
        place: String,
    },
    /// It is created.
    Create {
        /// The statements.
        statements: Vec<String>,
    },
    /// It follows its source.
    Alter {
        /// Schema and name in the warehouse.
        place: String,
        /// Columns to add, each with its type on the source.
        added: Vec<String>,
        /// Columns that become wider.
        widened: Vec<String>,
    },
    /// It cannot be as it should: its tables would be parked.
    Refuse {
        /// Why, and what mends it.
        reason: String,
    },
    /// No warehouse is configured or it does not answer.
    Unknown,
}

impl Forecast {
    /// Number of things that keep `run` from doing its work.
    pub fn obstacles(&self) -> usize {
        let parked = |s: &ShardForecast| s.tables.iter().filter(|t| t.action == Action::Park).count();
        let refused = self.targets.iter().filter(|t| matches!(t.change, Change::Refuse { .. })).count();
        let shards: usize = self.shards.iter().map(|s| parked(s) + usize::from(s.trouble.is_some())).sum();
        self.trouble.len() + shards + refused
    }
}

/// A captured table, and the rows that it has now where they can be described.
struct Captured {
    origin: Origin,
    target: Target,
    schema: Option<Arc<TableSchema>>,
}

/// What the lake says.
#[derive(Default)]
struct Lake {
    heads: BTreeMap<Shard, Head>,
    /// Snapshots that were asked for and have not begun: patterns.
    asked: BTreeMap<Shard, Vec<String>>,
    schemas: Option<Schemas>,
}

/// Looks at everything that the configuration names.
pub async fn forecast(config: &Config) -> Forecast {
    let mut forecast = Forecast { pipeline: config.pipeline.clone(), ..Forecast::default() };
    let lake = match lake(config).await {
        Ok(lake) => lake,
        Err(e) => {
            forecast.trouble.push(format!("lake: {e}"));
            Lake::default()
        }
    };
    let looks = config.source.iter().map(|source| source::look(config, source, &lake));
    let looked: Vec<_> = stream::iter(looks).buffered(TOGETHER).collect().await;
    let mut captured = Vec::new();
    for (shard, tables) in looked {
        forecast.shards.push(shard);
        captured.extend(tables);
    }
    forecast.targets = target::look(config, &lake, captured, &mut forecast.trouble).await;
    forecast
}

async fn lake(config: &Config) -> Result<Lake, String> {
    if let LakeUrl::Folder(path) = &config.lake.url
        && !path.join(paths::part(&config.pipeline)).is_dir()
    {
        // Opening would make it.
        return Ok(Lake::default());
    }
    let store = open::store(config).await.map_err(|e| chain(&e))?;
    let mut lake = Lake { schemas: Some(Schemas::new(Arc::clone(&store))), ..Lake::default() };
    let shards = crate::lake::log::shards(&*store).await.map_err(|e| chain(&e))?;
    for (shard, head) in status::heads(&*store, &shards).await {
        let head = head.map_err(|e| format!("the log of shard {shard} cannot be read: {e}"))?;
        lake.heads.extend(head.map(|head| (shard, head)));
    }
    for source in &config.source {
        let shard = source.shard();
        lake.asked.insert(shard.clone(), asked(&*store, &shard).await?);
    }
    Ok(lake)
}

async fn asked(store: &dyn Store, shard: &Shard) -> Result<Vec<String>, String> {
    let waiting = requests::Request::waiting(store, shard).await.map_err(|e| chain(&e))?;
    let tables = waiting.into_iter().filter_map(|w| match w.request?.ask {
        requests::Ask::Snapshot { tables } => Some(tables),
        _ => None,
    });
    Ok(tables.collect())
}
