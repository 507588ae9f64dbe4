//! Which columns have counters of their own.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Most columns that are counted by name: what a monitoring system keeps per process stays bounded, whatever the sources
/// hold. Values of later ones are counted together.
const COLUMNS_MAX: usize = 1000;

/// What stands for table and column of those that came too late.
const OTHER: &str = "(other)";

/// The columns that are counted by name.
#[derive(Debug, Default)]
pub(super) struct CountedColumns(Mutex<HashSet<(String, String)>>);

impl CountedColumns {
    /// The labels to count a column under.
    pub(super) fn labels(&self, table: &str, column: &str) -> (String, String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = (table.to_owned(), column.to_owned());
        if known.contains(&labels) {
            return labels;
        }
        if known.len() >= COLUMNS_MAX {
            return (OTHER.to_owned(), OTHER.to_owned());
        }
        known.insert(labels.clone());
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_beyond_the_bound_are_counted_together() {
        let counted = CountedColumns::default();
        for i in 0..COLUMNS_MAX {
            assert_eq!(counted.labels("t", &i.to_string()).1, i.to_string());
        }
        assert_eq!(counted.labels("t", "late"), (OTHER.to_owned(), OTHER.to_owned()));
        assert_eq!(counted.labels("t", "7").1, "7");
    }
}
