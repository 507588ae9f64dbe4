//! Giving up a shard's place in the binlog, where the source no longer has what is next.
//!
//! All that is done is one entry without a position, by the log's rules: it continues the log, its numbers go on, and it makes
//! whoever still writes the log stop. The next session then finds a log that knows tables and no place, takes a new one and
//! reads the tables anew, as it does when a source that was asked is followed from now on (`extract/decoder/anew.rs`). So a
//! command that breaks off has done nothing or all of it, and appliers go on as ever.

use std::sync::Arc;

use rand::Rng as _;

use super::{open, status};
use crate::{
    config::{Config, Source, StartPoint as Configured},
    lake::{
        LogWriter, OpenOptions, StoreError, SystemClock, WriterId,
        log::{Draft, LogError, read_head},
    },
    model::{Position, Shard},
    source::mysql::{
        connect::ConnectError,
        start::{self, StartError, StartPoint},
    },
};

/// What was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reanchored {
    /// The shard.
    pub shard: Shard,
    /// Number of the entry that says so.
    pub entry: u64,
    /// Where the log stood, in the source's terms.
    pub position: String,
    /// Source tables that the log knows.
    pub tables: usize,
    /// Why the source could not go on from there; `None` where it could.
    pub reason: Option<String>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum ReanchorError {
    /// The lake.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The shard's log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The source cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The source could not be asked.
    #[error(transparent)]
    Start(StartError),
    /// The binlog is not what the shard is read from.
    #[error("the binlog of shard {0} is not followed, so there is no place in it to give up")]
    NotFollowed(Shard),
    /// There is no log.
    #[error("shard {0} has no log yet; its first session begins one")]
    NoLog(Shard),
    /// It was done already.
    #[error("shard {0} begins anew with its next session already")]
    Already(Shard),
    /// The new place would not be one where snapshots can begin.
    #[error("shard {shard} has start = \"{start}\", and only start = \"snapshot\" reads all tables anew")]
    OtherStart {
        /// The shard.
        shard: Shard,
        /// What is configured.
        start: String,
    },
    /// The source can go on.
    #[error("the source of shard {shard} still has everything behind {position}: there is nothing to give up")]
    NotNeeded {
        /// The shard.
        shard: Shard,
        /// Where the log stands.
        position: String,
    },
}

/// Gives up the place of `source`'s log. With `anyway` also where the source could go on from it.
///
/// # Errors
/// When it is not needed, and when the lake or the source does not answer. Then nothing was written.
pub async fn reanchor(
    config: &Config,
    source: &Source,
    hostname: &str,
    (anyway, take_over): (bool, bool),
) -> Result<Reanchored, ReanchorError> {
    let shard = source.shard();
    if config.polls(source).is_some() {
        return Err(ReanchorError::NotFollowed(shard));
    }
    if source.start != Configured::Snapshot {
        return Err(ReanchorError::OtherStart { shard, start: source.start.to_string() });
    }
    let store = open::store(config).await?;
    let Some(head) = read_head(&*store, &shard).await? else { return Err(ReanchorError::NoLog(shard)) };
    let stands = &head.newest.entry.position;
    if stands.gtid_set.is_none() && stands.file.is_none() {
        return Err(ReanchorError::Already(shard));
    }
    let position = status::place(stands);
    let reason = why_not(source, stands).await?;
    if reason.is_none() && !anyway {
        return Err(ReanchorError::NotNeeded { shard, position });
    }
    let options = OpenOptions {
        writer: WriterId { name: open::writer_name(config, hostname), nonce: rand::rng().random() },
        take_over,
        config: config.digest(),
        watch: OpenOptions::WATCH,
    };
    let mut log = LogWriter::open(store, Arc::new(SystemClock::new()), shard.clone(), options).await?;
    let tables = log.catalog().origins.len();
    let draft = Draft {
        next_seq: log.next_seq(),
        position: Position::default(),
        committed_at: None,
        // What was prepared is known to the source: committed, its rows are in the tables; undecided, nothing of it is visible yet.
        open_xa: Default::default(),
        steps: Vec::new(),
    };
    let entry = log.append(draft).await?.number;
    log.release().await?;
    Ok(Reanchored { shard, entry, position, tables, reason })
}

/// Why the source cannot go on from a position; `None` where it can.
async fn why_not(source: &Source, stands: &Position) -> Result<Option<String>, ReanchorError> {
    let mut conn = open::address(source).connect().await?;
    let resolved = start::resolve(&mut conn, &StartPoint::Resume(stands.clone())).await;
    // The server may have gone away already; nothing depends on a polite goodbye.
    let _ = conn.disconnect().await;
    match resolved {
        Ok(_) => Ok(None),
        Err(error @ StartError::Query(_)) => Err(ReanchorError::Start(error)),
        Err(error) => Ok(Some(crate::errors::chain(&error))),
    }
}
