//! The lake: immutable Parquet files and, per shard, the commit log that says which of them exist.
//!
//! - [`store`]: where objects are kept (S3, a folder).
//! - [`paths`]: what lies where.
//! - [`log`]: the commit log, its one writer and its readers.
//! - [`schemas`]: table schemas by id.
//! - [`parquet`]: rows to files and back.
//! - [`requests`]: what commands ask of a running extractor.
//! - [`rebuilds`]: what commands ask of a running applier.
//! - [`control`]: what operators hold back, and want tried again.
//! - [`consumers`]: who applies the logs, and how far.
//! - [`gc`]: removing what is old and needed by nobody.
//! - [`verified`]: up to where tables are known to be equal in the warehouse.

pub mod clock;
pub mod consumers;
pub mod control;
pub mod gc;
pub mod log;
pub mod parquet;
pub mod paths;
pub mod proof;
pub mod rebuilds;
pub mod requests;
pub mod schemas;
pub mod store;
pub mod verified;

pub use clock::{Clock, SystemClock};
pub use log::{Appended, Draft, LogEntry, LogError, LogReader, LogWriter, OpenOptions, ReadFrom, WriterId};
pub use paths::{DataName, ObjectPath, Partition, WriterMark};
pub use schemas::{SchemaError, Schemas};
pub use store::{Created, Directory, Listed, Page, S3, S3Options, StaticKeys, Store, StoreError, StoreErrorKind};
