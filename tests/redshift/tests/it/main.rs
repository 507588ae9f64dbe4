//! One test binary: linking is the slowest step of a test build.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod copy;
mod http;
mod parquet_files;
mod rules;
