//! Commands: `POST /api/control/<verb>` with a JSON object. What they do is [`crate::pipeline::control`]'s; here they are read, answered and
//! guarded by [`Access::control`](super::Access::control).
//!
//! | verb | object |
//! | --- | --- |
//! | `pause`, `resume`, `unpark`, `resnapshot` | `{"tables": ["shop.*"], "shards": ["s1"]}` |
//! | `reload` | `{}` |
//! | `log-level` | `{"level": "debug", "for": "10m"}` |
//!
//! With `"pipeline"` in the object, a process of another pipeline refuses: whoever finds the port by a guess tells whom they mean.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderMap},
    http::request::Parts,
};
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::{
    config::{Pattern, Problems, Span, mask_urls},
    errors::chain,
    pipeline::{
        control::{ControlError, Effect, Levers, Selection, command},
        request,
    },
};

/// Bytes of a command: some hundred patterns.
const COMMAND_BYTES_MAX: usize = 64 << 10;

/// Longest time for a command's object to come.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(10);

/// What a command says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Command {
    pipeline: Option<String>,
    tables: Vec<Pattern>,
    shards: Vec<String>,
    level: Option<String>,
    #[serde(rename = "for")]
    time: Option<Span>,
}

/// What a command did.
#[derive(Debug, Serialize)]
struct Done {
    done: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effects: Vec<Effect>,
}

/// Does what `verb` asks. The caller has been let in.
///
/// # Errors
/// The refusal.
pub(super) async fn answer(levers: &Arc<Levers>, verb: &str, head: &Parts, body: Incoming) -> Result<Answer, Answer> {
    let known = ["pause", "resume", "unpark", "resnapshot", "reload", "log-level"];
    if !known.contains(&verb) {
        return Err(Answer::error(
            StatusCode::NOT_FOUND,
            &format!("there is no such command; there are: {}", known.join(", ")),
        ));
    }
    if head.method != Method::POST {
        return Err(Answer::method_not_allowed("POST"));
    }
    let command = read(&head.headers, body).await?;
    let config = levers.config();
    if command.pipeline.as_ref().is_some_and(|pipeline| *pipeline != config.pipeline) {
        let what = format!("this process runs the pipeline {:?}", config.pipeline);
        return Err(Answer::error(StatusCode::MISDIRECTED_REQUEST, &what));
    }
    tracing::info!(verb, "a command came over HTTP");
    let Command { tables, shards, level, time, .. } = command;
    let selection = Selection { tables, shards };
    let effects = match verb {
        "pause" => command::pause(&config, &selection).await,
        "resume" => command::resume(&config, &selection).await,
        "unpark" => command::unpark(&config, &selection).await,
        "resnapshot" => resnapshot(levers, &selection).await,
        "reload" => {
            levers.reload().map_err(|problems| refused(&problems))?;
            return Ok(done("sessions end at a commit point and begin anew with the new configuration", Vec::new()));
        }
        _ => {
            let level = level.ok_or_else(|| Answer::error(StatusCode::BAD_REQUEST, "level is missing"))?;
            levers
                .log_level(&level, time.map(Span::get))
                .map_err(|misfit| Answer::error(StatusCode::UNPROCESSABLE_ENTITY, &misfit.to_string()))?;
            return Ok(done("the log level was changed", Vec::new()));
        }
    };
    let effects = effects.map_err(|e| failed(&e))?;
    // Without waiting for the next look at the lake.
    levers.soon().notify_one();
    Ok(done("it is written in the lake, for every process of the pipeline", effects))
}

async fn read(headers: &HeaderMap, body: Incoming) -> Result<Command, Answer> {
    // A page's form cannot send this type, and a script of another place would have to ask first.
    let json =
        headers.get(CONTENT_TYPE).and_then(|t| t.to_str().ok()).is_some_and(|t| t.starts_with("application/json"));
    if !json {
        let what = "send a JSON object with Content-Type: application/json";
        return Err(Answer::error(StatusCode::UNSUPPORTED_MEDIA_TYPE, what));
    }
    let collected = tokio::time::timeout(COMMAND_TIME_MAX, Limited::new(body, COMMAND_BYTES_MAX).collect()).await;
    let content: Bytes = match collected {
        Ok(Ok(content)) => content.to_bytes(),
        Ok(Err(_)) => return Err(Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "the object is cut off or too large")),
        Err(_) => return Err(Answer::error(StatusCode::REQUEST_TIMEOUT, "the object did not come in time")),
    };
    serde_json::from_slice(&content).map_err(|e| Answer::error(StatusCode::BAD_REQUEST, &format!("not a command: {e}")))
}

async fn resnapshot(levers: &Levers, selection: &Selection) -> Result<Vec<Effect>, ControlError> {
    if selection.tables.is_empty() {
        return Err(ControlError::Nothing);
    }
    let config = levers.config();
    let known: Vec<_> = config.source.iter().map(|s| s.shard()).collect();
    let named = |name: &String| {
        known.iter().find(|s| s.as_str() == name).cloned().ok_or_else(|| command::no_shard(name, known.iter()))
    };
    let shards = match selection.shards.as_slice() {
        [] => known.clone(),
        names => names.iter().map(named).collect::<Result<_, _>>()?,
    };
    request::snapshots(&config, &shards, &selection.tables).await?;
    let effect =
        |pattern: &Pattern| Effect { what: format!("tables {pattern}"), done: "are read anew", tables: Vec::new() };
    Ok(selection.tables.iter().map(effect).collect())
}

fn done(what: &'static str, effects: Vec<Effect>) -> Answer {
    Answer::json(StatusCode::OK, &Done { done: what, effects })
}

/// A configuration that does not pass.
fn refused(problems: &Problems) -> Answer {
    Answer::error(StatusCode::UNPROCESSABLE_ENTITY, &mask_urls(&problems.to_string()))
}

fn failed(error: &ControlError) -> Answer {
    let status = match error {
        ControlError::Store(_) | ControlError::Shards(_) | ControlError::Unreachable(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ControlError::NoShard { .. } | ControlError::NoTable { .. } => StatusCode::NOT_FOUND,
        ControlError::NotPaused { .. } => StatusCode::CONFLICT,
        ControlError::Nothing => StatusCode::BAD_REQUEST,
    };
    Answer::error(status, &mask_urls(&chain(error)))
}
