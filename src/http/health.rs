//! Whether the process is alive, and whether it is ready.
//!
//! **Alive** is what a restart could mend, and nothing else: a decode thread that works on one batch for ten minutes, or timers
//! that stand still. A source, a lake or a warehouse that is away is retried for as long as it takes; restarting the process
//! would only make it do that from the beginning. So an orchestrator's liveness probe never kills extractors because a
//! warehouse is resized.
//!
//! **Ready** is what people and dashboards want to know: every shard of this process follows its source with its log claimed,
//! every group has its session, and nothing lags by more than `http.ready_lag`. Each condition that fails says what to do.

use std::time::Duration;

use hyper::{StatusCode, header::HeaderMap};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    answer::{Answer, wants_json},
    route::Site,
};
use crate::{
    live::{Course, Phase},
    progress::ShardProgress,
};

/// How long timers may stand still. A machine that is out of memory or CPU delays them by seconds.
const TIMERS_MAX: Duration = Duration::from_secs(60);

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The process as a whole.
    Process,
    /// A shard that it extracts.
    Shard,
    /// A group that it applies.
    Group,
}

/// One condition of being alive or ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Condition {
    /// What it is about.
    pub about: About,
    /// Name of the shard or group; empty for the process.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the operator does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Condition {
    fn ok(about: About, name: &str) -> Self {
        Self { about, name: name.to_owned(), ok: true, reason: None, mend: None }
    }

    fn failed(about: About, name: &str, reason: String, mend: &str) -> Self {
        Self { about, name: name.to_owned(), ok: false, reason: Some(reason), mend: Some(mend.to_owned()) }
    }
}

/// The answer of a probe.
#[derive(Debug, Serialize)]
struct Probe<'a> {
    ok: bool,
    conditions: &'a [Condition],
}

/// 200 where all conditions hold, 503 otherwise; as JSON where that is asked for, else one line per condition that fails.
pub(super) fn answer(conditions: &[Condition], asked: &HeaderMap) -> Answer {
    let failed: Vec<&Condition> = conditions.iter().filter(|c| !c.ok).collect();
    let status = if failed.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if wants_json(asked) {
        return Answer::json(status, &Probe { ok: failed.is_empty(), conditions });
    }
    let line = |c: &&Condition| {
        let who = match c.about {
            About::Process => "process".to_owned(),
            About::Shard => format!("shard {}", c.name),
            About::Group => format!("group {}", c.name),
        };
        format!("{who}: {}; {}\n", c.reason.as_deref().unwrap_or_default(), c.mend.as_deref().unwrap_or_default())
    };
    let text = failed.iter().map(line).collect::<String>();
    Answer::text(status, if text.is_empty() { "ok\n".to_owned() } else { text })
}

/// Conditions of being alive at `now`, UTC microseconds.
pub(super) fn alive(site: &Site, now: i64) -> Vec<Condition> {
    let live = site.metrics.live();
    let stood = Duration::from_micros(u64::try_from(now - site.history.looked_at()).unwrap_or_default());
    let mut conditions = vec![match stood > TIMERS_MAX {
        true => Condition::failed(
            About::Process,
            "",
            format!("its timers have stood still for {}", text(stood)),
            "restart it; nothing is lost, what was not committed is read again",
        ),
        false => Condition::ok(About::Process, ""),
    }];
    conditions.extend(live.shards().iter().filter(|(_, shard)| shard.view().extracts).map(|(name, shard)| {
        match shard.stuck(now) {
            Some(working) => Condition::failed(
                About::Shard,
                name.as_str(),
                format!("its decode thread has worked on one batch of events for {}", text(working)),
                "restart the process and report this as a defect; nothing is lost, the shard resumes from its log",
            ),
            None => Condition::ok(About::Shard, name.as_str()),
        }
    }));
    conditions
}

/// Conditions of being ready at `now`, UTC microseconds.
pub(super) fn ready(site: &Site, now: i64) -> Vec<Condition> {
    let live = site.metrics.live();
    let figures = site.metrics.snapshot(now).shards;
    let mut conditions = Vec::new();
    for (name, shard) in live.shards() {
        let view = shard.view();
        if view.extracts {
            let figures = figures.iter().find(|s| s.shard == name.as_str());
            conditions.push(of_shard(name.as_str(), &view.course, view.claimed, figures, site.ready_lag));
        }
    }
    for (name, group) in live.groups() {
        let view = group.view();
        conditions.push(of_group(&name, &view.course, site.metrics.group_lag(&name, now), site.ready_lag));
    }
    if conditions.is_empty() {
        let reason = "nothing has been started yet".to_owned();
        conditions.push(Condition::failed(About::Process, "", reason, "wait: the lake is being opened"));
    }
    conditions
}

fn of_shard(
    name: &str,
    course: &Course,
    claimed: bool,
    figures: Option<&ShardProgress>,
    ready_lag: Duration,
) -> Condition {
    let failed = |reason, mend| Condition::failed(About::Shard, name, reason, mend);
    if let Some(condition) = of_course(About::Shard, name, course) {
        return condition;
    }
    if !claimed {
        let mend = "wait; another extractor of the shard may be finishing. `tailwater status` names the log's writer";
        return failed("its log is not claimed".to_owned(), mend);
    }
    if !figures.is_some_and(|f| f.connected) {
        let mend = "see whether its MySQL server is up and reachable; the connection is tried again by itself";
        let last = course.trouble.as_ref().map(|t| format!(": {}", t.error)).unwrap_or_default();
        return failed(format!("it is not connected to its source{last}"), mend);
    }
    let lag = figures.and_then(|f| f.lag_read_seconds.map(|read| read + f.lag_stored_seconds.unwrap_or_default()));
    // Where tables are read again and again, the pause between two rounds is no delay.
    let by_choice = figures.and_then(|f| f.asked_every_seconds).unwrap_or_default();
    match lag.filter(|lag| *lag > ready_lag.as_secs_f64() + by_choice) {
        Some(lag) => failed(
            format!("what its source commits is in the lake after {}, more than http.ready_lag", seconds(lag)),
            "see whether it catches up; the page at / shows its rates. A shard that began late is as far behind as it began",
        ),
        None => Condition::ok(About::Shard, name),
    }
}

fn of_group(name: &str, course: &Course, worst: Option<(String, f64)>, ready_lag: Duration) -> Condition {
    if let Some(condition) = of_course(About::Group, name, course) {
        return condition;
    }
    match worst.filter(|(_, lag)| *lag > ready_lag.as_secs_f64()) {
        Some((shard, lag)) => Condition::failed(
            About::Group,
            name,
            format!("what is in the lake of shard {shard} is visible after {}, more than http.ready_lag", seconds(lag)),
            "see how long its merges take at /api/status, and what else the warehouse is busy with",
        ),
        None => Condition::ok(About::Group, name),
    }
}

/// What a phase other than working fails by.
fn of_course(about: About, name: &str, course: &Course) -> Option<Condition> {
    let last = || course.trouble.as_ref().map(|t| format!(": {}", t.error)).unwrap_or_default();
    let (reason, mend) = match (course.phase, about) {
        (Phase::Running, _) => return None,
        (Phase::Starting, _) => ("it has not begun".to_owned(), "wait a moment"),
        (Phase::Connecting, About::Group) => (
            format!("its session is not open{}", last()),
            "see whether the warehouse is up and reachable; it is tried again by itself",
        ),
        (Phase::Connecting, _) => (
            format!("it is connecting to its source{}", last()),
            "see whether its MySQL server is up and reachable; it is tried again by itself",
        ),
        (Phase::Claiming, About::Group) => (
            "it waits for another applier of the group to fall silent".to_owned(),
            "stop the other process, or wait: one that crashed is silent after 15 s or three ticks",
        ),
        (Phase::Claiming, _) => (
            "it waits for another writer of its log to fall silent".to_owned(),
            "stop the other process, or wait: one that crashed is silent after 90 s",
        ),
        (Phase::Retrying, About::Group) => (
            format!("applying failed{}", last()),
            "mend what the error names; it is tried again by itself, and extraction goes on meanwhile",
        ),
        (Phase::Retrying, _) => {
            (format!("extraction failed{}", last()), "mend what the error names; it is tried again by itself")
        }
        (Phase::Paused, _) => (
            "an operator paused it; its binlogs have to last until it is resumed".to_owned(),
            "run `tailwater resume` when it may go on",
        ),
        (Phase::Ended, _) => ("it has ended".to_owned(), "the process is about to end; see the end of its log"),
    };
    Some(Condition::failed(about, name, reason, mend))
}

fn text(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

fn seconds(lag: f64) -> String {
    // A lag is never negative, and one of centuries is a clock that is wrong.
    text(Duration::try_from_secs_f64(lag).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Trouble;

    fn course(phase: Phase) -> Course {
        let trouble = Some(Trouble { error: "cannot connect to MySQL at db:3306".to_owned(), at: 1, failures: 2 });
        Course { phase, since: 1, trouble }
    }

    #[test]
    fn every_phase_but_working_says_what_to_do() {
        for phase in [Phase::Starting, Phase::Connecting, Phase::Claiming, Phase::Retrying, Phase::Paused, Phase::Ended]
        {
            for about in [About::Shard, About::Group] {
                let condition = of_course(about, "s1", &course(phase));
                assert!(condition.is_some_and(|c| !c.ok && c.reason.is_some() && c.mend.is_some()), "{phase:?}");
            }
        }
        assert_eq!(of_course(About::Shard, "s1", &course(Phase::Running)), None);
    }

    #[test]
    fn a_shard_is_ready_when_it_is_connected_and_not_too_late() {
        let running = Course { phase: Phase::Running, ..Course::default() };
        let figures = |connected, lag| ShardProgress { connected, lag_read_seconds: Some(lag), ..Default::default() };
        let lag = Duration::from_secs(60);
        let ok = |claimed, f: &ShardProgress| of_shard("s1", &running, claimed, Some(f), lag).ok;
        assert!(ok(true, &figures(true, 59.0)));
        assert!(!ok(true, &figures(true, 61.0)) && !ok(true, &figures(false, 1.0)) && !ok(false, &figures(true, 1.0)));
        let asked = ShardProgress { asked_every_seconds: Some(3600.0), ..figures(true, 3659.0) };
        assert!(ok(true, &asked) && !ok(true, &ShardProgress { lag_read_seconds: Some(3661.0), ..asked }));
        let condition = of_group("main", &running, Some(("s1".to_owned(), 3700.0)), lag);
        assert!(condition.reason.is_some_and(|r| r.contains("shard s1") && r.contains("1h 1m 40s")));
    }

    #[test]
    fn a_probe_answers_in_text_and_in_json() {
        let bad = Condition::failed(About::Shard, "s1", "away".to_owned(), "start it");
        let json = HeaderMap::from_iter([(
            hyper::header::ACCEPT,
            hyper::header::HeaderValue::from_static("application/json"),
        )]);
        for (conditions, status) in
            [(vec![Condition::ok(About::Group, "main")], StatusCode::OK), (vec![bad], StatusCode::SERVICE_UNAVAILABLE)]
        {
            for asked in [&HeaderMap::new(), &json] {
                let response = answer(&conditions, asked).respond(&hyper::Method::GET, asked);
                assert_eq!(response.status(), status);
            }
        }
    }
}
