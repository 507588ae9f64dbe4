//! How many names of tables and columns become labels. Whatever the sources hold, what a monitoring system keeps of one process
//! stays bounded; what is beyond is told together.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Most columns that are counted by name.
pub(super) const COLUMNS_MAX: usize = 1000;

/// Most targets that have series of their own: of 6 families, one with 4 operations.
pub(super) const TARGETS_MAX: usize = 2000;

/// Most source tables that have series of their own: of 6 families that hold a series only for tables that were compared, are
/// parked, or are being read.
pub(super) const ORIGINS_MAX: usize = 4000;

/// What stands for the names of those that came too late.
pub(super) const OTHER: &str = "(other)";

/// Names that have series of their own.
#[derive(Debug)]
pub(super) struct Named {
    max: usize,
    known: Mutex<HashSet<Vec<String>>>,
}

impl Named {
    pub(super) fn at_most(max: usize) -> Self {
        Self { max, known: Mutex::default() }
    }

    /// The labels to count something under.
    pub(super) fn labels<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = names.map(str::to_owned);
        if known.contains(&labels[..]) {
            return labels;
        }
        if known.len() >= self.max {
            return names.map(|_| OTHER.to_owned());
        }
        known.insert(labels.to_vec());
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let counted = Named::at_most(COLUMNS_MAX);
        for i in 0..COLUMNS_MAX {
            assert_eq!(counted.labels(["t", &i.to_string()])[1], i.to_string());
        }
        assert_eq!(counted.labels(["t", "late"]), [OTHER, OTHER]);
        assert_eq!(counted.labels(["t", "7"]), ["t", "7"]);
    }
}
