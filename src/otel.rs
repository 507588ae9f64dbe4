//! Traces for OpenTelemetry, behind the feature `otel`: pieces of work that end are told to a collector.
//!
//! Every entry, file, snapshot, round, tick and comparison is a span there, with the fields that log lines have, and with the warnings
//! and errors that were logged in it as its events. A shard, a session and a group last as long as the process, so they are no
//! spans of a trace but attributes of those within: what they begin begins a trace of its own.
//!
//! It is OTLP in its JSON form over HTTP/1 (<https://opentelemetry.io/docs/specs/otlp/>), which every collector takes on port 4318. With
//! that little, none of the usual libraries is needed. It costs nothing but its queue: what a collector does not take in time is
//! dropped and counted, and nothing ever waits for it.

mod message;
mod send;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::{mpsc, oneshot};
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::{LookupSpan, SpanRef},
};

use crate::spans::{Fields, Said, merged};
pub use send::Endpoint;

/// Spans that are told; see [`crate::spans`]. The others last as long as the process.
const TOLD: [&str; 6] = ["entry", "file", "snapshot", "round", "tick", "verify"];

/// Spans that wait to be sent: some seconds of a process that is very busy. Further ones are dropped.
const QUEUE: usize = 2048;

/// Events of one span that are kept. A table that fails again and again says the same again and again.
const EVENTS_MAX: usize = 32;

/// Longest time that the process waits at its end for the last spans to be taken.
const GOODBYE: Duration = Duration::from_secs(2);

/// Spans that were dropped because the queue was full.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// Where the process's layer tells spans, once there is one.
static TELL: OnceLock<mpsc::Sender<Told>> = OnceLock::new();

/// What the sending task hears.
enum Told {
    Span(Box<Finished>),
    /// Send everything now, then say so.
    Flush(oneshot::Sender<()>),
}

/// A span that has ended.
#[derive(Debug)]
struct Finished {
    open: Open,
    name: &'static str,
    ended: u64,
    fields: Vec<Said>,
}

/// A span that is under way. Times are nanoseconds since the epoch.
#[derive(Clone, Debug)]
struct Open {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    began: u64,
    events: Vec<Noted>,
    failed: bool,
}

/// A warning or an error.
#[derive(Clone, Debug)]
struct Noted {
    at: u64,
    level: &'static str,
    fields: Fields,
}

/// Tells spans to the sending task.
#[derive(Clone, Debug)]
pub struct Traces(mpsc::Sender<Told>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

impl Traces {
    /// Begins to send to the collector that the environment names, on the current runtime; `None` where none is named.
    pub fn begin() -> Option<Self> {
        let endpoint = Endpoint::of_environment(|name| std::env::var(name).ok())?;
        tokio::runtime::Handle::try_current().ok()?;
        let traces = Self::to(endpoint);
        let _ = TELL.set(traces.0.clone());
        Some(traces)
    }

    /// Begins to send to this collector.
    fn to(endpoint: Endpoint) -> Self {
        let (tell, told) = mpsc::channel(QUEUE);
        tokio::spawn(send::run(endpoint, told));
        Self(tell)
    }

    async fn flush(&self) {
        let (done, sent) = oneshot::channel();
        let flushed = async {
            if self.0.send(Told::Flush(done)).await.is_ok() {
                let _ = sent.await;
            }
        };
        // A collector that is away must not keep the process.
        let _ = tokio::time::timeout(GOODBYE, flushed).await;
    }
}

/// Sends what is left, for two seconds at most.
pub async fn flush() {
    if let Some(tell) = TELL.get() {
        Traces(tell.clone()).flush().await;
    }
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("tailwater")
}

impl<S> Layer<S> for Traces
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let Some(span) = context.span(id).filter(|_| is_ours(metadata) && TOLD.contains(&metadata.name())) else {
            return;
        };
        let outer = span.parent().and_then(|outer| nearest(&outer, |open| (open.trace, open.id)));
        let open = Open {
            trace: outer.map_or_else(rand::random, |(trace, _)| trace),
            id: rand::random(),
            parent: outer.map(|(_, id)| id),
            began: now(),
            events: Vec::new(),
            failed: false,
        };
        span.extensions_mut().insert(open);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            _ => return,
        };
        let Some(span) = context.event_span(event).filter(|_| is_ours(event.metadata())) else { return };
        nearest(&span, |open| {
            open.failed |= level == "error";
            if open.events.len() < EVENTS_MAX {
                open.events.push(Noted { at: now(), level, fields: Fields::of(event) });
            }
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let scope = span.scope().from_root().filter_map(|outer| outer.extensions().get::<Fields>().cloned());
        let fields = merged(&Fields::default(), scope);
        let finished = Finished { open, name: span.name(), ended: now(), fields };
        if self.0.try_send(Told::Span(Box::new(finished))).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Does something with the nearest span from this one outwards that is told.
fn nearest<T, S>(span: &SpanRef<'_, S>, mut act: impl FnMut(&mut Open) -> T) -> Option<T>
where
    S: for<'a> LookupSpan<'a>,
{
    span.scope().find_map(|span| span.extensions_mut().get_mut::<Open>().map(&mut act))
}

/// The present, nanoseconds since the epoch: 64 bits of them last until 2554.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use serde_json::Value;
    use tokio::net::TcpListener;
    use tracing_subscriber::{layer::SubscriberExt, registry};

    use super::*;
    use crate::{
        model::{Origin, Seq, Shard},
        spans::{self, Remember},
    };

    /// A collector that tells what it gets: path, header `x-key` and content.
    async fn collector() -> (String, mpsc::Receiver<(String, String, Value)>) {
        let (tell, told) = mpsc::channel(16);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let tell = tell.clone();
                    async move {
                        let path = request.uri().path().to_owned();
                        let key = request.headers().get("x-key").map(|v| v.to_str().unwrap().to_owned());
                        let content = request.into_body().collect().await.unwrap().to_bytes();
                        let content = serde_json::from_slice(&content).unwrap();
                        tell.send((path, key.unwrap_or_default(), content)).await.unwrap();
                        Ok::<_, std::convert::Infallible>(Response::new(Full::new(bytes::Bytes::from_static(b"{}"))))
                    }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            }
        });
        (format!("http://{address}"), told)
    }

    fn endpoint(url: &str) -> Endpoint {
        let of = |name: &str| match name {
            "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(url.to_owned()),
            "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-key=a%20b".to_owned()),
            "OTEL_SERVICE_NAME" => Some("shop".to_owned()),
            _ => None,
        };
        Endpoint::of_environment(of).unwrap()
    }

    #[tokio::test]
    async fn a_collector_gets_spans_with_what_they_are_about() {
        let (url, mut told) = collector().await;
        let traces = Traces::to(endpoint(&url));
        tracing::subscriber::with_default(registry().with(Remember).with(traces.clone()), || {
            let shard = Shard::new("s1");
            let origin = Origin::new(&shard, "shop", "orders");
            spans::extract(&shard).in_scope(|| {
                tracing::error!("between two pieces of work: in no trace");
                let snapshot = spans::snapshot(&origin, Seq(77));
                snapshot.in_scope(|| {
                    tracing::info!("no event of a trace");
                    spans::file(&origin, Seq(78)).in_scope(|| tracing::error!(code = 5_u64, "away"));
                });
            });
        });
        traces.flush().await;
        let (path, key, content) = told.recv().await.unwrap();
        assert_eq!((path.as_str(), key.as_str()), ("/v1/traces", "a b"));
        let resource = &content["resourceSpans"][0];
        assert!(
            resource["resource"]
                .to_string()
                .contains("{\"key\":\"service.name\",\"value\":{\"stringValue\":\"shop\"}}")
        );
        let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        // What ends first is told first.
        let [file, snapshot] = spans.as_slice() else { panic!("{content:#}") };
        assert_eq!((&file["name"], &snapshot["name"]), (&"file".into(), &"snapshot".into()));
        assert_eq!(file["traceId"], snapshot["traceId"]);
        assert_eq!((&file["parentSpanId"], &snapshot["parentSpanId"]), (&snapshot["spanId"], &Value::Null));
        assert!(snapshot["traceId"].as_str().unwrap().len() == 32 && snapshot["spanId"].as_str().unwrap().len() == 16);
        let attributes = snapshot["attributes"].to_string();
        for said in ["{\"key\":\"shard\",\"value\":{\"stringValue\":\"s1\"}}", "\"shop.orders\"", "\"77\""] {
            assert!(attributes.contains(said), "{said} in {attributes}");
        }
        assert_eq!((&file["events"][0]["name"], &file["status"]["code"]), (&"away".into(), &2.into()));
        assert!(
            file["events"][0]["attributes"].to_string().contains("{\"key\":\"code\",\"value\":{\"intValue\":\"5\"}}")
        );
        assert_eq!(
            (snapshot["events"].as_array().map(Vec::len), &snapshot["status"]),
            (Some(0), &serde_json::json!({}))
        );
        let time = |span: &Value, name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time(snapshot, "startTimeUnixNano") <= time(file, "startTimeUnixNano"));
        assert!(time(file, "endTimeUnixNano") <= time(snapshot, "endTimeUnixNano"));
    }

    #[tokio::test]
    async fn a_collector_that_is_away_keeps_nobody() {
        // Bound and not listened to any more: refused at once.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let traces = Traces::to(endpoint(&url));
        tracing::subscriber::with_default(registry().with(Remember).with(traces.clone()), || {
            for number in 0..2 * QUEUE as u64 {
                drop(spans::tick(number));
            }
        });
        assert!(DROPPED.load(Ordering::Relaxed) > 0);
        traces.flush().await;
        traces.flush().await;
    }
}
