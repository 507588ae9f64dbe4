//! Answers: status, type, content, and the headers that all of them carry.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::Full;
use hyper::{
    Method, Response, StatusCode,
    header::{
        ACCEPT, ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
        CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, VARY, WWW_AUTHENTICATE,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;

/// Smaller answers travel in one packet anyway.
const GZIP_FROM_BYTES: usize = 1024;

/// Plain text.
const TEXT: &str = "text/plain; charset=utf-8";

/// What is sent back.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    content_type: &'static str,
    content: Bytes,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Self {
        Self { status, content_type, content: content.into(), headers: Vec::new() }
    }

    /// Text for people, and for programs that look at the status alone.
    pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::new(status, TEXT, text.into())
    }

    pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        // Serialising plain structs into memory cannot fail.
        let mut text = serde_json::to_vec(value).unwrap_or_default();
        text.push(b'\n');
        Self::new(status, "application/json", text)
    }

    /// A refusal with what to do about it.
    pub(super) fn error(status: StatusCode, what: &str) -> Self {
        #[derive(Serialize)]
        struct Refusal<'a> {
            error: &'a str,
        }
        Self::json(status, &Refusal { error: what })
    }

    pub(super) fn unauthorized(what: &str) -> Self {
        let scheme = HeaderValue::from_static("Bearer realm=\"tailwater\"");
        Self::error(StatusCode::UNAUTHORIZED, what).with(WWW_AUTHENTICATE, scheme)
    }

    /// The path exists and takes only these methods.
    pub(super) fn method_not_allowed(allowed: &'static str) -> Self {
        let what = format!("this path takes {allowed}");
        Self::error(StatusCode::METHOD_NOT_ALLOWED, &what).with(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The response to a request with these headers: without content for HEAD, compressed where that is understood.
    pub(super) fn respond(self, method: &Method, asked: &HeaderMap) -> Response<Full<Bytes>> {
        let large = self.content.len() >= GZIP_FROM_BYTES;
        let compressed = (large && accepts_gzip(asked)).then(|| gzip(&self.content)).flatten();
        let encoded = compressed.is_some();
        let content = compressed.unwrap_or(self.content);
        let length = HeaderValue::from(content.len() as u64);
        let mut response = Response::new(Full::new(if method == Method::HEAD { Bytes::new() } else { content }));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_LENGTH, length);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        // What is no page must not act as one; the page brings its own policy.
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
        if large {
            headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        }
        if encoded {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        headers.extend(self.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}

/// Whether the client prefers JSON to text.
pub(super) fn wants_json(asked: &HeaderMap) -> bool {
    quality(asked, &ACCEPT, "application/json") > 0.0
        && quality(asked, &ACCEPT, "application/json") >= quality(asked, &ACCEPT, "text/plain")
}

/// Whether the client takes OpenMetrics at least as gladly as the older text form.
pub(super) fn wants_openmetrics(asked: &HeaderMap) -> bool {
    let (open, text) = (quality(asked, &ACCEPT, "application/openmetrics-text"), quality(asked, &ACCEPT, "text/plain"));
    open > 0.0 && open >= text
}

fn accepts_gzip(asked: &HeaderMap) -> bool {
    quality(asked, &ACCEPT_ENCODING, "gzip") > 0.0
}

/// The best weight that a header gives to exactly this word; 0 where it does not name it. Wildcards name nothing: what they
/// leave open is decided by the simpler form.
fn quality(asked: &HeaderMap, header: &HeaderName, word: &str) -> f64 {
    let mut best = 0.0_f64;
    for value in asked.get_all(header).iter().filter_map(|value| value.to_str().ok()) {
        for item in value.split(',') {
            let mut parts = item.split(';').map(str::trim);
            if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case(word)) {
                continue;
            }
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight: f64 = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
            best = best.max(weight.clamp(0.0, 1.0));
        }
    }
    best
}

/// `content` compressed: a quarter to a tenth of it, at the least effort, which is most of the gain.
fn gzip(content: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 4), Compression::fast());
    encoder.write_all(content).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn weights_decide_between_forms() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
                          text/plain;version=0.0.4;q=0.4,*/*;q=0.1";
        assert!(wants_openmetrics(&asked(ACCEPT, prometheus)));
        for text in ["*/*", "text/plain", "text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.5", ""] {
            assert!(!wants_openmetrics(&asked(ACCEPT, text)), "{text}");
        }
        assert!(!wants_openmetrics(&HeaderMap::new()) && !wants_json(&asked(ACCEPT, "*/*")));
        assert!(
            wants_json(&asked(ACCEPT, "application/json")) && wants_json(&asked(ACCEPT, "text/html, application/json"))
        );
        assert!(accepts_gzip(&asked(ACCEPT_ENCODING, "deflate, gzip")));
        assert!(!accepts_gzip(&asked(ACCEPT_ENCODING, "gzip;q=0, br")) && !accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn large_answers_are_compressed_and_head_has_no_content() {
        let text = "tailwater_extract_row_changes_total ".repeat(100);
        let gzip = asked(ACCEPT_ENCODING, "gzip");
        let response = Answer::text(StatusCode::OK, text.clone()).respond(&Method::GET, &gzip);
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let length: usize = response.headers()[CONTENT_LENGTH].to_str().unwrap().parse().unwrap();
        assert!(length < text.len() / 4, "{length}");
        let head = Answer::text(StatusCode::OK, text.clone()).respond(&Method::HEAD, &gzip);
        assert_eq!(head.headers()[CONTENT_LENGTH], response.headers()[CONTENT_LENGTH]);
        let plain = Answer::text(StatusCode::OK, text.clone()).respond(&Method::GET, &HeaderMap::new());
        assert_eq!(plain.headers()[CONTENT_LENGTH], text.len().to_string());
        assert!(!plain.headers().contains_key(CONTENT_ENCODING));
    }
}
