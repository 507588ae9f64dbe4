//! The HTTP port of a running program.

mod client;
mod serve;
