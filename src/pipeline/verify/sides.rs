//! The two sides of a comparison as it sees them, and the real ones.

use async_trait::async_trait;

use super::error::VerifyError;
use crate::{
    model::{
        Origin, Target,
        checksum::{Comparison, Group, Key, RowDigest, Selection},
    },
    source::mysql::checksum::{ChecksumReader, Mark, SourceTable},
    warehouse::{Checksums, Part},
};

/// A side that computes checksums of its rows.
#[async_trait]
pub(super) trait Side: Send {
    /// Counts and sums by bucket of `digits` digits, in no order.
    async fn groups(&mut self, selection: &Selection, digits: u8) -> Result<Vec<Group>, VerifyError>;

    /// The selected rows.
    async fn rows(&mut self, selection: &Selection) -> Result<Vec<RowDigest>, VerifyError>;

    /// The rows of the keys that exist.
    async fn rows_of(&mut self, keys: &[Key]) -> Result<Vec<RowDigest>, VerifyError>;

    /// The whole row of a key.
    async fn values_of(&mut self, key: &Key) -> Result<Option<Vec<Option<String>>>, VerifyError>;
}

/// The source also knows where ranges end and what time it is.
#[async_trait]
pub(super) trait SourceSide: Side {
    /// What is committed at some moment.
    type Moment: Send + Sync;

    /// The present. What was visible on the source a while ago is in it, what became visible just now need not be.
    async fn now(&mut self) -> Result<Self::Moment, VerifyError>;

    /// The leading `columns` key columns of the `rows`-th row behind `after`.
    async fn bound(&mut self, after: Option<&Key>, columns: usize, rows: u64) -> Result<Option<Key>, VerifyError>;
}

/// Tells how far the warehouse follows the source.
#[async_trait]
pub(super) trait Follower: Send {
    /// What is committed at some moment.
    type Moment: Send + Sync;

    /// Whether everything that was committed at the moment is in the warehouse.
    async fn has(&mut self, moment: &Self::Moment) -> Result<bool, VerifyError>;

    /// The error of having waited for it too long.
    fn too_late(&self, moment: &Self::Moment) -> VerifyError;
}

/// A table of MySQL.
#[derive(Debug)]
pub(super) struct MysqlSide<'a> {
    pub(super) reader: &'a mut ChecksumReader,
    pub(super) table: &'a SourceTable,
}

#[async_trait]
impl Side for MysqlSide<'_> {
    async fn groups(&mut self, selection: &Selection, digits: u8) -> Result<Vec<Group>, VerifyError> {
        Ok(self.reader.groups(self.table, selection, digits).await?)
    }

    async fn rows(&mut self, selection: &Selection) -> Result<Vec<RowDigest>, VerifyError> {
        Ok(self.reader.rows(self.table, selection).await?)
    }

    async fn rows_of(&mut self, keys: &[Key]) -> Result<Vec<RowDigest>, VerifyError> {
        Ok(self.reader.rows_of(self.table, keys).await?)
    }

    async fn values_of(&mut self, key: &Key) -> Result<Option<Vec<Option<String>>>, VerifyError> {
        Ok(self.reader.values_of(self.table, key).await?)
    }
}

#[async_trait]
impl SourceSide for MysqlSide<'_> {
    type Moment = Mark;

    async fn now(&mut self) -> Result<Mark, VerifyError> {
        Ok(self.reader.mark().await?)
    }

    async fn bound(&mut self, after: Option<&Key>, columns: usize, rows: u64) -> Result<Option<Key>, VerifyError> {
        Ok(self.reader.bound(self.table, after, columns, rows).await?)
    }
}

/// An origin's rows in the warehouse.
#[derive(Debug)]
pub(super) struct TargetSide<'a> {
    pub(super) checksums: &'a mut dyn Checksums,
    pub(super) target: &'a Target,
    pub(super) origin: &'a Origin,
    pub(super) comparison: &'a Comparison,
}

impl TargetSide<'_> {
    fn part(&mut self) -> (&mut dyn Checksums, Part<'_>) {
        (self.checksums, Part { target: self.target, origin: self.origin, comparison: self.comparison })
    }
}

#[async_trait]
impl Side for TargetSide<'_> {
    async fn groups(&mut self, selection: &Selection, digits: u8) -> Result<Vec<Group>, VerifyError> {
        let (checksums, part) = self.part();
        Ok(checksums.groups(part, selection, digits).await?)
    }

    async fn rows(&mut self, selection: &Selection) -> Result<Vec<RowDigest>, VerifyError> {
        let (checksums, part) = self.part();
        Ok(checksums.rows(part, selection).await?)
    }

    async fn rows_of(&mut self, keys: &[Key]) -> Result<Vec<RowDigest>, VerifyError> {
        let (checksums, part) = self.part();
        Ok(checksums.rows_of(part, keys).await?)
    }

    async fn values_of(&mut self, key: &Key) -> Result<Option<Vec<Option<String>>>, VerifyError> {
        let (checksums, part) = self.part();
        Ok(checksums.values_of(part, key).await?)
    }
}
