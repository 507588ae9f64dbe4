//! MySQL and MariaDB as sources.

pub mod assembler;
pub mod catalog;
pub mod channel;
pub mod connect;
pub mod cursor;
pub mod ddl;
pub mod event;
pub mod follow;
pub mod gtid;
mod gtid_event;
mod payload;
pub mod preflight;
mod query_event;
pub mod rows;
mod sql;
pub mod start;
pub mod stream;
pub mod table_map;
