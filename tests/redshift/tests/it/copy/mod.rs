//! COPY, a test for each rule.

mod cluster;
mod columns;
mod files;
mod session;
mod types;
mod values;
