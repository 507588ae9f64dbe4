//! Sending spans to a collector, in batches, over a connection each.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue},
};
use percent_encoding::percent_decode_str;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use url::Url;

use super::{DROPPED, Finished, Told, message::message};
use crate::{config::mask_urls, http::client};

/// Spans of one request.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const EVERY: Duration = Duration::from_secs(5);

/// Longest time of one request. There is no second try: traces are looked at, nothing is decided by them.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A collector, as the environment names it by the variables that OpenTelemetry defines
/// (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Attributes of the process.
    resource: Vec<(String, String)>,
}

// Headers hold keys of collectors.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &mask_urls(self.url.as_str())).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The collector that variables name; `None` where none is named, or where it cannot be used, which is logged.
    pub fn of_environment(get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let get = |name: &str| get(name).filter(|value| !value.trim().is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let whole = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let base = || get("OTEL_EXPORTER_OTLP_ENDPOINT").map(|url| format!("{}/v1/traces", url.trim_end_matches('/')));
        let text = whole.or_else(base)?;
        let url = Url::parse(text.trim()).ok().filter(|url| url.scheme() == "http" && url.host().is_some());
        let Some(url) = url else {
            let endpoint = mask_urls(&text);
            tracing::warn!(
                endpoint,
                "no traces are sent: the endpoint of OpenTelemetry must be http://HOST:PORT; a collector beside the process speaks \
                 TLS to others"
            );
            return None;
        };
        let headers = get("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| get("OTEL_EXPORTER_OTLP_HEADERS"));
        let headers = pairs(&headers.unwrap_or_default())
            .into_iter()
            .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)));
        let mut resource = pairs(&get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default());
        let known = resource.iter().position(|(name, _)| name == "service.name").map(|at| resource.remove(at).1);
        let service = get("OTEL_SERVICE_NAME").or(known).unwrap_or_else(|| "tailwater".to_owned());
        resource.insert(0, ("service.name".to_owned(), service));
        resource.push(("service.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        Some(Self { url, headers: headers.collect(), resource })
    }

    async fn send(&self, spans: &[Finished]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default().unwrap_or(80));
        // Brackets belong to the address in a URL alone.
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.url.path())
            .header(HOST, format!("{host}:{port}"))
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let content = message(&self.resource, spans).to_string();
        let (status, _) = client::exchange(stream, request.body(Full::new(Bytes::from(content)))?).await?;
        if status.is_success() { Ok(()) } else { Err(format!("it answers {status}").into()) }
    }
}

/// `a=b,c=d`, with values percent-encoded.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned()))
    };
    text.split(',').filter_map(pair).collect()
}

/// Sends what is told until nobody tells any more.
pub(super) async fn run(endpoint: Endpoint, mut told: mpsc::Receiver<Told>) {
    let mut batch = Vec::new();
    while let Some(first) = told.recv().await {
        let mut flushed = Vec::new();
        match first {
            Told::Span(span) => batch.push(*span),
            Told::Flush(done) => flushed.push(done),
        }
        // Whoever asks for a flush asked behind everything that it wants sent.
        let until = tokio::time::Instant::now() + EVERY;
        while batch.len() < BATCH && flushed.is_empty() {
            match tokio::time::timeout_at(until, told.recv()).await {
                Ok(Some(Told::Span(span))) => batch.push(*span),
                Ok(Some(Told::Flush(done))) => flushed.push(done),
                Ok(None) | Err(_) => break,
            }
        }
        if !batch.is_empty() {
            tell(&endpoint, &batch).await;
            batch.clear();
        }
        for done in flushed {
            // Whoever asked may not wait any more.
            let _ = done.send(());
        }
    }
}

async fn tell(endpoint: &Endpoint, batch: &[Finished]) {
    let spans = batch.len();
    let outcome = match timeout(TIME_MAX, endpoint.send(batch)).await {
        Ok(outcome) => outcome,
        Err(late) => Err(late.into()),
    };
    let dropped = DROPPED.swap(0, Ordering::Relaxed);
    match outcome {
        Ok(()) if dropped == 0 => {}
        Ok(()) => tracing::warn!(dropped, "traces were dropped: the collector takes them more slowly than they come"),
        Err(error) => {
            let error = mask_urls(&error.to_string());
            tracing::warn!(spans, dropped, error, ?endpoint, "traces could not be sent and are dropped");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Option<Endpoint> {
        Endpoint::of_environment(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_names_the_collector() {
        const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        assert!(of(&[]).is_none() && of(&[(BASE, " ")]).is_none());
        assert!(of(&[(BASE, "https://collector:4318")]).is_none() && of(&[(BASE, "collector:4318")]).is_none());
        assert!(of(&[(BASE, "http://c:4318"), ("OTEL_SDK_DISABLED", "true")]).is_none());
        assert_eq!(of(&[(BASE, "http://c:4318/")]).unwrap().url.as_str(), "http://c:4318/v1/traces");
        let whole = of(&[(BASE, "http://c"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/here")]).unwrap();
        assert_eq!(whole.url.as_str(), "http://t/here");
        let set = [(BASE, "http://u:secret@c"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,zone=b%2Cc")];
        let named = of(&set).unwrap();
        assert_eq!(named.resource[0], ("service.name".to_owned(), "a".to_owned()));
        assert_eq!(named.resource[1], ("zone".to_owned(), "b,c".to_owned()));
        assert!(!format!("{named:?}").contains("secret"));
    }
}
