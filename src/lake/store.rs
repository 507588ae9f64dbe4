//! What the lake needs of a place that keeps objects, and the errors such a place can answer with.

mod directory;
mod s3;
mod s3_error;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use directory::Directory;
pub use s3::{S3, S3Options, StaticKeys};

use super::paths::ObjectPath;

/// Most objects that one [`Store::list`] answers: S3's own bound.
pub const LIST_PAGE: usize = 1000;

/// Largest object that a store takes: S3's bound for one PUT. Data files are a fortieth of it.
pub const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// Objects under one pipeline's root, never changed once created (but for hints and the few small state files of
/// `schemas/lake.md`, which are replaced whole).
///
/// Contract, checked for every implementation by `tests/it/lake/contract.rs`:
/// - What a method acknowledged is seen by every later call of any process (strong consistency).
/// - Objects appear whole or not at all: no reader ever sees half of one, after a crash or a full disk neither.
/// - Methods retry what is worth retrying inside, for a bounded time. An error of kind [`Transient`] or [`Other`] means
///   that the effect may or may not have happened (and may still happen); every other kind means that it did not.
/// - Dropping the future of a method leaves it undecided in the same way.
///
/// [`Transient`]: StoreErrorKind::Transient
/// [`Other`]: StoreErrorKind::Other
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// The whole object, or `None` when there is none.
    async fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, StoreError>;

    /// Size of the object in bytes, or `None` when there is none.
    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError>;

    /// Creates the object if there is none, atomically: of any number of callers exactly one gets [`Created::New`].
    /// Durable when it returns, also when it returns [`Created::Exists`].
    ///
    /// `Exists` may be the work of an earlier attempt of this very call whose answer was lost: who needs to know reads
    /// the object and compares.
    async fn create(&self, path: &ObjectPath, content: Bytes) -> Result<Created, StoreError>;

    /// Creates or replaces the object. Durable when it returns. The last of several callers wins.
    async fn put(&self, path: &ObjectPath, content: Bytes) -> Result<(), StoreError>;

    /// Removes the object. Removing what is not there is fine.
    async fn delete(&self, path: &ObjectPath) -> Result<(), StoreError>;

    /// Objects whose path begins with `prefix` and is greater than `start_after`, in byte order of their paths, at most
    /// [`LIST_PAGE`] of them. Objects that are not the lake's own are left out.
    async fn list(&self, prefix: &str, start_after: Option<&ObjectPath>) -> Result<Page, StoreError>;

    /// The object's address for other tools: `s3://bucket/prefix/path` or an absolute file name.
    fn url(&self, path: &ObjectPath) -> String;

    /// The store for people: kind and place, without secrets.
    fn describe(&self) -> String;
}

/// Answer of [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object is this call's.
    New,
    /// There was one already; it was left as it is.
    Exists,
}

/// One page of a listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The objects, in byte order of their paths.
    pub objects: Vec<Listed>,
    /// Where the next page starts after; `None` when this was the last one. A page may be empty and have a next one.
    pub next: Option<ObjectPath>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it lies.
    pub path: ObjectPath,
    /// Its size.
    pub bytes: u64,
}

/// What a caller does about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The network or the store had a weak moment; retries inside were used up. Try again later. Outcome unknown.
    Transient,
    /// The credentials may not do this. Nothing happened.
    Denied,
    /// The bucket or root folder is not there. Nothing happened.
    Missing,
    /// No room left, or a quota is used up. Nothing happened.
    Full,
    /// The set-up is wrong (region, clock, a store without conditional writes, an object too large). Nothing happened.
    Refused,
    /// Something not foreseen. Outcome unknown.
    Other,
}

impl StoreErrorKind {
    /// Whether the failed call certainly had no effect.
    pub fn is_definite(self) -> bool {
        !matches!(self, Self::Transient | Self::Other)
    }
}

/// A store could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {url}: {problem}{}", Mend(.mend))]
pub struct StoreError {
    /// What to do about it.
    pub kind: StoreErrorKind,
    /// What was tried: `read`, `create`, `replace`, `delete`, `list`, `measure`, `open`.
    pub action: &'static str,
    /// On which object or prefix.
    pub url: String,
    /// What went wrong, without the cause's own text.
    pub problem: String,
    /// What the operator does about it.
    pub mend: Option<String>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// Whether the same may succeed later.
    pub fn is_transient(&self) -> bool {
        !self.kind.is_definite()
    }
}

struct Mend<'a>(&'a Option<String>);

impl fmt::Display for Mend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |mend| write!(f, " ({mend})"))
    }
}
