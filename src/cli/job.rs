//! A job: everything that a verb hands to the pipeline.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Failure, ProgressMode, args::ConfigArgs, logging, shell::Shell, signals};
use crate::{
    config::{Config, Problem, Problems, Role},
    live::Recent,
    metrics::Metrics,
    model::Shard,
    pipeline::control::Levers,
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
    /// Shards by name, where only some were chosen.
    chosen_shards: Vec<String>,
    /// Groups, where only some were chosen.
    chosen_groups: Vec<String>,
    /// Reads the configuration as it was read for this job.
    again: Again,
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
            chosen_shards: Vec::new(),
            chosen_groups: Vec::new(),
            again: Again { output: shell.output().clone(), args: args.clone(), role },
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
            self.chosen_shards = names.to_vec();
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
            self.chosen_groups = names.to_vec();
        }
        Ok(())
    }

    /// What running processes of this job can be told.
    pub(super) fn levers(&self) -> Levers {
        let (again, shards, groups) = (self.again.clone(), self.chosen_shards.clone(), self.chosen_groups.clone());
        let load = move || {
            let config = again.read()?;
            let missing = |key: &str, name: &String| {
                Problem::new(key, format!("{name:?} was chosen and is gone"), "restart the process without it")
            };
            let mut problems: Vec<Problem> =
                shards.iter().filter(|name| config.source_named(name).is_err()).map(|n| missing("source", n)).collect();
            let rules = config.table_rules();
            let gone = |name: &&String| !rules.groups().contains(&name.as_str());
            problems.extend(groups.iter().filter(gone).map(|name| missing("table", name)));
            if problems.is_empty() { Ok(config) } else { Err(Problems::new("the configuration", problems)) }
        };
        let given = self.again.output.log_level.is_some();
        let set_level = move |level: &str| logging::set_level(level);
        // A level on the command line wins over the file, also over a new one.
        Levers::new(self.config.clone(), Box::new(load), Box::new(set_level)).keeping_level(given)
    }

    /// Goes on with another configuration: the same half, and what was chosen.
    pub(super) fn continue_with(&mut self, config: &Config) {
        if !self.shards.is_empty() {
            let chosen =
                |name: &Shard| self.chosen_shards.is_empty() || self.chosen_shards.iter().any(|c| c == name.as_str());
            self.shards = config.source.iter().map(|s| s.shard()).filter(chosen).collect();
        }
        if !self.groups.is_empty() && self.chosen_groups.is_empty() {
            self.groups = config.table_rules().groups().into_iter().map(str::to_owned).collect();
        }
        self.config = config.clone();
        // Whoever took over a log meanwhile is not fenced in turn.
        self.take_over = false;
    }
}

/// How the configuration is read anew.
#[derive(Clone, Debug)]
struct Again {
    output: super::args::OutputArgs,
    args: ConfigArgs,
    role: Role,
}

impl Again {
    fn read(&self) -> Result<Config, Problems> {
        Shell::new(self.output.clone()).config(&self.args, self.role)
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
