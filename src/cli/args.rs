//! Arguments that several verbs share. Every flag has a twin in the environment, `TAILWATER_<FLAG>`.

// Comments on arguments are what `--help` prints: `[[source]]` is a table of the configuration there, not a link.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{LogFormat, ShortForm};

/// File that is read when no other is named and the short form is not used.
pub(super) const DEFAULT_FILE: &str = "tailwater.toml";

/// Where the configuration comes from.
#[derive(Clone, Args)]
pub(super) struct ConfigArgs {
    /// Configuration file [default: ./tailwater.toml, unless --source, --lake or --warehouse is given].
    #[arg(short, long, value_name = "FILE", env = "TAILWATER_CONFIG", help_heading = "Configuration")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    short: ShortArgs,
}

/// A whole configuration in a few flags.
#[derive(Clone, Args)]
pub(super) struct ShortArgs {
    /// A MySQL server to read, as NAME=mysql://USER:PASSWORD@HOST:PORT; repeat for more. Replaces [[source]].
    ///
    /// The name is stored in every row and must not change later; a single source may leave it out (`s1`). Arguments
    /// are visible to other users of the machine: prefer TAILWATER_SOURCE (several are separated by spaces), or a file.
    #[arg(
        long = "source",
        value_name = "NAME=URL",
        env = "TAILWATER_SOURCE",
        hide_env_values = true,
        value_delimiter = ' ',
        help_heading = "Configuration"
    )]
    sources: Vec<String>,
    /// Tables to copy, such as 'shop.*' or 'shop_*.orders_[0-9]*'; repeat for more. Replaces [[table]] [default: all].
    #[arg(
        long,
        value_name = "PATTERN",
        env = "TAILWATER_TABLES",
        value_delimiter = ' ',
        help_heading = "Configuration"
    )]
    tables: Vec<String>,
    /// The lake: a folder or s3://bucket/prefix. Replaces lake.url.
    #[arg(long, value_name = "URL", env = "TAILWATER_LAKE", help_heading = "Configuration")]
    lake: Option<String>,
    /// The warehouse: sqlite:FILE or postgres://USER:PASSWORD@HOST:PORT/DATABASE. Replaces warehouse.url.
    #[arg(
        long,
        value_name = "URL",
        env = "TAILWATER_WAREHOUSE",
        hide_env_values = true,
        help_heading = "Configuration"
    )]
    warehouse: Option<String>,
    /// Where a shard without a log begins: snapshot, earliest, latest or a GTID set. Replaces start of every source.
    #[arg(long, value_name = "POINT", env = "TAILWATER_START", help_heading = "Configuration")]
    start: Option<String>,
    /// Name of the pipeline, the first folder in the lake. Replaces pipeline.
    #[arg(long, value_name = "NAME", env = "TAILWATER_PIPELINE", help_heading = "Configuration")]
    pipeline: Option<String>,
    /// Address for metrics, probes and the live page, such as 0.0.0.0:8245, or off. Replaces http.listen.
    #[arg(long, value_name = "ADDRESS", env = "TAILWATER_HTTP", help_heading = "Configuration")]
    http: Option<String>,
}

impl ConfigArgs {
    /// The flags of the short form.
    pub(super) fn short_form(&self) -> ShortForm {
        self.short.short_form()
    }
}

impl ShortArgs {
    /// The flags as the configuration understands them.
    pub(super) fn short_form(&self) -> ShortForm {
        ShortForm {
            pipeline: self.pipeline.clone(),
            sources: self.sources.iter().filter(|s| !s.is_empty()).cloned().collect(),
            tables: self.tables.iter().filter(|s| !s.is_empty()).cloned().collect(),
            lake: self.lake.clone(),
            warehouse: self.warehouse.clone(),
            start: self.start.clone(),
            http: self.http.clone(),
        }
    }
}

// By hand: addresses may hold passwords.
impl std::fmt::Debug for ConfigArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

// By hand: addresses may hold passwords.
impl std::fmt::Debug for ShortArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShortArgs").finish_non_exhaustive()
    }
}

/// How the program talks.
#[derive(Clone, Debug, Args)]
pub(super) struct OutputArgs {
    /// Form of log lines on standard error; auto is text on a terminal and json otherwise.
    #[arg(long, global = true, value_enum, env = "TAILWATER_LOG_FORMAT", help_heading = "Output")]
    pub(super) log_format: Option<LogFormat>,
    /// Least level to log: error, warn, info, debug, trace, or directives such as info,tailwater::lake=debug.
    #[arg(long, global = true, value_name = "LEVEL", env = "TAILWATER_LOG_LEVEL", help_heading = "Output")]
    pub(super) log_level: Option<String>,
    /// Colours; auto is on a terminal without NO_COLOR.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        env = "TAILWATER_COLOR",
        hide_possible_values = false,
        help_heading = "Output"
    )]
    pub(super) color: Colour,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
