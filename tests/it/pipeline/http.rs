//! The HTTP port of a running program.

pub(super) mod client;
pub(super) mod serve;
