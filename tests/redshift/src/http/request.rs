//! A request, read as a whole.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::answer::Answer;

/// Longest body: 40 statements of the longest text, and their parameters.
const BODY_BYTES_MAX: usize = 8 << 20;

/// Head and body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) async fn read(request: hyper::Request<Incoming>) -> Result<Self, Answer> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|_| Answer::error(413, "ValidationException", "the request is too large"))?;
        Ok(Self { head, body: body.to_bytes() })
    }

    /// A header's text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The operation of a request in AWS JSON.
    pub(super) fn target(&self) -> Option<&str> {
        self.header("x-amz-target")
    }
}
