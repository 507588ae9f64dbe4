//! The HTTP port of a running program.

pub(super) mod client;
mod page;
pub(super) mod serve;
