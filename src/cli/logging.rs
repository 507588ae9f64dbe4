//! Logs on standard error: text for people, JSON lines for machines.

mod lines;
mod repeats;

use std::{
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use indicatif::MultiProgress;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    filter::{FilterExt, Targets},
    fmt,
    layer::{Layer, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use self::{lines::Lines, repeats::Repeats};
use super::Failure;
use crate::{
    config::{Log, Misfit},
    exit::Exit,
    live::{Recent, RecentLayer},
    spans::Remember,
};

/// Changes the filter of the process' log lines.
static SET_FILTER: OnceLock<Box<dyn Fn(Targets) + Send + Sync>> = OnceLock::new();

/// The progress line, when one is drawn. Logs and the line share the terminal: a log line must push it down.
static BAR: OnceLock<MultiProgress> = OnceLock::new();

/// Logging that was started.
#[derive(Debug)]
pub(super) struct Logging {
    json: bool,
    recent: Arc<Recent>,
}

impl Logging {
    /// The warnings and errors that were logged.
    pub(super) fn recent(&self) -> Arc<Recent> {
        Arc::clone(&self.recent)
    }

    /// Whether lines are JSON.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }
}

pub(super) use repeats::tell as tell_of_repeats;

/// Makes log lines push `bar` down from now on. Only the first bar counts.
pub(super) fn share_terminal_with(bar: &MultiProgress) {
    let _ = BAR.set(bar.clone());
}

/// Installs the process' subscriber. A second call leaves the first in place.
pub(super) fn start(level: &str, json: bool, colour: bool) -> Result<Logging, Failure> {
    Log::level_fits(level)
        .map_err(|m| Failure::new(Exit::Usage, anyhow::anyhow!("--log-level: {}", m.what)).hint(m.mend))?;
    let filter = filter(level)
        .map_err(|e| Failure::new(Exit::Usage, anyhow::Error::new(e).context("--log-level is not understood")))?;
    let recent = Arc::new(Recent::default());
    // What the page shows does not depend on what is logged.
    let noted = RecentLayer(Arc::clone(&recent)).with_filter(LevelFilter::WARN);
    let registry = tracing_subscriber::registry().with(Remember).with(noted);
    // What is logged can be changed while the process runs; lines that repeat are bounded whatever is logged.
    let (filter, handle) = reload::Layer::new(filter);
    let filter = filter.and(Repeats);
    let _ = SET_FILTER.set(Box::new(move |filter| {
        // Refused only when the subscriber is gone, with the process.
        let _ = handle.reload(filter);
    }));
    // `try_init` fails only where a subscriber is installed already, as in tests.
    let lines = if json { Lines::Json } else { Lines::Text };
    #[cfg(feature = "otel")]
    let registry = registry.with(crate::otel::Traces::begin());
    let layer = fmt::layer().event_format(lines).with_ansi(colour && !json).with_writer(writer);
    let _ = registry.with(layer.with_filter(filter)).try_init();
    Ok(Logging { json, recent })
}

/// Logs from now on what `level` says.
///
/// # Errors
/// When it is no level.
pub(super) fn set_level(level: &str) -> Result<(), Misfit> {
    Log::level_fits(level)?;
    let filter =
        filter(level).map_err(|e| Misfit::new(format!("not a log level: {e}"), "write a level or directives"))?;
    if let Some(set) = SET_FILTER.get() {
        set(filter);
    }
    Ok(())
}

/// A bare level is meant for Tailwater; the libraries below it are heard from `warn` on.
fn filter(level: &str) -> Result<Targets, tracing_subscriber::filter::ParseError> {
    if level.contains(['=', ',']) {
        return level.parse();
    }
    let parsed: Targets = level.parse()?;
    let own = parsed.default_level().unwrap_or(LevelFilter::INFO);
    Ok(Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("tailwater", own))
}

fn writer() -> impl Write {
    struct Line;
    impl Write for Line {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match BAR.get() {
                Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
                None => io::stderr().write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            io::stderr().flush()
        }
    }
    Line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_bare_level_is_tailwaters_and_libraries_stay_quiet() {
        let debug = filter("debug").unwrap();
        assert!(debug.would_enable("tailwater::lake", &Level::DEBUG));
        assert!(!debug.would_enable("hyper::client", &Level::INFO) && debug.would_enable("sqlx", &Level::WARN));
        assert!(!filter("error").unwrap().would_enable("sqlx", &Level::WARN));
        assert!(filter("info,sqlx=debug").unwrap().would_enable("sqlx", &Level::DEBUG));
        assert!(
            Log::level_fits("loud").is_err() && Log::level_fits("").is_err() && Log::level_fits("info,a=b").is_err()
        );
        assert!(Log::level_fits("info").is_ok() && Log::level_fits("warn,tailwater::lake=debug").is_ok());
    }
}
