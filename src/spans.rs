//! Spans: what a piece of work is about, so that every line that is logged in it says so, whoever logs it.
//!
//! All spans are made here, with the same names for the same things: `shard`, `group`, `table`, `seq`, `entry`. There is one for a
//! shard, a session, an entry, a file, a snapshot, a round, a group and a tick; none for a row or a transaction. They have the level of
//! errors: what is logged of any level has them, and what is done in them is timed when somebody asks ([`crate::live`] does not).
//!
//! [`Remember`] keeps a span's fields as values, and [`around`] collects those that a line stands in, outermost first.

use std::{borrow::Cow, fmt};

use serde_json::Value;
use tracing::{
    Event, Span, Subscriber, error_span,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::model::{Origin, Seq, Shard};

/// Extraction of a shard, over all sessions.
pub fn extract(shard: &Shard) -> Span {
    error_span!("extract", %shard)
}

/// One session of a shard's extraction.
pub fn session(session: u32) -> Span {
    error_span!("session", session)
}

/// An entry that is committed: its number, and the first number behind its changes.
pub fn entry(entry: u64, seq: Seq) -> Span {
    error_span!("entry", entry, %seq)
}

/// A file that is encoded and stored: its least number.
pub fn file(origin: &Origin, seq: Seq) -> Span {
    error_span!("file", table = %name(origin), %seq)
}

/// A snapshot of a table: the number that its rows carry.
pub fn snapshot(origin: &Origin, seq: Seq) -> Span {
    error_span!("snapshot", table = %name(origin), %seq)
}

/// A round over a table that is read again and again: its first number.
pub fn round(origin: &Origin, seq: Seq) -> Span {
    error_span!("round", table = %name(origin), %seq)
}

/// Application of a group.
pub fn apply(group: &str) -> Span {
    error_span!("apply", group)
}

/// A merge transaction with its staging, by its number in the session.
pub fn tick(tick: u64) -> Span {
    error_span!("tick", tick)
}

/// Comparison of a source table with the warehouse.
pub fn verify(origin: &Origin) -> Span {
    error_span!("verify", shard = %origin.shard, table = %name(origin))
}

/// The name of a table on the source; its shard is the outer span's.
fn name(origin: &Origin) -> String {
    format!("{}.{}", origin.database, origin.table)
}

/// Fields of a span or an event, in their order.
#[derive(Clone, Debug, Default)]
pub struct Fields(pub Vec<Said>);

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub value: Value,
    /// Whether it was given as text, which lines for people quote, and not as something that shows itself.
    pub quoted: bool,
}

impl Said {
    /// The value without the quotes of JSON.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.value {
            Value::String(text) => Cow::Borrowed(text),
            value => Cow::Owned(value.to_string()),
        }
    }
}

impl Fields {
    /// The fields of an event.
    pub fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn set(&mut self, field: &Field, value: Value, quoted: bool) {
        let name = field.name().trim_start_matches("r#");
        match self.0.iter_mut().find(|said| said.name == name) {
            Some(said) => (said.value, said.quoted) = (value, quoted),
            None => self.0.push(Said { name, value, quoted }),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into(), false);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into(), false);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into(), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into(), false);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into(), true);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}").into(), false);
    }
}

/// Keeps the fields of spans where [`around`] finds them.
#[derive(Clone, Copy, Debug)]
pub struct Remember;

impl<S> Layer<S> for Remember
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }
}

/// Fields of the spans around an event, outermost first; of one name the innermost's, and none that the event has itself.
pub fn around<S>(event: &Fields, context: &Context<'_, S>, of: &Event<'_>) -> Vec<Said>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let spans = context.event_scope(of).into_iter().flat_map(|scope| scope.from_root());
    let fields = spans.filter_map(|span| span.extensions().get::<Fields>().cloned());
    merged(event, fields)
}

/// What [`around`] makes of the spans' fields.
pub(crate) fn merged(event: &Fields, spans: impl Iterator<Item = Fields>) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for said in spans.flat_map(|fields| fields.0) {
        if event.0.iter().any(|own| own.name == said.name) {
            continue;
        }
        match all.iter_mut().find(|outer| outer.name == said.name) {
            Some(outer) => *outer = said,
            None => all.push(said),
        }
    }
    all
}
