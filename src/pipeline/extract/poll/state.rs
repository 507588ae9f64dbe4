//! Up to where a table has been read, kept in the lake so that a new process goes on.
//!
//! The object is written after the entry that names the rows' files, so it never says more than the log has. An old one makes the next
//! round look back further; without one the table is read whole.

use serde::{Deserialize, Serialize};

use super::{
    seen::Seen,
    window::{Keys, Look, Stamps},
};
use crate::{
    config::{Polled, TableMode},
    model::{Origin, Seq},
    source::mysql::snapshot::Bound,
};

/// Version of the object's form.
const FORMAT: u32 = 1;

/// How far a table is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::pipeline::extract) struct PollState {
    format: u32,
    origin: Origin,
    /// Number of the snapshot that brought all rows first.
    pub(in crate::pipeline::extract) base: Seq,
    /// When the newest complete round began, by our clock, UTC microseconds.
    pub(in crate::pipeline::extract) began: i64,
    pub(super) window: Window,
    /// The round that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) round: Option<Under>,
    #[serde(default)]
    pub(super) seen: Seen,
}

/// What tells what is new.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Window {
    /// Nothing: all rows are read every time.
    Whole,
    /// The column.
    UpdatedAt { column: String, stamps: Stamps },
    /// The primary key.
    Key(Keys<Bound>),
}

/// A round that has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Under {
    pub(super) look: Look,
    pub(super) from: From,
    /// The place of the last row whose file is in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<Bound>,
}

/// From where it looks, and what the latest was when it began.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum From {
    Stamp { low: Option<i64>, high: Option<i64> },
    Key { low: Option<Bound>, high: Option<Bound>, again: bool },
}

impl PollState {
    /// All rows are read by a snapshot that begins at `look`.
    pub(super) fn new(origin: &Origin, look: Look, window: Window) -> Self {
        let (origin, base) = (origin.clone(), Seq(0));
        Self { format: FORMAT, origin, base, began: look.ours, window, round: None, seen: Seen::default() }
    }

    /// Reads the object; `None` where it is of another table, of another version, or cannot serve the table's mode: all is read.
    pub(in crate::pipeline::extract) fn parse(content: &[u8], origin: &Origin, polled: &Polled) -> Option<Self> {
        let read: Self = serde_json::from_slice(content).ok()?;
        let fits = match (&read.window, polled.mode, &polled.updated_at) {
            (Window::Whole, TableMode::Full, _) | (Window::Key(_), TableMode::Incremental, None) => true,
            (Window::UpdatedAt { column, .. }, TableMode::Incremental, Some(wanted)) => column == wanted,
            _ => false,
        };
        (fits && read.format == FORMAT && read.origin == *origin).then_some(read)
    }

    pub(in crate::pipeline::extract) fn json(&self) -> Vec<u8> {
        // Serialising plain structs cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}
