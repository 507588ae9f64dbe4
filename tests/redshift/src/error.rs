//! What a client is told when a statement is refused.

use std::fmt;

/// An error as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether the connection ends with it.
    pub fatal: bool,
    /// SQLSTATE. Redshift says XX000 for almost everything of its own.
    pub code: String,
    /// The first line.
    pub message: String,
    /// Redshift's block of lines under `DETAIL`, where it has one.
    pub detail: Option<String>,
}

impl Refusal {
    /// An error that leaves the connection open.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { fatal: false, code: code.to_owned(), message: message.into(), detail: None }
    }

    /// An error that ends the connection.
    pub fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self { fatal: true, ..Self::new(code, message) }
    }

    /// An error of the compute nodes: SQLSTATE XX000 and a block that names Redshift's own code.
    pub fn engine(code: i32, message: impl Into<String>, context: &str) -> Self {
        const RULE: &str = "  -----------------------------------------------";
        let message = message.into();
        let detail = format!("\n{RULE}\n  error:  {message}\n  code:      {code}\n  context:   {context}\n{RULE}\n");
        Self::new("XX000", message).with_detail(detail)
    }

    /// The same with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.code)
    }
}

impl std::error::Error for Refusal {}
