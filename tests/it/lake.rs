//! The lake on every store: contract of the stores, the commit log, files.

mod contract;
mod format;
mod gc;
mod log;
mod memory;
mod simulation;
mod stores;
