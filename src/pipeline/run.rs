//! One process: extractors of its shards, appliers of its groups, and how they end together.

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use rand::Rng as _;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tracing::Instrument as _;

use super::{
    apply::{self, Apply, ApplyError},
    control::{self, Holds},
    extract::{self, Encoders, Extract, ExtractError},
    gc::{self, background::Keeper},
    open,
    verify::background::{self, Background},
};
use crate::{
    batch::Budget,
    config::{Config, TableRules},
    lake::{Schemas, Store, StoreError, SystemClock, WriterId},
    live::Phase,
    metrics::Metrics,
    model::Shard,
    spans,
    warehouse::WarehouseError,
};

/// What a process is to do.
#[derive(Debug)]
pub struct Plan {
    /// The configuration.
    pub config: Config,
    /// This machine's name.
    pub hostname: String,
    /// Shards to extract.
    pub shards: Vec<Shard>,
    /// Groups to apply.
    pub groups: Vec<String>,
    /// Stop when everything that was there at the start is through.
    pub once: bool,
    /// Fence whoever is at work.
    pub take_over: bool,
    /// Becomes true when the process shall drain.
    pub stop: watch::Receiver<bool>,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
    /// Rings when what operators want has changed: it is looked for at once.
    pub control_soon: Arc<Notify>,
}

impl Plan {
    /// How long failures in a row are retried: a run that is to end must not wait for ever.
    fn patience(&self) -> Option<Duration> {
        self.once.then(|| self.config.limits.once_patience.get())
    }
}

/// Why a process ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The lake cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The warehouse cannot be used.
    #[error(transparent)]
    Warehouse(#[from] WarehouseError),
    /// A shard.
    #[error("extraction of shard {shard} stopped")]
    Extract {
        /// The shard.
        shard: Shard,
        /// Why.
        #[source]
        source: Box<ExtractError>,
    },
    /// A group.
    #[error("application of group {group} stopped")]
    Apply {
        /// The group.
        group: String,
        /// Why.
        #[source]
        source: Box<ApplyError>,
    },
    /// A task panicked.
    #[error("a task failed by a defect of tailwater: {0}")]
    Panicked(String),
}

/// A task that ended.
#[derive(Debug)]
enum Ended {
    Extract(Result<(), RunError>),
    Apply(Result<(), RunError>),
    Verify,
}

/// What all tasks of the process share.
#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    schemas: Arc<Schemas>,
    rules: Arc<TableRules>,
    stored: Arc<Notify>,
    stop: watch::Sender<bool>,
    drain: watch::Sender<bool>,
    writer: WriterId,
    held: control::Held,
}

/// Runs until every task has ended.
///
/// With `once`, extraction ends when it has caught up, and application when nothing is left to apply. A task that fails stops
/// the others cleanly: a service manager restarts the process, and a shard that silently stands still beside healthy ones
/// is found too late.
///
/// # Errors
/// The first failure.
pub async fn run(plan: Plan) -> Result<(), RunError> {
    let store = open::store(&plan.config).await?;
    let nonce = rand::rng().random();
    // A lake that does not answer now does not either when the first session needs it, which then says so; what is paused is looked
    // for again.
    let holds = Holds::read(&*store).await.unwrap_or_default();
    plan.metrics.live().hold(holds.pauses.clone());
    let (tell, held) = watch::channel(Arc::new(holds));
    let flush = plan.config.flush_interval();
    let (soon, metrics) = (Arc::clone(&plan.control_soon), Arc::clone(&plan.metrics));
    let watching = tokio::spawn(control::watch(Arc::clone(&store), flush, soon, tell, metrics));
    let outcome = work(plan, store, held, nonce).await;
    watching.abort();
    outcome
}

/// Runs all tasks.
async fn work(plan: Plan, store: Arc<dyn Store>, held: control::Held, nonce: u32) -> Result<(), RunError> {
    let shared = Shared {
        schemas: Arc::new(Schemas::new(Arc::clone(&store))),
        store,
        rules: Arc::new(plan.config.table_rules()),
        stored: Arc::new(Notify::new()),
        stop: watch::Sender::new(false),
        drain: watch::Sender::new(false),
        writer: WriterId { name: open::writer_name(&plan.config, &plan.hostname), nonce },
        held,
    };
    let mut tasks = JoinSet::new();
    spawn_extractors(&plan, &shared, &mut tasks);
    let mut extracting = tasks.len();
    if !plan.groups.is_empty() {
        spawn_appliers(&plan, &shared, &mut tasks)?;
    }
    spawn_verifier(&plan, &shared, &mut tasks);
    if extracting == 0 && plan.once {
        shared.drain.send_replace(true);
    }
    let mut stop = plan.stop.clone();
    let mut stopping = false;
    let mut failed = None;
    loop {
        let ended = tokio::select! {
            ended = tasks.join_next() => ended,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                tracing::info!("stopping: committing what was read");
                shared.stop.send_replace(true);
                continue;
            }
        };
        let outcome = match ended {
            None => return failed.map_or(Ok(()), Err),
            Some(Ok(Ended::Extract(outcome))) => {
                extracting -= 1;
                if extracting == 0 && plan.once {
                    shared.drain.send_replace(true);
                }
                outcome
            }
            Some(Ok(Ended::Apply(outcome))) => outcome,
            Some(Ok(Ended::Verify)) => Ok(()),
            Some(Err(e)) => Err(RunError::Panicked(e.to_string())),
        };
        if let Err(e) = outcome {
            // Later ones are mostly consequences; the first is what the operator needs.
            tracing::debug!(error = crate::errors::chain(&e), "a task failed");
            failed.get_or_insert(e);
            shared.stop.send_replace(true);
        }
    }
}

fn spawn_extractors(plan: &Plan, shared: &Shared, tasks: &mut JoinSet<Ended>) {
    let config = &plan.config;
    let cores = available_parallelism().map_or(1, NonZero::get);
    let (budget, encoders) = (Budget::new(to_usize(config.limits.batch_memory.bytes())), Encoders::new(cores));
    for source in config.source.iter().filter(|s| plan.shards.contains(&s.shard())) {
        plan.metrics.live().shard(&source.shard()).expect();
        let extract = Extract {
            shard: source.shard(),
            address: open::address(source),
            identity: open::identity(source, &config.pipeline, &plan.hostname),
            start: open::start(source),
            polls: config.polls(source),
            snapshots: open::snapshots(config, source),
            parts: extract::Parts::default(),
            rules: Arc::clone(&shared.rules),
            store: Arc::clone(&shared.store),
            schemas: Arc::clone(&shared.schemas),
            clock: Arc::new(SystemClock::new()),
            writer: shared.writer.clone(),
            take_over: plan.take_over,
            config: config.digest(),
            keeper: keeper(plan, shared, source.shard()),
            form: open::form(config),
            flush_interval: config.flush_interval(),
            batch_rows: to_usize(config.limits.batch_rows_max),
            batch_bytes: to_usize(config.limits.batch_bytes_max.bytes()),
            budget: budget.clone(),
            encoders: encoders.clone(),
            once: plan.once,
            patience: plan.patience(),
            stored: Arc::clone(&shared.stored),
            stop: shared.stop.subscribe(),
            metrics: Arc::clone(&plan.metrics),
        };
        let held = shared.held.clone();
        let span = spans::extract(&extract.shard);
        let work = async move {
            let shard = extract.shard.clone();
            let live = extract.metrics.live().shard(&shard);
            let ended = control::extract(extract, held).await;
            live.enter(Phase::Ended);
            Ended::Extract(ended.map_err(|e| RunError::Extract { shard, source: Box::new(e) }))
        };
        tasks.spawn(work.instrument(span));
    }
}

/// What removes old entries of a shard's log, where they are not kept for ever. A run that is to end leaves it to others.
fn keeper(plan: &Plan, shared: &Shared, shard: Shard) -> Option<Keeper> {
    let retention = plan.config.lake.retention.filter(|_| !plan.once)?.get();
    Some(Keeper {
        store: Arc::clone(&shared.store),
        clock: Arc::new(SystemClock::new()),
        shard,
        retention,
        groups: gc::groups(&plan.config),
        metrics: Arc::clone(&plan.metrics),
    })
}

fn spawn_appliers(plan: &Plan, shared: &Shared, tasks: &mut JoinSet<Ended>) -> Result<(), RunError> {
    let Some(target) = &plan.config.warehouse else { return Ok(()) };
    for group in &plan.groups {
        let apply = Apply {
            group: group.clone(),
            pipeline: plan.config.pipeline.clone(),
            writer: shared.writer.to_string(),
            consumer: target.identity(&plan.hostname),
            // Calls of one warehouse value are serialised: each group has its own.
            warehouse: open::warehouse(target, Some(&shared.store))?,
            mirror: open::warehouse(target, Some(&shared.store))?,
            store: Arc::clone(&shared.store),
            schemas: Arc::clone(&shared.schemas),
            rules: Arc::clone(&shared.rules),
            tick_bytes: plan.config.limits.tick_bytes_max.bytes(),
            tick: target.tick().get(),
            idle: target.idle_commit().get(),
            patience: plan.patience(),
            take_over: plan.take_over,
            stored: Arc::clone(&shared.stored),
            stop: shared.stop.subscribe(),
            drain: shared.drain.subscribe(),
            held: shared.held.clone(),
            metrics: Arc::clone(&plan.metrics),
        };
        let span = spans::apply(group);
        let work = async move {
            let group = apply.group.clone();
            let metrics = Arc::clone(&apply.metrics);
            let ended = apply::run(apply).await;
            let live = metrics.live().group(&group);
            metrics.group_ended(&group);
            live.enter(Phase::Ended);
            Ended::Apply(ended.map_err(|e| RunError::Apply { group, source: Box::new(e) }))
        };
        tasks.spawn(work.instrument(span));
    }
    Ok(())
}

/// Compares in the background where both sides are at hand.
fn spawn_verifier(plan: &Plan, shared: &Shared, tasks: &mut JoinSet<Ended>) {
    let both = !plan.shards.is_empty() && !plan.groups.is_empty() && plan.config.warehouse.is_some();
    if plan.once || !both || !plan.config.verify.background {
        return;
    }
    let background = Background {
        config: plan.config.clone(),
        shards: plan.shards.clone(),
        stop: shared.stop.subscribe(),
        metrics: Arc::clone(&plan.metrics),
    };
    tasks.spawn(async move {
        background::run(background).await;
        Ended::Verify
    });
}

/// Sizes of memory fit the machine's words.
fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
