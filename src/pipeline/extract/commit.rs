//! The committer: waits for a cut's files, then appends the entry. Cuts are committed in the order they were made.

use std::collections::BTreeMap;

use tokio::{sync::mpsc, task::JoinHandle};
use tracing::Instrument as _;

use super::{
    Extract, ExtractError,
    cut::{After, Cut, Pending},
    files::FileMaker,
    xa,
};
use crate::{
    backoff::Backoff,
    lake::{Draft, LogWriter, Schemas},
    live::LiveShard,
    metrics::{ErrorKind, ShardMetrics, Stage},
    model::{FileStep, Step},
    spans,
};

/// Where it is told what was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notes<'a> {
    pub(super) metrics: &'a ShardMetrics,
    pub(super) live: &'a LiveShard,
}

/// Commits cuts until the channel closes.
///
/// Uploads of later cuts go on while an earlier one is committed; only the appends are serial.
///
/// # Errors
/// The first file that cannot be stored or entry that cannot be appended ends the session.
pub(super) async fn commit_cuts(
    log: &mut LogWriter,
    mut cuts: mpsc::Receiver<Cut>,
    files: &FileMaker,
    extract: &Extract,
    notes: Notes<'_>,
    backoff: &mut Backoff,
) -> Result<(), ExtractError> {
    let (schemas, metrics) = (&*extract.schemas, notes.metrics);
    let mut open_xa = log.open_xa().clone();
    while let Some(cut) = cuts.recv().await {
        metrics.queued_cuts(cuts.len());
        let mut steps = Vec::with_capacity(cut.steps.len());
        for pending in cut.steps {
            resolve(pending, &mut steps, &mut open_xa, files, schemas).await?;
        }
        count_files(extract, metrics, &steps);
        let files_of = || steps.iter().filter_map(|s| if let Step::File(f) = s { Some(f) } else { None });
        let (count, rows) = (files_of().count() as u64, files_of().map(|f| f.rows).sum());
        let bytes = files_of().map(|f| f.bytes).sum();
        let covered = cut.committed_at.map_or(0, |(_, latest)| latest);
        let (position, told) = (cut.position.clone(), steps.iter().filter(|s| !matches!(s, Step::File(_))));
        let told: Vec<Step> = told.cloned().collect();
        let span = spans::entry(log.number() + 1, log.next_seq());
        let appended = log.append(Draft {
            next_seq: cut.next_seq,
            position: cut.position,
            committed_at: cut.committed_at,
            open_xa: open_xa.clone(),
            steps,
        });
        let appended = appended.instrument(span.clone()).await?;
        notes.live.committed(appended.number, appended.written_at, &position, &told);
        conclude(files, cut.after).instrument(span).await;
        metrics.stored(count, rows, bytes, covered);
        let stale = log.catalog().origins.values().filter(|known| known.needs_snapshot.is_some());
        metrics.stale(stale.count() as u64);
        backoff.reset();
        extract.stored.notify_waiters();
    }
    Ok(())
}

/// Counts the files that an entry is about to name.
fn count_files(extract: &Extract, metrics: &ShardMetrics, steps: &[Step]) {
    let now = extract.clock.unix_micros();
    for step in steps {
        let Step::File(file) = step else { continue };
        metrics.stored_file(file.rows, file.bytes);
        if let Some(rule) = extract.rules.resolve(&file.origin.database, &file.origin.table) {
            extract.metrics.target_stored(&rule.group, &file.target, now);
        }
    }
}

/// What a committed entry entails. The log is the truth: what fails here is done again by a later session.
async fn conclude(files: &FileMaker, after: Vec<After>) {
    let store = &*files.store;
    for step in after {
        let (path, done) = match step {
            After::Put(path, content) => {
                let done = store.put(&path, content.into()).await;
                (path, done)
            }
            After::Delete(path) => {
                let done = store.delete(&path).await;
                (path, done)
            }
        };
        if let Err(error) = done {
            files.metrics.error(Stage::Lake, ErrorKind::Transient);
            tracing::warn!(%path, error = crate::errors::chain(&error), "a small object of the lake was not brought up to date; some work may be done twice");
        }
    }
}

async fn resolve(
    pending: Pending,
    steps: &mut Vec<Step>,
    open_xa: &mut BTreeMap<String, Vec<FileStep>>,
    files: &FileMaker,
    schemas: &Schemas,
) -> Result<(), ExtractError> {
    match pending {
        Pending::Ready(step) => steps.push(*step),
        Pending::File(handle) => steps.push(Step::File(finished(handle).await?)),
        Pending::XaPrepared { xid, files: handles } => {
            let mut prepared = Vec::with_capacity(handles.len());
            for handle in handles {
                prepared.push(finished(handle).await?);
            }
            open_xa.insert(xid, prepared);
        }
        Pending::XaCommitted { xid, base, committed_at } => {
            for file in open_xa.remove(&xid).unwrap_or_default() {
                steps.push(Step::File(xa::renumber(files, schemas, file, base, committed_at).await?));
            }
        }
        Pending::XaRolledBack { xid } => {
            open_xa.remove(&xid);
        }
    }
    Ok(())
}

async fn finished(handle: JoinHandle<Result<FileStep, ExtractError>>) -> Result<FileStep, ExtractError> {
    handle.await.map_err(|e| ExtractError::Panicked { what: "making a file".into(), cause: e.to_string() })?
}
