//! A job: everything that a verb hands to the pipeline.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Failure, ProgressMode, args::ConfigArgs, shell::Shell, signals};
use crate::{
    config::{Config, Problem, Role},
    live::Recent,
    metrics::Metrics,
    model::Shard,
};

/// What is to be run, fully checked.
#[derive(Debug)]
pub struct Job {
    /// The configuration.
    pub config: Config,
    /// This machine's name: part of derived server ids and of a writer's identity.
    pub hostname: String,
    /// Stop when everything that was there at the start is through.
    pub once: bool,
    /// Take over a log whose head still moves under another writer.
    pub take_over: bool,
    /// Shards to extract: all configured ones, or those chosen.
    pub shards: Vec<Shard>,
    /// Groups to apply: all configured ones, or those chosen.
    pub groups: Vec<String>,
    /// Counters that the pipeline feeds.
    pub metrics: Arc<Metrics>,
    /// How progress is shown.
    pub progress: ProgressMode,
    /// Warnings and errors that were logged.
    pub recent: Arc<Recent>,
    /// Becomes `true` when the process is asked to stop.
    pub stop: watch::Receiver<bool>,
}

impl Job {
    /// Reads the configuration, starts logging, listens for stop signals.
    pub(super) fn prepare(shell: &Shell, args: &ConfigArgs, role: Role) -> Result<Self, Failure> {
        let config = shell.config(args, role)?;
        let logging = shell.start_logging(&config)?;
        let (progress, recent) = (ProgressMode::choose(logging.is_json()), logging.recent());
        let rules = config.table_rules();
        Ok(Self {
            hostname: hostname(),
            once: false,
            take_over: false,
            shards: config.source.iter().map(|s| s.shard()).collect(),
            groups: rules.groups().into_iter().map(str::to_owned).collect(),
            metrics: Arc::new(Metrics::new()),
            progress,
            recent,
            stop: signals::stop_on_signal()?,
            config,
        })
    }

    /// Keeps only the named shards; none named keeps all.
    pub(super) fn choose_shards(&mut self, names: &[String]) -> Result<(), Failure> {
        if !names.is_empty() {
            self.shards =
                names.iter().map(|n| Ok(self.config.source_named(n)?.shard())).collect::<Result<_, Problem>>()?;
        }
        Ok(())
    }

    /// Keeps only the named groups; none named keeps all.
    pub(super) fn choose_groups(&mut self, names: &[String]) -> Result<(), Failure> {
        if let Some(unknown) = names.iter().find(|n| !self.groups.contains(n)) {
            return Err(Failure::new(
                crate::exit::Exit::Usage,
                anyhow::anyhow!("no table belongs to a group {unknown:?}"),
            )
            .hint(format!("name one of: {}", self.groups.join(", "))));
        }
        if !names.is_empty() {
            self.groups = names.to_vec();
        }
        Ok(())
    }
}

/// This machine's name as the kernel has it; empty where it has none, which only makes derived ids less distinct.
pub(super) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => std::env::var("HOSTNAME").unwrap_or_default(),
        name => name.to_owned(),
    }
}
