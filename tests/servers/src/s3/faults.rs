//! Faults in front of the S3 service, and a record of what was asked of it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{IF_MATCH, IF_NONE_MATCH};
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use s3s::service::S3Service;

/// Requests remembered; older ones are forgotten.
const REMEMBERED: usize = 10_000;

/// Something that goes wrong with the next request, or the next few.
///
/// ```
/// # use std::time::Duration;
/// use tailwater_servers::S3Fault;
///
/// S3Fault::answer(503).times(3);                       // the next three requests
/// S3Fault::lose_answer().on("PUT", "/log/");           // the next PUT to a path with `/log/` in it
/// S3Fault::delay(Duration::from_millis(200)).times(2);
/// ```
#[derive(Debug, Clone)]
pub struct S3Fault {
    action: Action,
    times: usize,
    method: Option<String>,
    path: String,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Answer(u16),
    LoseRequest,
    LoseAnswer,
    Delay(Duration),
}

impl S3Fault {
    fn new(action: Action) -> Self {
        Self { action, times: 1, method: None, path: String::new() }
    }

    /// The request is not performed; the answer has this status and an S3 error code to match.
    #[must_use]
    pub fn answer(status: u16) -> Self {
        Self::new(Action::Answer(status))
    }

    /// The request is not performed and the connection is closed without an answer.
    #[must_use]
    pub fn lose_request() -> Self {
        Self::new(Action::LoseRequest)
    }

    /// The request **is** performed, and the connection is closed without an answer.
    #[must_use]
    pub fn lose_answer() -> Self {
        Self::new(Action::LoseAnswer)
    }

    /// The request is performed after this time.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::new(Action::Delay(time))
    }

    /// How many requests meet the fault; one without this.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Only requests with this method and with `path` somewhere in `/bucket/key?query` count.
    #[must_use]
    pub fn on(mut self, method: &str, path: &str) -> Self {
        self.method = Some(method.to_owned());
        path.clone_into(&mut self.path);
        self
    }
}

/// A request that the server saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Request {
    /// `GET`, `PUT`, ...
    pub method: String,
    /// `/bucket/key?query`, percent-encoded as sent.
    pub path: String,
    /// The status of the answer; `None` when a fault left the client without one.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    waiting: Mutex<VecDeque<S3Fault>>,
    seen: Mutex<VecDeque<S3Request>>,
}

impl Faults {
    pub(super) fn add(&self, fault: S3Fault) {
        lock(&self.waiting).push_back(fault);
    }

    pub(super) fn pending(&self) -> usize {
        lock(&self.waiting).iter().map(|fault| fault.times).sum()
    }

    pub(super) fn clear(&self) {
        lock(&self.waiting).clear();
    }

    pub(super) fn requests(&self) -> Vec<S3Request> {
        lock(&self.seen).iter().cloned().collect()
    }

    fn take(&self, method: &str, path: &str) -> Option<Action> {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|fault| fault.times > 0);
        let fault = waiting
            .iter_mut()
            .find(|fault| fault.method.as_ref().is_none_or(|wanted| wanted == method) && path.contains(&fault.path))?;
        fault.times -= 1;
        Some(fault.action)
    }

    fn record(&self, request: S3Request) {
        let mut seen = lock(&self.seen);
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(request);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = Result<Response<s3s::Body>, Failure>;

/// The S3 service with faults in front of it.
#[derive(Debug, Clone)]
pub(super) struct FaultyService {
    inner: S3Service,
    faults: Arc<Faults>,
    /// Held over a conditional write: the service looks and writes in two steps, S3 in one.
    conditional: Arc<tokio::sync::Mutex<()>>,
}

impl FaultyService {
    pub(super) fn new(inner: S3Service, faults: Arc<Faults>) -> Self {
        Self { inner, faults, conditional: Arc::default() }
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let method = request.method().as_str().to_owned();
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let answer = match self.faults.take(&method, &path) {
            None => self.perform(request).await,
            Some(Action::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.perform(request).await
            }
            Some(Action::LoseRequest) => Err("a fault was asked for: the request is lost".into()),
            Some(Action::LoseAnswer) => match self.perform(request).await {
                Ok(_) => Err("a fault was asked for: the answer is lost".into()),
                failed => failed,
            },
            Some(Action::Answer(status)) => refuse(request, status).await,
        };
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        self.faults.record(S3Request { method, path, status });
        answer
    }

    async fn perform(&self, request: Request<Incoming>) -> Answer {
        let headers = request.headers();
        let conditional = headers.contains_key(IF_NONE_MATCH) || headers.contains_key(IF_MATCH);
        let _one_at_a_time = if conditional { Some(self.conditional.lock().await) } else { None };
        self.inner.call(request.map(s3s::Body::from)).await.map_err(Failure::from)
    }
}

impl Service<Request<Incoming>> for FaultyService {
    type Response = Response<s3s::Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// Answers with an error after reading the body, as S3 does: a client that is still sending when
/// the connection closes would see a broken pipe in place of the status.
async fn refuse(request: Request<Incoming>, status: u16) -> Answer {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let code = match status {
        400 => "InvalidRequest",
        403 => "AccessDenied",
        404 => "NoSuchKey",
        409 => "ConditionalRequestConflict",
        412 => "PreconditionFailed",
        429 | 503 => "SlowDown",
        _ => "InternalError",
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>a fault was asked for</Message><RequestId>0</RequestId></Error>"
    );
    Ok(Response::builder()
        .status(StatusCode::from_u16(status)?)
        .header("content-type", "application/xml")
        .body(s3s::Body::from(text))?)
}
