//! A strict stand-in for Amazon Redshift.

pub mod catalog;
pub mod copy;
mod error;
pub mod http;
mod loader;
pub mod session;
mod types;

pub use error::Refusal;
pub use loader::{Loader, Relax};
pub use types::ColumnType;
