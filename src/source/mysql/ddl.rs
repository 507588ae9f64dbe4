//! Classifies the text of a Query event: what it does to which tables.
//!
//! The shape of rows never comes from here, it comes from the TABLE_MAP events that follow. What is wanted of a DDL text is what
//! no event tells: that rows vanished (TRUNCATE, DROP), moved (RENAME), or got other values without being logged (ADD COLUMN
//! with a default, MODIFY, CONVERT). So this is a tokenizer and a reader of the first few keywords, not a grammar; what it does
//! not know is reported as [`Change::Unknown`] or as an alteration that rewrites rows, never as harmless.
//!
//! Limits: `/*!NNNNN … */` is always taken as executed. A name in a client character set that is not UTF-8 is not
//! recognised. Statements on other tables whose triggers write to captured ones are not seen through.

mod alter;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

pub use parse::classify;

/// A table by its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableName {
    /// Database, from the text or the session's default.
    pub database: String,
    /// Table.
    pub table: String,
}

/// What the text of a Query event is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// BEGIN, START TRANSACTION.
    Begin,
    /// XA START: the rows that follow wait for the outcome of a prepared transaction.
    XaBegin,
    /// COMMIT.
    Commit,
    /// ROLLBACK of the whole transaction.
    Rollback,
    /// Something inside a transaction that changes nothing: SAVEPOINT, ROLLBACK TO, RELEASE, XA END. (Rows undone by ROLLBACK TO
    /// are not in the log.)
    Within,
    /// XA COMMIT.
    XaCommit {
        /// The XID in normal form, `X'gtrid',X'bqual',format`.
        xid: String,
    },
    /// XA ROLLBACK.
    XaRollback {
        /// As in `XaCommit`.
        xid: String,
    },
    /// INSERT, UPDATE, DELETE, REPLACE, LOAD DATA.
    Dml {
        /// The tables it writes to; `None` where that takes a grammar (multi-table forms, WITH).
        tables: Option<Vec<TableName>>,
    },
    /// A change of tables.
    Ddl(Ddl),
    /// Nothing that concerns rows of tables: users, views, routines, indexes, maintenance.
    Irrelevant,
}

/// A change of tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ddl {
    /// What changes.
    pub change: Change,
}

/// What a DDL statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// CREATE TABLE.
    CreateTable {
        /// The table.
        table: TableName,
        /// IF NOT EXISTS: the statement is logged also where it did nothing.
        if_not_exists: bool,
        /// OR REPLACE (MariaDB): an existing table is dropped.
        or_replace: bool,
    },
    /// DROP TABLE.
    DropTables(Vec<TableName>),
    /// DROP DATABASE.
    DropDatabase(String),
    /// TRUNCATE TABLE.
    Truncate(TableName),
    /// RENAME TABLE: from, to; carried out from left to right.
    Rename(Vec<(TableName, TableName)>),
    /// ALTER TABLE.
    Alter(Alter),
    /// Not understood, and it mentions these tables.
    Unknown {
        /// Every name in the text that could be a table's.
        mentions: Vec<TableName>,
    },
}

/// ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alter {
    /// The table.
    pub table: TableName,
    /// RENAME TO.
    pub renamed_to: Option<TableName>,
    /// Other tables whose rows change: EXCHANGE PARTITION … WITH TABLE, CONVERT PARTITION … TO TABLE.
    pub others: Vec<TableName>,
    /// Added columns in order.
    pub adds: Vec<AddedColumn>,
    /// Dropped columns.
    pub drops: Vec<String>,
    /// Renamed columns: from, to.
    pub renames: Vec<(String, String)>,
    /// Whether values of existing rows change, or rows vanish, without events: MODIFY, CHANGE, CONVERT TO CHARACTER SET,
    /// DROP/TRUNCATE/EXCHANGE/IMPORT PARTITION or TABLESPACE, and what is not understood. MODIFY and CHANGE may be no more
    /// than a wider type; the next TABLE_MAP tells.
    pub rewrites_rows: bool,
    /// Whether the primary key changes.
    pub changes_key: bool,
}

impl Alter {
    /// Whether rows and columns stay as they are: indexes, options, defaults for new rows, partitioning, maintenance.
    pub fn only_metadata(&self) -> bool {
        let Self { renamed_to, others, adds, drops, renames, rewrites_rows, changes_key, table: _ } = self;
        renamed_to.is_none()
            && others.is_empty()
            && adds.is_empty()
            && drops.is_empty()
            && renames.is_empty()
            && !rewrites_rows
            && !changes_key
    }
}

impl Alter {
    /// Whether nothing happens to existing rows but that they get columns, all with the same value or NULL.
    pub fn only_adds_constants(&self) -> bool {
        let Self { renamed_to, others, adds, drops, renames, rewrites_rows, changes_key, table: _ } = self;
        renamed_to.is_none()
            && others.is_empty()
            && drops.is_empty()
            && renames.is_empty()
            && !rewrites_rows
            && !changes_key
            && adds.iter().all(|column| column.default != AddedDefault::Unknown)
    }
}

/// A column that ALTER TABLE adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedColumn {
    /// Name.
    pub name: String,
    /// What rows written before have in it.
    pub default: AddedDefault,
}

/// The value existing rows get in an added column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddedDefault {
    /// NULL.
    Null,
    /// A literal, as text in MySQL's form (numbers with sign, strings without quotes and escapes).
    Literal(String),
    /// NOT NULL without a default: zero, the empty string, the first label of an ENUM.
    Implicit,
    /// An expression, a generated column, AUTO_INCREMENT, or not understood.
    Unknown,
}

impl Ddl {
    /// The part of the change that concerns captured tables; `None` when it concerns none.
    pub(super) fn restrict(self, captured: &dyn Fn(&str, &str) -> bool) -> Option<Self> {
        let is = |t: &TableName| captured(&t.database, &t.table);
        let change = match self.change {
            Change::CreateTable { table, .. } | Change::Truncate(table) if !is(&table) => return None,
            Change::DropTables(tables) => Change::DropTables(non_empty(tables.into_iter().filter(is).collect())?),
            Change::Rename(pairs) => {
                Change::Rename(non_empty(pairs.into_iter().filter(|(from, to)| is(from) || is(to)).collect())?)
            }
            Change::Alter(alter) => {
                let mut touched = std::iter::once(&alter.table).chain(&alter.renamed_to).chain(&alter.others);
                touched.any(is).then_some(Change::Alter(alter))?
            }
            Change::Unknown { mentions } => {
                Change::Unknown { mentions: non_empty(mentions.into_iter().filter(is).collect())? }
            }
            // Which captured tables the database has is the caller's knowledge.
            change => change,
        };
        Some(Self { change })
    }
}

fn non_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}
