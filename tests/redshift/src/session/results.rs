//! What a statement answers with.

/// The answer to one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Messages of severity INFO or NOTICE that came before it.
    pub notices: Vec<Notice>,
    /// Columns and rows of a query; `None` for every other statement.
    pub rows: Option<Rows>,
    /// The tag, for instance `INSERT 0 3`.
    pub tag: String,
    /// Rows returned or changed.
    pub count: u64,
}

/// Rows, every value as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Columns.
    pub fields: Vec<Field>,
    /// Values; NULL is `None`.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Redshift's number of its type: PostgreSQL's, 4000 for SUPER, 6551 for VARBYTE.
    pub type_oid: u32,
}

/// A message that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `INFO`, `NOTICE` or `WARNING`.
    pub severity: &'static str,
    /// SQLSTATE.
    pub code: &'static str,
    /// The text.
    pub message: String,
}
