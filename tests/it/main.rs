//! The one integration-test binary: real servers and whole pipelines.

#![allow(clippy::unwrap_used)]

mod decode;
mod lake;
mod merge_model;
mod warehouse;
