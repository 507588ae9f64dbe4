//! The vocabulary every stage shares: names, sequence numbers, column types, table schemas, log entries.
//!
//! Nothing here does IO, knows MySQL or SQL, or looks at a clock. A stage that needs one of these words takes it from
//! here and never from another stage.

pub mod checksum;
pub mod digest;
pub mod entry;
pub mod finding;
pub mod name;
pub mod seq;
pub mod status;
pub mod table;
pub mod types;
pub mod verification;

pub use digest::Digest;
pub use entry::{
    Catalog, ColumnBounds, Entry, EntryKind, FileStep, Floor, FloorCause, Known, OpCounts, Parked, Position, Step,
};
pub use finding::{Finding, Severity};
pub use name::{Origin, Shard, Target};
pub use seq::{Op, Seq};
pub use status::{GroupPosition, ParkedOrigin, ShardStatus, Status, TableStatus, VerifiedOrigin};
pub use table::{Column, ColumnDefault, TableSchema};
pub use types::ColumnType;
pub use verification::{
    Difference, DifferenceKind, OpenRange, TableOutcome, Verification, VerifiedTable, VerifiedThrough,
};
