//! What only Redshift has: faults of a cluster, and how many statements and commits a tick takes.

mod columns;
mod counts;
mod faults;
mod ways;
pub(crate) mod world;
