//! Tables without a key: their targets are histories, to which every change is appended.
//!
//! # Why the history adds up
//! A row without a key replaces no other, so nothing mends what is taken twice: a change must be in the snapshot's rows or come by
//! the stream, and not both. The rows are therefore read in one view whose place among the transactions is known
//! ([`ViewPlace`]). It is opened while the stream waits, where everything that the stream has delivered is in the view; the
//! snapshot's number S is taken there, and its end is a floor at S, so what was delivered before is void. Of what comes behind,
//! transactions that the view has are passed over, all others are appended. Where a commit was under way while the view was
//! opened, nobody can say; when such a transaction turns out to have touched the table, the snapshot begins anew with another
//! view. An interrupted snapshot begins anew too: its view is gone, and the floor of the next one voids its rows. Appliers take rows,
//! floor and the changes between in one transaction, so a repetition finds all of them or none.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Decoder, rows::add_key};
use crate::{
    backoff::Backoff,
    config::NoKey,
    decode::Plan,
    metrics::{ErrorKind, Stage},
    pipeline::extract::{
        ExtractError,
        decoder::snapshot::{Running, Snapshots},
        snapshot::{readers::Reader, table::Way},
    },
    source::mysql::{
        gtid::Executed,
        snapshot::SnapshotError,
        start::{Seen, ViewPlace},
    },
};

/// Longest time that the stream waits for a view to be opened.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// Tables whose reading was interrupted, with when to try again.
#[derive(Debug, Default)]
pub(super) struct Retries(BTreeMap<usize, (Backoff, Instant)>);

impl Retries {
    /// Whether it is too early to read the table again.
    pub(super) fn is_early(&self, i: usize) -> bool {
        self.0.get(&i).is_some_and(|(_, due)| *due > Instant::now())
    }

    /// The table was read.
    pub(super) fn forget(&mut self, i: usize) {
        self.0.remove(&i);
    }
}

impl Snapshots {
    /// Whether the stream has not passed all views yet.
    pub(super) fn has_views(&self) -> bool {
        self.state.running.values().any(|running| running.view.is_some())
    }
}

impl Decoder {
    /// Whether rows of the table can be copied: they have a key, or may be appended. Parks the table where they may not.
    pub(super) fn has_identity(&mut self, i: usize, plan: &Plan) -> bool {
        let appends = !plan.has_key();
        // Rounds for what is new walk the key.
        if appends && (self.tables[i].rule.no_key == NoKey::Park || self.way_of(i) == Way::Chunks) {
            self.park_without_key(i);
            return false;
        }
        if std::mem::replace(&mut self.tables[i].appends, appends) != appends && appends {
            let origin = &self.tables[i].origin;
            let mend = add_key(origin);
            tracing::warn!(%origin, mend, "the table has no key: every change of it is appended to its target as a row");
        }
        true
    }

    /// Opens the view of a table's snapshot. `None` where the snapshot cannot begin now: the table is wanted again, or parked.
    pub(super) fn open_history(
        &mut self,
        i: usize,
        executed: &Executed,
    ) -> Result<Option<(Reader, ViewPlace)>, ExtractError> {
        let readers = std::sync::Arc::clone(&self.snapshots.readers);
        let opening = async {
            let Some(mut reader) = readers.take_now().await? else { return Ok(None) };
            let place = reader.session.begin_placed_view().await?;
            Ok::<_, SnapshotError>(Some((reader, place)))
        };
        let opened = self.runtime.block_on(async { tokio::time::timeout(OPEN_MAX, opening).await });
        let again = match opened {
            Ok(Ok(Some((reader, Some(place))))) if place.has_all(executed) => return Ok(Some((reader, place))),
            Ok(Ok(Some((_, Some(_))))) => {
                Some("it was opened on a server that is behind the one that is followed".to_owned())
            }
            Ok(Ok(Some((_, None)))) => {
                let mend = add_key(&self.tables[i].origin);
                let reason = format!(
                    "it has no key, and a source without GTIDs cannot say which changes its rows have already; set \
                     gtid_mode = ON, or {mend}; then take a snapshot of it"
                );
                self.park(i, reason);
                return Ok(None);
            }
            // Other tables are being read.
            Ok(Ok(None)) => None,
            Ok(Err(error)) => Some(crate::errors::chain(&error)),
            Err(_) => Some(format!("no answer within {} s", OPEN_MAX.as_secs())),
        };
        if let Some(error) = again {
            self.process.error(Stage::Source, ErrorKind::Transient);
            let origin = &self.tables[i].origin;
            tracing::warn!(%origin, error, "no view of the table could be opened; trying again");
        }
        self.snapshots.state.wanted.insert(i);
        Ok(None)
    }

    /// The one view was lost before all rows were read.
    pub(super) fn history_failed(&mut self, i: usize, error: ExtractError) -> Result<(), ExtractError> {
        let patience = self.snapshots.patience;
        let retries = &mut self.snapshots.state.retries.0;
        let (backoff, due) = retries.entry(i).or_insert_with(|| (Backoff::new(patience), Instant::now()));
        let Some(pause) = backoff.next() else { return Err(error) };
        *due = Instant::now() + pause;
        self.process.error(Stage::Source, ErrorKind::Transient);
        self.process.retry(Stage::Source, ErrorKind::Transient);
        let (origin, error) = (&self.tables[i].origin, crate::errors::chain(&error));
        tracing::warn!(%origin, error, ?pause, "reading a table without a key was interrupted; it begins anew");
        self.snapshots.state.wanted.insert(i);
        Ok(())
    }

    /// Between transactions: forgets views that the stream has passed.
    pub(super) fn pass_views(&mut self, executed: &Executed) {
        for running in self.snapshots.state.running.values_mut() {
            running.view.take_if(|place| place.is_passed(executed));
        }
    }

    /// Whether rows of the current transaction are to be appended: not where the table's view has them.
    pub(super) fn is_news(&mut self, i: usize) -> bool {
        let view = self.snapshots.state.running.get(&i).and_then(|running| running.view.as_ref());
        let Some((view, transaction)) = view.zip(self.transaction.as_ref()) else { return true };
        let seen = match transaction.xa {
            // Its commit may come later.
            Some(_) => Seen::Unsure,
            None => view.has(transaction.gtid.as_ref()),
        };
        if seen == Seen::Unsure {
            self.doubt_view(i);
        }
        seen != Seen::Yes
    }

    fn doubt_view(&mut self, i: usize) {
        let origin = &self.tables[i].origin;
        tracing::info!(%origin, "the table was written to while its view was opened; its snapshot begins anew");
        self.give_up_snapshot(i);
        self.snapshots.state.wanted.insert(i);
    }

    /// Something happened of which no view's place tells.
    pub(super) fn doubt_all_views(&mut self) {
        let has_view = |(i, running): (&usize, &Running)| running.view.is_some().then_some(*i);
        let doubtful: Vec<usize> = self.snapshots.state.running.iter().filter_map(has_view).collect();
        doubtful.into_iter().for_each(|i| self.doubt_view(i));
    }

    /// A connection stands to this server: names of transactions of others say nothing of its views.
    pub(super) fn other_server(&mut self, server_uuid: Option<&String>) {
        let views = self.snapshots.state.running.iter().filter_map(|(i, running)| Some((*i, running.view.as_ref()?)));
        let others: Vec<usize> = views.filter(|(_, view)| !view.is_of(server_uuid)).map(|(i, _)| i).collect();
        others.into_iter().for_each(|i| self.doubt_view(i));
    }
}
