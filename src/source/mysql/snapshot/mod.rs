//! Tables read by SELECT, while the binlog goes on.
//!
//! # Why the result is right
//!
//! *One number.* A snapshot of a table begins at a place in the stream, where it takes a number S of its own. Every row that
//! any of its SELECTs returns carries S, whenever it is read and over whatever connection. Every change that the stream
//! delivers behind that place has a greater number. State is the last row per key by number, so a row that was changed
//! behind S ends with its last change whatever a chunk saw of it, and a row that was not changed behind S is as the chunk
//! read it. No chunk needs to be consistent with another one, nothing is locked, and a chunk that is read twice is harmless.
//!
//! *Visibility.* That needs every change in front of S to be visible to the SELECTs. A transaction reaches the binlog before the
//! engine has committed it (MySQL source, `MYSQL_BIN_LOG::process_commit_stage_queue`; with semi-synchronous replication and
//! AFTER_SYNC even long before), so the stream can be ahead of what reads see. S is therefore taken only at a place that
//! [`start::visible`](super::start::visible) covers: `@@gtid_executed` holds a transaction only after its commit; without
//! GTIDs the beginning of the current binlog file is such a place, because the server waits for open commits when it
//! rotates; MariaDB and Percona say the exact place of a consistent read (`binlog_snapshot_*`).
//!
//! *What leaves no events.* Rows that vanished or changed without events (foreign keys before 9.6, `sql_log_bin = 0`, a restored
//! table) are mended by the snapshot: the end is a floor at S, below which rows of the table are void.
//!
//! *Chunks.* A table is cut by its key in the server's own order, each chunk is one statement of bounded size, and what is done is
//! a list of ranges. A row whose key changes while it is read may be seen twice or never; both its delete and its insert have
//! greater numbers than S.
//!
//! *DDL.* A chunk may be read with a newer shape of the table than the stream has reached. When the stream delivers a DDL that
//! touches the table behind S, the snapshot begins anew behind it, so no row that was read before it counts.

mod cell;
mod key;
mod session;
mod shape;
mod sql;
mod stamp;
mod window;

pub use cell::{Cell, DateParts, TimeParts};
pub use key::{Bound, KeyColumn};
pub use session::{Fate, Range, RowCells, RowStream, Session, SnapshotError};
pub use shape::{Shape, ShapeError};
pub use stamp::{ServerTime, Stamp, micros};
pub use window::Edge;
