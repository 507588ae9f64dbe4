//! What can go from a shard's log now, and what keeps the rest.

use std::collections::BTreeSet;

use super::{Facts, Gc, GcError, Hold, cut};
use crate::{
    lake::{
        consumers::Consumer,
        log::{LogEntry, LogError, newest_floor, read_entry, read_head},
        paths,
    },
    model::Origin,
};

/// What is to be kept beside what is needed.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Entries written since then stay, UTC microseconds; `None` keeps all.
    pub since: Option<i64>,
    /// Who applies the logs.
    pub consumers: &'a [Consumer],
    /// Groups that are configured.
    pub groups: &'a BTreeSet<String>,
}

/// What can go from a shard's log, and what cannot.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The oldest entry that is kept.
    pub floor: u64,
    /// Whether what lies below the floor may be deleted: it was raised long enough ago.
    pub due: bool,
    /// From when on it may, UTC microseconds; `None` before the first `gc`.
    pub due_at: Option<i64>,
    /// To where the floor may be raised; no higher than it is where nothing more can go.
    pub next: u64,
    /// The newest entry.
    pub head: u64,
    /// When the oldest kept entry was written, UTC microseconds.
    pub oldest_at: i64,
    /// What keeps entries, the strictest first.
    pub holds: Vec<Hold>,
    /// Files of XA transactions that are undecided at the floor.
    pub(super) keeps: BTreeSet<String>,
    /// The entry at the floor.
    pub(super) first: LogEntry,
}

impl Outlook {
    /// What keeps entries that could go but for it, the strictest first.
    pub fn blocks(&self) -> impl Iterator<Item = &Hold> {
        let usual = self.usual();
        self.holds.iter().filter(move |hold| !hold.by.is_usual() && hold.from < usual)
    }

    /// Entries that are older than the retention and kept because somebody needs them.
    pub fn blocked(&self) -> u64 {
        self.blocks().next().map_or(0, |hold| self.usual() - hold.from)
    }

    /// To where the floor could rise if nobody needed anything.
    fn usual(&self) -> u64 {
        self.holds.iter().filter(|hold| hold.by.is_usual()).map(|hold| hold.from).min().unwrap_or(self.floor)
    }
}

impl Gc {
    /// Finds out what can go; `None` where the shard has no log. Reads some dozens of small objects.
    ///
    /// # Errors
    /// When the lake fails or the log is damaged.
    pub async fn look(&self, wanted: &Wanted<'_>) -> Result<Option<Outlook>, GcError> {
        let Some(head) = read_head(&*self.store, &self.shard).await? else { return Ok(None) };
        let newest = &head.newest.entry;
        let raised = newest_floor(&*self.store, &self.shard).await?;
        let floor = raised.as_ref().map_or(1, |raised| raised.first);
        let first = self.entry(floor).await?;
        let young = match wanted.since {
            Some(since) => Some(self.first_where(floor, newest.number, |e| e.entry.written_at >= since).await?),
            None => None,
        };
        // The oldest holds back whatever the others do: numbers ascend along the log.
        let begun = head.catalog.origins.iter().filter_map(|(origin, known)| Some((known.snapshot?, origin)));
        let snapshot = match begun.min() {
            Some((seq, origin)) => {
                Some((origin.clone(), self.first_where(floor, newest.number, |e| e.entry.next_seq > seq).await?))
            }
            None => None,
        };
        let facts = Facts {
            shard: &self.shard,
            log_id: &newest.log_id,
            floor,
            catalog_at: newest.catalog_at,
            young,
            snapshot: snapshot.as_ref(),
            consumers: wanted.consumers,
            groups: wanted.groups,
        };
        let (at_most, holds) = cut(&facts);
        let due_at = raised.map(|raised| raised.raised_at.saturating_add(micros(self.wait)));
        Ok(Some(Outlook {
            floor,
            due: due_at.is_some_and(|at| self.clock.unix_micros() >= at),
            due_at,
            // An entry that carries the catalog, at or in front of that one.
            next: self.entry(at_most).await?.entry.catalog_at.max(floor),
            head: newest.number,
            oldest_at: first.entry.written_at,
            holds,
            keeps: first.entry.open_xa.values().flatten().map(|file| file.path.clone()).collect(),
            first,
        }))
    }

    /// An entry that must be there.
    pub(super) async fn entry(&self, number: u64) -> Result<LogEntry, GcError> {
        let found = read_entry(&*self.store, &self.shard, number).await?;
        let lost = || LogError::Damaged {
            path: paths::entry(&self.shard, number),
            problem: "it is not there, although older and newer ones are, or another gc has just removed it".into(),
        };
        Ok(found.ok_or_else(lost)?)
    }

    /// The first of the entries `low..=high` for which something is true that stays true behind it; `high + 1` where it is of
    /// none. Twenty requests in a log of a million entries.
    async fn first_where(&self, low: u64, high: u64, is: impl Fn(&LogEntry) -> bool) -> Result<u64, GcError> {
        let (mut low, mut high) = (low, high.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if is(&self.entry(middle).await?) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// Origins that the log knew behind the entry at `number`, which carries the catalog.
    pub(super) async fn origins_at(&self, number: u64) -> Result<BTreeSet<Origin>, GcError> {
        let catalog = self.entry(number).await?.entry.catalog.unwrap_or_default();
        Ok(catalog.origins.into_keys().collect())
    }
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
