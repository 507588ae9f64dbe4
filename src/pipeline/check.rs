//! Everything that could keep a pipeline from running, asked of all servers at once. Changes nothing that stays.

mod unmatched;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::{
    open,
    status::{self, Groups},
};
use crate::{
    config::{Config, Source, TableMode},
    errors::chain,
    lake::{
        Store,
        log::{self, Head},
        proof,
    },
    model::{Finding, Severity, Shard},
    source::mysql::{
        catalog::ListedTable,
        preflight::{Asked, Server, preflight, preflight_asked},
        start::{self, StartError, StartPoint},
    },
};

/// Longest time for everything that is asked of one server, bucket or folder. A server with tens of thousands of tables
/// takes seconds to list them.
const ASKING_MAX: Duration = Duration::from_secs(60);

/// Sources that are asked together: bounds connections.
const TOGETHER: usize = 16;

const LAKE: &str = "lake";
const WAREHOUSE: &str = "warehouse";

/// What a source and its log say of each other.
struct Answer {
    shard: Shard,
    findings: Vec<Finding>,
    server: Option<Server>,
    server_id: u32,
    /// The captured tables that it has.
    tables: Vec<ListedTable>,
}

/// Asks sources, lake and warehouse. `hostname` is this machine's, which takes part in derived server ids.
pub async fn probe(config: &Config, hostname: &str) -> Vec<Finding> {
    let (lake, warehouse) =
        tokio::join!(in_time(LAKE, lake_findings(config)), in_time(WAREHOUSE, warehouse_findings(config)));
    let (mut lake_found, heads) = lake.unwrap_or_else(|late| (vec![late], Heads::new()));
    let (mut warehouse_found, groups) = warehouse.unwrap_or_else(|late| (vec![late], Groups::new()));
    let asking = config.source.iter().map(|source| {
        let head = heads.get(&source.shard());
        async move {
            let shard = source.shard();
            let server_id = open::identity(source, &config.pipeline, hostname).server_id;
            let subject = format!("shard {shard}");
            let asked = in_time(&subject, ask(config, source, server_id, head)).await;
            let (findings, server, tables) = asked.unwrap_or_else(|late| (vec![late], None, Vec::new()));
            Answer { shard, findings, server, server_id, tables }
        }
    });
    let mut asked: Vec<Answer> = stream::iter(asking).buffered(TOGETHER).collect().await;
    clashes(&mut asked);
    strangers(config, &heads, &mut lake_found);
    warehouse_found.extend(fit(&heads, &groups));
    // A source that did not answer may have the tables.
    let all = !asked.is_empty() && asked.iter().all(|a| a.server.is_some());
    let tables: Vec<ListedTable> = asked.iter_mut().flat_map(|a| std::mem::take(&mut a.tables)).collect();
    let mut findings: Vec<Finding> = asked.into_iter().flat_map(|a| a.findings).collect();
    if all {
        findings.extend(unmatched::unmatched(config, &tables));
    }
    findings.append(&mut lake_found);
    findings.append(&mut warehouse_found);
    findings
}

/// An answer in time, or the finding that there was none.
async fn in_time<T>(subject: &str, answer: impl Future<Output = T>) -> Result<T, Finding> {
    let late = |_| {
        let what = format!("no answer within {} s", ASKING_MAX.as_secs());
        Finding::problem(subject, what, "look at its load and at the network between, and run the check again")
    };
    timeout(ASKING_MAX, answer).await.map_err(late)
}

type Heads = BTreeMap<Shard, Head>;

/// Whether the lake can be written, keeps its promise, and what logs it has.
async fn lake_findings(config: &Config) -> (Vec<Finding>, Heads) {
    let mut findings = Vec::new();
    let store = match open::store(config).await {
        Ok(store) => store,
        Err(e) => {
            findings.push(Finding::problem(
                LAKE,
                chain(&e),
                "make the place writable for this user, or name another one",
            ));
            return (findings, Heads::new());
        }
    };
    let nonce = format!("{:016x}", rand::random::<u64>());
    match proof::prove_create_if_absent(&*store, &nonce).await {
        Ok(()) => {
            findings.push(Finding::ok(LAKE, format!("{} is writable and creates objects if absent", store.describe())))
        }
        Err(e) => {
            let mend =
                e.mend.clone().unwrap_or_else(|| "give this user the right to read, write, list and delete".to_owned());
            findings.push(Finding::problem(LAKE, chain(&e), mend));
        }
    }
    let heads = logs(&store, &mut findings).await;
    (findings, heads)
}

async fn logs(store: &Arc<dyn Store>, findings: &mut Vec<Finding>) -> Heads {
    const MEND: &str = "restore the objects from a version or a copy of the lake";
    let shards = match log::shards(&**store).await {
        Ok(shards) => shards,
        Err(e) => {
            findings.push(Finding::problem(LAKE, chain(&e), "give this user the right to list and read"));
            return Heads::new();
        }
    };
    let mut heads = Heads::new();
    for (shard, head) in status::heads(&**store, &shards).await {
        match head {
            Ok(Some(head)) => drop(heads.insert(shard, head)),
            Ok(None) => {}
            Err(e) => {
                findings.push(Finding::problem(LAKE, format!("the log of shard {shard} cannot be read: {e}"), MEND))
            }
        }
    }
    if !heads.is_empty() {
        let names: Vec<String> =
            heads.iter().map(|(shard, h)| format!("{shard} ({})", h.newest.entry.number)).collect();
        findings.push(Finding::ok(LAKE, format!("logs and their entries: {}", names.join(", "))));
    }
    heads
}

/// Logs of shards that the configuration does not have: of another pipeline, or of a source that was renamed.
fn strangers(config: &Config, heads: &Heads, findings: &mut Vec<Finding>) {
    let configured: BTreeSet<Shard> = config.source.iter().map(Source::shard).collect();
    if configured.is_empty() {
        return;
    }
    let unknown: Vec<&str> = heads.keys().filter(|shard| !configured.contains(*shard)).map(Shard::as_str).collect();
    if !unknown.is_empty() {
        let (list, pipeline) = (unknown.join(", "), &config.pipeline);
        findings.push(Finding::warning(
            LAKE,
            format!("pipeline {pipeline:?} in this lake has logs of shards that are not configured here: {list}"),
            "right where another process extracts them; where the lake is another pipeline's, set pipeline to a name of its own; \
             where a source was renamed, give it its old name back",
        ));
    }
}

/// The preflight of a source, and whether it still has what must be read next.
async fn ask(
    config: &Config,
    source: &Source,
    server_id: u32,
    head: Option<&Head>,
) -> (Vec<Finding>, Option<Server>, Vec<ListedTable>) {
    let (shard, rules, address) = (source.shard(), config.table_rules(), open::address(source));
    if let Some(polls) = config.polls(source) {
        let asked = move |database: &str, table: &str| {
            let how = polls.of(&rules.resolve(database, table)?);
            let (incremental, cannot_see) = (how.mode == TableMode::Incremental, how.cannot_see());
            Some(Asked { incremental, updated_at: how.updated_at, cannot_see })
        };
        let found = preflight_asked(&shard, &address, &asked).await;
        return (found.findings, found.server, found.tables);
    }
    let captured = move |database: &str, table: &str| rules.resolve(database, table).is_some();
    let found = preflight(&shard, &address, server_id, &captured).await;
    let mut findings = found.findings;
    // What keeps the position from being looked up has been told.
    if found.server.is_some() && !findings.iter().any(|f| f.severity == Severity::Problem) {
        let position = head.map(|head| &head.newest.entry.position);
        let from = match position.filter(|p| p.gtid_set.is_some() || p.file.is_some()) {
            Some(position) => StartPoint::Resume(position.clone()),
            None => open::start(source),
        };
        let subject = format!("shard {shard}");
        findings.push(match begins(source, &from).await {
            Ok(()) if matches!(from, StartPoint::Resume(_)) => {
                Finding::ok(subject, "the source has everything behind the log's position")
            }
            Ok(()) => Finding::ok(subject, format!("a new log begins at {}", source.start)),
            Err(trouble) => trouble(subject),
        });
    }
    (findings, found.server, found.tables)
}

/// Whether reading can begin.
async fn begins(source: &Source, from: &StartPoint) -> Result<(), Box<dyn FnOnce(String) -> Finding + Send>> {
    let mut conn = match open::address(source).connect().await {
        Ok(conn) => conn,
        Err(e) => return Err(Box::new(move |subject| Finding::problem(subject, chain(&e), "run the check again"))),
    };
    let resolved = start::resolve(&mut conn, from).await;
    let _ = conn.disconnect().await;
    resolved.map(|_| ()).map_err(|e| -> Box<dyn FnOnce(String) -> Finding + Send> {
        let mend = match &e {
            StartError::Purged { .. } => {
                "keep binlogs for longer; then `tailwater reanchor` for this shard reads its tables anew"
            }
            StartError::Ahead { .. } | StartError::OtherServer { .. } => {
                "connect to the server that the log was read from, or to a replica of it; where it was replaced for good, \
                 `tailwater reanchor` for this shard reads its tables anew; where the lake is another pipeline's, set pipeline to a \
                 name of its own"
            }
            _ => "mend start of this source",
        };
        Box::new(move |subject| Finding::problem(subject, chain(&e), mend))
    })
}

/// One server under two names.
fn clashes(asked: &mut [Answer]) {
    let seen: Vec<_> = asked
        .iter()
        .map(|a| (a.shard.clone(), a.server.as_ref().and_then(|s| s.server_uuid.clone()), a.server_id))
        .collect();
    for (i, later) in asked.iter_mut().enumerate() {
        let Some((_, uuid @ Some(_), server_id)) = seen.get(i) else { continue };
        let Some((first, _, other_id)) = seen.iter().take(i).find(|(_, earlier, _)| earlier == uuid) else { continue };
        let subject = format!("shard {}", later.shard);
        later.findings.push(Finding::problem(
            &subject,
            format!("this is the server of shard {first} under another address"),
            "remove one of the two sources: every row would arrive twice, under two origins",
        ));
        if server_id == other_id {
            later.findings.push(Finding::problem(
                &subject,
                format!(
                    "server_id {server_id} is that of shard {first} on the same server: the two disconnect each other"
                ),
                "give each source a server_id of its own",
            ));
        }
    }
}

/// Whether the warehouse can be written, and how far each group is.
async fn warehouse_findings(config: &Config) -> (Vec<Finding>, Groups) {
    let Some(target) = &config.warehouse else { return (Vec::new(), Groups::new()) };
    // The lake's own check tells what is wrong with it.
    let store = open::store(config).await.ok();
    let warehouse = match open::warehouse(target, store.as_ref()) {
        Ok(warehouse) => warehouse,
        Err(e) => {
            return (vec![Finding::problem(WAREHOUSE, chain(&e), "mend lake.url or warehouse.url")], Groups::new());
        }
    };
    let found = warehouse.check().await;
    if !found.is_empty() {
        let problems = found.into_iter().map(|f| Finding::problem(WAREHOUSE, f.problem, f.mend));
        return (problems.collect(), Groups::new());
    }
    let mut findings = vec![Finding::ok(WAREHOUSE, format!("{} can be written", warehouse.describe()))];
    let groups = match status::groups(config).await {
        Ok(groups) => groups,
        Err(e) => {
            findings.push(Finding::problem(WAREHOUSE, e, "grant the rights that are named, and run the check again"));
            Groups::new()
        }
    };
    (findings, groups)
}

/// Whether what was applied came from the logs that the lake has.
fn fit(heads: &Heads, groups: &Groups) -> Vec<Finding> {
    const MEND: &str =
        "point to the lake that was applied before, or to a new warehouse (or schema) that is filled from this lake";
    let mut findings = Vec::new();
    for (group, state) in groups {
        for (shard, mark) in &state.watermarks {
            let what = match heads.get(shard) {
                None => format!("group {group} has applied shard {shard}, which has no log in this lake"),
                Some(head) if head.newest.entry.log_id != mark.log_id => {
                    format!(
                        "group {group} has applied another log of shard {shard} than the lake has: the lake was replaced"
                    )
                }
                Some(head) if status::applied(mark) > head.newest.entry.number => format!(
                    "group {group} has applied entry {} of shard {shard}, but the log ends at {}: the lake lost entries",
                    status::applied(mark),
                    head.newest.entry.number
                ),
                Some(_) => continue,
            };
            findings.push(Finding::problem(WAREHOUSE, what, MEND));
        }
        for (origin, exception) in &state.exceptions {
            let what = format!("group {group}: {origin} is behind since entry {}", exception.position.entry);
            findings.push(Finding::warning(WAREHOUSE, what, format!("mend and restart: {}", exception.reason)));
        }
    }
    if findings.is_empty() && !groups.is_empty() {
        findings.push(Finding::ok(WAREHOUSE, "watermarks belong to the logs of the lake"));
    }
    findings
}
