//! How a line looks: text for people, one flat JSON object for machines.
//!
//! A line has its event's fields and those of the spans that it stands in ([`crate::spans`]): the shard, the table, the entry. Of one name
//! the innermost counts, and in JSON they are keys beside the others, so that a search for `shard = "s1"` finds every line.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::spans::{Fields, Said, merged};

/// Fields that are not told: libraries that log otherwise than by tracing say in them where they are.
const FOREIGN: &str = "log.";

/// The form of lines.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// For machines.
    Json,
    /// For people.
    Text,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::of(event);
        let message = fields.0.iter().position(|said| said.name == "message").map(|at| fields.0.remove(at));
        let foreign = fields.0.iter().find(|said| said.name == "log.target").map(|said| said.text().into_owned());
        fields.0.retain(|said| !said.name.starts_with(FOREIGN));
        let spans = context.event_scope().into_iter().flat_map(|scope| scope.from_root());
        let outer = merged(&fields, spans.filter_map(|span| span.extensions().get::<Fields>().cloned()));
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let line = Line {
            time,
            level: *event.metadata().level(),
            message: message.map(|said| said.text().into_owned()).unwrap_or_default(),
            target: foreign.unwrap_or_else(|| event.metadata().target().to_owned()),
            fields: fields.0.into_iter().chain(outer).collect(),
        };
        match self {
            Self::Json => line.json(writer),
            Self::Text => line.text(writer),
        }
    }
}

/// What a line says.
#[derive(Debug)]
struct Line {
    time: String,
    level: Level,
    message: String,
    target: String,
    fields: Vec<Said>,
}

impl Line {
    fn json(self, mut out: Writer<'_>) -> fmt::Result {
        let mut map = Map::with_capacity(self.fields.len() + 4);
        map.insert("timestamp".to_owned(), self.time.into());
        map.insert("level".to_owned(), self.level.as_str().into());
        map.insert("message".to_owned(), self.message.into());
        for said in self.fields {
            // What a line is must not be said by a field of the same name.
            if !map.contains_key(said.name) {
                map.insert(said.name.to_owned(), said.value);
            }
        }
        map.insert("target".to_owned(), self.target.into());
        writeln!(out, "{}", Value::Object(map))
    }

    fn text(self, mut out: Writer<'_>) -> fmt::Result {
        let (colour, [plain, dim, italic]) = match (out.has_ansi_escapes(), self.level) {
            (false, _) => ("", [""; 3]),
            (true, Level::ERROR) => ("\x1b[31m", STYLES),
            (true, Level::WARN) => ("\x1b[33m", STYLES),
            (true, Level::INFO) => ("\x1b[32m", STYLES),
            (true, Level::DEBUG) => ("\x1b[34m", STYLES),
            (true, Level::TRACE) => ("\x1b[35m", STYLES),
        };
        write!(out, "{dim}{}{plain} {colour}{:>5}{plain} {}", self.time, self.level.as_str(), Escaped(&self.message))?;
        for said in &self.fields {
            write!(out, " {italic}{}{plain}{dim}={plain}", said.name)?;
            match (&said.value, said.quoted) {
                (Value::String(text), true) => write!(out, "{text:?}")?,
                _ => write!(out, "{}", Escaped(&said.text()))?,
            }
        }
        out.write_char('\n')
    }
}

/// Back to plain, dim, italic.
const STYLES: [&str; 3] = ["\x1b[0m", "\x1b[2m", "\x1b[3m"];

/// Text that cannot end its line or move the cursor: names of tables are other people's.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c.is_control() && c != '\t' {
                true => write!(f, "{}", c.escape_default())?,
                false => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt, layer::SubscriberExt, registry};

    use super::*;
    use crate::{
        model::{Origin, Seq, Shard},
        spans::{self, Remember},
    };

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: Lines, colour: bool, log: impl FnOnce()) -> String {
        let written = Written::default();
        let writer = written.clone();
        let layer = fmt::layer().event_format(form).with_ansi(colour).with_writer(move || writer.clone());
        tracing::subscriber::with_default(registry().with(Remember).with(layer), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn inside(log: impl FnOnce()) {
        let shard = Shard::new("s1");
        let origin = Origin::new(&shard, "shop", "orders");
        spans::extract(&shard)
            .in_scope(|| spans::session(2).in_scope(|| spans::snapshot(&origin, Seq(77)).in_scope(log)));
    }

    #[test]
    fn a_line_says_what_it_is_about_though_whoever_logs_it_does_not_know() {
        let json = logged(Lines::Json, false, || inside(|| tracing::warn!(rows = 3_u64, "slow")));
        let line: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&line["message"], &line["level"], &line["rows"]), (&"slow".into(), &"WARN".into(), &3.into()));
        assert_eq!((&line["shard"], &line["session"]), (&"s1".into(), &2.into()));
        assert_eq!((&line["table"], &line["seq"]), (&"shop.orders".into(), &"77".into()));
        assert!(line["target"].as_str().is_some_and(|t| t.starts_with("tailwater")) && line["timestamp"].is_string());
        let text = logged(Lines::Text, false, || inside(|| tracing::info!(why = "a b", "slow")));
        assert!(text.ends_with("  INFO slow why=\"a b\" shard=s1 session=2 table=shop.orders seq=77\n"), "{text}");
    }

    #[test]
    fn the_event_wins_over_its_spans_and_says_nothing_twice() {
        let shard = Shard::new("s2");
        let json = logged(Lines::Json, false, || inside(|| tracing::info!(%shard, message = "x", level = "fake", "")));
        assert_eq!(json.matches("\"shard\"").count(), 1);
        let line: Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&line["shard"], &line["level"]), (&"s2".into(), &"INFO".into()));
    }

    #[test]
    fn a_name_cannot_begin_a_line_or_move_the_cursor() {
        let name = "a\n\x1b[2Jb";
        let text = logged(Lines::Text, true, || tracing::info!(%name, other = name, "{name}"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains("\x1b[2J") && text.contains("\\u{1b}[2Jb"), "{text}");
    }
}
