//! COPY, a test for each rule.

mod cluster;
mod columns;
mod files;
mod types;
mod values;
