//! Which path is answered by what.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, http::request::Parts};

use super::{access::Access, answer::Answer, control, exposition, health, status};
use crate::{
    config::Config,
    live::{History, Recent, now},
    metrics::Metrics,
    pipeline::control::Levers,
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
    /// What a process with this configuration shows.
    pub fn new(config: &Config, access: Access, metrics: Arc<Metrics>, recent: Arc<Recent>) -> Self {
        Self {
            pipeline: config.pipeline.clone(),
            started_at: now(),
            metrics,
            recent,
            history: History::default(),
            access,
            ready_lag: config.http.ready_lag.get(),
            levers: None,
        }
    }

    /// Takes commands.
    #[must_use]
    pub fn with_levers(mut self, levers: Arc<Levers>) -> Self {
        self.levers = Some(levers);
        self
    }

    /// Remembers the figures of this moment.
    pub(super) fn look(&self) {
        self.history.look(self.metrics.snapshot(now()));
    }

    /// The answer to a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let answer = match head.uri.path().strip_prefix(CONTROL) {
            Some(verb) => self.controlling(verb, &head, body).await,
            None => self.reading(&head),
        };
        // A refusal is an answer, too.
        let answer = answer.unwrap_or_else(|refusal| refusal);
        answer.respond(&head.method, &head.headers)
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
    fn reading(&self, head: &Parts) -> Result<Answer, Answer> {
        let asked = &head.headers;
        let place = match head.uri.path() {
            "/healthz" => Place::Alive,
            "/readyz" => Place::Ready,
            "/metrics" => Place::Metrics,
            "/api/status" => Place::Status,
            _ => {
                self.access.read(asked)?;
                return Err(Answer::error(StatusCode::NOT_FOUND, "there is nothing here; see / for what there is"));
            }
        };
        if !place.is_open() {
            self.access.read(asked)?;
        }
        if ![Method::GET, Method::HEAD].contains(&head.method) {
            return Err(Answer::method_not_allowed("GET, HEAD"));
        }
        let now = now();
        Ok(match place {
            Place::Alive => health::answer(&health::alive(self, now), asked),
            Place::Ready => health::answer(&health::ready(self, now), asked),
            Place::Metrics => exposition::answer(self.metrics.exposition(now), asked),
            Place::Status => Answer::json(StatusCode::OK, &status::status(self, now, since(head.uri.query())?)),
        })
    }
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
}

impl Place {
    /// Whether it asks for no token: probes carry none, and what they say names nothing but shards and groups.
    fn is_open(self) -> bool {
        matches!(self, Self::Alive | Self::Ready)
    }
}

/// From when on curves are wanted: `since` of a query, UTC microseconds; all of them where nothing is said.
fn since(query: Option<&str>) -> Result<i64, Answer> {
    let pairs = query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
    match pairs.filter(|(name, _)| *name == "since").map(|(_, value)| value).last() {
        None => Ok(0),
        Some(value) => value.parse().map_err(|_| {
            Answer::error(
                StatusCode::BAD_REQUEST,
                "since is a time in microseconds, such as `until` of the last answer's history",
            )
        }),
    }
}
