//! One shard's extraction: binlog → rows → files → commit log.
//!
//! ```text
//!  stream task ──batches of events──▶ decode thread ──cuts──▶ committer
//!  (async IO)     bounded by bytes     (sync, ordered)  4 at most  awaits the cut's files, then appends the entry
//!                                          │ sealed rows
//!                                          └──▶ encode (CPU pool) ──▶ upload
//! ```
//!
//! **Crash-only.** All state that a session needs is the newest entry of the shard's log. When the connection breaks, a
//! checksum fails or the store refuses for too long, the session ends, what was not committed is forgotten (its objects
//! are unlisted), and the next session resumes from the log exactly as a new process would. There is no second way to
//! continue that could differ from the first.
//!
//! **Nothing early, nothing late.** A cut happens only between transactions, seals *all* open batches, and its entry is
//! appended after all its files are durable. So the position in an entry covers exactly the rows that the log names up to
//! it.
