//! Rows to Parquet files and back. Synchronous: runs on the CPU pool.
//!
//! Files stay inside what Redshift's COPY is known to take: writer version 1.0, PLAIN and dictionary encodings, no
//! column or offset index, chunk statistics only. Files that COPY is to read itself have a [`Form`] of their own: JSON is in
//! columns of plain bytes, because the ones annotated as text would give SUPER strings instead of objects. Readers here
//! take both forms.

mod copy;
mod read;
mod repeats;
mod write;

pub use read::{Rows, decode};
pub use write::{Codec, Encoded, Form, encode};

use crate::model::Origin;

/// A file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// The rows given are not what the schema says. A defect of the stage that made them.
    #[error("rows of {origin} do not fit their file: {problem} (a defect of tailwater)")]
    Rows {
        /// Whose rows.
        origin: Origin,
        /// What does not fit.
        problem: String,
    },
    /// The encoder failed.
    #[error("cannot encode rows of {origin}")]
    Encode {
        /// Whose rows.
        origin: Origin,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// The file is not what the log says.
    #[error(
        "{path} is damaged: {problem}; restore it from a version or a copy of the lake, or snapshot {origin} again"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Whose rows it has.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
