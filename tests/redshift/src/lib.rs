//! A strict stand-in for Amazon Redshift.

mod error;
mod types;

pub use error::Refusal;
pub use types::ColumnType;
