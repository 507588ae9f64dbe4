//! What every verb has at hand: configuration, logging, colours, error reports.

use std::{future::Future, io::IsTerminal, path::Path};

use super::{
    Failure,
    args::{Colour, ConfigArgs, DEFAULT_FILE, OutputArgs},
    logging::{self, Logging},
};
use crate::{
    config::{Config, LogFormat, Problems, Role, mask_urls},
    exit::Exit,
};

/// The surroundings of a verb.
#[derive(Debug)]
pub(super) struct Shell {
    output: OutputArgs,
    logging: std::sync::OnceLock<Logging>,
}

impl Shell {
    pub(super) fn new(output: OutputArgs) -> Self {
        Self { output, logging: std::sync::OnceLock::new() }
    }

    /// Reads and checks the configuration for `role`.
    ///
    /// # Errors
    /// Every problem at once.
    pub(super) fn config(&self, args: &ConfigArgs, role: Role) -> Result<Config, Problems> {
        let flags = args.short_form();
        let env = |name: &str| std::env::var(name).ok();
        match &args.config {
            Some(path) => Config::load_with(path, &flags, role, &env),
            // Looked for only without the short form: a file that happens to lie here must not mix itself in.
            None if !flags.is_given() && Path::new(DEFAULT_FILE).exists() => {
                Config::load_with(Path::new(DEFAULT_FILE), &flags, role, &env)
            }
            None => Config::from_short_form(&flags, role, &env),
        }
    }

    /// Starts logging to standard error, once; `config` decides what no flag does.
    pub(super) fn start_logging(&self, config: &Config) -> Result<&Logging, Failure> {
        let format = self.output.log_format.unwrap_or(config.log.format);
        let level = self.output.log_level.as_deref().unwrap_or(&config.log.level);
        let terminal = std::io::stderr().is_terminal();
        let json = match format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !terminal,
        };
        let logging = logging::start(level, json, colour(self.output.color, &std::io::stderr()))?;
        Ok(self.logging.get_or_init(|| logging))
    }

    /// Whether reports on standard output are coloured.
    pub(super) fn colour_stdout(&self) -> bool {
        colour(self.output.color, &std::io::stdout())
    }

    /// How the program talks.
    pub(super) fn output(&self) -> &OutputArgs {
        &self.output
    }

    /// What the flags say of colours.
    pub(super) fn colour_wanted(&self) -> Colour {
        self.output.color
    }

    /// Runs a verb that needs an asynchronous runtime.
    pub(super) fn block_on(&self, verb: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("tailwater-io")
            .build()
            .map_err(|e| Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot start worker threads")))?
            .block_on(verb)
    }

    /// Shows a failure on standard error: as a log line where logs are JSON, as text otherwise.
    pub(super) fn report(&self, failure: &Failure) {
        let asked = self.output.log_format == Some(LogFormat::Json);
        match self.logging.get() {
            Some(logging) if logging.is_json() => failure.log(),
            // The configuration failed before it could decide; a flag decides without it.
            None if asked && logging::start("info", true, false).is_ok() => failure.log(),
            _ => eprint!("{}", mask_urls(&failure.render(colour(self.output.color, &std::io::stderr())))),
        }
    }
}

/// Whether to colour what is written to `stream`.
pub(super) fn colour(wanted: Colour, stream: &impl IsTerminal) -> bool {
    match wanted {
        Colour::Always => true,
        Colour::Never => false,
        // https://no-color.org: set and not empty.
        Colour::Auto => stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
    }
}
