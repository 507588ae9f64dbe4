//! What a new configuration is to say of the servers that it names.

mod fold;

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};

pub use fold::Family;

use super::open;
use crate::{
    config::{Config, Source},
    model::{Finding, Severity, Shard},
    source::mysql::{
        catalog::CatalogError,
        discover::{self, ChangeColumn, Found},
        preflight::preflight,
    },
};

/// Sources that are asked together: bounds connections.
const TOGETHER: usize = 16;

/// What was found on all servers.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Each server, in the order of the configuration.
    pub servers: Vec<FoundServer>,
    /// Tables by `(database, table)`, those of the same name on several servers together.
    pub tables: BTreeMap<(String, String), FoundTable>,
    /// Tables in pieces.
    pub families: Vec<Family>,
    /// Patterns of the databases that have tables.
    pub databases: Vec<String>,
}

/// A server.
#[derive(Debug)]
pub struct FoundServer {
    /// Its shard.
    pub shard: Shard,
    /// Version and maker, empty where it did not say.
    pub version: String,
    /// What would keep it from being read, or is a risk.
    pub findings: Vec<Finding>,
}

/// Tables of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundTable {
    /// Shards that have it.
    pub shards: BTreeSet<Shard>,
    /// Estimated rows of all of them.
    pub rows: u64,
    /// Estimated bytes of data of all of them.
    pub bytes: u64,
    /// Columns that identify a row; empty for none.
    pub key: Vec<String>,
    /// Columns that may tell when a row was changed, the surest first.
    pub changed: Vec<ChangeColumn>,
    /// Columns whose values may be longer than 65,535 bytes.
    pub long: Vec<String>,
    /// Its shapes: one, unless servers disagree.
    pub shapes: BTreeSet<crate::model::Digest>,
}

/// Looks at every source of the configuration, and at the tables that it captures. Changes nothing.
///
/// # Errors
/// The first server that cannot be asked: a configuration that leaves out a server would be worse than none.
pub async fn discover(config: &Config, hostname: &str) -> Result<Discovery, CatalogError> {
    let looks = config.source.iter().map(|source| one(config, source, hostname));
    let looked: Vec<_> = stream::iter(looks).buffered(TOGETHER).collect().await;
    let rules = config.table_rules();
    let mut discovery = Discovery::default();
    for looked in looked {
        let (server, found) = looked?;
        for found in found.into_iter().filter(|f| rules.resolve(&f.table.name.database, &f.table.name.table).is_some())
        {
            let name = (found.table.name.database.clone(), found.table.name.table.clone());
            discovery.tables.entry(name).or_default().add(&server.shard, found);
        }
        discovery.servers.push(server);
    }
    let shapes = discovery.tables.iter().map(|(name, table)| (name.clone(), table.shapes.clone())).collect();
    discovery.families = fold::families(&shapes);
    discovery.databases = fold::databases(&discovery.tables.keys().map(|(database, _)| database.clone()).collect());
    Ok(discovery)
}

async fn one(config: &Config, source: &Source, hostname: &str) -> Result<(FoundServer, Vec<Found>), CatalogError> {
    let (shard, address, rules) = (source.shard(), open::address(source), config.table_rules());
    let found = discover::discover(&address).await?;
    let server_id = open::identity(source, &config.pipeline, hostname).server_id;
    let captured = move |database: &str, table: &str| rules.resolve(database, table).is_some();
    let seen = preflight(&shard, &address, server_id, &captured).await;
    let version = seen.server.map(|s| format!("{} {}", s.version, s.comment)).unwrap_or_default();
    let findings = seen.findings.into_iter().filter(|f| f.severity != Severity::Ok).collect();
    Ok((FoundServer { shard, version, findings }, found))
}

impl FoundTable {
    fn add(&mut self, shard: &Shard, found: Found) {
        self.shards.insert(shard.clone());
        self.rows = self.rows.saturating_add(found.table.rows);
        self.bytes = self.bytes.saturating_add(found.table.bytes);
        // Where servers disagree, what the first one says is shown beside the note that they do.
        if self.shapes.is_empty() {
            (self.key, self.changed, self.long) = (found.key, found.changed, found.long);
        }
        self.shapes.insert(found.shape);
    }
}
