//! Comparing the sources with the warehouse, while both go on.
//!
//! Checksums are computed in both databases in one canonical form ([`crate::model::checksum`]); what differs is narrowed to rows
//! ([`compare`]); rows that differ only because the warehouse is behind are looked at again until it is not ([`settle`]). What
//! remains differs for sure and is named by its key.
//!
//! The result speaks of a position: when the comparison began, the warehouse had applied the source up to it. Every range was found equal
//! or explained at some later moment, so whatever was committed up to that position has been proven to be in the warehouse.

pub mod background;
mod compare;
mod coverage;
mod error;
mod explain;
mod notes;
mod repair;
mod settle;
mod shard;
mod sides;
mod table;
#[cfg(test)]
mod tests;
mod throttle;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream};
use tokio::sync::watch;

pub use error::VerifyError;

use super::open;
use crate::{
    config::{Config, Mode, Pattern, Source, TableRules},
    lake::{Clock, Schemas, Store, SystemClock, log},
    model::{Known, Origin, Shard, Verification, VerifiedTable},
    source::mysql::checksum::{ChecksumReader, Mark},
    warehouse::{Checksums, Warehouse},
};
use notes::Notes;
use shard::{ShardVerifier, not_compared};
use throttle::Throttle;

/// Shards that are compared together: bounds connections.
const TOGETHER: usize = 8;

/// At which position is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// At where the warehouse is.
    #[default]
    Applied,
    /// At what the source has committed when the comparison begins: the warehouse is waited for.
    Now,
    /// At a GTID set or later: the warehouse is waited for.
    Gtids(String),
}

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Request {
    /// Tables, by `database.table` on the source; all when empty.
    pub tables: Vec<Pattern>,
    /// Shards.
    pub shards: Vec<Shard>,
    /// At which position.
    pub at: At,
    /// Rows that are read from each source per second; `None` for no bound.
    pub rows_per_second: Option<u64>,
    /// How long the warehouse is waited for each time.
    pub patience: Duration,
    /// Becomes true when it shall end.
    pub stop: watch::Receiver<bool>,
}

/// A table that is to be compared.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) origin: Origin,
    pub(super) known: Known,
}

/// Compares, asks the extractors to read anew what differs, and compares those tables again. Answers what was found first and what
/// afterwards; `None` when nothing differs.
///
/// # Errors
/// As [`run`], and when the requests are not fulfilled in time.
pub async fn run_and_repair(
    config: &Config,
    request: &Request,
    done: &(dyn Fn(&VerifiedTable) + Send + Sync),
) -> Result<(Verification, Option<Verification>), VerifyError> {
    let found = run(config, request, done).await?;
    let rows = repair::different(&found);
    if rows.is_empty() {
        return Ok((found, None));
    }
    repair::ask(&*open::store(config).await?, &rows, request).await?;
    let pattern = |origin: &Origin| Pattern::exactly(&origin.database, &origin.table).parse().ok();
    let again = Request {
        tables: rows.keys().filter_map(pattern).collect(),
        shards: rows.keys().map(|origin| origin.shard.clone()).collect(),
        at: At::Now,
        ..request.clone()
    };
    let after = run(config, &again, done).await?;
    Ok((found, Some(after)))
}

/// What comparisons share.
#[derive(Debug)]
struct Shared<'a> {
    config: &'a Config,
    rules: TableRules,
    store: Arc<dyn Store>,
    schemas: Arc<Schemas>,
    warehouse: Arc<dyn Warehouse>,
}

/// Compares; `done` hears of each table when it is through.
///
/// # Errors
/// When there is no way to the lake or the warehouse's address is wrong. Everything else is told in the result.
pub async fn run(
    config: &Config,
    request: &Request,
    done: &(dyn Fn(&VerifiedTable) + Send + Sync),
) -> Result<Verification, VerifyError> {
    let Some(target) = &config.warehouse else {
        return Err(VerifyError::NotFollowed("no [warehouse] is configured".to_owned()));
    };
    let store = open::store(config).await?;
    let shared = Shared {
        config,
        rules: config.table_rules(),
        schemas: Arc::new(Schemas::new(Arc::clone(&store))),
        warehouse: open::warehouse(target, Some(&store))?,
        store,
    };
    let mut looks: Vec<BoxFuture<'_, Result<Vec<VerifiedTable>, VerifyError>>> = Vec::new();
    for source in &config.source {
        if request.shards.contains(&source.shard()) {
            looks.push(Box::pin(shared.shard(source, request, done)));
        }
    }
    let found: Vec<Result<Vec<VerifiedTable>, VerifyError>> = stream::iter(looks).buffered(TOGETHER).collect().await;
    let mut tables = Vec::new();
    for found in found {
        tables.extend(found?);
    }
    tables.sort_by(|a, b| a.origin.cmp(&b.origin));
    Ok(Verification { pipeline: config.pipeline.clone(), at: SystemClock::new().unix_micros(), tables })
}

impl Shared<'_> {
    /// Tables of a shard that the lake knows and the request means.
    async fn wanted(&self, shard: &Shard, request: &Request) -> Result<Vec<Wanted>, VerifyError> {
        let head = log::read_head(&*self.store, shard).await?;
        let meant = |origin: &Origin| {
            request.tables.is_empty() || request.tables.iter().any(|p| p.matches(&origin.database, &origin.table))
        };
        let origins = head.into_iter().flat_map(|head| head.catalog.origins);
        Ok(origins.filter(|(o, _)| meant(o)).map(|(origin, known)| Wanted { origin, known }).collect())
    }

    async fn shard(
        &self,
        source: &Source,
        request: &Request,
        done: &(dyn Fn(&VerifiedTable) + Send + Sync),
    ) -> Result<Vec<VerifiedTable>, VerifyError> {
        let mut wanted = self.wanted(&source.shard(), request).await?;
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let notes = Notes::read(Arc::clone(&self.store), source.shard()).await?;
        notes.oldest_first(&mut wanted);
        if source.mode != Mode::Binlog {
            let reason = "its source's binlog is not followed, so there is no position at which both sides are to be equal; a round of \
                          mode = \"full\" makes them equal as of its beginning";
            return Ok(wanted.iter().map(|w| not_compared(w, reason.to_owned())).collect());
        }
        let (mut reader, mut checksums) = match self.connect(source).await {
            Ok(connections) => connections,
            Err(e) => {
                let reason = crate::errors::chain(&e);
                return Ok(wanted.iter().map(|w| not_compared(w, reason.clone())).collect());
            }
        };
        let mut throttle = Throttle::new(request.rows_per_second, request.stop.clone());
        if let Err(e) = self.reach(&mut reader, &wanted, request).await {
            let reason = crate::errors::chain(&e);
            return Ok(wanted.iter().map(|w| not_compared(w, reason.clone())).collect());
        }
        let mut verifier = ShardVerifier {
            pipeline: &self.config.pipeline,
            rules: &self.rules,
            store: Arc::clone(&self.store),
            schemas: Arc::clone(&self.schemas),
            warehouse: Arc::clone(&self.warehouse),
            reader: &mut reader,
            checksums: &mut checksums,
            address: open::address(source),
            throttle: &mut throttle,
            notes,
            patience: request.patience,
            for_redshift: open::form(self.config).for_copy,
        };
        let tables = verifier.run(&wanted, &mut |table| done(table)).await;
        reader.close().await;
        Ok(tables)
    }

    async fn connect(&self, source: &Source) -> Result<(ChecksumReader, Box<dyn Checksums>), VerifyError> {
        let reader = ChecksumReader::connect(&open::address(source)).await?;
        Ok((reader, self.warehouse.checksums().await?))
    }

    /// Waits until the warehouse has reached the position that was asked for.
    async fn reach(
        &self,
        reader: &mut ChecksumReader,
        wanted: &[Wanted],
        request: &Request,
    ) -> Result<(), VerifyError> {
        let mark = match &request.at {
            At::Applied => return Ok(()),
            At::Now => reader.mark().await?,
            At::Gtids(text) => Mark::at(text, &reader.mark().await?)?,
        };
        for group in self.rules.groups() {
            let of_group = |w: &&Wanted| {
                self.rules.resolve(&w.origin.database, &w.origin.table).is_some_and(|rule| rule.group == group)
            };
            let Some(one) = wanted.iter().find(of_group) else { continue };
            let place = open::group(&self.config.pipeline, group);
            let (warehouse, store) = (Arc::clone(&self.warehouse), Arc::clone(&self.store));
            let mut coverage = coverage::Coverage::new(warehouse, store, place, one.origin.clone(), request.patience);
            coverage.wait(&mark).await?;
        }
        Ok(())
    }
}
