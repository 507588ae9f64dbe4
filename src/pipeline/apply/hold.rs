//! What an origin's exception says of its snapshot beside the place.
//!
//! A held origin stands where its snapshot began: from there its changes are still to be applied. How far the snapshot's rows are
//! loaded, and while it follows which snapshot is loaded, is told by the exception's `reason`, in words that are read back here.

use crate::{
    model::{Origin, Seq},
    warehouse::LogPosition,
};

const LOADED: &str = "rows of its snapshot are loaded up to ";
const FOLLOWS: &str = "it follows its snapshot ";
const BEGUN: &str = " that began at ";

/// Why an origin has a place of its own although nothing is wrong with it: an operator paused it, perhaps until just now.
pub(in crate::pipeline) const PAUSED: &str = "it was paused by an operator";

/// Why an origin has a place of its own whose snapshot was taken whole.
pub(super) const SWAPPED: &str = "it follows its copy";

const COLLECTED: &str = "rows of it were removed from the lake before the group began: ";

/// Why an origin waits for a snapshot whose older rows the group can never have, and what to do.
pub(super) fn collected(origin: &Origin, first: u64) -> String {
    let (database, table) = (&origin.database, &origin.table);
    format!(
        "{COLLECTED}entries of shard {} begin at {first}; run `tailwater snapshot --table {database}.{table}`",
        origin.shard
    )
}

/// Whether only a snapshot brings an origin's rows: what there is in the lake is not all.
pub(super) fn is_collected(reason: &str) -> bool {
    reason.starts_with(COLLECTED)
}

/// Text of how far a held origin's rows are loaded; empty for not at all.
pub(super) fn held(begun: LogPosition, loaded: LogPosition) -> String {
    if loaded <= begun { String::new() } else { format!("{LOADED}{}", text(loaded)) }
}

/// How far a held origin's rows are loaded.
pub(super) fn loaded(reason: &str) -> Option<LogPosition> {
    position(reason.strip_prefix(LOADED)?)
}

/// Text of what an origin follows: the snapshot's number and where it began.
pub(super) fn follows(seq: Seq, begun: LogPosition) -> String {
    format!("{FOLLOWS}{seq}{BEGUN}{}", text(begun))
}

/// Which snapshot an origin follows.
pub(super) fn followed(reason: &str) -> Option<(Seq, LogPosition)> {
    let (seq, begun) = reason.strip_prefix(FOLLOWS)?.split_once(BEGUN)?;
    Some((Seq(seq.parse().ok()?), position(begun)?))
}

fn text(position: LogPosition) -> String {
    format!("entry {} step {}", position.entry, position.step)
}

fn position(text: &str) -> Option<LogPosition> {
    let (entry, step) = text.strip_prefix("entry ")?.split_once(" step ")?;
    Some(LogPosition { entry: entry.parse().ok()?, step: step.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        let at = |entry, step| LogPosition { entry, step };
        assert_eq!(held(at(3, 1), at(3, 1)), "");
        assert_eq!(loaded(&held(at(3, 1), at(17, 20))), Some(at(17, 20)));
        assert_eq!(followed(&follows(Seq(99), at(3, 1))), Some((Seq(99), at(3, 1))));
        for other in ["", SWAPPED, "column a changed its type", "rows of its snapshot are loaded up to entry x step 2"]
        {
            assert_eq!((loaded(other), followed(other)), (None, None));
        }
    }
}
