//! Deciding about rows that looked different, while both sides move.
//!
//! # The rule
//! A row is looked at in *rounds*. A round reads the row on the source, then names the source's present, waits until the warehouse
//! has everything up to it, and reads the row there. A row that is equal at any look is equal. A row is different when two
//! rounds in a row saw the same difference: the same content on the source, and in the warehouse the same content with the same
//! `_tw_seq`. What is left after [`ROUNDS_MAX`] rounds is in flight.
//!
//! # Why such a row is different
//! Let the warehouse show change k of the row in both rounds. The content that the first round saw on the source was made by some
//! change; when the second round names the present, that change is committed and counted for long. If it came behind k, the
//! warehouse, which has everything up to the second present, would show it or a later one, and not k again. So it is k, and the
//! warehouse shows k with another content than the source had: that is no lag. A row that the warehouse does not have carries no
//! seq: it might be deleted and inserted again, with the same content, just so that every look misses it. Three rounds are
//! asked for there.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    error::VerifyError,
    sides::{Follower, Side, SourceSide},
};
use crate::model::checksum::{Key, RowDigest};

/// Rounds after which a row that keeps changing is called in flight. Each costs a look at the rows that are left.
const ROUNDS_MAX: u32 = 6;

/// Waits of a settlement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How often the warehouse is asked how far it is.
    pub(super) poll: Duration,
    /// Shortest time between two rounds: far above what a source takes from showing a change to counting its GTID.
    pub(super) apart: Duration,
    /// Longest wait for the warehouse.
    pub(super) patience: Duration,
}

impl Pace {
    /// The usual pace.
    pub(super) fn new(patience: Duration) -> Self {
        Self { poll: Duration::from_millis(500), apart: Duration::from_secs(1), patience }
    }
}

/// What the warehouse shows of a row: its content and its seq.
pub(super) type Shown = Option<(u64, i64)>;

/// A row that looked different, and how it looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) key: Key,
    /// Index of the range in which it was met.
    pub(super) range: usize,
    pub(super) source: Option<u64>,
    pub(super) warehouse: Shown,
}

/// A suspect that is not decided about.
#[derive(Debug)]
struct Open {
    suspect: Suspect,
    /// How it looked at the end of the last round: on the source, and in the warehouse.
    before: Option<(Option<u64>, Shown)>,
    /// Rounds in a row that ended like the one before.
    same: u32,
}

/// What became of the suspects.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Different for sure.
    pub(super) different: Vec<Suspect>,
    /// Changed at every look.
    pub(super) in_flight: u64,
    /// Rows read from the source.
    pub(super) rows_read: u64,
}

/// Whether a row is the same on both sides. Where deletes are ignored, rows that the source lost stay in the warehouse.
pub(super) fn is_equal(source: Option<u64>, warehouse: Shown, extra_rows_stay: bool) -> bool {
    match (source, warehouse) {
        (None, None) => true,
        (None, Some(_)) => extra_rows_stay,
        (Some(content), shown) => shown.is_some_and(|(c, _)| c == content),
    }
}

/// Decides about the suspects.
pub(super) async fn settle<S: SourceSide, W: Side, F: Follower<Moment = S::Moment>>(
    source: &mut S,
    warehouse: &mut W,
    follower: &mut F,
    suspects: Vec<Suspect>,
    extra_rows_stay: bool,
    pace: Pace,
) -> Result<Settled, VerifyError> {
    let mut settled = Settled::default();
    let mut left: Vec<Open> = suspects.into_iter().map(|suspect| Open { suspect, before: None, same: 0 }).collect();
    for round in 0..ROUNDS_MAX {
        if left.is_empty() {
            return Ok(settled);
        }
        if round > 0 {
            sleep(pace.apart).await;
        }
        let keys: Vec<Key> = left.iter().map(|open| open.suspect.key.clone()).collect();
        let found = by_key(source.rows_of(&keys).await?);
        settled.rows_read += found.len() as u64;
        for Open { suspect, .. } in &mut left {
            suspect.source = found.get(&suspect.key).map(|row| row.content);
        }
        let moment = source.now().await?;
        follow(warehouse, follower, &moment, &mut left, extra_rows_stay, pace).await?;
        left.retain_mut(|Open { suspect, before, same }| {
            let now = (suspect.source, suspect.warehouse);
            *same = if *before == Some(now) { *same + 1 } else { 0 };
            *before = Some(now);
            let needed = if suspect.warehouse.is_some() { 1 } else { 2 };
            let sure = *same >= needed;
            if sure {
                settled.different.push(suspect.clone());
            }
            !sure
        });
    }
    settled.in_flight = left.len() as u64;
    Ok(settled)
}

/// Reads the rows in the warehouse until it has everything up to `moment`; those that become equal before are done with.
async fn follow<W: Side, F: Follower>(
    warehouse: &mut W,
    follower: &mut F,
    moment: &F::Moment,
    left: &mut Vec<Open>,
    extra_rows_stay: bool,
    pace: Pace,
) -> Result<(), VerifyError> {
    let began = Instant::now();
    loop {
        // Asked first, so that the last look is behind the moment.
        let last = follower.has(moment).await?;
        let keys: Vec<Key> = left.iter().map(|open| open.suspect.key.clone()).collect();
        let found = by_key(warehouse.rows_of(&keys).await?);
        left.retain_mut(|Open { suspect, .. }| {
            suspect.warehouse = found.get(&suspect.key).map(|row| (row.content, row.seq.unwrap_or_default()));
            !is_equal(suspect.source, suspect.warehouse, extra_rows_stay)
        });
        if last || left.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= pace.patience {
            return Err(follower.too_late(moment));
        }
        sleep(pace.poll).await;
    }
}

/// Rows by their keys. A key that is there twice, which a warehouse without enforced keys may have, gets a content that no row has.
pub(super) fn by_key(rows: Vec<RowDigest>) -> HashMap<Key, RowDigest> {
    let mut found: HashMap<Key, RowDigest> = HashMap::with_capacity(rows.len());
    for row in rows {
        match found.get_mut(&row.key) {
            None => {
                found.insert(row.key.clone(), row);
            }
            // Contents are below 2^60.
            Some(twice) => {
                twice.content = u64::MAX;
                twice.seq = twice.seq.max(row.seq);
            }
        }
    }
    found
}
