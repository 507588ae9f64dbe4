//! The one integration-test binary: real servers and whole pipelines.

#![allow(clippy::unwrap_used)]

mod bad_input;
mod bootstrap;
mod charset;
mod cli;
mod crash;
mod decode;
mod deploy;
mod docs;
mod generated;
mod lake;
mod merge_model;
mod modes;
mod pipeline;
mod redshift_live;
mod source;
mod warehouse;
