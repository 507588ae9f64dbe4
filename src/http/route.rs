//! Which path is answered by what.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, http::request::Parts};

use super::{access::Access, answer::Answer, control, exposition, health, page, status};
use crate::{
    config::Http,
    live::{History, Recent, now},
    metrics::Metrics,
    pipeline::control::Levers,
    progress::ProgressSnapshot,
};

/// What answers are made of.
#[derive(Debug)]
pub struct Site {
    /// Name of the pipeline.
    pub(super) pipeline: String,
    /// When the process started, UTC microseconds.
    pub(super) started_at: i64,
    pub(super) metrics: Arc<Metrics>,
    pub(super) recent: Arc<Recent>,
    pub(super) history: History,
    pub(super) access: Access,
    pub(super) ready_lag: Duration,
    /// What commands pull; without any, none are taken.
    levers: Option<Arc<Levers>>,
}

impl Site {
    /// What a process of this pipeline shows.
    pub fn new(pipeline: &str, config: &Http, access: Access, metrics: Arc<Metrics>, recent: Arc<Recent>) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            started_at: now(),
            metrics,
            recent,
            history: History::default(),
            access,
            ready_lag: config.ready_lag.get(),
            levers: None,
        }
    }

    /// Takes commands.
    #[must_use]
    pub fn with_levers(mut self, levers: Arc<Levers>) -> Self {
        self.levers = Some(levers);
        self
    }

    /// Remembers figures, for curves and rates.
    pub fn look(&self, figures: ProgressSnapshot) {
        self.history.look(figures);
    }

    /// The answer to any request.
    pub(super) async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if !request.uri().path().starts_with(CONTROL) {
            return self.answer(&request);
        }
        let (head, body) = request.into_parts();
        let verb = head.uri.path().strip_prefix(CONTROL).unwrap_or_default();
        let answer = self.controlling(verb, &head, body).await;
        answer.unwrap_or_else(|refusal| refusal).respond(&head.method, &head.headers)
    }

    /// The answer to a request that only reads.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        // A refusal is an answer, too.
        let answer = self.reading(request).unwrap_or_else(|refusal| refusal);
        answer.respond(request.method(), request.headers())
    }

    /// Commands. Whoever may not give any learns nothing of which there are.
    async fn controlling(&self, verb: &str, head: &Parts, body: Incoming) -> Result<Answer, Answer> {
        self.access.control(&head.headers)?;
        match &self.levers {
            Some(levers) => control::answer(levers, verb, head, body).await,
            None => Err(Answer::error(StatusCode::NOT_FOUND, "this process takes no commands")),
        }
    }

    /// What only reads.
    fn reading<B>(&self, request: &Request<B>) -> Result<Answer, Answer> {
        let (asked, path) = (request.headers(), request.uri().path());
        let place = match path {
            "/healthz" => Place::Alive,
            "/readyz" => Place::Ready,
            "/metrics" => Place::Metrics,
            "/api/status" => Place::Status,
            path if page::file(path).is_some() => Place::Page,
            _ => {
                self.access.read(asked)?;
                return Err(nothing());
            }
        };
        match place {
            // Probes carry no token, and what they say names nothing but shards and groups.
            Place::Alive | Place::Ready => {}
            Place::Page => self.access.page(asked)?,
            Place::Metrics | Place::Status => self.access.read(asked)?,
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Answer::method_not_allowed("GET, HEAD"));
        }
        let now = now();
        Ok(match place {
            Place::Page => return page::file(path).map(page::File::answer).ok_or_else(nothing),
            Place::Alive => health::answer(&health::alive(self, now), asked),
            Place::Ready => health::answer(&health::ready(self, now), asked),
            Place::Metrics => exposition::answer(&self.metrics, now, asked),
            Place::Status => Answer::json(StatusCode::OK, &status::status(self, now, since(request.uri().query())?)),
        })
    }
}

fn nothing() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "there is nothing here; see / for what there is")
}

/// Where commands are given.
const CONTROL: &str = "/api/control/";

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Alive,
    Ready,
    Metrics,
    Status,
    Page,
}

/// From when on curves are wanted: `since` of a query, UTC microseconds; all of them where nothing is said.
fn since(query: Option<&str>) -> Result<i64, Answer> {
    let mut pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
    match pairs.find(|(name, _)| *name == "since").map(|(_, value)| value) {
        None => Ok(0),
        Some(value) => value.parse().map_err(|_| {
            Answer::error(
                StatusCode::BAD_REQUEST,
                "since is a time in microseconds, such as `until` of the last answer's history",
            )
        }),
    }
}
