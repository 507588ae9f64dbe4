//! Progress: one live line on a terminal, a log line now and then otherwise.

mod bars;

use std::{
    future::Future,
    io::IsTerminal,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::{sync::watch, time::MissedTickBehavior};

use self::bars::{Bars, Seen};
use super::logging;
use crate::{
    metrics::Metrics,
    progress::{Progress, ProgressSnapshot},
};

/// How often the live line changes: often enough to look alive, cheap to draw.
const LINE_EVERY: Duration = Duration::from_millis(250);
/// How often a log line is written: a day of them is under 2 MB.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Rates on the live line are taken over this time, so that they can be read.
const RATE_OVER: Duration = Duration::from_secs(2);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// One line on standard error, drawn over itself.
    Line,
    /// Log lines at `info`.
    Log,
}

impl ProgressMode {
    /// A line where standard error is a terminal, unless logs are JSON there.
    pub(super) fn choose(json_logs: bool) -> Self {
        if std::io::stderr().is_terminal() && !json_logs { Self::Line } else { Self::Log }
    }
}

/// Runs `work` and shows its progress until it ends. Cancelling it cancels `work`.
pub(super) async fn beside<T>(metrics: Arc<Metrics>, mode: ProgressMode, work: impl Future<Output = T>) -> T {
    let (stop, stopped) = watch::channel(false);
    let reporter = tokio::spawn(report(metrics, mode, stopped));
    let result = work.await;
    drop(stop);
    // The reporter ends by itself; it has nothing to say about the result.
    let _ = reporter.await;
    result
}

/// Shows progress until `stop` turns `true` or its sender is gone, then once more. Cancel safe.
async fn report(metrics: Arc<Metrics>, mode: ProgressMode, mut stop: watch::Receiver<bool>) {
    let bar = (mode == ProgressMode::Line).then(bar);
    let (mut bars, mut seen) = (bar.as_ref().map(|(_, terminal)| Bars::new(terminal.clone())), Seen::default());
    let bar = bar.map(|(bar, _)| bar);
    let mut clock = tokio::time::interval(if bar.is_some() { LINE_EVERY } else { LOG_EVERY });
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    clock.tick().await;
    let start = metrics.snapshot(now());
    let mut before = start.clone();
    let mut shown = Progress::default();
    loop {
        let ended = tokio::select! {
            _ = clock.tick() => false,
            _ = stop.wait_for(|stopped| *stopped) => true,
        };
        let current = metrics.snapshot(now());
        if elapsed(&before, &current) >= if bar.is_some() { RATE_OVER } else { LOG_EVERY / 2 } || shown.shards == 0 {
            shown = Progress::between(&before, &current);
            before = current.clone();
        }
        if ended {
            // The average of the whole run, as the last word.
            shown = Progress::between(&start, &current);
        }
        match &bar {
            Some(bar) if ended => bar.finish_and_clear(),
            Some(bar) => bar.set_message(line(&shown)),
            None => {
                log(&shown);
                seen.log(&current.tables);
            }
        }
        match &mut bars {
            Some(bars) if ended => bars.clear(),
            Some(bars) => bars.show(&current.tables),
            None => {}
        }
        if ended {
            if bar.is_some() {
                log(&shown);
            }
            return;
        }
    }
}

/// The live line, and where bars go above it.
fn bar() -> (ProgressBar, MultiProgress) {
    let terminal = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let bar = terminal.add(ProgressBar::new_spinner());
    // The template is a constant; should it ever not parse, the standard one is drawn.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(LINE_EVERY);
    logging::share_terminal_with(&terminal);
    (bar, terminal)
}

/// The live line.
fn line(p: &Progress) -> String {
    let mut parts = vec![match p.shards {
        1 if p.connected == 1 => "1 shard".to_owned(),
        n => format!("{}/{n} shards", p.connected),
    }];
    parts.push(format!(
        "read {}/s ({}/s)",
        HumanCount(p.rows_read_per_second as u64),
        HumanBytes(p.bytes_read_per_second as u64)
    ));
    parts.push(format!("applied {}/s", HumanCount(p.rows_applied_per_second as u64)));
    parts.push(format!("{} rows, {} entries", HumanCount(p.rows_read), HumanCount(p.entries)));
    if let Some((shard, seconds)) = &p.worst_lag {
        let whose = if p.shards > 1 { format!(" ({shard})") } else { String::new() };
        parts.push(format!("lag {seconds:.1} s{whose}"));
    }
    if p.parked > 0 {
        parts.push(format!("{} parked", p.parked));
    }
    parts.join(" · ")
}

fn log(p: &Progress) {
    let (worst_shard, worst_lag_seconds) =
        p.worst_lag.as_ref().map_or((None, None), |(shard, lag)| (Some(shard.as_str()), Some(round(*lag))));
    tracing::info!(
        shards = p.shards,
        connected = p.connected,
        rows_read = p.rows_read,
        rows_read_per_second = round(p.rows_read_per_second),
        bytes_read_per_second = round(p.bytes_read_per_second),
        rows_applied = p.rows_applied,
        rows_applied_per_second = round(p.rows_applied_per_second),
        entries = p.entries,
        parked = p.parked,
        batch_memory_bytes = p.batch_memory_bytes,
        worst_shard,
        worst_lag_seconds,
        "progress"
    );
}

/// One digit behind the point is what people compare.
fn round(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}

fn elapsed(before: &ProgressSnapshot, now: &ProgressSnapshot) -> Duration {
    Duration::from_micros(u64::try_from(now.at - before.at).unwrap_or_default())
}

/// The present, UTC microseconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_matters() {
        let p = Progress {
            shards: 3,
            connected: 2,
            rows_read_per_second: 12345.6,
            bytes_read_per_second: 2048.0,
            rows_applied_per_second: 11000.0,
            rows_read: 1_000_000,
            entries: 42,
            parked: 1,
            worst_lag: Some(("s2".into(), 3.25)),
            ..Progress::default()
        };
        assert_eq!(
            line(&p),
            "2/3 shards · read 12,345/s (2.00 KiB/s) · applied 11,000/s · 1,000,000 rows, 42 entries · lag 3.2 s (s2) · 1 parked"
        );
    }
}
