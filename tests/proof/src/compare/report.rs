//! What a comparison found.

use std::collections::BTreeMap;
use std::fmt;

use super::Table;

/// Differences of a table that are described one by one; the rest is counted.
const SAMPLES_MAX: usize = 12;

/// The outcome for all tables.
#[derive(Debug, Default)]
pub struct Report {
    /// One report for each table, in the order asked.
    pub tables: Vec<TableReport>,
}

impl Report {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(TableReport::is_equal)
    }

    /// Rows of all sources.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.tables.iter().flat_map(|table| table.rows.values()).map(|rows| rows.source).sum()
    }
}

/// Rows of one shard.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// In the source table.
    pub source: usize,
    /// In the target, by `_tw_origin`.
    pub target: usize,
}

/// The outcome for one table.
#[derive(Debug)]
pub struct TableReport {
    /// `database.table`.
    pub name: String,
    /// Rows by shard.
    pub rows: BTreeMap<String, Rows>,
    /// Rows of the sources that the target lacks.
    pub missing: usize,
    /// Rows of the target that no source has.
    pub extra: usize,
    /// Rows with other values or another origin.
    pub differing: usize,
    /// Rows whose key occurs before.
    pub duplicates: usize,
    /// Descriptions of the first differences and of what keeps the tables from being compared.
    pub details: Vec<String>,
    broken: bool,
}

impl TableReport {
    pub(super) fn new(table: &Table) -> Self {
        Self {
            name: format!("{}.{}", table.database, table.name),
            rows: BTreeMap::new(),
            missing: 0,
            extra: 0,
            differing: 0,
            duplicates: 0,
            details: Vec::new(),
            broken: false,
        }
    }

    /// Whether source and target are equal.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        !self.broken && self.missing + self.extra + self.differing + self.duplicates == 0
    }

    /// Counts a difference; describes it when it is one of the first.
    pub(super) fn found(&mut self, counter: impl Fn(&mut Self) -> &mut usize, describe: impl FnOnce() -> String) {
        *counter(self) += 1;
        if self.details.len() < SAMPLES_MAX {
            self.details.push(describe());
        }
    }

    /// Says what makes the tables unequal as wholes.
    pub(super) fn note(&mut self, text: String) {
        self.broken = true;
        self.details.push(text);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards: Vec<&String> = self.tables.first().map(|table| table.rows.keys().collect()).unwrap_or_default();
        write!(f, "{:<16}", "table")?;
        for shard in &shards {
            write!(f, " {:>9} {:>9}", format!("{shard} src"), format!("{shard} tgt"))?;
        }
        writeln!(f, " {:>8} {:>6} {:>6} {:>6}  result", "missing", "extra", "differ", "twice")?;
        for table in &self.tables {
            write!(f, "{:<16}", table.name)?;
            for shard in &shards {
                let rows = table.rows.get(*shard).copied().unwrap_or_default();
                write!(f, " {:>9} {:>9}", rows.source, rows.target)?;
            }
            let result = if table.is_equal() { "equal" } else { "DIFFERENT" };
            let TableReport { missing, extra, differing, duplicates, .. } = table;
            writeln!(f, " {missing:>8} {extra:>6} {differing:>6} {duplicates:>6}  {result}")?;
        }
        for table in self.tables.iter().filter(|table| !table.details.is_empty()) {
            for detail in &table.details {
                writeln!(f, "  {}: {detail}", table.name)?;
            }
        }
        Ok(())
    }
}
