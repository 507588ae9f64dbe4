//! The lake on every store: contract of the stores, the commit log, files.

mod contract;
mod format;
mod log;
mod memory;
mod simulation;
mod stores;
