//! Comparing one table's rows: ranges, then buckets, then rows.
//!
//! # How a table is cut
//! Where the leading key columns sort alike everywhere, the table is cut into key ranges of [`RANGE_ROWS`] rows, whose ends are found
//! on the source, and each range is summed up on both sides by one statement that reads one stretch of an index. A range
//! that differs is asked again by buckets of some [`BUCKET_ROWS`] rows, and the buckets that differ are read row by row.
//!
//! Where they do not (text keys: a collation orders them on the source, bytes in the warehouse), ranges of the two sides cannot be the
//! same rows. Buckets can: a bucket is the rows whose key hashes to it. Sums add up, so the source is still read range by range
//! of its own order, and the sums of its buckets are added up here; the warehouse sums its buckets up in one statement.
//!
//! Boundaries are never compared here: an order that this program has an opinion on is an order that can be wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    error::VerifyError,
    settle::{self, Pace, Shown, Suspect, is_equal, settle},
    sides::{Follower, Side, SourceSide},
    throttle::Throttle,
};
use crate::model::checksum::{Group, Key, KeyRange, RowDigest, Selection};

/// Rows in a range: a tenth of a second or so of the source's time, and a statement that a busy server does not notice.
pub(super) const RANGE_ROWS: u64 = 20_000;

/// Rows in a bucket, about: few enough that one difference costs few rows, many enough that the buckets' sums stay small
/// beside what they stand for.
const BUCKET_ROWS: u64 = 8;

/// Digits of a bucket at most: 65 536 sums fit into memory and into an answer.
const DIGITS_MAX: u8 = 4;

/// Buckets whose rows are asked for in one statement.
const BUCKETS_AT_ONCE: usize = 256;

/// Suspects that are gathered over ranges before they are settled: each settlement waits for the warehouse.
const SUSPECTS_AT_ONCE: usize = 5_000;

/// Ranges beyond those that the estimate of a table's rows is worth: a table that grows as fast as it is read would have no end.
/// The estimate can be half of the truth.
const RANGES_MORE: u64 = 64;

/// Most ranges of a table of about so many rows; the last one is open and takes what is left.
pub(super) fn ranges_max(rows: u64) -> u64 {
    rows.saturating_mul(4) / RANGE_ROWS + RANGES_MORE
}

/// How a table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Into ranges of this many leading key columns, the same on both sides.
    Ranges(usize),
    /// Into buckets; the source is read in ranges of this many leading key columns, or in one when there are none. The rows
    /// are an estimate.
    Buckets {
        /// Key columns that the source is walked by.
        walk: usize,
        /// Rows of the table, about.
        rows: u64,
    },
}

/// A range that differs and was not searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsearched {
    pub(super) range: KeyRange,
    pub(super) source_rows: u64,
    pub(super) warehouse_rows: u64,
}

/// What comparing found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Rows that differ, with the ranges that they lie in.
    pub(super) different: Vec<(Suspect, KeyRange)>,
    pub(super) unsearched: Vec<Unsearched>,
    pub(super) rows: u64,
    pub(super) ranges: u64,
    pub(super) rows_one_by_one: u64,
    pub(super) in_flight: u64,
}

/// A comparison under way.
pub(super) struct Comparing<'a, S, W, F> {
    pub(super) source: &'a mut S,
    pub(super) warehouse: &'a mut W,
    pub(super) follower: &'a mut F,
    pub(super) throttle: &'a mut Throttle,
    pub(super) pace: Pace,
    /// Rows that the source deleted stay in the warehouse.
    pub(super) extra_rows_stay: bool,
    /// Most ranges.
    pub(super) ranges_max: u64,
    /// Differences after which no more rows are searched for.
    pub(super) differences_max: usize,
    pub(super) findings: Findings,
    /// Ranges with suspects.
    pub(super) suspected: Vec<KeyRange>,
    pub(super) suspects: Vec<Suspect>,
}

impl<S: SourceSide, W: Side, F: Follower<Moment = S::Moment>> Comparing<'_, S, W, F> {
    /// Compares the whole table.
    pub(super) async fn run(mut self, cut: Cut) -> Result<Findings, VerifyError> {
        match cut {
            Cut::Ranges(columns) => self.by_ranges(columns).await?,
            Cut::Buckets { walk, rows } => self.by_buckets(walk, rows).await?,
        }
        self.settle().await?;
        Ok(self.findings)
    }

    /// The next range of the source's order; the last one has no end.
    async fn next_range(&mut self, after: Option<Key>, columns: usize) -> Result<KeyRange, VerifyError> {
        let through = match columns {
            0 => None,
            _ if self.findings.ranges + 1 >= self.ranges_max => None,
            columns => self.source.bound(after.as_ref(), columns, RANGE_ROWS).await?,
        };
        Ok(KeyRange { after, through })
    }

    async fn by_ranges(&mut self, columns: usize) -> Result<(), VerifyError> {
        let mut after = None;
        loop {
            let range = self.next_range(after, columns).await?;
            self.range(&range).await?;
            match range.through {
                None => return Ok(()),
                through => after = through,
            }
        }
    }

    async fn range(&mut self, range: &KeyRange) -> Result<(), VerifyError> {
        let selection = Selection { range: range.clone(), ..Selection::default() };
        let (source, warehouse) = tokio::join!(self.source.groups(&selection, 0), self.warehouse.groups(&selection, 0));
        let (source, warehouse) = (total(&source?), total(&warehouse?));
        self.findings.rows += source.0;
        self.findings.ranges += 1;
        self.throttle.spend(source.0).await?;
        if source == warehouse {
            return Ok(());
        }
        if self.found_enough().await? {
            let (source_rows, warehouse_rows) = (source.0, warehouse.0);
            self.findings.unsearched.push(Unsearched { range: range.clone(), source_rows, warehouse_rows });
            return Ok(());
        }
        let digits = digits(source.0.max(warehouse.0));
        let one = std::slice::from_ref(range);
        let buckets = differing(&self.source_groups(one, digits).await?, &self.warehouse_groups(range, digits).await?);
        self.search(one, range, buckets).await
    }

    /// Whether so much differs that finding the rest would help nobody. Suspects count once they are settled.
    async fn found_enough(&mut self) -> Result<bool, VerifyError> {
        if self.findings.different.len() + self.suspects.len() >= self.differences_max {
            self.settle().await?;
        }
        Ok(self.findings.different.len() >= self.differences_max)
    }

    async fn by_buckets(&mut self, walk: usize, rows: u64) -> Result<(), VerifyError> {
        let digits = digits(rows);
        let mut ranges = Vec::new();
        let mut after = None;
        let mut source = BTreeMap::new();
        loop {
            let range = self.next_range(after, walk).await?;
            let selection = Selection { range: range.clone(), ..Selection::default() };
            let groups = self.source.groups(&selection, digits).await?;
            let rows = total(&groups).0;
            self.findings.rows += rows;
            self.findings.ranges += 1;
            add(&mut source, groups);
            self.throttle.spend(rows).await?;
            after = range.through.clone();
            ranges.push(range);
            if after.is_none() {
                break;
            }
        }
        let whole = KeyRange::default();
        let warehouse = self.warehouse_groups(&whole, digits).await?;
        self.search(&ranges, &whole, differing(&source, &warehouse)).await
    }

    async fn source_groups(&mut self, ranges: &[KeyRange], digits: u8) -> Result<Sums, VerifyError> {
        let mut sums = Sums::new();
        for range in ranges {
            let selection = Selection { range: range.clone(), ..Selection::default() };
            add(&mut sums, self.source.groups(&selection, digits).await?);
        }
        Ok(sums)
    }

    async fn warehouse_groups(&mut self, range: &KeyRange, digits: u8) -> Result<Sums, VerifyError> {
        let mut sums = Sums::new();
        let selection = Selection { range: range.clone(), ..Selection::default() };
        add(&mut sums, self.warehouse.groups(&selection, digits).await?);
        Ok(sums)
    }

    /// Reads the rows of the buckets that differ, and suspects those that differ.
    async fn search(
        &mut self,
        source_ranges: &[KeyRange],
        range: &KeyRange,
        buckets: Vec<String>,
    ) -> Result<(), VerifyError> {
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            if self.found_enough().await? {
                let (source_rows, warehouse_rows) = (0, 0);
                self.findings.unsearched.push(Unsearched { range: range.clone(), source_rows, warehouse_rows });
                return Ok(());
            }
            let buckets: BTreeSet<String> = buckets.iter().cloned().collect();
            let mut rows = Vec::new();
            for range in source_ranges {
                let selection = Selection { range: range.clone(), buckets: buckets.clone() };
                rows.extend(self.source.rows(&selection).await?);
            }
            self.findings.rows_one_by_one += rows.len() as u64;
            let selection = Selection { range: range.clone(), buckets };
            let shown = self.warehouse.rows(&selection).await?;
            self.suspect(range, rows, shown);
            if self.suspects.len() >= SUSPECTS_AT_ONCE {
                self.settle().await?;
            }
        }
        Ok(())
    }

    fn suspect(&mut self, range: &KeyRange, source: Vec<RowDigest>, warehouse: Vec<RowDigest>) {
        let mut shown = settle::by_key(warehouse);
        let place = self.suspected.len();
        let known = self.suspects.len();
        for row in source {
            let warehouse = shown.remove(&row.key).map(|row| (row.content, row.seq.unwrap_or_default()));
            if !is_equal(Some(row.content), warehouse, self.extra_rows_stay) {
                self.suspects.push(Suspect { key: row.key, range: place, source: Some(row.content), warehouse });
            }
        }
        for (key, row) in shown {
            let warehouse: Shown = Some((row.content, row.seq.unwrap_or_default()));
            if !is_equal(None, warehouse, self.extra_rows_stay) {
                self.suspects.push(Suspect { key, range: place, source: None, warehouse });
            }
        }
        if self.suspects.len() > known {
            self.suspected.push(range.clone());
        }
    }

    /// Decides about the suspects so far.
    async fn settle(&mut self) -> Result<(), VerifyError> {
        let suspects = std::mem::take(&mut self.suspects);
        let settle::Settled { different, in_flight, rows_read } =
            settle(self.source, self.warehouse, self.follower, suspects, self.extra_rows_stay, self.pace).await?;
        self.findings.in_flight += in_flight;
        self.findings.rows_one_by_one += rows_read;
        for suspect in different {
            let range = self.suspected.get(suspect.range).cloned().unwrap_or_default();
            self.findings.different.push((suspect, range));
        }
        self.suspected.clear();
        Ok(())
    }
}

/// Rows and sum of contents by bucket.
type Sums = BTreeMap<String, (u64, u128)>;

fn add(sums: &mut Sums, groups: Vec<Group>) {
    for group in groups {
        let sum = sums.entry(group.bucket).or_default();
        sum.0 += group.rows;
        sum.1 += group.sum;
    }
}

fn total(groups: &[Group]) -> (u64, u128) {
    groups.iter().fold((0, 0), |(rows, sum), group| (rows + group.rows, sum + group.sum))
}

fn differing(source: &Sums, warehouse: &Sums) -> Vec<String> {
    let buckets: BTreeSet<&String> = source.keys().chain(warehouse.keys()).collect();
    buckets.into_iter().filter(|bucket| source.get(*bucket) != warehouse.get(*bucket)).cloned().collect()
}

/// Digits with which a bucket has about [`BUCKET_ROWS`] of `rows` rows.
fn digits(rows: u64) -> u8 {
    (1..DIGITS_MAX).find(|digits| rows <= BUCKET_ROWS << (4 * digits)).unwrap_or(DIGITS_MAX)
}
