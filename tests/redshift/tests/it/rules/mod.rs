//! The rules of the front, one test each, through an ordinary PostgreSQL client.

mod cluster;

mod alter;
mod catalog;
mod data;
mod faults;
mod identifiers;
mod protocol;
mod rejects;
mod semistructured;
mod tables;
mod transactions;
