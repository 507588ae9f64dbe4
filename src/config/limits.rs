//! `[limits]` and `[log]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;

use super::{
    ByteSize, Span,
    problem::{Misfit, suggestion},
};

/// Bounds on memory and batches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of all open and sealed batches of the process together, whatever the size of a transaction. At least
    /// 16 MiB. Default 256 MiB.
    pub batch_memory: ByteSize,
    /// A batch of one table is sealed at this many rows. Default 500000, about 100 MB of usual rows in memory.
    #[schemars(range(min = 1000, max = 10_000_000))]
    pub batch_rows_max: u64,
    /// A batch of one table is sealed at this size in memory, which gives Parquet files of a third to a tenth of it.
    /// At least 1 MiB, at most `batch_memory`. Default 24 MiB.
    pub batch_bytes_max: ByteSize,
    /// Bytes of Parquet files that one merge takes in at most; a larger backlog is merged in several ticks. At least
    /// 1 MiB. Default 256 MiB.
    pub tick_bytes_max: ByteSize,
    /// With `--once`, a server or store that does not answer is retried for this long without progress; then the run
    /// ends with exit code 69. Without `--once` it is retried for as long as it takes. From 1 s to 24 h. Default 2 min.
    pub once_patience: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_memory: ByteSize::mib(256),
            batch_rows_max: 500_000,
            batch_bytes_max: ByteSize::mib(24),
            tick_bytes_max: ByteSize::mib(256),
            once_patience: Span::seconds(120),
        }
    }
}

/// Logging to standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Form of a log line. Default `auto`. `--log-format` and `TAILWATER_LOG_FORMAT` win over it.
    pub format: LogFormat,
    /// Least level: `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,tailwater::lake=debug`.
    /// Default `info`. `--log-level` and `TAILWATER_LOG_LEVEL` win over it.
    #[schemars(extend("format" = "log-level"))]
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".to_owned() }
    }
}

impl Log {
    /// Whether `text` is a level or a list of directives (`target=level`, separated by commas).
    ///
    /// # Errors
    /// It is neither. The subscriber's own parser takes any word for the name of a target.
    pub fn level_fits(text: &str) -> Result<(), Misfit> {
        let is_level = |level: &str| level.trim().parse::<LevelFilter>().is_ok() && !level.trim().is_empty();
        let wrong = text.split(',').find(|part| !is_level(part.rsplit_once('=').map_or(part, |(_, level)| level)));
        let Some(wrong) = wrong else { return Ok(()) };
        let word = wrong.rsplit_once('=').map_or(wrong, |(_, level)| level);
        let hint = suggestion(word, ["off", "error", "warn", "info", "debug", "trace"]);
        Err(Misfit::new(
            format!("{word:?} is not a log level{hint}"),
            "write error, warn, info, debug or trace, or directives such as info,tailwater::lake=debug",
        ))
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `text` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
