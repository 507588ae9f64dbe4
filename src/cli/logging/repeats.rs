//! A bound on lines that repeat.
//!
//! A server that flaps a hundred times a second must not fill a disk with one sentence. Lines are alike when they come from the same
//! place in the code and are about the same shard, group, table or target, by their own words or their spans'. Of each kind [`LINES`] are written in [`WINDOW`]; what was left
//! out is counted, and told once the window is over. So one kind writes at most 21 lines a minute, whatever happens. Levels below `info`
//! have no bound.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ahash::RandomState;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::{
    layer::{Context, Filter},
    registry::LookupSpan,
};

use crate::spans::{self, Fields, Said};

/// Lines of one kind that are written in a window.
const LINES: u32 = 20;

/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(60);

/// Kinds that are told apart: places in the code times shards and tables. Beyond, all further ones count as one.
const KINDS_MAX: usize = 10_000;

/// Fields that say what a line is about.
const ABOUT: [&str; 5] = ["shard", "group", "origin", "target", "table"];

static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);

/// Lets the first lines of each kind pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeats;

impl<S> Filter<S> for Repeats
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::INFO {
            // Whoever looks for a fault wants all of it.
            return true;
        }
        let mut about = About::of(event.metadata());
        let mut fields = Fields::of(event);
        fields.0.extend(spans::around(&fields, context, event));
        fields.0.iter().for_each(|said| about.say(said));
        SEEN.lock().unwrap_or_else(PoisonError::into_inner).pass(about, Instant::now())
    }
}

/// Which lines came.
#[derive(Debug, Default)]
struct Seen {
    kinds: HashMap<u64, Kind, RandomState>,
}

/// Lines of one kind in the window that is open.
#[derive(Debug)]
struct Kind {
    since: Instant,
    written: u32,
    left_out: u64,
    message: String,
}

impl Seen {
    fn pass(&mut self, about: About, now: Instant) -> bool {
        let known = self.kinds.contains_key(&about.kind) || self.kinds.len() < KINDS_MAX;
        let kind = self.kinds.entry(if known { about.kind } else { 0 }).or_insert_with(|| Kind::new(now));
        if now.duration_since(kind.since) >= WINDOW {
            kind.since = now;
            kind.written = 0;
        }
        if kind.written < LINES {
            kind.written += 1;
            return true;
        }
        kind.left_out += 1;
        kind.message = about.message;
        false
    }

    /// What was left out and not told, of windows that are over; forgets kinds that are silent.
    fn take(&mut self, now: Instant) -> Vec<(u64, String)> {
        let over = |kind: &Kind| now.duration_since(kind.since) >= WINDOW;
        let told = self.kinds.values_mut().filter(|kind| over(kind) && kind.left_out > 0);
        let told = told.map(|kind| (std::mem::take(&mut kind.left_out), std::mem::take(&mut kind.message))).collect();
        self.kinds.retain(|_, kind| !over(kind));
        told
    }
}

impl Kind {
    fn new(now: Instant) -> Self {
        Self { since: now, written: 0, left_out: 0, message: String::new() }
    }
}

/// Of which kind an event is, and its text.
struct About {
    kind: u64,
    message: String,
}

impl About {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut about = Self { kind: 0, message: String::new() };
        about.add(metadata.name());
        about.add(metadata.target());
        about
    }

    fn add(&mut self, text: &str) {
        // Constant keys: kinds are only compared within the process, and a filter runs for every line.
        let mut hasher = RandomState::with_seeds(1, 2, 3, 4).build_hasher();
        hasher.write_u64(self.kind);
        hasher.write(text.as_bytes());
        // Zero stands for the kinds that are not told apart.
        self.kind = hasher.finish().max(1);
    }

    fn say(&mut self, said: &Said) {
        match said.name {
            "message" => self.message = said.text().into_owned(),
            name if ABOUT.contains(&name) => self.add(&said.text()),
            _ => {}
        }
    }
}

/// Tells now and then what was left out. Never ends.
pub(in crate::cli) async fn tell() {
    loop {
        tokio::time::sleep(WINDOW).await;
        let told = SEEN.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        for (left_out, like) in told {
            tracing::warn!(left_out, like, "lines that repeat were left out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_writes_so_many_lines_and_says_what_it_left_out() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let about = |kind| About { kind, message: "extraction failed".to_owned() };
        let written = (0..10_000).filter(|_| seen.pass(about(7), start)).count();
        assert_eq!(written, LINES as usize);
        assert!(seen.pass(about(8), start), "another kind is not held back by the first");
        assert!(seen.take(start).is_empty(), "the window is open");
        let later = start + WINDOW;
        assert_eq!(seen.take(later), [(9_980, "extraction failed".to_owned())]);
        assert!(seen.kinds.is_empty() && seen.pass(about(7), later));
    }

    #[test]
    fn kinds_are_bounded() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        for kind in 1..=2 * KINDS_MAX as u64 {
            seen.pass(About { kind, message: String::new() }, now);
        }
        assert_eq!(seen.kinds.len(), KINDS_MAX + 1);
    }
}
