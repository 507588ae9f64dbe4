//! Tests of the whole program on real servers.
#![allow(clippy::unwrap_used)]

mod crash;
