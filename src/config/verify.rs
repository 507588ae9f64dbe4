//! `[verify]`: comparing sources and warehouse while `run` copies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// How `run` compares sources and warehouse in the background. `tailwater verify` does it at once and does not look here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Verify {
    /// Whether it compares at all. It needs what `run` has: sources and a warehouse. Default `true`.
    pub background: bool,
    /// Most rows a second that it reads from each source. Default 5000, some percent of one core of the source.
    #[schemars(range(min = 1))]
    pub rows_per_second: u64,
    /// Pause before the first round over all tables, and between two. From 1 s to 30 d. Default 1 h.
    pub pause: Span,
}

impl Default for Verify {
    fn default() -> Self {
        Self { background: true, rows_per_second: 5000, pause: Span::seconds(3600) }
    }
}
