//! MySQL and MariaDB as sources.
//!
//! The path of an event: [`stream`] reads one connection and checks every event; [`follow`](mod@follow) keeps a connection alive;
//! [`channel`] carries batches to the decoding thread; there the [`assembler`] makes transactions of them, with the shapes of
//! [`table_map`] and the images of [`rows`]; [`ddl`] classifies statements. Beside it, [`preflight`] says whether a server can be
//! a source, [`start`] finds where to begin, and [`catalog`] reads what the log does not tell.
//!
//! # Why nothing is lost and nothing comes twice
//!
//! *Positions.* The position is the set of GTIDs whose groups were delivered completely. The assembler adds a GTID in one place,
//! when the event that ends its group has been handed over, and the consumer writes a position to the log only together with the
//! rows in front of it. A crash at any moment therefore resumes at the end of some group. The server sends each group that is not
//! in the set, once and whole, however often files rotate or table ids change.
//!
//! *Reconnecting.* The consumer, not the reader, knows what it has been given completely. After a broken connection the reader asks
//! it through the same queue that carries the events, so the answer comes after everything that was sent before; the consumer
//! forgets the group it has half of and the server sends that group again. The reader holds no position of its own.
//!
//! *Another server.* GTIDs mean the same on every server of a topology. Each connection checks that the server still has what we
//! lack (`gtid_purged` is inside our set) and has all that we read (our set is inside `gtid_executed`). The former fails after a
//! purge, the latter after a restore or a failover that lost transactions: both end in an error that says so, never in silence.
//! File and offset without GTIDs are believed on one `server_uuid` only.
//!
//! *Completeness.* Every event's CRC32 is compared. A compressed transaction must expand to exactly the announced size and end
//! in a commit ([`stream`]). An unknown event that is not marked ignorable, and an INCIDENT (the source lost events), end the
//! stream. Rows must be announced by a table map of their own statement; a group must end before the next begins. Silence is
//! an error too: heartbeats come every second or so, and three missing ones end the connection.
//!
//! *Visibility.* A transaction is in `@@gtid_executed` only after the engine has committed it (MySQL source,
//! `MYSQL_BIN_LOG::process_commit_stage_queue`), so any read that begins after `@@gtid_executed` was fetched sees it: the set is a
//! safe anchor for snapshots. File and offset are not, they may run ahead of what reads see.
//!
//! *What the log does not have.* Rows that foreign keys change before MySQL 9.6; rows of sessions with `sql_log_bin = 0`;
//! statements logged as text. [`preflight`] warns of the first, nobody can see the second, the third is reported by the
//! assembler. A ROLLBACK group can hold rows of tables without transactions, which keep them: [`preflight`] warns of such tables.

pub mod assembler;
pub mod catalog;
pub mod channel;
pub mod checksum;
pub mod connect;
pub mod cursor;
pub mod ddl;
pub mod discover;
pub mod event;
pub mod follow;
pub mod gtid;
mod gtid_event;
pub mod head;
mod payload;
pub mod preflight;
mod query_event;
pub mod retention;
pub mod rows;
pub mod snapshot;
mod sql;
pub mod start;
pub mod stream;
pub mod table_map;
