//! Whole pipelines: the program itself between real sources and real warehouses.
//!
//! Servers are shared by the tests, databases and pipelines are each test's own. Every test ends
//! with a comparison that shares no code with Tailwater.

mod control;
mod data_api;
mod definitions;
mod down;
mod gc;
mod history;
mod http;
mod idle;
mod keys;
mod long_values;
mod mariadb;
mod metrics;
mod plan;
mod rebuild;
mod scene;
mod schema;
mod snapshot;
mod stopping;
mod transactions;
mod types;
mod verify;
