//! Tailwater copies MySQL into a warehouse continuously: binlogs become Parquet and a commit log in the lake, and the
//! lake is merged into the warehouse exactly once.
//!
//! The modules are the data path, and imports point one way along it. `ARCHITECTURE.md` has the picture.

mod backoff;
pub mod batch;
pub mod cli;
pub mod config;
pub mod decode;
mod errors;
pub mod exit;
pub mod http;
pub mod lake;
pub mod live;
pub mod metrics;
pub mod model;
#[cfg(any(feature = "otel", test))]
pub mod otel;
pub mod pipeline;
pub mod progress;
pub mod source;
pub mod spans;
pub mod warehouse;
