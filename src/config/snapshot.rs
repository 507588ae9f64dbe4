//! `[snapshot]`: how tables are read whose rows are not in the lake yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// How snapshots read a source. Each of the limits is for one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshot {
    /// Connections that read at the same time. Default 4.
    #[schemars(range(min = 1, max = 64))]
    pub connections: u32,
    /// Most rows that one statement reads; wide rows make it fewer. Default 250000.
    #[schemars(range(min = 10, max = 10_000_000))]
    pub chunk_rows_max: u64,
    /// Most rows a second, of all tables together. Default: as fast as it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rows_per_second: Option<u64>,
    /// Snapshots pause while more threads than this work on the source (`Threads_running`). Default: they never pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub threads_running_max: Option<u64>,
    /// Snapshots pause while the source, where it is a replica itself, is further behind than this. Default: they never pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_lag_max: Option<Span>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            connections: 4,
            chunk_rows_max: 250_000,
            rows_per_second: None,
            threads_running_max: None,
            replica_lag_max: None,
        }
    }
}
