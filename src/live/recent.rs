//! The warnings and errors of the last time, each kind once with its count.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use schemars::JsonSchema;
use serde::Serialize;
use tracing::{Event, Level, Subscriber, callsite::Identifier};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use super::{held, now};
use crate::{
    config::mask_urls,
    spans::{self, Fields, Said},
};

/// Kinds of events that are kept; the one that was seen last the longest ago goes first.
const KINDS: usize = 100;

/// Longest text of one event: chains of causes are shorter, and what is longer is in the log.
const TEXT_BYTES_MAX: usize = 1000;

/// Fields that say whom an event concerns: events of one place in the code that differ in them are two kinds.
const WHOM: [&str; 6] = ["shard", "group", "origin", "target", "table", "column"];

/// Fields that differ from time to time and tell nothing afterwards.
const LEFT_OUT: [&str; 2] = ["pause", "wait"];

/// One kind of event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RecentEvent {
    /// `warn` or `error`.
    pub level: &'static str,
    /// What happened, in the words of the last time.
    pub message: String,
    /// The event's fields, `name=value`.
    pub fields: String,
    /// How often, since it is kept.
    pub count: u64,
    /// The first time, UTC microseconds.
    pub first_at: i64,
    /// The last time, UTC microseconds.
    pub last_at: i64,
}

/// The events, newest last.
#[derive(Debug, Default)]
pub struct Recent(Mutex<VecDeque<(Kind, RecentEvent)>>);

/// What makes two events the same: the place in the code, and whom it concerns.
type Kind = (Option<Identifier>, String);

impl Recent {
    /// All kinds, the newest first.
    pub fn list(&self) -> Vec<RecentEvent> {
        held(&self.0).iter().rev().map(|(_, event)| event.clone()).collect()
    }

    fn note(&self, kind: Kind, level: &'static str, message: String, fields: String) {
        let at = now();
        let mut events = held(&self.0);
        let known = events.iter().position(|(k, _)| *k == kind).and_then(|i| events.remove(i));
        let (count, first_at) = known.map_or((0, at), |(_, event)| (event.count, event.first_at));
        if events.len() == KINDS {
            events.pop_front();
        }
        events.push_back((kind, RecentEvent { level, message, fields, count: count + 1, first_at, last_at: at }));
    }
}

/// Listens to the program's own events of level `warn` and `error`.
///
/// Events hold neither secrets nor row values by the house's rules; addresses that other libraries write into their errors are
/// masked here once more, because this text is shown on a page.
#[derive(Clone, Debug)]
pub struct RecentLayer(pub Arc<Recent>);

impl<S> Layer<S> for RecentLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let meta = event.metadata();
        let level = match *meta.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        if !meta.target().starts_with("tailwater") {
            return;
        }
        let mut words = Words::default();
        let fields = Fields::of(event);
        // Of the spans only whom it concerns: numbers of sessions and ticks differ from time to time.
        let around = spans::around(&fields, &context, event).into_iter().filter(|said| WHOM.contains(&said.name));
        fields.0.iter().for_each(|said| words.add(said));
        around.for_each(|said| words.add(&said));
        self.0.note((Some(meta.callsite()), words.whom), level, short(&words.message), short(&words.fields));
    }
}

/// An event's fields as text.
#[derive(Default)]
struct Words {
    message: String,
    fields: String,
    whom: String,
}

impl Words {
    fn add(&mut self, said: &Said) {
        let text = said.text();
        if said.name == "message" {
            self.message.push_str(&text);
            return;
        }
        if LEFT_OUT.contains(&said.name) {
            return;
        }
        if !self.fields.is_empty() {
            self.fields.push(' ');
        }
        // Writing to a String cannot fail.
        let _ = write!(self.fields, "{}={text}", said.name);
        if WHOM.contains(&said.name) {
            let _ = write!(self.whom, "{text}\0");
        }
    }
}

/// A text without passwords, cut on a character's boundary.
fn short(text: &str) -> String {
    let mut text = mask_urls(text);
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;

    #[test]
    fn events_are_counted_by_place_and_whom_they_concern() {
        let recent = Arc::new(Recent::default());
        tracing::subscriber::with_default(registry().with(RecentLayer(Arc::clone(&recent))), || {
            for n in 0..3 {
                for shard in ["s1", "s2"] {
                    tracing::warn!(shard, error = %format!("refused by mysql://u:p{n}@h"), pause = n, "extraction failed");
                }
            }
            tracing::error!(text = "x".repeat(5000), "long");
            tracing::info!("no trouble");
            tracing::warn!(target: "hyper", "not ours");
        });
        let list = recent.list();
        assert_eq!(list.len(), 3);
        assert_eq!((list[0].level, list[0].message.as_str()), ("error", "long"));
        assert!(list[0].fields.len() < TEXT_BYTES_MAX + 10 && list[0].fields.ends_with('…'));
        assert_eq!(list[1].fields, "shard=s2 error=refused by mysql://u:***@h");
        assert_eq!((list[1].count, list[2].count), (3, 3));
    }

    #[test]
    fn the_kinds_that_are_kept_are_bounded() {
        let recent = Recent::default();
        for n in 0..KINDS + 10 {
            recent.note((None, n.to_string()), "warn", n.to_string(), String::new());
        }
        assert_eq!((recent.list().len(), recent.list()[0].message.as_str()), (KINDS, "109"));
    }
}
