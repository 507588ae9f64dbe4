//! Following a shard's log.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use futures::future::try_join_all;

use super::{FLOOR_AGE_MAX, LogEntry, LogError, chain::Link, floor::read_floor, head::read_entry};
use crate::{
    lake::{Clock, Store, clock::Moment, paths},
    model::Shard,
};

/// Most entries that are asked for at once while catching up; one alone at the head, where asking costs money.
const READ_AHEAD_MAX: usize = 16;

/// Where reading begins.
#[derive(Clone, Debug)]
pub enum ReadFrom {
    /// At the oldest entry that is kept.
    Oldest,
    /// Behind an entry that was taken in before.
    After {
        /// Its number; 0 means nothing was.
        number: u64,
        /// Identity of the log it was in.
        log_id: String,
    },
}

/// Reads a log entry by entry and proves that each continues the one before.
#[derive(Debug)]
pub struct LogReader {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    shard: Shard,
    /// Number of the next entry.
    next: u64,
    /// The entry before it, where it is known.
    link: Option<Link>,
    log_id: Option<String>,
    ahead: VecDeque<Bytes>,
    width: usize,
    floor_read: Moment,
}

impl LogReader {
    /// A reader of `shard`'s log.
    ///
    /// # Errors
    /// [`LogError::Collected`] when entries behind `from` were removed; [`LogError::OtherLog`] when the log is not the
    /// one that `from` knows.
    pub async fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        shard: Shard,
        from: ReadFrom,
    ) -> Result<Self, LogError> {
        let floor_read = Moment::now(&*clock);
        let floor = read_floor(&*store, &shard).await?;
        let (next, log_id) = match from {
            ReadFrom::Oldest => (floor, None),
            ReadFrom::After { number, log_id } => (number.saturating_add(1), Some(log_id)),
        };
        if next < floor {
            return Err(LogError::Collected { shard, number: next, floor });
        }
        let mut link = None;
        if next > floor {
            let Some(before) = read_entry(&*store, &shard, next - 1).await? else {
                let problem = format!("entry {}, which was read before, is not in it", next - 1);
                return Err(LogError::OtherLog { shard, problem });
            };
            check_log_id(&before, log_id.as_deref())?;
            link = Some(before.link());
        }
        Ok(Self { store, clock, shard, next, link, log_id, ahead: VecDeque::new(), width: 1, floor_read })
    }

    /// Number of the entry that [`Self::next`] returns next.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// The next entry, or `None` when it does not exist yet. Ask again later: how often is the caller's.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`LogError::Store`] can be tried again. All others stay.
    pub async fn next(&mut self) -> Result<Option<LogEntry>, LogError> {
        if self.ahead.is_empty() {
            self.fill().await?;
        }
        let Some(bytes) = self.ahead.front() else { return Ok(None) };
        let entry = LogEntry::parse(&self.shard, self.next, bytes.clone())?;
        match &self.link {
            Some(link) => entry.check_follows(link)?,
            None => check_log_id(&entry, self.log_id.as_deref())?,
        }
        self.ahead.pop_front();
        self.link = Some(entry.link());
        self.next += 1;
        Ok(Some(entry))
    }

    /// Asks for the next entries at once, more of them as long as all are there.
    async fn fill(&mut self) -> Result<(), LogError> {
        if self.floor_read.elapsed(&*self.clock) > FLOOR_AGE_MAX {
            self.look_at_floor().await?;
        }
        let asked = (0..self.width as u64).map(|i| self.next.saturating_add(i));
        let asked: Vec<_> = asked.map(|n| paths::entry(&self.shard, n)).collect();
        let found = try_join_all(asked.iter().map(|path| self.store.get(path))).await?;
        // One created while we asked may stand behind one that was not there yet.
        let found: VecDeque<Bytes> = found.into_iter().map_while(|bytes| bytes).collect();
        if self.floor_read.elapsed(&*self.clock) > FLOOR_AGE_MAX || (found.is_empty() && self.link.is_none()) {
            // Either the requests took so long that what they found may lie below a raised floor by now, or nothing
            // was read yet and the first entry may have been removed since the floor was looked at.
            self.look_at_floor().await?;
        }
        self.width = if found.len() == asked.len() { (self.width * 2).min(READ_AHEAD_MAX) } else { 1 };
        self.ahead = found;
        Ok(())
    }

    async fn look_at_floor(&mut self) -> Result<(), LogError> {
        let looked = Moment::now(&*self.clock);
        let floor = read_floor(&*self.store, &self.shard).await?;
        self.floor_read = looked;
        if self.next < floor {
            return Err(LogError::Collected { shard: self.shard.clone(), number: self.next, floor });
        }
        Ok(())
    }
}

fn check_log_id(entry: &LogEntry, expected: Option<&str>) -> Result<(), LogError> {
    let found = &entry.entry.log_id;
    match expected {
        Some(expected) if expected != found => Err(LogError::OtherLog {
            shard: entry.entry.shard.clone(),
            problem: format!("its id is {found}, expected {expected}"),
        }),
        _ => Ok(()),
    }
}
